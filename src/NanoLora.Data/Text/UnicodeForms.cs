namespace NanoLora.Data;

/// <summary>
/// The four normal forms of Unicode, as changes to a text. .NET's own are not used: a program that is built without globalization data has none, and they do
/// not say which characters became which.
/// </summary>
internal static class UnicodeForms
{
    private const int FirstHangul = 0xAC00, Hangul = 11172, L = 0x1100, V = 0x1161, T = 0x11A7, VCount = 21, TCount = 28;

    /// <summary>NFD, or NFKD.</summary>
    public static AlignedText Decompose(AlignedText x, bool compatibility) =>
        IsPlain(x, compatibility ? 0xA0 : 0xC0) ? x : x.Rewrite(Decomposed(x, compatibility));

    /// <summary>NFC, or NFKC.</summary>
    public static AlignedText Compose(AlignedText x, bool compatibility) =>
        IsPlain(x, compatibility ? 0xA0 : 0x300) ? x : x.Rewrite(Composed(Decomposed(x, compatibility)));

    // No character below the bound has a decomposition or a combining class, nor composes with its neighbours.
    private static bool IsPlain(AlignedText x, int bound) => !x.Points.ContainsAnyInRange(bound, int.MaxValue);

    private static List<Change> Decomposed(AlignedText x, bool compatibility)
    {
        var y = new List<Change>(x.Count + 8);
        var marks = 0;                                           // how many of the last characters are marks, which are sorted by their class
        foreach (var point in x.Points)
        {
            var first = y.Count;
            Add(y, point, compatibility, first);
            for (var i = first; i < y.Count; i++)
            {
                if (UnicodeTables.Class(y[i].Point) != 0) marks++;
                else
                {
                    Sort(y, i - marks, i);
                    marks = 0;
                }
            }
        }
        Sort(y, y.Count - marks, y.Count);
        return y;
    }

    private static void Add(List<Change> y, int point, bool compatibility, int first)
    {
        if ((uint)(point - FirstHangul) < Hangul)
        {
            var s = point - FirstHangul;
            Add(y, L + s / (VCount * TCount), first);
            Add(y, V + s % (VCount * TCount) / TCount, first);
            if (s % TCount != 0) Add(y, T + s % TCount, first);
        }
        else if (point >= 0xA0 && UnicodeTables.Decomposition(point, compatibility) is { } parts)
        {
            foreach (var part in parts) Add(y, part, compatibility, first);
        }
        else Add(y, point, first);
    }

    private static void Add(List<Change> y, int point, int first) => y.Add(new(point, y.Count == first ? 0 : 1));

    // A stable sort; runs are short, and as an insertion sort is quadratic only long ones take the other.
    private static void Sort(List<Change> y, int start, int end)
    {
        if (end - start < 2) return;
        if (end - start > 32)
        {
            var sorted = y.GetRange(start, end - start).OrderBy(static c => UnicodeTables.Class(c.Point)).ToArray();
            for (var i = 0; i < sorted.Length; i++) y[start + i] = sorted[i];
            return;
        }
        for (var i = start + 1; i < end; i++)
        {
            for (var j = i; j > start && UnicodeTables.Class(y[j - 1].Point) > UnicodeTables.Class(y[j].Point); j--) (y[j - 1], y[j]) = (y[j], y[j - 1]);
        }
    }

    private static List<Change> Composed(List<Change> x)
    {
        var y = new List<Change>(x.Count);
        // The starter that may still compose, and the class of the last character after it that did not.
        int starter = -1, last = -1;
        foreach (var change in x)
        {
            var @class = UnicodeTables.Class(change.Point);
            if (starter >= 0 && (last < 0 || (last != 0 && last < @class)) && Pair(y[starter].Point, change.Point) is { } pair)
            {
                y[starter] = new(pair, y[starter].Delta + change.Delta - 1);
                continue;
            }
            y.Add(change);
            if (@class == 0) (starter, last) = (y.Count - 1, -1);
            else last = @class;
        }
        return y;
    }

    private static int? Pair(int a, int b)
    {
        if ((uint)(a - L) < 19 && (uint)(b - V) < VCount) return FirstHangul + ((a - L) * VCount + (b - V)) * TCount;
        if ((uint)(a - FirstHangul) < Hangul && (a - FirstHangul) % TCount == 0 && (uint)(b - T - 1) < TCount - 1) return a + (b - T);
        return UnicodeTables.Composition(a, b);
    }
}
