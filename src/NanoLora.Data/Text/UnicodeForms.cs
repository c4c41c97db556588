using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>
/// The four normal forms of Unicode, as changes to a text. .NET's own are not used: a program that is built without globalization data has none, and they do
/// not say which characters became which. The tables are those of the Unicode character database (UnicodeForms.txt), read when first asked for.
/// </summary>
internal static class UnicodeForms
{
    private const int FirstHangul = 0xAC00, Hangul = 11172, L = 0x1100, V = 0x1161, T = 0x11A7, VCount = 21, TCount = 28;

    private static readonly Lazy<Tables> All = new(Tables.Read);

    /// <summary>NFD, or NFKD.</summary>
    public static AlignedText Decompose(AlignedText x, bool compatibility) => IsPlain(x, compatibility ? 0xA0 : 0xC0) ? x : x.Rewrite(Decomposed(x, compatibility));

    /// <summary>NFC, or NFKC.</summary>
    public static AlignedText Compose(AlignedText x, bool compatibility) =>
        IsPlain(x, compatibility ? 0xA0 : 0x300) ? x : x.Rewrite(Composed(Decomposed(x, compatibility)));

    /// <summary>The canonical combining class.</summary>
    public static int Class(int point) => point < 0x300 ? 0 : All.Value.Classes.GetValueOrDefault(point);

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
                if (Class(y[i].Point) != 0) marks++;
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
        else if (point >= 0xA0 && All.Value.Decompositions.TryGetValue(point, out var parts) && (compatibility || !parts.Compatibility))
        {
            foreach (var part in parts.Points) Add(y, part, compatibility, first);
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
            var sorted = y.GetRange(start, end - start).OrderBy(static c => Class(c.Point)).ToArray();
            for (var i = 0; i < sorted.Length; i++) y[start + i] = sorted[i];
            return;
        }
        for (var i = start + 1; i < end; i++)
        {
            for (var j = i; j > start && Class(y[j - 1].Point) > Class(y[j].Point); j--) (y[j - 1], y[j]) = (y[j], y[j - 1]);
        }
    }

    private static List<Change> Composed(List<Change> x)
    {
        var y = new List<Change>(x.Count);
        int starter = -1, last = -1;                             // the starter that may still compose, and the class of the last character after it that did not
        foreach (var change in x)
        {
            var @class = Class(change.Point);
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
        return All.Value.Compositions.TryGetValue(((long)a << 32) | (uint)b, out var pair) ? pair : null;
    }

    private sealed class Tables
    {
        public Dictionary<int, (bool Compatibility, int[] Points)> Decompositions { get; } = new(6000);

        public Dictionary<long, int> Compositions { get; } = new(1000);

        public Dictionary<int, int> Classes { get; } = new(1000);

        public static Tables Read()
        {
            using var stream = typeof(UnicodeForms).Assembly.GetManifestResourceStream("NanoLora.Data.UnicodeForms.txt")!;
            using var lines = new StreamReader(stream, Encoding.ASCII);
            var y = new Tables();
            while (lines.ReadLine() is { } line)
            {
                if (line[0] == '#') continue;
                var fields = line.Split(' ');
                if (line[0] == 'R')
                {
                    var @class = int.Parse(fields[3], CultureInfo.InvariantCulture);
                    for (var point = Hex(fields[1]); point <= Hex(fields[2]); point++) y.Classes[point] = @class;
                    continue;
                }
                int[] parts = [.. fields[2..].Select(Hex)];
                y.Decompositions[Hex(fields[1])] = (line[0] == 'K', parts);
                if (line[0] == 'C') y.Compositions[((long)parts[0] << 32) | (uint)parts[1]] = Hex(fields[1]);
            }
            return y;
        }

        private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }
}
