using System.Globalization;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Nn;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora pretrain --text</c>: makes the bundled base for texts from free texts; with <c>--text-to-text</c>, one that answers.</summary>
internal static class PretrainTexts
{
    /// <summary>Half as large a file as with F32; the probe does not tell the two apart.</summary>
    private const DType Matrices = DType.F16;

    public static int Run(Session session, string dataFolder, string folder, string device, bool resume, TextBaseOptions options)
    {
        if (!Directory.Exists(dataFolder)) throw new CommandException($"{dataFolder} is not a folder; name the folder of raw text sets with --data.");
        OutputFolder.Prepare(folder);
        var what = options is TextToTextOptions ? "pretrain --text-to-text" : "pretrain --text";
        var training = new ResumableTraining(session, folder, [new("training", what), .. Chosen(options), .. Devices.Facts(device)]);
        var state = training.Begin(resume);
        var texts = FreeTexts.Load(dataFolder, ClincTasks.AllTexts(dataFolder));
        training.Resumed(state, options.Steps);
        using var backend = Devices.Open(device);
        var progress = session.Progress("pretrain", options.Steps - (state?.Step ?? 0));
        var made = Make(texts, options with
        {
            Resume = state,
            Checkpoint = training.Save,
            Cancellation = session.Cancellation,
            Progress = step => progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.000}")),
        }, dataFolder, backend);
        progress.Dispose();
        using var ours = made.Base;
        if (made.History.State is { } now) return training.Interrupted(now, options.Steps);

        made.Save(folder);
        var parameters = made.Model.Parameters().Sum(static p => (long)p.Value.Value.Count);
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        var measured = made.Measure();
        var making = new Card.Making([.. Chosen(options), .. made.Facts, .. Training(options)], session.Recipe(), measured);
        Card.Save(folder, Card.TextBase(name, parameters, texts, options, making));
        training.End();
        session.Say($"{folder}: {parameters:N0} parameters");
        foreach (var line in measured.Split('\n')) session.Say($"{line}");
        return 0;
    }

    // What a recipe made: how it is kept and measured.
    private sealed record Made(IDisposable Base, Model Model, History History, Action<string> Save, Func<string> Measure, IReadOnlyList<Fact> Facts);

    private static Made Make(IReadOnlyList<FreeText> texts, TextBaseOptions options, string dataFolder, Backend backend)
    {
        if (options is TextToTextOptions writing)
        {
            var (writer, going) = TextToTextPretraining.Run(texts, writing, backend);
            return new(writer, writer.Model, going, writer.Save, () => Ranked(TextProbe.ZeroShot(writer, dataFolder, backend)),
                Facts(writing, writer.Tokenizer));
        }
        var (made, history) = TextPretraining.Run(texts, (TextPretrainOptions)options, backend);
        return new(made, made.Model, history, folder => made.Save(folder, Matrices), () => Measured(TextProbe.Compare(made, dataFolder, backend)),
            Facts((TextPretrainOptions)options, made.Tokenizer));
    }

    private static IReadOnlyList<Fact> Chosen(TextBaseOptions options) => [new("steps", $"{options.Steps}"), new("seed", $"{options.Seed}")];

    private static IReadOnlyList<Fact> Facts(TextPretrainOptions options, Tokenizer tokenizer) =>
    [
        Tokens(tokenizer),
        new("start", "the tokens' vectors are a truncated SVD of their positive pointwise mutual information in the same texts, frequent ones shorter"),
        new("batch", $"{options.Rows} rows of {options.RowLength} tokens, {options.Queries} queries with one of the intents, {options.Pairs} pairs of texts"),
        new("loss", FormattableString.Invariant(
            $"{options.WordWeight} · next words + {options.IntentWeight} · intents + {options.PairWeight} · InfoNCE of the pairs at {options.Temperature}")),
        new("pairs", FormattableString.Invariant(
            $"two neighbouring sentences, two that say the same, or one read twice, each time without {100 * options.Drop:0} % of its tokens")),
    ];

    private static IReadOnlyList<Fact> Facts(TextToTextOptions options, Tokenizer tokenizer) =>
    [
        Tokens(tokenizer),
        new("start", "the tokens' vectors are a truncated SVD of their positive pointwise mutual information in the same texts, frequent ones shorter; the "
            + "head is a share of them, and the last block of the decoder lets what was read pass"),
        new("batch", $"{options.Rows} rows of {options.RowLength} tokens with spans to write, {options.Queries} queries with their intent's name to write, "
            + $"{options.Pairs} pairs of texts"),
        new("spans", FormattableString.Invariant($"{100 * options.SpanShare:0} % of the tokens, {options.SpanLength} in a row on average")),
        new("pairs", FormattableString.Invariant($"of two neighbouring sentences, two that say the same, or one read twice without {100 * options.Drop:0} % ")
            + $"of its tokens, one is read, and the rarest tokens of the other are written, at most {options.KeyTokens} in a row"),
    ];

    private static Fact Tokens(Tokenizer tokenizer) => new("tokens", $"{tokenizer.VocabularySize:N0}, a byte-level BPE of the same texts in lower case");

    private static IReadOnlyList<Fact> Training(TextBaseOptions options) =>
    [
        new("optimiser", FormattableString.Invariant($"AdamW at {options.Rate}, weight decay {options.WeightDecay}, gradients clipped to norm 1")),
        new("schedule", $"{options.Warmup} steps of warm-up, then cosine to 0"),
    ];

    private static string Ranked(IReadOnlyList<ProbeResult> results)
    {
        var lines = new List<string>
        {
            "Accuracy in percent on CLINC150, which it has not seen, with nothing learned: the most likely of the fifteen names of a task, in words, by the",
            $"mean over a name's tokens or by their sum; one test text of {TextProbe.RankedEvery}.",
            "",
            "| likelihood | by domain | by class |",
            "|---|---:|---:|",
        };
        foreach (var row in results.GroupBy(static r => r.Features))
            lines.Add($"| {row.Key} | {string.Join(" | ", row.Select(static r => (100 * r.Accuracy).ToString("0.0", CultureInfo.InvariantCulture)))} |");
        return string.Join('\n', lines);
    }

    // A table: a row for each kind of features, a column for each kind of tasks and number of shots.
    private static string Measured(IReadOnlyList<ProbeResult> results)
    {
        var columns = results.Select(static r => (r.Tasks, r.Shots)).Distinct().ToList();
        var lines = new List<string>
        {
            "Accuracy in percent on CLINC150, which it has not seen, of the same head on each kind of features: ten tasks of fifteen intents,",
            $"by domain or dealt by class, with a few texts of each intent to learn from; means of {TextProbe.DefaultDraws} draws of each task.",
            "",
            $"| features | {string.Join(" | ", columns.Select(static c => $"by {c.Tasks}, {c.Shots} {(c.Shots == 1 ? "shot" : "shots")}"))} |",
            $"|---|{string.Concat(columns.Select(static _ => "---:|"))}",
        };
        foreach (var row in results.GroupBy(static r => r.Features))
            lines.Add($"| {row.Key} | {string.Join(" | ", row.Select(static r => (100 * r.Accuracy).ToString("0.0", CultureInfo.InvariantCulture)))} |");
        return string.Join('\n', lines);
    }
}
