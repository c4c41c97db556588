using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>How a module of texts is trained.</summary>
internal sealed record TextTrainingOptions
{
    public LoraKind Kind { get; init; }
    public string Pattern { get; init; } = "*blocks.*";
    public int Rank { get; init; } = 8;
    public float? Alpha { get; init; }
    public float Dropout { get; init; }
    public int Steps { get; init; } = 300;
    public int BatchSize { get; init; } = 8;
    public int Accumulation { get; init; } = 1;
    public double Rate { get; init; } = 1e-3;
    public double HeadRate { get; init; } = 3e-3;
    public ulong Seed { get; init; } = 1;
    public bool Pack { get; init; }
    public bool RecomputeBlocks { get; init; }
    public int? CheckpointEvery { get; init; }

    /// <summary>Steps from one look at the test samples to the next, or null for none before the end.</summary>
    public int? EvalEvery { get; init; }

    /// <summary>What to let the model go on with then.</summary>
    public string? Sample { get; init; }
}

/// <summary><c>nanolora train</c> on texts: a LoRA module that learns to go on with them, or to classify them with a head of its own.</summary>
internal sealed class TextTraining(Session session, string modelFolder, TextTaskInput input, TextTrainingOptions options, string device)
{
    private const int SampleTokens = 40, MostWritten = 100;

    /// <summary>Trains, and writes the adapter and its card.</summary>
    public int Run(string folder, bool resume)
    {
        using var left = OutputFolder.NotLeftEmpty(folder);
        OutputFolder.PrepareAdapter(folder);
        using var backend = Devices.Open(device);
        using var work = TextWork.Open(session, ModelFolder.Of(modelFolder), backend, input);
        if (options.Pack && work.Model is not LanguageModel) throw new UsageException("--pack goes with texts that a decoder goes on with.");
        var settings = Settings(work);
        var training = new ResumableTraining(session, folder, [.. settings, new("training texts", Digest(work.Task.Train))]);
        var state = training.Begin(resume);
        training.Resumed(state, options.Steps);

        var data = work.Dataset(work.Task.Train, "training", options.Pack);
        var before = work.Classifier is null && work.Task.Test.Count > 0 ? work.Measured(options.BatchSize, MostWritten) : null;
        if (work.Classifier is { } classifier) Heads.NearestMean(classifier, data);
        var module = Attach.Lora(work.Model, options.Pattern, options.Rank, options.Alpha, dropout: options.Dropout, seed: options.Seed, name: work.Task.Name,
            kind: options.Kind);
        var history = Fit(work, data, training, state);
        if (history.State is { } now) return training.Interrupted(now, options.Steps);

        var measured = work.Measured(options.BatchSize, MostWritten);
        PeftFolder.Save(folder, WithHead(module, work.Classifier), work.Model);
        Card.Save(folder, CardOf(work, module, settings, before is null ? measured : $"{measured} The base without it: {before}"));
        training.End();
        session.Say($"{folder}: {work.Task.Name}, {module.Count:N0} values; {measured}");
        if (before is not null) session.Say($"before: {before}");
        return 0;
    }

    private History Fit(TextWork work, TextDataset data, ResumableTraining training, TrainingState? state)
    {
        using var progress = session.Progress(work.Task.Name, options.Steps - (state?.Step ?? 0));
        return Trainer.Fit(work.Model, data, new FitOptions
        {
            Steps = options.Steps, BatchSize = options.BatchSize, Accumulation = options.Accumulation, FactorRate = options.Rate, HeadRate = options.HeadRate,
            Seed = options.Seed, RecomputeBlocks = options.RecomputeBlocks, Resume = state, Checkpoint = training.Save,
            CheckpointEvery = options.CheckpointEvery, Cancellation = session.Cancellation,
            Progress = step =>
            {
                progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.000}"));
                if (options.EvalEvery is { } every && step.Step % every == 0 && step.Step < step.Steps && !session.IsInterrupted) Look(work, step.Step);
            },
        });
    }

    // Beside the result: how far it has come.
    private void Look(TextWork work, int step)
    {
        try
        {
            if (work.Task.Test.Count > 0) session.Note($"step {step}: {work.Measured(options.BatchSize, MostWritten)}");
            if (options.Sample is { } prompt && work.Classifier is null)
                session.Note($"step {step}: {Printable.Of(prompt)} → {Printable.Of(work.Sample(prompt, SampleTokens))}");
        }
        catch (OperationCanceledException) when (session.IsInterrupted) { }                 // the training sees it, too, and keeps its state
    }

    private static LoraModule WithHead(LoraModule module, Classifier? classifier) => classifier is null ? module
        : new(module.Name, module.Updates, new HeadWeights(classifier.Head!.Weight.Value.ToArray(), classifier.Head.Bias!.Value.ToArray(), classifier.Labels));

    private string CardOf(TextWork work, LoraModule module, IReadOnlyList<Fact> settings, string measured)
    {
        var (task, kind) = (work.Task, options.Kind switch { LoraKind.Dora => "DoRA", LoraKind.Pissa => "PiSSA", _ => "LoRA" });
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(work.Model.Title)));
        var head = work.Classifier is null ? "" : ", with a head of its own";
        var text = string.Create(CultureInfo.InvariantCulture, $"A {kind} module of {module.Count:N0} values for {name}{head}.");
        var classes = task.Classes.Count > 0 ? string.Create(CultureInfo.InvariantCulture, $", {task.Classes.Count} classes") : "";
        var learned = string.Create(CultureInfo.InvariantCulture, $"Trained on {task.Name}: {task.Train.Count:N0} texts{classes}.");
        return Card.Adapter($"{task.Name}: {kind} of rank {options.Rank}", text, work.Model.Title, [learned, "Licence and source of the texts: not stated."],
            new([.. settings.Skip(2)], session.Recipe(), measured));
    }

    private IReadOnlyList<Fact> Settings(TextWork work) =>
    [
        new("training", "train"), new("task", work.Task.Name), new("learns", Learned(work)), .. input.Facts(),
        new("kind", $"{options.Kind}"), new("linears", options.Pattern), new("rank", $"{options.Rank}"), new("alpha", Text(options.Alpha ?? options.Rank)),
        new("dropout", Text(options.Dropout)), new("steps", $"{options.Steps}"), new("batch", $"{options.BatchSize}"),
        new("accumulation", $"{options.Accumulation}"), new("rate", Text(options.Rate)), new("tokens of a sample", $"{work.Encoder.MaxLength} at most"),
        new("packed", options.Pack ? "yes" : "no"), new("seed", $"{options.Seed}"), .. Devices.Facts(device),
    ];

    private string Learned(TextWork work) => work.Classifier is not null ? "classes, by a head"
        : input.RanksAnswers ? "the names of classes" : work.Task.Kind.ToString().ToLowerInvariant();

    // A training goes on with the texts it began with, or not at all.
    private static string Digest(IReadOnlyList<TextSample> samples)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var sample in samples)
        {
            foreach (var text in (ReadOnlySpan<string>)[sample.Text, sample.Answer])
            {
                hash.AppendData(BitConverter.GetBytes(text.Length));
                hash.AppendData(Encoding.UTF8.GetBytes(text));
            }
        }
        return $"{samples.Count}, SHA-256 {Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}";
    }

    private static string Text(double value) => value.ToString("0.######", CultureInfo.InvariantCulture);
}
