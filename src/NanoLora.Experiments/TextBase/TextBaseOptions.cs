using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// What the recipes of all bases for texts have: sizes, what is drawn in a step and how often, and the settings of a training that can be killed.
/// </summary>
public abstract record TextBaseOptions
{
    /// <summary>Steps of the optimiser.</summary>
    public int Steps { get; init; } = 1650;

    /// <summary>AdamW's rate.</summary>
    public double Rate { get; init; } = 5e-4;

    /// <summary>Weight decay of matrices.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Steps of warm-up.</summary>
    public int Warmup { get; init; } = 50;

    /// <summary>Of the start and all draws.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>The number of tokens.</summary>
    public int Vocabulary { get; init; } = 3500;

    /// <summary>The width of a token.</summary>
    public int Width { get; init; } = 192;

    /// <summary>The number of blocks.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>The number of heads.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>The width within an MLP.</summary>
    public int Intermediate { get; init; } = 512;

    /// <summary>Rows of running text in a batch.</summary>
    public int Rows { get; init; } = 32;

    /// <summary>Tokens that the model goes on from in such a row.</summary>
    public int RowLength { get; init; } = 40;

    /// <summary>Texts with an intent in a batch.</summary>
    public int Queries { get; init; } = 16;

    /// <summary>Pairs of texts that belong together in a batch.</summary>
    public int Pairs { get; init; } = 16;

    /// <summary>The most tokens of a query, or of a text of a pair.</summary>
    public int TextLength { get; init; } = 32;

    /// <summary>The share of tokens that is left out where a text is paired with itself.</summary>
    public float Drop { get; init; } = 0.25f;

    /// <summary>How often each set is drawn for a row of running text, in their order.</summary>
    public IReadOnlyList<float> RowShares { get; init; } = [0.35f, 0.2f, 0.2f, 0.15f, 0.1f];

    /// <summary>How often each set is drawn for a pair, in their order.</summary>
    public IReadOnlyList<float> PairShares { get; init; } = [0.3f, 0.3f, 0.2f, 0.1f, 0.1f];

    /// <summary>Whether tokens start as word vectors of the same texts, not at random.</summary>
    public bool WordVectors { get; init; } = true;

    /// <summary>Whether the tokens' vectors train.</summary>
    public bool TrainTokens { get; init; }

    /// <summary>What the linears that add to the stream of a token start with, as a share of the usual: word vectors must not drown in them.</summary>
    public float BranchScale { get; init; } = 0.1f;

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
