namespace NanoLora.Experiments;

/// <summary>
/// How the text-to-text base is made: a small T5 that learns to write what is missing in a text, the name of its intent, and words of its like.
/// </summary>
public sealed record TextToTextOptions : TextBaseOptions
{
    /// <summary>The usual settings.</summary>
    public TextToTextOptions() => (Steps, Rate, Intermediate, Rows, RowLength, Queries, Pairs, TrainTokens) = (1000, 1e-3, 384, 24, 32, 24, 16, true);

    /// <summary>The share of tokens that are gone from a row of running text, and written.</summary>
    public double SpanShare { get; init; } = 0.15;

    /// <summary>How many of them are in a row on average.</summary>
    public double SpanLength { get; init; } = 3;

    /// <summary>The number of tokens that stand for spans.</summary>
    public int Sentinels { get; init; } = 16;

    /// <summary>The most tokens of an answer to one text of a pair: the rarest run of so many in the other.</summary>
    public int KeyTokens { get; init; } = 3;

    /// <summary>What the head over tokens starts with, as a share of the tokens' vectors.</summary>
    public float HeadScale { get; init; } = 0.1f;

    /// <summary>Whether the last block that writes starts as one that says again what was read: values pass through its attention unchanged.</summary>
    public bool StartsCopying { get; init; } = true;
}
