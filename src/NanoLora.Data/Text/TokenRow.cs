namespace NanoLora.Data;

/// <summary>An <see cref="Encoded"/> in the making.</summary>
internal sealed class TokenRow
{
    public List<int> Ids { get; init; } = [];

    public List<string> Tokens { get; init; } = [];

    public List<(int Start, int End)> Offsets { get; init; } = [];

    public List<int> TypeIds { get; init; } = [];

    public List<int> SpecialTokensMask { get; init; } = [];

    public List<int> AttentionMask { get; init; } = [];

    public List<int?> SequenceIds { get; init; } = [];

    public List<TokenRow> Overflowing { get; private set; } = [];

    /// <summary>The tokens of text number <paramref name="sequence"/>.</summary>
    public static TokenRow Of(TokenList tokens, int sequence)
    {
        var count = tokens.Ids.Count;
        return new()
        {
            Ids = tokens.Ids, Tokens = tokens.Tokens, Offsets = tokens.Offsets,
            TypeIds = Repeat(sequence, count), SpecialTokensMask = Repeat(0, count), AttentionMask = Repeat(1, count),
            SequenceIds = Repeat<int?>(sequence, count),
        };
    }

    /// <summary>Adds a token that is in no text.</summary>
    public void AddSpecial(int id, string token, int type)
    {
        Ids.Add(id);
        Tokens.Add(token);
        Offsets.Add((0, 0));
        TypeIds.Add(type);
        SpecialTokensMask.Add(1);
        AttentionMask.Add(1);
        SequenceIds.Add(null);
    }

    /// <summary>Gives all tokens one type.</summary>
    public void SetType(int type)
    {
        for (var i = 0; i < TypeIds.Count; i++) TypeIds[i] = type;
    }

    /// <summary>
    /// Adds another row. What overflowed of either is combined: each of ours with the row and with what overflowed of it, then this row with each of those.
    /// </summary>
    public void Append(TokenRow row)
    {
        var overflowing = new List<TokenRow>();
        foreach (var ours in Overflowing.Count > 0 ? [.. Overflowing, this] : new List<TokenRow> { this })
        {
            if (ours != this) overflowing.Add(ours.With(row));
            foreach (var theirs in row.Overflowing) overflowing.Add(ours.With(theirs));
        }
        Extend(row);
        Overflowing = overflowing;
    }

    /// <summary>Keeps so many tokens; the rest overflows, in pieces that share a number of tokens with their neighbours.</summary>
    public void Truncate(int length, Truncation truncation)
    {
        var count = Ids.Count;
        if (length >= count) return;
        if (length <= 0)
        {
            if (truncation.KeepOverflow) Overflowing.Add(Part(0, count));
            Clear();
            return;
        }
        if (truncation.Stride >= length)
            throw new ArgumentException($"Truncation: the stride {truncation.Stride} is not less than {length}, the most tokens of a text; make it less.");
        var parts = new List<TokenRow>();
        for (var start = 0; start < count; start += length - truncation.Stride)
        {
            var end = Math.Min(start + length, count);
            parts.Add(truncation.FromLeft ? Part(count - end, count - start) : Part(start, end));
            if (end == count || !truncation.KeepOverflow) break;
        }
        Clear();
        Extend(parts[0]);
        Overflowing.AddRange(parts.Skip(1));
    }

    /// <summary>Fills up, and what overflowed to the same length.</summary>
    public void Pad(Padding padding)
    {
        var length = padding.Length > 0 ? padding.Length : Ids.Count;
        if (padding.MultipleOf > 0) length += (padding.MultipleOf - length % padding.MultipleOf) % padding.MultipleOf;
        foreach (var row in Overflowing) row.PadTo(length, padding);
        PadTo(length, padding);
    }

    private void PadTo(int length, Padding padding)
    {
        var more = length - Ids.Count;
        if (more <= 0) return;
        Fill(Ids, padding.Id);
        Fill(Tokens, padding.Token);
        Fill(Offsets, (0, 0));
        Fill(TypeIds, padding.TypeId);
        Fill(SpecialTokensMask, 1);
        Fill(AttentionMask, 0);
        Fill(SequenceIds, null);

        void Fill<T>(List<T> list, T value) => list.InsertRange(padding.Left ? 0 : list.Count, Repeat(value, more));
    }

    private TokenRow With(TokenRow row)
    {
        var y = Part(0, Ids.Count);
        y.Extend(row);
        return y;
    }

    private void Extend(TokenRow row)
    {
        Ids.AddRange(row.Ids);
        Tokens.AddRange(row.Tokens);
        Offsets.AddRange(row.Offsets);
        TypeIds.AddRange(row.TypeIds);
        SpecialTokensMask.AddRange(row.SpecialTokensMask);
        AttentionMask.AddRange(row.AttentionMask);
        SequenceIds.AddRange(row.SequenceIds);
    }

    private TokenRow Part(int start, int end) => new()
    {
        Ids = Ids[start..end], Tokens = Tokens[start..end], Offsets = Offsets[start..end], TypeIds = TypeIds[start..end],
        SpecialTokensMask = SpecialTokensMask[start..end], AttentionMask = AttentionMask[start..end], SequenceIds = SequenceIds[start..end],
    };

    private void Clear()
    {
        Ids.Clear();
        Tokens.Clear();
        Offsets.Clear();
        TypeIds.Clear();
        SpecialTokensMask.Clear();
        AttentionMask.Clear();
        SequenceIds.Clear();
    }

    private static List<T> Repeat<T>(T value, int count)
    {
        var y = new List<T>(count);
        for (var i = 0; i < count; i++) y.Add(value);
        return y;
    }
}
