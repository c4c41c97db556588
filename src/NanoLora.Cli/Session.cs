using System.Globalization;
using NanoLora.Experiments;

namespace NanoLora.Cli;

/// <summary>One run of the tool: its words, where it writes, and what ends it early.</summary>
/// <param name="Args">The words after the tool's name.</param>
/// <param name="Out">Where results go.</param>
/// <param name="Error">Where progress and errors go.</param>
/// <param name="Cancellation">Ends long work after its current step.</param>
internal sealed record Session(IReadOnlyList<string> Args, TextWriter Out, TextWriter Error, CancellationToken Cancellation)
{
    /// <summary>What prompts and conversations are read from; null for standard input, which is not looked at before it is wanted.</summary>
    public TextReader? Given { get; init; } = TextReader.Null;

    /// <summary>What prompts and conversations are read from.</summary>
    public TextReader In => Given ?? Console.In;

    /// <summary>Who hears Ctrl-C; null where this is not a program of its own.</summary>
    public Interrupt? Interrupt { get; init; }

    /// <summary>Whether somebody sits at the terminal and writes what is read.</summary>
    public bool IsConversation => Given is null && !Console.IsInputRedirected;

    /// <summary>The exit code of work that was ended by Ctrl-C, as shells have it.</summary>
    public const int Interrupted = 130;

    /// <summary>Whether the work should end.</summary>
    public bool IsInterrupted => Cancellation.IsCancellationRequested;

    /// <summary>Writes a line of the result; numbers are written the same under every culture.</summary>
    public void Say(FormattableString line) => Out.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    /// <summary>Writes a piece of a model's text as it is; to a terminal, which must not obey it, without control characters.</summary>
    public void Show(string piece)
    {
        Out.Write(ReferenceEquals(Out, Console.Out) && !Console.IsOutputRedirected ? Printable.Lines(piece) : piece);
        Out.Flush();
    }

    /// <summary>Writes a line beside the result.</summary>
    public void Note(FormattableString line) => Error.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    /// <summary>Progress of long work, rewritten in place on a terminal.</summary>
    public Progress Progress(string what, long total) => new(what, total, ReferenceEquals(Error, Console.Error) ? null : Error);

    /// <summary>Says that the work was interrupted and which command line goes on with it.</summary>
    public int Resumable(FormattableString what)
    {
        Note(what);
        Note($"go on with: {CommandLine("--resume")}");
        return Interrupted;
    }

    /// <summary>This command line, with a word that may be missing.</summary>
    public string CommandLine(string extra = "")
    {
        var words = Args.Contains(extra) || extra.Length == 0 ? Args : [.. Args, extra];
        return "nanolora " + string.Join(' ', words.Select(Quoted));
    }

    /// <summary>This command line as a card tells it to others: a path of this machine is cut to its last part.</summary>
    public string Recipe()
    {
        var told = Args.Where(a => a != "--resume").Select(a => Path.IsPathRooted(a) ? Path.GetFileName(Path.TrimEndingDirectorySeparator(a)) : a);
        return (this with { Args = [.. told] }).CommandLine();
    }

    private static string Quoted(string word)
    {
        var plain = word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || "-_./,=#:+@%".Contains(c));
        return plain ? word : $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'";
    }
}

/// <summary>What a command cannot do, said in one line: exit code 1.</summary>
internal sealed class CommandException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A command line that makes no sense: exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
