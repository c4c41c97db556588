using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>Texts of unequal lengths side by side, padded at their ends: what attention does not see, and one row for each text.</summary>
internal static class TextRows
{
    /// <summary>Refuses what is no such batch.</summary>
    /// <param name="source">The model, for messages.</param>
    /// <param name="tokens">I32 [B, T]</param>
    /// <param name="lengths">How many tokens of each text count; none at all where all do.</param>
    /// <exception cref="ArgumentException">Not [B, T], no tokens, another number of rows, or a length out of range.</exception>
    public static void Check(string source, Tensor tokens, ReadOnlySpan<int> lengths)
    {
        if (tokens.DType != DType.I32 || tokens.Shape.Rank != 2 || tokens.Count == 0)
            throw new ArgumentException($"{source}: tokens are I32 [B, T], one at least, not {tokens.DType} {tokens.Shape}.");
        if (lengths.Length > 0 && (lengths.Length != tokens.Shape[0] || lengths.IndexOfAnyExceptInRange(1, tokens.Shape[1]) >= 0))
        {
            throw new ArgumentException($"{source}: lengths of {lengths.Length} rows for texts {tokens.Shape}; "
                + $"each lies between 1 and {tokens.Shape[1]}.");
        }
    }

    /// <summary>The length of the longest text.</summary>
    public static int Longest(ReadOnlySpan<int> lengths, int tokens)
    {
        if (lengths.Length == 0) return tokens;
        var longest = 0;
        foreach (var length in lengths) longest = Math.Max(longest, length);
        return longest;
    }

    /// <summary>The mask [B, 1, 1, T] of attention, -∞ at padding; null where there is none.</summary>
    public static Tensor? Mask(Workspace w, ReadOnlySpan<int> lengths, int tokens)
    {
        if (lengths.IndexOfAnyExcept(tokens) < 0) return null;
        var mask = new float[lengths.Length * tokens];
        for (var row = 0; row < lengths.Length; row++) mask.AsSpan(row * tokens + lengths[row], tokens - lengths[row]).Fill(float.NegativeInfinity);
        return w.From(mask, new Shape(lengths.Length, 1, 1, tokens));
    }

    /// <summary>The mean of each text's states [B, T, D], as a product with 1 / length where there are tokens: [B, D].</summary>
    public static Tensor Mean(Tensor x, ReadOnlySpan<int> lengths)
    {
        int batch = x.Shape[0], tokens = x.Shape[1];
        var shares = new float[batch * tokens];
        for (var row = 0; row < batch; row++)
        {
            var length = lengths.Length == 0 ? tokens : lengths[row];
            shares.AsSpan(row * tokens, length).Fill(1f / length);
        }
        return x.Workspace.From(shares, new Shape(batch, 1, tokens)).MatMul(x).Reshape(batch, x.Cols);
    }

    /// <summary>The state of each text's first token, or of its last: [B, D].</summary>
    public static Tensor One(Tensor x, ReadOnlySpan<int> lengths, bool last)
    {
        int batch = x.Shape[0], tokens = x.Shape[1];
        var rows = new int[batch];
        for (var row = 0; row < batch; row++) rows[row] = row * tokens + (!last ? 0 : lengths.Length == 0 ? tokens - 1 : lengths[row] - 1);
        return x.Reshape(batch * tokens, x.Cols).Embedding(x.Workspace.From(rows, new Shape(batch)));
    }
}
