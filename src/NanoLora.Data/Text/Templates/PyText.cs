using System.Buffers;
using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>Texts as Python has them: counted in code points, with its idea of white space, lines, letters and cases.</summary>
internal static class PyText
{
    private static readonly string[] s_ascii = [.. Enumerable.Range(0, 128).Select(static c => ((char)c).ToString())];

    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    public static string TrimEnd(string text) => text[..EndOf(text, null)];

    public static string Trim(string text, string? characters = null) => TrimStart(TrimEnd(text, characters), characters);

    public static string TrimEnd(string text, string? characters) => text[..EndOf(text, characters)];

    public static string TrimStart(string text, string? characters)
    {
        var at = 0;
        if (characters is not null) at = text.AsSpan().IndexOfAnyExcept(SearchValues.Create(characters));
        else while (at < text.Length && IsSpace(text[at])) at++;
        return at < 0 ? "" : text[at..];
    }

    /// <summary>The number of code points.</summary>
    public static int Length(string text)
    {
        var pairs = 0;
        for (var i = 0; i + 1 < text.Length; i++) if (char.IsHighSurrogate(text[i]) && char.IsLowSurrogate(text[i + 1])) pairs++;
        return text.Length - pairs;
    }

    /// <summary>The code points, each as a text.</summary>
    public static List<string> Characters(string text)
    {
        var list = new List<string>(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            var pair = i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]);
            list.Add(pair ? text.Substring(i++, 2) : text[i] < s_ascii.Length ? s_ascii[text[i]] : text[i].ToString());
        }
        return list;
    }

    /// <summary>Less than 0, 0 or more, by code points: not by UTF-16, where U+FF5E would come after U+1F600.</summary>
    public static int Compare(string x, string y)
    {
        var at = x.AsSpan().CommonPrefixLength(y);
        if (at == x.Length || at == y.Length) return x.Length.CompareTo(y.Length);
        bool high = char.IsSurrogate(x[at]), other = char.IsSurrogate(y[at]);
        return high == other ? x[at].CompareTo(y[at]) : high ? 1 : -1;
    }

    /// <summary>The text in a source's notation, in single quotes where possible.</summary>
    public static string Repr(string text)
    {
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        var result = new StringBuilder(text.Length + 2).Append(quote);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c == quote || c == '\\') result.Append('\\').Append(c);
            else if (c == '\n') result.Append("\\n");
            else if (c == '\r') result.Append("\\r");
            else if (c == '\t') result.Append("\\t");
            else if (char.IsSurrogate(c) && i + 1 < text.Length && char.IsSurrogatePair(c, text[i + 1]))
            {
                var code = char.ConvertToUtf32(c, text[++i]);
                if (IsPrintable(CharUnicodeInfo.GetUnicodeCategory(code))) result.Append(c).Append(text[i]);
                else result.Append(CultureInfo.InvariantCulture, $"\\U{code:x8}");
            }
            else if (c == ' ' || IsPrintable(CharUnicodeInfo.GetUnicodeCategory(c))) result.Append(c);
            else if (c < 256) result.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
            else result.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
        }
        return result.Append(quote).ToString();
    }

    // Letters whose capitals are several; polytonic Greek, which has 80 more, keeps the simple ones.
    public static string Upper(string text)
    {
        if (Ascii.IsValid(text)) return text.ToUpperInvariant();
        var result = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            if (Capitals(c) is { } several) result.Append(several);
            else result.Append(c);
        }
        return result.ToString().ToUpperInvariant();
    }

    public static string Lower(string text)
    {
        if (Ascii.IsValid(text)) return text.ToLowerInvariant();
        if (text.Contains('Σ')) text = FinalSigmas(text);
        return text.Replace("İ", "i̇", StringComparison.Ordinal).ToLowerInvariant();
    }

    /// <summary>The first character as in a title, the others in lower case.</summary>
    public static string Capitalize(string text) => text.Length == 0 ? text : TitleStart(text, out var rest) + Lower(rest);

    /// <summary>As in <c>str.title</c>: every letter that follows none in upper case, all others in lower case.</summary>
    public static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        var after = false;
        foreach (var character in Characters(text))
        {
            var letter = IsCased(character);
            result.Append(!letter ? character : after ? Lower(character) : TitleStart(character, out _));
            after = letter;
        }
        return result.ToString();
    }

    public static string SwapCase(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var c in Characters(text)) result.Append(Lower(c) != c ? Lower(c) : Upper(c));
        return result.ToString();
    }

    /// <summary>Whether there are letters with a case, and all of them are upper (or lower).</summary>
    public static bool IsAllCase(string text, bool upper)
    {
        var any = false;
        foreach (var character in Characters(text))
        {
            if (!IsCased(character)) continue;
            any = true;
            var category = Category(character);
            if (category == UnicodeCategory.TitlecaseLetter || category == UnicodeCategory.UppercaseLetter != upper) return false;
        }
        return any;
    }

    /// <summary>Whether the text is not empty and all of its characters are of a kind.</summary>
    public static bool Are(string text, Predicate<UnicodeCategory> kind)
    {
        foreach (var character in Characters(text)) if (!kind(Category(character))) return false;
        return text.Length > 0;
    }

    public static bool IsLetter(UnicodeCategory category) => category <= UnicodeCategory.OtherLetter;

    /// <summary>The lines, without their ends or with them.</summary>
    public static List<string> Lines(string text, bool keepEnds = false)
    {
        var lines = new List<string>();
        for (int start = 0, at = 0; start < text.Length; start = at)
        {
            while (at < text.Length && text[at] is not ('\n' or '\r' or '\v' or '\f' or >= '\x1c' and <= '\x1e' or '\x85' or '\u2028' or '\u2029')) at++;
            var end = at;
            if (at < text.Length) at += text[at] == '\r' && at + 1 < text.Length && text[at + 1] == '\n' ? 2 : 1;
            lines.Add(text[start..(keepEnds ? at : end)]);
        }
        return lines;
    }

    private static int EndOf(string text, string? characters)
    {
        if (characters is not null) return text.AsSpan().LastIndexOfAnyExcept(SearchValues.Create(characters)) + 1;
        var end = text.Length;
        while (end > 0 && IsSpace(text[end - 1])) end--;
        return end;
    }

    private static UnicodeCategory Category(string character) => CharUnicodeInfo.GetUnicodeCategory(character, 0);

    private static bool IsCased(string character) =>
        Category(character) is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;

    private static bool IsPrintable(UnicodeCategory category) => category is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate
        or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
            or UnicodeCategory.SpaceSeparator);

    // The first character as a title has it, and what follows.
    private static string TitleStart(string text, out string rest)
    {
        var length = text.Length > 1 && char.IsSurrogatePair(text[0], text[1]) ? 2 : 1;
        rest = text[length..];
        var c = text[0];
        if (c is >= 'Ǆ' and <= 'ǌ') return ((char)('ǅ' + (c - 'Ǆ') / 3 * 3)).ToString();
        if (c is >= 'Ǳ' and <= 'ǳ') return "ǲ";
        if (c is >= 'ა' and <= 'ჿ') return c.ToString();
        var upper = Upper(text[..length]);
        return Capitals(c) is { Length: > 1 } && c is not ('ŉ' or 'ǰ') ? upper[..1] + Lower(upper[1..]) : upper;
    }

    private static string? Capitals(char c) => c switch
    {
        'ß' => "SS",
        'ŉ' => "ʼN",
        'ǰ' => "J̌",
        'և' => "ԵՒ",
        'ﬀ' => "FF",
        'ﬁ' => "FI",
        'ﬂ' => "FL",
        'ﬃ' => "FFI",
        'ﬄ' => "FFL",
        'ﬅ' or 'ﬆ' => "ST",
        _ => null,
    };

    // Σ at the end of a word becomes ς, elsewhere σ.
    private static string FinalSigmas(string text)
    {
        var result = text.ToCharArray();
        for (var i = 0; i < result.Length; i++)
        {
            if (result[i] != 'Σ') continue;
            var final = i > 0 && char.IsLetter(text[i - 1]) && (i + 1 == text.Length || !char.IsLetter(text[i + 1]));
            result[i] = final ? 'ς' : 'σ';
        }
        return new string(result);
    }
}
