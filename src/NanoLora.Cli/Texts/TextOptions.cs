using System.CommandLine;
using System.CommandLine.Parsing;
using NanoLora.Data;
using NanoLora.Experiments;

namespace NanoLora.Cli;

/// <summary>The options of tasks on texts, the same for all commands that take one.</summary>
internal sealed class TextOptions
{
    /// <summary>How the help texts say what a task on texts is.</summary>
    public const string Help = "for texts a .jsonl or .csv file with text; text, label; prompt, completion; or messages";

    /// <summary>The most tokens of a sample where nothing is said and the model allows more.</summary>
    public const int UsualLength = 1024;

    private readonly Option<string?> _test = Inputs.Text("--test", "FILE", "Texts: the test samples; --task is then all for training.");
    private readonly Option<string?> _fields = Inputs.Text("--fields", "OURS=THEIRS,…",
        "Texts: what the file calls the fields text, label, prompt, completion, messages or split, as in prompt=question,completion=answer.");
    private readonly Option<int?> _length = Inputs.OptionalWhole("--max-length",
        $"Texts: the most tokens of a sample, longer ones are cut; what the model is made for, at most {UsualLength}, if not given.", 2);
    private readonly Option<bool> _rank = Inputs.Switch("--rank-answers",
        "Texts with labels: take the names of classes for what follows the text; the class is the one with the largest mean of log probabilities a token.");
    private readonly Option<string?> _template = Inputs.Text("--template", "T",
        @"With --rank-answers: how a text and the name of its class stand together; ""{text}\n{label}"" if not given. \n is a line break.");

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in All) command.Add(option);
    }

    /// <summary>What a command line says of the task.</summary>
    public TextTaskInput Of(ParseResult parsed, string task, double? testShare) => new(task)
    {
        Test = parsed.GetValue(_test), Fields = parsed.GetValue(_fields), TestShare = testShare, RanksAnswers = parsed.GetValue(_rank),
        Template = parsed.GetValue(_template), MaxLength = parsed.GetValue(_length),
    };

    /// <summary>Refuses options of texts where the model is one of images.</summary>
    public void Refuse(ParseResult parsed, params ReadOnlySpan<Option> more)
    {
        foreach (var option in (Option[])[.. All, .. more])
            if (IsGiven(parsed, option)) throw new UsageException($"{option.Name} goes with texts, and the model is one of images.");
    }

    /// <summary>Refuses options of images where the model is one of texts.</summary>
    public static void RefuseImages(ParseResult parsed, params ReadOnlySpan<Option> images)
    {
        foreach (var option in images)
            if (IsGiven(parsed, option)) throw new UsageException($"{option.Name} goes with images, and this is a task on texts.");
    }

    private IReadOnlyList<Option> All => [_test, _fields, _length, _rank, _template];

    private static bool IsGiven(ParseResult parsed, Option option) => parsed.GetResult(option) is OptionResult { Implicit: false };
}

/// <summary>What a command takes as a task on texts.</summary>
/// <param name="Task">The file.</param>
internal sealed record TextTaskInput(string Task)
{
    public string? Test { get; init; }
    public string? Fields { get; init; }
    public double? TestShare { get; init; }
    public bool RanksAnswers { get; init; }
    public string? Template { get; init; }
    public int? MaxLength { get; init; }

    /// <summary>Reads the task; what is left out is told.</summary>
    /// <param name="session">Who is told, and who ends it.</param>
    /// <param name="classes">The classes of a model's head, if it has one.</param>
    /// <param name="again">Whether all that is left out has been told.</param>
    public TextTask Read(Session session, IReadOnlyList<string>? classes = null, bool again = false)
    {
        if (Directory.Exists(Task)) throw new CommandException($"{Task} is a folder; a task on texts is a .jsonl or .csv file.");
        if (Template is not null && !RanksAnswers) throw new UsageException("--template goes with --rank-answers.");
        var task = TextTask.Read(Task, new TextTaskOptions
        {
            TestFile = Test, TestShare = TestShare, Fields = Named(), Classes = classes, Cancellation = session.Cancellation,
            Note = again ? null : line => session.Note($"{Printable.Of(line)}"),
        });
        if (!RanksAnswers) return task;
        if (task.Kind != TextKind.Labelled) throw new UsageException($"--rank-answers goes with texts that have labels; {Task} has none.");
        return task.AsCompletions(Unescaped(Template ?? TextTask.UsualTemplate));
    }

    /// <summary>What goes into settings and cards.</summary>
    public IReadOnlyList<Fact> Facts() => RanksAnswers ? [new("template", Template ?? Escaped(TextTask.UsualTemplate))] : [];

    private Dictionary<string, string> Named()
    {
        var fields = new Dictionary<string, string>();
        foreach (var pair in Fields?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [])
        {
            if (pair.Split('=') is not [{ Length: > 0 } ours, { Length: > 0 } theirs] || !fields.TryAdd(ours, theirs))
                throw new UsageException($"--fields: \"{pair}\" is not of the form prompt=question, or is said twice.");
        }
        return fields;
    }

    private static string Escaped(string template) => template.Replace("\n", @"\n", StringComparison.Ordinal);

    private static string Unescaped(string template) =>
        template.Replace(@"\n", "\n", StringComparison.Ordinal).Replace(@"\t", "\t", StringComparison.Ordinal);
}
