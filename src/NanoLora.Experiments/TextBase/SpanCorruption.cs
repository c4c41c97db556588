namespace NanoLora.Experiments;

// Raffel et al. 2020: spans of a text are gone, and a model that has read the rest writes them. Of n tokens, round(share · n) are in round(that / mean
// length) spans:
//
//     text      thank you for inviting me to your party last week
//     read      thank you <0> me to your party <1> week
//     write     <0> for inviting <1> last <end>
//
// A text begins with a token that stays and ends with a span, as in the authors' code; lengths of spans and of what lies between are any that add up, all
// equally probable.

/// <summary>Takes spans out of texts.</summary>
internal static class SpanCorruption
{
    /// <summary>What is read and what is to be written.</summary>
    /// <param name="text">Two tokens at least.</param>
    /// <param name="sentinels">The tokens that stand for spans, in their order; no more spans are made than there are.</param>
    /// <param name="end">The token that ends what is written.</param>
    /// <param name="share">The share of tokens in spans.</param>
    /// <param name="meanLength">The mean length of a span.</param>
    /// <param name="draw">Draws the spans.</param>
    public static (int[] Read, int[] Written) Of(ReadOnlySpan<int> text, IReadOnlyList<int> sentinels, int end, double share, double meanLength, TextDraws draw)
    {
        if (text.Length < 2) throw new ArgumentException($"SpanCorruption: a text of {text.Length} tokens; one stays and one goes, so it needs two.");
        var gone = Math.Clamp((int)Math.Round(share * text.Length), 1, text.Length - 1);
        var spans = Math.Clamp((int)Math.Round(gone / meanLength), 1, Math.Min(sentinels.Count, Math.Min(gone, text.Length - gone)));
        return Without(text, Parts(text.Length - gone, spans, draw), Parts(gone, spans, draw), sentinels, end);
    }

    /// <summary>The same with given lengths: so many tokens stay, so many go, and again.</summary>
    internal static (int[] Read, int[] Written) Without(ReadOnlySpan<int> text, int[] stay, int[] go, IReadOnlyList<int> sentinels, int end)
    {
        var (read, written, at) = (new List<int>(), new List<int>(), 0);
        for (var s = 0; s < stay.Length; s++)
        {
            read.AddRange(text.Slice(at, stay[s]));
            read.Add(sentinels[s]);
            written.Add(sentinels[s]);
            written.AddRange(text.Slice(at + stay[s], go[s]));
            at += stay[s] + go[s];
        }
        written.Add(end);
        return ([.. read], [.. written]);
    }

    // Cuts a number into parts of 1 at least: each of the places between two units is a cut with the same probability.
    private static int[] Parts(int total, int parts, TextDraws draw)
    {
        var (y, needed) = (new int[parts], parts - 1);
        for (var (i, part) = (0, 0); i < total; i++)
        {
            y[part]++;
            var left = total - 1 - i;
            if (needed == 0 || draw.Below(left) >= needed) continue;
            (needed, part) = (needed - 1, part + 1);
        }
        return y;
    }
}
