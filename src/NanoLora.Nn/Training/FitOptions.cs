namespace NanoLora.Nn;

/// <summary>How <see cref="Trainer.Fit(Model, IDataset, FitOptions)"/> trains.</summary>
public sealed record FitOptions
{
    /// <summary>Passes over the data; overruled by <see cref="Steps"/>.</summary>
    public int Epochs { get; init; } = 20;

    /// <summary>Steps of the optimiser, or null to count in epochs.</summary>
    public int? Steps { get; init; }

    /// <summary>Samples in a batch.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Batches whose gradients add up before a step.</summary>
    public int Accumulation { get; init; } = 1;

    /// <summary>Whether blocks are recomputed in backward (<see cref="Workspace.RecomputeBlocks"/>): less memory, more time, the same bits.</summary>
    public bool RecomputeBlocks { get; init; }

    /// <summary>The rate of mixing weights.</summary>
    public double MixingRate { get; init; } = 0.1;

    /// <summary>The rate of the head.</summary>
    public double HeadRate { get; init; } = 3e-3;

    /// <summary>The rate of LoRA factors.</summary>
    public double FactorRate { get; init; } = 3e-3;

    /// <summary>The rate of all other parameters that train.</summary>
    public double BaseRate { get; init; } = 3e-4;

    /// <summary>Weight decay of matrices.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether vectors (biases, norms, mixing weights) decay too.</summary>
    public bool DecayVectors { get; init; }

    /// <summary>AdamW's β₁.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>AdamW's β₂.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>The largest norm of all gradients together; null for no clipping.</summary>
    public float? Clip { get; init; } = 1;

    /// <summary>The curve of the rates.</summary>
    public ScheduleKind Schedule { get; init; } = ScheduleKind.Cosine;

    /// <summary>For the cosines; half a cycle, or one for restarts, if not given.</summary>
    public double? Cycles { get; init; }

    /// <summary>Steps of warm-up.</summary>
    public int Warmup { get; init; }

    /// <summary>The share of the target that is spread over all classes.</summary>
    public float LabelSmoothing { get; init; }

    /// <summary>Of the order of samples, dropout and augmentation.</summary>
    public ulong Seed { get; init; }

    /// <summary>Whether the data may be augmented.</summary>
    public bool Augment { get; init; } = true;

    /// <summary>Told after every step.</summary>
    public Action<FitProgress>? Progress { get; init; }

    /// <summary>Ends the training after the current step.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>
    /// Takes the state of the training between two of its steps, so that one that is killed can go on from it: before the first step, and then every
    /// <see cref="CheckpointEvery"/> steps or <see cref="CheckpointInterval"/>. What it throws ends the training.
    /// </summary>
    public Action<TrainingState>? Checkpoint { get; init; }

    /// <summary>Steps from one checkpoint to the next, or null to go by time.</summary>
    public int? CheckpointEvery { get; init; }

    /// <summary>The time from one checkpoint to the next; a hundred times as long as one takes, if that is longer.</summary>
    public TimeSpan CheckpointInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Where to begin, from <see cref="TrainingState.Load"/>; null for the start.</summary>
    public TrainingState? Resume { get; init; }
}
