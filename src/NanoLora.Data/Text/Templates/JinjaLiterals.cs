using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>Numbers and strings as a template writes them.</summary>
internal static class JinjaLiterals
{
    /// <summary>How long the number with a point or an exponent is that stands here; 0 if there is none.</summary>
    public static int FloatLength(ReadOnlySpan<char> text)
    {
        var whole = Digits(text, 0);
        if (whole == 0) return 0;
        var at = whole;
        if (at < text.Length && text[at] == '.' && Digits(text, at + 1) is var fraction and > 0) at += 1 + fraction;
        if (at < text.Length && text[at] is 'e' or 'E')
        {
            var exponent = at + 1 < text.Length && text[at + 1] is '+' or '-' ? at + 2 : at + 1;
            if (Digits(text, exponent) is var digits and > 0) return exponent + digits;
        }
        return at > whole ? at : 0;
    }

    /// <summary>How long the whole number is that stands here, with 0x, 0o or 0b.</summary>
    public static int IntegerLength(ReadOnlySpan<char> text)
    {
        if (text.Length > 2 && text[0] == '0')
        {
            Func<char, bool>? digit = text[1] switch
            {
                'x' or 'X' => char.IsAsciiHexDigit,
                'o' or 'O' => static c => c is >= '0' and <= '7',
                'b' or 'B' => static c => c is '0' or '1',
                _ => null,
            };
            if (digit is not null)
            {
                var at = 2;
                while (at < text.Length && (digit(text[at]) || text[at] == '_' && at + 1 < text.Length && digit(text[at + 1]))) at++;
                if (at > 2) return at;
            }
        }
        var zeros = text[0] == '0';                         // 007 is no number: 00 and then 7
        var length = 1;
        while (Fits(text, length) || length < text.Length && text[length] == '_' && Fits(text, length + 1)) length++;
        return length;

        bool Fits(ReadOnlySpan<char> text, int at) => at < text.Length && (zeros ? text[at] == '0' : char.IsAsciiDigit(text[at]));
    }

    /// <summary>How long the string is, with its quotes; -1 if it does not end.</summary>
    public static int StringLength(ReadOnlySpan<char> text)
    {
        for (var at = 1; at < text.Length; at++)
        {
            if (text[at] == text[0]) return at + 1;
            if (text[at] == '\\') at++;
        }
        return -1;
    }

    /// <summary>A string without its escapes, which are Python's; null where one is broken, or asks for a character by name.</summary>
    public static string? Unescape(ReadOnlySpan<char> text)
    {
        if (!text.Contains('\\')) return text.ToString();
        var result = new StringBuilder(text.Length);
        for (var at = 0; at < text.Length; at++)
        {
            if (text[at] != '\\' || at + 1 == text.Length)
            {
                result.Append(text[at]);
                continue;
            }
            var c = text[++at];
            switch (c)
            {
                case '\n': break;
                case '\\' or '\'' or '"': result.Append(c); break;
                case 'a': result.Append('\a'); break;
                case 'b': result.Append('\b'); break;
                case 'f': result.Append('\f'); break;
                case 'n': result.Append('\n'); break;
                case 'r': result.Append('\r'); break;
                case 't': result.Append('\t'); break;
                case 'v': result.Append('\v'); break;
                case >= '0' and <= '7':
                    var octal = 0;
                    for (var i = 0; i < 3 && at < text.Length && text[at] is >= '0' and <= '7'; i++) octal = octal * 8 + text[at++] - '0';
                    at--;
                    result.Append((char)octal);
                    break;
                case 'x' or 'u' or 'U':
                    var digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
                    if (at + 1 + digits > text.Length) return null;
                    if (!uint.TryParse(text.Slice(at + 1, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code)) return null;
                    if (code > 0x10FFFF) return null;
                    if (code > 0xFFFF) result.Append(char.ConvertFromUtf32((int)code));
                    else result.Append((char)code);
                    at += digits;
                    break;
                case 'N': return null;
                default: result.Append('\\').Append(c); break;
            }
        }
        return result.ToString();
    }

    // Digits with single underscores between them.
    private static int Digits(ReadOnlySpan<char> text, int start)
    {
        var at = start;
        while (Fits(text, at) || at > start && at < text.Length && text[at] == '_' && Fits(text, at + 1)) at++;
        return at - start;

        static bool Fits(ReadOnlySpan<char> text, int at) => at < text.Length && char.IsAsciiDigit(text[at]);
    }
}
