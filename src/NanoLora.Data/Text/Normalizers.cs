using System.Globalization;

namespace NanoLora.Data;

/// <summary>Rewrites a text before it is cut, and keeps where its characters come from. Named as in tokenizer.json.</summary>
internal abstract class Normalizer
{
    public abstract AlignedText Apply(AlignedText x);

    /// <summary>What becomes of a text that comes from nowhere.</summary>
    public string Apply(string text) => CodePoints.Text(Apply(AlignedText.Of(CodePoints.Of(text))).Points);
}

/// <summary>Several, one after the other.</summary>
internal sealed class NormalizerSequence(IReadOnlyList<Normalizer> normalizers) : Normalizer
{
    public override AlignedText Apply(AlignedText x)
    {
        foreach (var normalizer in normalizers) x = normalizer.Apply(x);
        return x;
    }
}

/// <summary>NFC, NFD, NFKC and NFKD.</summary>
internal sealed class UnicodeNormalizer(bool composes, bool compatibility) : Normalizer
{
    public override AlignedText Apply(AlignedText x) => composes ? UnicodeForms.Compose(x, compatibility) : UnicodeForms.Decompose(x, compatibility);
}

/// <summary>Lower case, character by character: the only one that becomes two is İ.</summary>
internal sealed class LowercaseNormalizer : Normalizer
{
    public override AlignedText Apply(AlignedText x)
    {
        AlignedText? y = null;
        for (var i = 0; i < x.Count; i++)
        {
            var point = x.Points[i];
            var lower = Lower(point);
            if (y is null && lower != point)
            {
                y = new AlignedText(x.Count);
                y.Add(x, 0, i);
            }
            y?.Add(lower, x, i);
            if (point == 'İ') y!.Add(0x307, x, i);
        }
        return y ?? x;
    }

    private static int Lower(int point) => point < 0x80 ? ((uint)(point - 'A') < 26 ? point | 0x20 : point)
        : point == 'İ' ? 'i' : System.Text.Rune.ToLowerInvariant(new System.Text.Rune(point)).Value;
}

/// <summary>White space at the ends goes.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override AlignedText Apply(AlignedText x)
    {
        int start = 0, end = x.Count;
        while (left && start < end && CodePoints.IsWhiteSpace(x.Points[start])) start++;
        while (right && end > start && CodePoints.IsWhiteSpace(x.Points[end - 1])) end--;
        return x.Slice(start, end);
    }
}

/// <summary>Marks go.</summary>
internal sealed class StripAccentsNormalizer : Normalizer
{
    public override AlignedText Apply(AlignedText x) => x.Where(static c => !UnicodeTables.IsMark(c));
}

/// <summary>What a pattern matches becomes a text, which lies where the last character of the match lies.</summary>
internal sealed class ReplaceNormalizer(Pattern pattern, int[] content) : Normalizer
{
    public override AlignedText Apply(AlignedText x)
    {
        var matches = new List<(int Start, int End)>();
        pattern.Find(x.Points, matches);
        if (matches.Count == 0) return x;
        var y = new AlignedText(x.Count + content.Length * matches.Count);
        var done = 0;
        foreach (var (start, end) in matches)
        {
            y.Add(x, done, start);
            foreach (var point in content)
            {
                if (end > 0) y.Add(point, x, end - 1);
                else y.Add(point, x.From(0), x.From(0));
            }
            done = end;
        }
        y.Add(x, done, x.Count);
        return y;
    }
}

/// <summary>A text is put in front.</summary>
internal sealed class PrependNormalizer(int[] text) : Normalizer
{
    public override AlignedText Apply(AlignedText x) => x.Prepend(text);
}

/// <summary>BERT's: control characters out, spaces around Chinese characters, accents out, lower case; each where asked for.</summary>
internal sealed class BertNormalizer(bool clean, bool chinese, bool strip, bool lower) : Normalizer
{
    private static readonly LowercaseNormalizer Lower = new();

    public override AlignedText Apply(AlignedText x)
    {
        if (clean) x = Spaces(x.Where(static c => c is not (0 or 0xFFFD) && !IsControl(c)));
        if (chinese) x = Apart(x);
        if (strip) x = UnicodeForms.Decompose(x, compatibility: false).Where(static c => !UnicodeTables.IsNonSpacingMark(c));
        return lower ? Lower.Apply(x) : x;
    }

    private static bool IsControl(int point) => point is not ('\t' or '\n' or '\r') && UnicodeTables.IsOther(point);

    private static AlignedText Spaces(AlignedText x)
    {
        var y = new AlignedText(x.Count);
        for (var i = 0; i < x.Count; i++) y.Add(CodePoints.IsWhiteSpace(x.Points[i]) ? ' ' : x.Points[i], x, i);
        return y;
    }

    private static AlignedText Apart(AlignedText x)
    {
        if (!x.Points.ContainsAnyInRange(0x3400, 0x2FA1F)) return x;
        var y = new AlignedText(x.Count + 16);
        for (var i = 0; i < x.Count; i++)
        {
            var apart = IsChinese(x.Points[i]);
            if (apart) y.Add(' ', x, i);
            y.Add(x.Points[i], x, i);
            if (apart) y.Add(' ', x, i);
        }
        return y;
    }

    private static bool IsChinese(int c) => c is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF)
        or (>= 0x2A700 and <= 0x2B73F) or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);
}

/// <summary>What neural machine translation does: control characters out, other white space and what is invisible to spaces.</summary>
internal sealed class NmtNormalizer : Normalizer
{
    public override AlignedText Apply(AlignedText x)
    {
        x = x.Where(static c => c is not ((>= 1 and <= 8) or 0xB or (>= 0xE and <= 0x1F) or 0x7F or 0x8F or 0x9F));
        var y = new AlignedText(x.Count);
        for (var i = 0; i < x.Count; i++)
        {
            var isSpace = x.Points[i] is 9 or 0xA or 0xC or 0xD or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD;
            y.Add(isSpace ? ' ' : x.Points[i], x, i);
        }
        return y;
    }
}

/// <summary>
/// A SentencePiece character map, as the tokenizers library applies it: to a cluster of less than six bytes as a whole, by the shortest string that it begins
/// with, else to each of its characters. (SentencePiece itself takes the longest string at each place: <see cref="SentencePieceNormalizer"/>.)
/// </summary>
internal sealed class PrecompiledNormalizer(CharacterMap map) : Normalizer
{
    public override AlignedText Apply(AlignedText x)
    {
        var changes = new List<Change>(x.Count + 8);
        var text = CodePoints.Text(x.Points);
        int at = 0, unit = 0;
        while (at < x.Count)
        {
            int units = StringInfo.GetNextTextElementLength(text, unit), end = at, bytes = 0;
            for (var i = unit; i < unit + units; i++)
            {
                if (char.IsLowSurrogate(text[i])) continue;
                bytes += CodePoints.Utf8Length(x.Points[end++]);
            }
            if (bytes >= 6 || !Replace(changes, x.Points[at..end]))
                for (var i = at; i < end; i++) if (!Replace(changes, x.Points.Slice(i, 1))) changes.Add(new(x.Points[i], 0));
            (at, unit) = (end, unit + units);
        }
        return x.Rewrite(changes);
    }

    private bool Replace(List<Change> changes, ReadOnlySpan<int> part)
    {
        var (length, replacement) = map.Find(part, longest: false);
        if (length == 0) return false;
        var more = replacement.Length - part.Length;
        for (var i = 0; i < replacement.Length; i++) changes.Add(new(replacement[i], i >= replacement.Length - more ? 1 : 0));
        // What is replaced by less is swallowed by the last character before; at the very beginning there is none, and offsets shift, as in the library.
        if (more < 0 && changes.Count > 0) changes[^1] = changes[^1] with { Delta = changes[^1].Delta + more };
        return true;
    }
}

/// <summary>Each byte of UTF-8 becomes a character of <see cref="ByteAlphabet"/>.</summary>
internal sealed class ByteLevelNormalizer : Normalizer
{
    public override AlignedText Apply(AlignedText x)
    {
        var y = new AlignedText(x.Count + x.Count / 8);
        ByteAlphabet.Add(y, x, 0, x.Count);
        return y;
    }
}
