using System.Globalization;
using System.Text;

namespace NanoLora.Cli;

/// <summary>How names and sizes are shown.</summary>
internal static class Printable
{
    /// <summary>A text from a file that nobody vouches for: a terminal must not obey it, so control characters become visible.</summary>
    public static string Of(string text) => Visible(text, char.IsControl);

    /// <summary>The same, at most so long.</summary>
    public static string Of(string text, int most) => Of(text.Length > most ? text[..(most - 1)] + "…" : text);

    /// <summary>As <see cref="Of(string)"/>, of a text of several lines: line breaks and tabs stay.</summary>
    public static string Lines(string text) => Visible(text, static c => char.IsControl(c) && c is not ('\n' or '\t'));

    /// <summary>A number of bytes, as in "4.9 MB".</summary>
    public static string Bytes(long bytes)
    {
        if (bytes < 1000) return string.Create(CultureInfo.InvariantCulture, $"{bytes} B");
        var (size, unit) = ((double)bytes, 0);
        while (size >= 999.95 && unit < 4) (size, unit) = (size / 1000, unit + 1);
        return string.Create(CultureInfo.InvariantCulture, $"{size:0.0} {"BkMGT"[unit]}B");
    }

    private static string Visible(string text, Func<char, bool> isHidden)
    {
        if (!text.Any(isHidden)) return text;
        var shown = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            if (isHidden(c)) shown.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else shown.Append(c);
        }
        return shown.ToString();
    }
}
