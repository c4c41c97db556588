namespace NanoLora.Data;

/// <summary>
/// The regular expressions of nearly all byte-level tokenizers, by hand: each covers the whole text, so a word ends where the next begins. They are
/// recognised by their exact wording, and are the same functions as <see cref="RegexPattern"/> would be, but for speed and for 'ſ, which ignoring case is
/// 's.
/// </summary>
internal abstract class WordPattern : Pattern
{
    public const string Gpt2Wording = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private const string Contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)", Digits = @"|\p{N}";

    private const string Letters = @"|[^\r\n\p{L}\p{N}]?\p{L}+", Rest = @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The pattern of this wording, by hand where it is known.</summary>
    /// <exception cref="InvalidDataException">It is not supported.</exception>
    public static Pattern Of(string wording, string source) => wording switch
    {
        Gpt2Wording => new Gpt2Pattern(),
        Contractions + Letters + Digits + "{1,3}" + Rest => new Llama3Pattern(3),
        Contractions + Letters + Digits + Rest => new Llama3Pattern(1),
        _ => new RegexPattern(wording, source),
    };

    public override void Find(ReadOnlySpan<int> text, List<(int Start, int End)> y)
    {
        for (var at = 0; at < text.Length;)
        {
            var end = at + Length(text[at..]);
            y.Add((at, end));
            at = end;
        }
    }

    /// <summary>How many characters the word has that begins a text, which is not empty.</summary>
    protected abstract int Length(ReadOnlySpan<int> text);

    /// <summary>The length of 's 't 're 've 'm 'll 'd at the beginning, or 0.</summary>
    protected static int Contraction(ReadOnlySpan<int> text, bool ignoreCase)
    {
        if (text.Length < 2 || text[0] != '\'') return 0;
        int a = Fold(text[1]), b = text.Length > 2 ? Fold(text[2]) : 0;
        if (a is 's' or 't' or 'm' or 'd') return 2;
        return (a is 'r' or 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;

        int Fold(int c) => !ignoreCase ? c : c == 'ſ' ? 's' : (uint)(c - 'A') < 26 ? c | 0x20 : c;
    }

    /// <summary>\s+(?!\S)|\s+ : white space, but for its last character where something else and more than that follows.</summary>
    protected static int Space(ReadOnlySpan<int> text)
    {
        var end = Run(text, 0, CodePoints.IsWhiteSpace);
        return end == text.Length || end == 1 ? end : end - 1;
    }

    /// <summary>Where the characters from a place on no longer hold.</summary>
    protected static int Run(ReadOnlySpan<int> text, int at, Func<int, bool> holds)
    {
        while (at < text.Length && holds(text[at])) at++;
        return at;
    }

    /// <summary>[^\s\p{L}\p{N}]</summary>
    protected static bool IsOther(int c) => !CodePoints.IsWhiteSpace(c) && !CodePoints.IsLetter(c) && !CodePoints.IsNumber(c);
}

/// <summary>GPT-2's: contractions, then letters, numbers and the rest, each with a space before, then white space.</summary>
internal sealed class Gpt2Pattern : WordPattern
{
    protected override int Length(ReadOnlySpan<int> text)
    {
        if (Contraction(text, ignoreCase: false) is > 0 and var length) return length;
        var at = text[0] == ' ' && text.Length > 1 ? 1 : 0;
        var first = text[at];
        if (CodePoints.IsLetter(first)) return Run(text, at, CodePoints.IsLetter);
        if (CodePoints.IsNumber(first)) return Run(text, at, CodePoints.IsNumber);
        return CodePoints.IsWhiteSpace(first) ? Space(text) : Run(text, at, IsOther);
    }
}

/// <summary>
/// Llama 3's (digits by threes) and Qwen's (one by one): contractions in any case; letters with one character before that is no line end; digits; the rest
/// with a space before and line ends after; white space up to its last line end; other white space.
/// </summary>
internal sealed class Llama3Pattern(int digits) : WordPattern
{
    protected override int Length(ReadOnlySpan<int> text)
    {
        if (Contraction(text, ignoreCase: true) is > 0 and var length) return length;
        var first = text[0];
        if (CodePoints.IsLetter(first)) return Run(text, 0, CodePoints.IsLetter);
        if (CodePoints.IsNumber(first))
        {
            var end = 1;
            while (end < digits && end < text.Length && CodePoints.IsNumber(text[end])) end++;
            return end;
        }
        if (first is not ('\r' or '\n') && text.Length > 1 && CodePoints.IsLetter(text[1])) return Run(text, 1, CodePoints.IsLetter);
        var at = first == ' ' && text.Length > 1 ? 1 : 0;
        if (IsOther(text[at])) return Run(text, Run(text, at, IsOther), static c => c is '\r' or '\n');
        var spaces = text[..Run(text, 0, CodePoints.IsWhiteSpace)];
        var line = spaces.LastIndexOfAny('\r', '\n');
        return line >= 0 ? line + 1 : Space(text);
    }
}
