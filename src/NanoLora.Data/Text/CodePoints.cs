using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>
/// Text as Unicode code points, which is what vocabularies, rules and offsets are about, and the properties of characters that rules ask for. A surrogate
/// without its partner is no character, and becomes U+FFFD.
/// </summary>
internal static class CodePoints
{
    /// <summary>The code points of a text.</summary>
    public static int[] Of(string text)
    {
        var y = new int[text.Length];
        var count = 0;
        foreach (var rune in text.EnumerateRunes()) y[count++] = rune.Value;
        return count == y.Length ? y : y[..count];
    }

    /// <summary>The text of code points.</summary>
    public static string Text(ReadOnlySpan<int> points)
    {
        var y = new StringBuilder(points.Length);
        foreach (var point in points) Append(y, point);
        return y.ToString();
    }

    /// <summary>Adds a code point to a text.</summary>
    public static void Append(StringBuilder y, int point)
    {
        if (point < 0x10000) y.Append((char)point);
        else y.Append((char)(0xD7C0 + (point >> 10))).Append((char)(0xDC00 + (point & 0x3FF)));
    }

    /// <summary>Writes code points as UTF-16.</summary>
    /// <param name="points">The code points.</param>
    /// <param name="y">At least two units a code point.</param>
    /// <returns>How much of y is written.</returns>
    public static int Write(ReadOnlySpan<int> points, Span<char> y)
    {
        var count = 0;
        foreach (var point in points)
        {
            if (point < 0x10000) y[count++] = (char)point;
            else (y[count++], y[count++]) = ((char)(0xD7C0 + (point >> 10)), (char)(0xDC00 + (point & 0x3FF)));
        }
        return count;
    }

    /// <summary>The number of bytes of a code point in UTF-8.</summary>
    public static int Utf8Length(int point) => point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

    /// <summary>Writes a code point as UTF-8 into y, four bytes at most, and returns their number.</summary>
    public static int Utf8(int point, Span<byte> y) => new Rune(point).EncodeToUtf8(y);

    /// <summary>The property White_Space.</summary>
    public static bool IsWhiteSpace(int point) =>
        point < 0x80 ? point is ' ' or (>= '\t' and <= '\r') : point is 0x85 or 0xA0 || (point >= 0x1680 && Rune.IsWhiteSpace(new Rune(point)));

    /// <summary>\p{L}</summary>
    public static bool IsLetter(int point) => point < 0x80 ? (uint)((point | 0x20) - 'a') < 26 : Category(point) <= UnicodeCategory.OtherLetter;

    /// <summary>\p{N}</summary>
    public static bool IsNumber(int point) => point < 0x80 ? (uint)(point - '0') < 10
        : Category(point) is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    /// <summary>\w: letters and what else is alphabetic, marks, decimal digits, connectors and joiners.</summary>
    public static bool IsWord(int point) => point < 0x80 ? IsLetter(point) || IsNumber(point) || point == '_'
        : Category(point) is <= UnicodeCategory.EnclosingMark or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber
            or UnicodeCategory.ConnectorPunctuation
        || point is 0x200C or 0x200D or (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169)
            or (>= 0x1F170 and <= 0x1F189);

    /// <summary>The general category.</summary>
    public static UnicodeCategory Category(int point) => CharUnicodeInfo.GetUnicodeCategory(point);
}
