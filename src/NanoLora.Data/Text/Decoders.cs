using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>Makes text of tokens, in steps: a list of texts becomes another, and in the end they are joined. Named as in tokenizer.json.</summary>
internal abstract class Decoder
{
    public abstract List<string> Apply(List<string> x);

    /// <summary>Each text by itself.</summary>
    protected static List<string> Each(List<string> x, Func<string, int, string> change)
    {
        for (var i = 0; i < x.Count; i++) x[i] = change(x[i], i);
        return x;
    }
}

/// <summary>Several, one after the other.</summary>
internal sealed class DecoderSequence(IReadOnlyList<Decoder> decoders) : Decoder
{
    public override List<string> Apply(List<string> x)
    {
        foreach (var decoder in decoders) x = decoder.Apply(x);
        return x;
    }
}

/// <summary>Characters of <see cref="ByteAlphabet"/> back to bytes; a token that has another character is taken as text.</summary>
internal sealed class ByteLevelDecoder : Decoder
{
    public override List<string> Apply(List<string> x)
    {
        var bytes = new List<byte>();
        foreach (var token in x)
        {
            var before = bytes.Count;
            foreach (var unit in token)
            {
                if (ByteAlphabet.Byte(unit) is >= 0 and var value)
                {
                    bytes.Add((byte)value);
                    continue;
                }
                bytes.RemoveRange(before, bytes.Count - before);
                bytes.AddRange(Encoding.UTF8.GetBytes(token));
                break;
            }
        }
        return [Encoding.UTF8.GetString([.. bytes])];
    }
}

/// <summary>Tokens like &lt;0x0A&gt; back to characters; bytes that are no UTF-8 become one U+FFFD each, the good ones among them too.</summary>
internal sealed class ByteFallbackDecoder : Decoder
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    public override List<string> Apply(List<string> x)
    {
        var y = new List<string>(x.Count);
        var bytes = new List<byte>();
        foreach (var token in x)
        {
            if (Byte(token) is { } value)
            {
                bytes.Add(value);
                continue;
            }
            Flush(bytes, y);
            y.Add(token);
        }
        Flush(bytes, y);
        return y;
    }

    /// <summary>The byte that a token like &lt;0x0A&gt; stands for.</summary>
    public static byte? Byte(string token) => token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
        && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;

    private static void Flush(List<byte> bytes, List<string> y)
    {
        if (bytes.Count == 0) return;
        try { y.Add(Strict.GetString([.. bytes])); }
        catch (DecoderFallbackException) { foreach (var _ in bytes) y.Add("\uFFFD"); }
        bytes.Clear();
    }
}

/// <summary>All texts become one.</summary>
internal sealed class FuseDecoder : Decoder
{
    public override List<string> Apply(List<string> x) => [string.Concat(x)];
}

/// <summary>A character goes, so many times at most, at both ends of each text.</summary>
internal sealed class StripDecoder(char content, int start, int stop) : Decoder
{
    public override List<string> Apply(List<string> x) => Each(x, (text, _) =>
    {
        int from = 0, to = text.Length;
        while (from < to && from < start && text[from] == content) from++;
        while (to > from && text.Length - to < stop && text[to - 1] == content) to--;
        return text[from..to];
    });
}

/// <summary>What a pattern matches becomes a text.</summary>
internal sealed class ReplaceDecoder(Pattern pattern, string content) : Decoder
{
    public override List<string> Apply(List<string> x) => Each(x, (text, _) =>
    {
        var points = CodePoints.Of(text);
        var matches = new List<(int Start, int End)>();
        pattern.Find(points, matches);
        if (matches.Count == 0) return text;
        var y = new StringBuilder();
        var done = 0;
        foreach (var (start, end) in matches)
        {
            y.Append(CodePoints.Text(points.AsSpan(done..start))).Append(content);
            done = end;
        }
        return y.Append(CodePoints.Text(points.AsSpan(done))).ToString();
    });
}

/// <summary>▁ back to spaces; those of the first token were put in front, and go, unless nothing is ever put there.</summary>
internal sealed class MetaspaceDecoder(char replacement, bool prepended) : Decoder
{
    public override List<string> Apply(List<string> x) =>
        Each(x, (text, i) => text.Replace(replacement.ToString(), i == 0 && prepended ? "" : " ", StringComparison.Ordinal));
}

/// <summary>Tokens that continue a word lose their prefix, others get a space; then, where asked for, spaces before punctuation go.</summary>
internal sealed class WordPieceDecoder(string prefix, bool cleanup) : Decoder
{
    private static readonly (string Old, string New)[] Cleanups =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"),
        (" 've", "'ve"), (" 're", "'re"),
    ];

    public override List<string> Apply(List<string> x) => Each(x, (text, i) =>
    {
        if (i > 0) text = text.StartsWith(prefix, StringComparison.Ordinal) ? text[prefix.Length..] : " " + text;
        if (cleanup) foreach (var (old, @new) in Cleanups) text = text.Replace(old, @new, StringComparison.Ordinal);
        return text;
    });
}

/// <summary>The suffix that ends a word becomes a space, but for the last token's.</summary>
internal sealed class BpeDecoder(string suffix) : Decoder
{
    public override List<string> Apply(List<string> x) =>
        suffix.Length == 0 ? x : Each(x, (text, i) => text.Replace(suffix, i == x.Count - 1 ? "" : " ", StringComparison.Ordinal));
}
