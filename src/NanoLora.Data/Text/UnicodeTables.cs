using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>
/// Properties of characters that .NET does not have, or has of another version of Unicode than the tokenizers library: it knows what was in Unicode 8 to
/// 12, and ids depend on it. Read from UnicodeTables.txt, which says what its lines mean, when first asked for.
/// </summary>
internal sealed class UnicodeTables
{
    private static readonly Lazy<UnicodeTables> Lazily = new(static () => new UnicodeTables());

    private readonly Dictionary<int, (bool Compatibility, int[] Points)> _decompositions = new(6000);
    private readonly Dictionary<long, int> _compositions = new(1000);
    private readonly Dictionary<int, int> _classes = new(1000);
    private readonly Ranges _punctuation = new(), _nonSpacing = new(), _marks = new(), _other = new();

    private UnicodeTables()
    {
        using var stream = typeof(UnicodeTables).Assembly.GetManifestResourceStream("NanoLora.Data.UnicodeTables.txt")!;
        using var lines = new StreamReader(stream, Encoding.ASCII);
        while (lines.ReadLine() is { } line)
        {
            var fields = line.Split(' ');
            switch (line[0])
            {
                case 'C' or 'E' or 'K': AddDecomposition(line[0], Hex(fields[1]), [.. fields[2..].Select(Hex)]); break;
                case 'R': AddClass(Hex(fields[1]), Hex(fields[2]), int.Parse(fields[3], CultureInfo.InvariantCulture)); break;
                case 'P': _punctuation.Add(Hex(fields[1]), Hex(fields[2])); break;
                case 'N': _nonSpacing.Add(Hex(fields[1]), Hex(fields[2])); break;
                case 'M': _marks.Add(Hex(fields[1]), Hex(fields[2])); break;
                case 'O': _other.Add(Hex(fields[1]), Hex(fields[2])); break;
                default: break;                                  // a comment
            }
        }
    }

    private static UnicodeTables All => Lazily.Value;

    /// <summary>What a character is made of, in one step; null if it is made of nothing else.</summary>
    public static int[]? Decomposition(int point, bool compatibility) =>
        All._decompositions.TryGetValue(point, out var parts) && (compatibility || !parts.Compatibility) ? parts.Points : null;

    /// <summary>The character that two others compose.</summary>
    public static int? Composition(int a, int b) => All._compositions.TryGetValue(((long)a << 32) | (uint)b, out var pair) ? pair : null;

    /// <summary>The canonical combining class.</summary>
    public static int Class(int point) => point < 0x300 ? 0 : All._classes.GetValueOrDefault(point);

    /// <summary>\p{P}, and the symbols of ASCII.</summary>
    public static bool IsPunctuation(int point) => point < 0x80 ? point is (>= 33 and <= 47) or (>= 58 and <= 64) or (>= 91 and <= 96) or (>= 123 and <= 126)
        : All._punctuation.Contain(point);

    /// <summary>\p{Mn}</summary>
    public static bool IsNonSpacingMark(int point) => point >= 0x300 && All._nonSpacing.Contain(point);

    /// <summary>\p{M}</summary>
    public static bool IsMark(int point) => point >= 0x300 && All._marks.Contain(point);

    /// <summary>\p{Cc}, \p{Cf} and \p{Co}</summary>
    public static bool IsOther(int point) => point < 0x7F ? point < ' ' : All._other.Contain(point);

    private void AddDecomposition(char kind, int point, int[] parts)
    {
        _decompositions[point] = (kind == 'K', parts);
        if (kind == 'C') _compositions[((long)parts[0] << 32) | (uint)parts[1]] = point;
    }

    private void AddClass(int first, int last, int @class)
    {
        for (var point = first; point <= last; point++) _classes[point] = @class;
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    // Ranges in rising order.
    private sealed class Ranges
    {
        private readonly List<int> _firsts = [], _lasts = [];

        public void Add(int first, int last)
        {
            _firsts.Add(first);
            _lasts.Add(last);
        }

        public bool Contain(int point)
        {
            var at = _firsts.BinarySearch(point);
            return at >= 0 || (at = ~at - 1) >= 0 && point <= _lasts[at];
        }
    }
}
