using System.Text;

namespace NanoLora.Cli;

/// <summary>The tool <c>nanolora</c>.</summary>
public static class Program
{
    /// <summary>Runs a command line; Ctrl-C ends the work after its current step, a second one at once.</summary>
    public static int Main(string[] args)
    {
        Utf8();
        using var interrupt = new Interrupt(Console.Error);
        return new Tool(new Session(args, Console.Out, Console.Error, interrupt.Token) { Given = null, Interrupt = interrupt }).Run();
    }

    /// <summary>Runs a command line within this process.</summary>
    /// <param name="args">The words after the tool's name.</param>
    /// <param name="output">Where results go.</param>
    /// <param name="error">Where progress and errors go.</param>
    /// <param name="cancellation">Ends long work after its current step.</param>
    /// <returns>0: done. 1: failed, <paramref name="error"/> says why in one line. 2: wrong usage. 3: verify found something that is not built. 130:
    /// interrupted.</returns>
    public static int Run(IReadOnlyList<string> args, TextWriter output, TextWriter error, CancellationToken cancellation = default) =>
        Run(args, output, error, TextReader.Null, cancellation);

    /// <summary>The same, with something that prompts and conversations are read from.</summary>
    public static int Run(IReadOnlyList<string> args, TextWriter output, TextWriter error, TextReader input, CancellationToken cancellation = default) =>
        new Tool(new Session(args, output, error, cancellation) { Given = input }).Run();

    // Tables, names and texts have letters that the code pages of some consoles lack.
    private static void Utf8()
    {
        try
        {
            Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
            if (OperatingSystem.IsWindows()) Console.InputEncoding = Console.OutputEncoding;
        }
        catch (IOException) { }                                                        // no console: then nobody reads it there
    }
}
