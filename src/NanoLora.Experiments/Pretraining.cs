using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>How the base is made: a small ViT, supervised on a mixture of image sets.</summary>
public sealed record PretrainOptions
{
    /// <summary>Steps of the optimiser.</summary>
    public int Steps { get; init; } = 6000;

    /// <summary>Images in a batch.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>AdamW's rate.</summary>
    public double Rate { get; init; } = 2e-3;

    /// <summary>Weight decay of matrices.</summary>
    public double WeightDecay { get; init; } = 0.05;

    /// <summary>Steps of warm-up.</summary>
    public int Warmup { get; init; } = 100;

    /// <summary>Label smoothing.</summary>
    public float Smoothing { get; init; } = 0.05f;

    /// <summary>Of the start, the draws and their augmentation.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Every how many-th test image measures the result.</summary>
    public int TestEvery { get; init; } = 10;

    /// <summary>How far images are moved.</summary>
    public Augment Augment { get; init; } = new(0.2f, 0.1f, 2);

    /// <summary>Told after every step.</summary>
    public Action<FitProgress>? Progress { get; init; }

    /// <summary>Ends after the current step.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>Where to go on from.</summary>
    public TrainingState? Resume { get; init; }

    /// <summary>Takes the state as the training goes, as in <see cref="FitOptions.Checkpoint"/>.</summary>
    public Action<TrainingState>? Checkpoint { get; init; }

    /// <summary>Steps from one checkpoint to the next, or null to go by time.</summary>
    public int? CheckpointEvery { get; init; }
}

/// <summary>Makes the base model and the upstream modules from raw images.</summary>
public static class Pretraining
{
    /// <summary>The architecture of the bundled base: patch 7, width 96, 4 blocks, 4 heads; the mean of all tokens after the last norm.</summary>
    public static VitConfig Architecture(float mean, float deviation, IReadOnlyList<string> labels) => new()
    {
        ImageSize = Sources.Side, PatchSize = 7, Channels = 1, HiddenSize = 96, Layers = 4, Heads = 4, IntermediateSize = 384,
        Labels = labels, ImageMean = [mean], ImageStd = [deviation],
    };

    /// <summary>
    /// Trains a base on a mixture. Gives the model, how the training went, and the share of test images it names rightly (NaN if it was interrupted).
    /// </summary>
    public static (Vit Model, History History, double Accuracy) Run(ImageMixture mixture, PretrainOptions options, Backend backend)
    {
        var (mean, deviation) = mixture.Statistics();
        var model = Vit.Create(Architecture(mean, deviation, mixture.ClassNames()), backend, options.Seed);
        var normalisation = new Normalisation(mean, deviation);
        model.Train();
        var history = Trainer.Fit(model, new MixtureDataset(mixture, normalisation, options.Augment), new FitOptions
        {
            Steps = options.Steps, BatchSize = options.BatchSize, BaseRate = options.Rate, HeadRate = options.Rate, WeightDecay = options.WeightDecay,
            Beta2 = 0.98, Warmup = options.Warmup, LabelSmoothing = options.Smoothing, Seed = options.Seed,
            Progress = options.Progress, Cancellation = options.Cancellation, Resume = options.Resume,
            Checkpoint = options.Checkpoint, CheckpointEvery = options.CheckpointEvery,
        });
        model.Train(false);
        var accuracy = history.Completed ? model.Accuracy(new MixtureTestSet(mixture, options.TestEvery, normalisation)) : double.NaN;
        return (model, history, accuracy);
    }
}

/// <summary>How one upstream module is trained.</summary>
public sealed record ModuleOptions
{
    /// <summary>What holds for texts.</summary>
    public static ModuleOptions ForTexts { get; } = new() { Steps = 300 };

    /// <summary>Which linears, by path.</summary>
    public string Pattern { get; init; } = "blocks.*";

    /// <summary>The rank.</summary>
    public int Rank { get; init; } = 4;

    /// <summary>The numerator of the scale; the rank if not given.</summary>
    public float? Alpha { get; init; }

    /// <summary>Dropout before A.</summary>
    public float Dropout { get; init; }

    /// <summary>Steps of the optimiser.</summary>
    public int Steps { get; init; } = 700;

    /// <summary>Samples in a batch.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>AdamW's rate for A and B.</summary>
    public double Rate { get; init; } = 3e-3;

    /// <summary>AdamW's rate for the head.</summary>
    public double HeadRate { get; init; } = 1e-2;

    /// <summary>Of the start and the order of samples.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>How far images are moved.</summary>
    public Augment Augment { get; init; } = new(0.2f, 0.1f, 2);

    /// <summary>As in <see cref="FitOptions.RecomputeBlocks"/>.</summary>
    public bool RecomputeBlocks { get; init; }

    /// <summary>Told after every step.</summary>
    public Action<FitProgress>? Progress { get; init; }

    /// <summary>Ends after the current step.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>Where to go on from.</summary>
    public TrainingState? Resume { get; init; }

    /// <summary>Takes the state as the training goes, as in <see cref="FitOptions.Checkpoint"/>.</summary>
    public Action<TrainingState>? Checkpoint { get; init; }

    /// <summary>Steps from one checkpoint to the next, or null to go by time.</summary>
    public int? CheckpointEvery { get; init; }
}

/// <summary>Trains upstream modules.</summary>
public static class Upstream
{
    /// <summary>Trains a LoRA and a head of its own; gives the module and the history. The model keeps both.</summary>
    /// <param name="model">The base; it keeps module and head.</param>
    /// <param name="data">What to learn from.</param>
    /// <param name="name">What the module is called.</param>
    /// <param name="options">The settings; whether samples are moved is the data's affair.</param>
    public static (LoraModule Module, History History) Train(Classifier model, IDataset data, string name, ModuleOptions options)
    {
        Heads.NearestMean(model, data);
        var module = Attached(model, name, options);
        var history = Trainer.Fit(model, data, Fitting(options));
        return (new LoraModule(name, module.Updates,
            new HeadWeights(model.Head!.Weight.Value.ToArray(), model.Head.Bias!.Value.ToArray(), model.Labels)), history);
    }

    /// <summary>The module before its training, in the model.</summary>
    internal static LoraModule Attached(Model model, string name, ModuleOptions options) =>
        Attach.Lora(model, options.Pattern, options.Rank, options.Alpha, dropout: options.Dropout, seed: options.Seed, name: name);

    /// <summary>How it is trained.</summary>
    internal static FitOptions Fitting(ModuleOptions options) => new()
    {
        Steps = options.Steps, BatchSize = options.BatchSize, FactorRate = options.Rate, HeadRate = options.HeadRate, Seed = options.Seed,
        RecomputeBlocks = options.RecomputeBlocks, Progress = options.Progress, Cancellation = options.Cancellation, Resume = options.Resume,
        Checkpoint = options.Checkpoint, CheckpointEvery = options.CheckpointEvery,
    };
}
