using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using NanoLora.Cli.Commands;
using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>The commands together, and what becomes of errors.</summary>
internal sealed class Tool(Session session)
{
    private const string TraceVariable = "NANOLORA_TRACE";

    /// <summary>The version of the program.</summary>
    public static string Version { get; } = typeof(Program).Assembly.GetName().Version!.ToString(3);

    /// <summary>Runs the session's command line and gives the exit code.</summary>
    public int Run()
    {
        var parsed = Root().Parse(session.Args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        var name = Name(parsed);
        if (parsed.Errors.Count > 0)
        {
            session.Error.WriteLine($"{name}: {OneLine(parsed.Errors[0].Message)}");
            session.Error.WriteLine($"See {name} --help.");
            return 2;
        }
        if (session.Args.Any(string.IsNullOrWhiteSpace))
        {
            session.Error.WriteLine($"{name}: an argument is empty; name a file, a folder or a value.");
            return 2;
        }
        try
        {
            return parsed.Invoke(new InvocationConfiguration
            {
                Output = session.Out, Error = session.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null,
            });
        }
        catch (OperationCanceledException) when (session.IsInterrupted)
        {
            session.Error.WriteLine($"{name}: interrupted; nothing was written.");
            return Session.Interrupted;
        }
        catch (Exception error)
        {
            return Failed(name, error);
        }
    }

    private RootCommand Root()
    {
        var root = new RootCommand("Composes LoRA modules: a tensor engine, transformers and few-shot studies in C#, with no Python and no native library.")
        {
            DemoCommand.Create(session),
            StudyCommand.Create(session),
            InspectCommand.Create(session),
            PredictCommand.Create(session),
            GenerateCommand.Create(session),
            ChatCommand.Create(session),
            EvalCommand.Create(session),
            ComposeCommand.Create(session),
            TrainCommand.Create(session),
            PretrainCommand.Create(session),
            BundleCommand.Create(session),
            PullCommand.Create(session),
            VerifyCommand.Create(session),
            DoctorCommand.Create(session),
        };
        root.SetAction(_ =>
        {
            session.Out.WriteLine(Overview);
            return 0;
        });
        foreach (var option in root.Options)
        {
            if (option is HelpOption { Action: HelpAction usual } help) help.Action = new HelpWithExamples(usual);
            else if (option is VersionOption version) version.Action = new PrintVersion();
        }
        return root;
    }

    private const string Overview = """
        NanoLora composes LoRA modules: from several modules that were trained for other tasks it makes one that fits yours, by learning one weight per
        module and matrix. Engine, models and training are written from scratch in C#.

        First commands to try:
          nanolora demo                         the comparison on a held-out task with the bundled model and modules, in about a minute
          nanolora inspect models/nano-vit      what is in a model, an adapter or a weight file
          nanolora compose --help               to mix modules of your own
          nanolora generate models/stories260K --prompt "Once upon a time"
          nanolora study --help                 to compare on many tasks, yours among them
          nanolora doctor                       what this machine has, and whether it computes rightly

        All commands: nanolora --help. One of them: nanolora COMMAND --help.
        """;

    // One line for what a user can mend; for anything else also the kind of error, and how to see where it came from.
    private int Failed(string name, Exception error)
    {
        if (error is UsageException)
        {
            session.Error.WriteLine($"{name}: {OneLine(error.Message)}");
            session.Error.WriteLine($"See {name} --help.");
            return 2;
        }
        var trace = Environment.GetEnvironmentVariable(TraceVariable) is { Length: > 0 } and not "0";
        var expected = error is CommandException or IOException or UnauthorizedAccessException or ArgumentException or InvalidDataException
            or ChatTemplateException or InvalidOperationException or NotSupportedException or NonFiniteException or GpuException or DeviceMemoryException;
        session.Error.WriteLine(expected ? $"{name}: {Message(error)}"
            : $"{name}: unexpected {error.GetType().Name}: {Message(error)}{(trace ? "" : $" (set {TraceVariable}=1 for the stack trace)")}");
        if (trace) session.Error.WriteLine(error);
        return 1;
    }

    private static string Message(Exception error)
    {
        var suffix = error is ArgumentException { ParamName: { } parameter } ? $" (Parameter '{parameter}')" : null;
        return OneLine(suffix is null ? error.Message : error.Message.Replace(suffix, "", StringComparison.Ordinal));
    }

    private static string OneLine(string message) =>
        Printable.Of(string.Join(' ', message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)));

    private static string Name(ParseResult parsed) =>
        parsed.CommandResult.Command is RootCommand ? "nanolora" : $"nanolora {parsed.CommandResult.Command.Name}";

    /// <summary>The usual help; for one command with all there is to say, and its examples below.</summary>
    private sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
    {
        private const int Width = 110;

        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            usual.MaxWidth = Math.Min(usual.MaxWidth, Width);
            if (parseResult.CommandResult.Command is not ToolCommand command) return usual.Invoke(parseResult);
            command.Description = command.Details;
            usual.Invoke(parseResult);
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine("Examples:");
            foreach (var example in command.Examples) output.WriteLine($"  {example}");
            return 0;
        }
    }

    private sealed class PrintVersion : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            parseResult.InvocationConfiguration.Output.WriteLine($"nanolora {Version}");
            return 0;
        }
    }
}

/// <summary>A command with a line for the list of commands, and more in its own help.</summary>
/// <param name="name">What it is called.</param>
/// <param name="line">What it does, in a few words.</param>
/// <param name="details">What else its help says; line breaks do not count.</param>
/// <param name="examples">Command lines that work.</param>
internal sealed class ToolCommand(string name, string line, string details, params string[] examples) : Command(name, line)
{
    /// <summary>The whole description.</summary>
    public string Details { get; } = $"{line} {details}".ReplaceLineEndings(" ").Trim();

    /// <summary>Command lines that work, with what they do where it does not show.</summary>
    public IReadOnlyList<string> Examples => examples;
}
