using System.Globalization;
using NanoLora.Data;
using NanoLora.Experiments;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora pretrain --text</c>: makes the bundled base for texts from free texts.</summary>
internal static class PretrainTexts
{
    /// <summary>Half as large a file as with F32; the probe does not tell the two apart.</summary>
    private const DType Matrices = DType.F16;

    public static int Run(Session session, string dataFolder, string folder, string device, bool resume, TextPretrainOptions options)
    {
        if (!Directory.Exists(dataFolder)) throw new CommandException($"{dataFolder} is not a folder; name the folder of raw text sets with --data.");
        OutputFolder.Prepare(folder);
        var training = new ResumableTraining(session, folder, [new("training", "pretrain --text"), .. Chosen(options), .. Devices.Facts(device)]);
        var state = training.Begin(resume);
        var texts = FreeTexts.Load(dataFolder, ClincTasks.AllTexts(dataFolder));
        training.Resumed(state, options.Steps);
        using var backend = Devices.Open(device);
        var progress = session.Progress("pretrain", options.Steps - (state?.Step ?? 0));
        var (made, history) = TextPretraining.Run(texts, options with
        {
            Resume = state,
            Checkpoint = training.Save,
            Cancellation = session.Cancellation,
            Progress = step => progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.000}")),
        }, backend);
        progress.Dispose();
        using var ours = made;
        if (history.State is { } now) return training.Interrupted(now, options.Steps);

        made.Save(folder, Matrices);
        var parameters = made.Model.Parameters().Sum(static p => (long)p.Value.Value.Count);
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        var measured = Measured(TextProbe.Compare(made, dataFolder, backend));
        var making = new Card.Making(Facts(options, made), session.Recipe(), measured);
        Card.Save(folder, Card.TextBase(name, parameters, texts, options, making));
        training.End();
        session.Say($"{folder}: {parameters:N0} parameters");
        foreach (var line in measured.Split('\n')) session.Say($"{line}");
        return 0;
    }

    private static IReadOnlyList<Fact> Chosen(TextPretrainOptions options) => [new("steps", $"{options.Steps}"), new("seed", $"{options.Seed}")];

    private static IReadOnlyList<Fact> Facts(TextPretrainOptions options, TextBase made) =>
    [
        .. Chosen(options),
        new("tokens", $"{made.Tokenizer.VocabularySize:N0}, a byte-level BPE of the same texts in lower case"),
        new("start", "the tokens' vectors are a truncated SVD of their positive pointwise mutual information in the same texts, frequent ones shorter"),
        new("batch", $"{options.Rows} rows of {options.RowLength} tokens, {options.Queries} queries with one of the intents, {options.Pairs} pairs of texts"),
        new("loss", FormattableString.Invariant(
            $"{options.WordWeight} · next words + {options.IntentWeight} · intents + {options.PairWeight} · InfoNCE of the pairs at {options.Temperature}")),
        new("pairs", FormattableString.Invariant(
            $"two neighbouring sentences, two that say the same, or one read twice, each time without {100 * options.Drop:0} % of its tokens")),
        new("optimiser", FormattableString.Invariant($"AdamW at {options.Rate}, weight decay {options.WeightDecay}, gradients clipped to norm 1")),
        new("schedule", $"{options.Warmup} steps of warm-up, then cosine to 0"),
    ];

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
