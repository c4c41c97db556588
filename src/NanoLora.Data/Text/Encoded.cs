namespace NanoLora.Data;

/// <summary>A text, or two, as a model reads it; element i of each list is about token i.</summary>
public sealed class Encoded
{
    internal Encoded(TokenRow row)
    {
        (Ids, Tokens, Offsets, TypeIds) = ([.. row.Ids], [.. row.Tokens], [.. row.Offsets], [.. row.TypeIds]);
        (SpecialTokensMask, AttentionMask, SequenceIds) = ([.. row.SpecialTokensMask], [.. row.AttentionMask], [.. row.SequenceIds]);
        Overflowing = [.. row.Overflowing.Select(static o => new Encoded(o))];
    }

    /// <summary>The ids.</summary>
    public IReadOnlyList<int> Ids { get; }

    /// <summary>The tokens as the vocabulary writes them.</summary>
    public IReadOnlyList<string> Tokens { get; }

    /// <summary>
    /// Which code points of its text a token stands for (not UTF-16 units: 😀 is one); (0, 0) for what was added around. Tokens that are parts of one
    /// character have all of it.
    /// </summary>
    public IReadOnlyList<(int Start, int End)> Offsets { get; }

    /// <summary>The type of the text that a token belongs to, as the tokenizer's template says.</summary>
    public IReadOnlyList<int> TypeIds { get; }

    /// <summary>1 for what was added around the texts or as padding, 0 for what is in them.</summary>
    public IReadOnlyList<int> SpecialTokensMask { get; }

    /// <summary>1 for tokens, 0 for padding.</summary>
    public IReadOnlyList<int> AttentionMask { get; }

    /// <summary>0 for the first text, 1 for the second, null for what belongs to neither.</summary>
    public IReadOnlyList<int?> SequenceIds { get; }

    /// <summary>What truncation has cut off, in pieces of the same form; empty unless <see cref="Truncation.KeepOverflow"/>.</summary>
    public IReadOnlyList<Encoded> Overflowing { get; }
}

/// <summary>How a text is encoded.</summary>
public sealed record EncodeOptions
{
    /// <summary>Whether the tokens that the model expects around a text are added.</summary>
    public bool AddSpecialTokens { get; init; } = true;

    /// <summary>Whether special tokens in the text are read as ordinary text: for text that nobody vouches for.</summary>
    public bool SpecialTokensAsText { get; init; }

    /// <summary>Where long texts are cut; null leaves them.</summary>
    public Truncation? Truncation { get; init; }

    /// <summary>How short texts are filled up; null leaves them.</summary>
    public Padding? Padding { get; init; }
}

/// <summary>Which of two texts is cut.</summary>
public enum TruncationStrategy
{
    /// <summary>The longer, down to the other's length; then both.</summary>
    LongestFirst,

    /// <summary>The first.</summary>
    OnlyFirst,

    /// <summary>The second.</summary>
    OnlySecond,
}

/// <summary>Cuts what is too long.</summary>
/// <param name="MaxLength">The most tokens, with those that are added.</param>
public sealed record Truncation(int MaxLength)
{
    /// <summary>Which of two texts is cut.</summary>
    public TruncationStrategy Strategy { get; init; }

    /// <summary>How many tokens a piece that was cut off shares with the one before it.</summary>
    public int Stride { get; init; }

    /// <summary>Whether the beginning is cut off, not the end.</summary>
    public bool FromLeft { get; init; }

    /// <summary>Whether <see cref="Encoded.Overflowing"/> has what was cut off: of two texts that are both cut, every combination.</summary>
    public bool KeepOverflow { get; init; }
}

/// <summary>Fills up what is too short.</summary>
/// <param name="Id">The id of the filling.</param>
/// <param name="Token">What it is called.</param>
public sealed record Padding(int Id, string Token)
{
    /// <summary>The least number of tokens; 0 leaves it to <see cref="MultipleOf"/>.</summary>
    public int Length { get; init; }

    /// <summary>What the number of tokens is a multiple of; 0 for none.</summary>
    public int MultipleOf { get; init; }

    /// <summary>The type of the filling.</summary>
    public int TypeId { get; init; }

    /// <summary>Whether the beginning is filled, not the end.</summary>
    public bool Left { get; init; }
}
