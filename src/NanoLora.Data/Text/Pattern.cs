using System.Globalization;
using System.Text.RegularExpressions;

namespace NanoLora.Data;

/// <summary>What is searched for in a text.</summary>
internal abstract class Pattern
{
    /// <summary>Adds the matches, in order and apart: [Start, End) of the text.</summary>
    public abstract void Find(ReadOnlySpan<int> text, List<(int Start, int End)> y);
}

/// <summary>A text that is meant as it stands.</summary>
internal sealed class LiteralPattern(int[] literal) : Pattern
{
    public override void Find(ReadOnlySpan<int> text, List<(int Start, int End)> y)
    {
        if (literal.Length == 0) return;
        for (var at = 0; at <= text.Length - literal.Length; at += literal.Length)
        {
            var next = text[at..].IndexOf(literal);
            if (next < 0) return;
            at += next;
            y.Add((at, at + literal.Length));
        }
    }
}

/// <summary>Characters of a kind, each a match of its own.</summary>
internal sealed class CharacterPattern(Func<int, bool> holds) : Pattern
{
    public override void Find(ReadOnlySpan<int> text, List<(int Start, int End)> y)
    {
        for (var i = 0; i < text.Length; i++) if (holds(text[i])) y.Add((i, i + 1));
    }
}

/// <summary>
/// A regular expression from a file that nobody vouches for: matched without backtracking, so in time proportional to the text. What .NET cannot express so
/// is refused, but for two things that nearly all tokenizers need. Patterns that end in <c>|\s+(?!\S)|\s+</c> (white space, but for the last character
/// before something else) are matched with <c>|\s+</c>, and such a match gives back its last character. And .NET matches UTF-16 units: a character beyond
/// U+FFFF stands in the text by one of its own category below, so that <c>\p{L}</c> finds it.
/// </summary>
internal sealed class RegexPattern : Pattern
{
    private const string Tail = @"|\s+(?!\S)|\s+", Lines = @"|\s*[\r\n]";

    private static readonly char[] StandIns = FindStandIns();

    private readonly Regex _regex;
    private readonly bool _givesBack, _endsLines;

    /// <summary>Compiles a pattern.</summary>
    /// <exception cref="InvalidDataException">It is no pattern, or cannot be matched without backtracking.</exception>
    public RegexPattern(string pattern, string source)
    {
        _givesBack = pattern.EndsWith(Tail, StringComparison.Ordinal);
        _endsLines = pattern.Contains(Lines, StringComparison.Ordinal);
        var compiled = _givesBack ? pattern[..^Tail.Length] + @"|\s+" : pattern;
        if (pattern.Any(char.IsSurrogate)) throw Refusal("a character beyond U+FFFF");
        try
        {
            _regex = new Regex(compiled, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (NotSupportedException e)
        {
            throw Refusal("a part that needs backtracking (a lookaround, a back reference or an atomic group)", e);
        }
        catch (ArgumentException e)
        {
            throw new InvalidDataException($"{source}: the pattern \"{pattern}\" is not understood ({e.Message}); write it as .NET does.", e);
        }

        InvalidDataException Refusal(string what, Exception? inner = null) =>
            new($"{source}: the pattern \"{pattern}\" has {what}, which is not supported here; use a tokenizer whose pattern has none.", inner);
    }

    public override void Find(ReadOnlySpan<int> text, List<(int Start, int End)> y)
    {
        var units = new char[text.Length];
        for (var i = 0; i < units.Length; i++) units[i] = text[i] < 0x10000 ? (char)text[i] : StandIns[(int)CodePoints.Category(text[i])];
        for (int at = 0, next; at >= 0; at = next) next = Find(units, at, y);
    }

    // Adds matches from a place on, up to one that gives back its last character; returns where to go on, or -1.
    private int Find(ReadOnlySpan<char> units, int at, List<(int Start, int End)> y)
    {
        foreach (var match in _regex.EnumerateMatches(units[at..]))
        {
            int start = at + match.Index, end = start + match.Length;
            var givesBack = _givesBack && match.Length > 1 && end < units.Length && IsSpace(units[start..end])
                && !(_endsLines && (units[end - 1] is '\r' or '\n'));
            y.Add((start, givesBack ? end - 1 : end));
            if (givesBack) return end - 1;
        }
        return -1;
    }

    private static bool IsSpace(ReadOnlySpan<char> units)
    {
        foreach (var unit in units) if (!char.IsWhiteSpace(unit)) return false;
        return true;
    }

    // The last character below U+10000 of each category: rare ones, so that no pattern names them.
    private static char[] FindStandIns()
    {
        var y = new char[(int)UnicodeCategory.OtherNotAssigned + 1];
        for (var i = 0; i < 0xFFFF; i++) if (!char.IsSurrogate((char)i)) y[(int)CharUnicodeInfo.GetUnicodeCategory((char)i)] = (char)i;
        return y;
    }
}

/// <summary>Runs of characters of one kind, where kind 0 is no match.</summary>
internal sealed class RunPattern(Func<int, int> kind) : Pattern
{
    public override void Find(ReadOnlySpan<int> text, List<(int Start, int End)> y)
    {
        for (int at = 0, end; at < text.Length; at = end)
        {
            var first = kind(text[at]);
            for (end = at + 1; end < text.Length && kind(text[end]) == first;) end++;
            if (first != 0) y.Add((at, end));
        }
    }
}
