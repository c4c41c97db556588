using System.Globalization;
using System.Text.RegularExpressions;

namespace NanoLora.Nn;

/// <summary>
/// A regular expression out of an adapter's config, for names of modules. Nobody vouches for it, so it runs without backtracking, in time that grows with the
/// name alone; what that engine cannot express, and what Python would read in another way, is refused by name.
/// </summary>
internal sealed class PeftPattern
{
    private const int MaxLength = 10_000, MaxRepeats = 10_000;

    private readonly Regex _regex;

    private PeftPattern(string path, string field, string pattern, string before, string after)
    {
        if (Foreign(pattern) is { } why)
            throw new CheckpointException(path, field, $"the pattern \"{Short(pattern)}\" {why}; write it with plain means, or list the modules.");
        try
        {
            _ = new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);   // whole by itself: "a)(b" is not
            _regex = new Regex(before + pattern + after, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new CheckpointException(path, field,
                $"the pattern \"{Short(pattern)}\" cannot be used: {e.Message} Write it without look-around and back-references, or list the modules.", e);
        }
    }

    /// <summary>A pattern for the full name.</summary>
    public static PeftPattern Full(string path, string field, string pattern) => new(path, field, pattern, @"\A(?:", @")\z");

    /// <summary>A pattern for the end of a name, from a dot on.</summary>
    public static PeftPattern End(string path, string field, string pattern) => new(path, field, pattern, @"\A(?:.*\.)?(?:", @")\z");

    /// <summary>A pattern for what stands before a layer's number.</summary>
    public static PeftPattern Layer(string path, string field, string pattern) => new(path, field, pattern, @"\A.*\.(?:", @")\.(?<layer>\d+)\.");

    /// <summary>Whether the name matches.</summary>
    public bool Matches(string name) => _regex.IsMatch(name);

    /// <summary>The layer's number in the name, or null.</summary>
    public int? LayerIn(string name) =>
        _regex.Match(name) is { Success: true } match
            && int.TryParse(match.Groups["layer"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var layer) ? layer : null;

    // What .NET reads otherwise than Python, and counts whose product would make the automaton large.
    private static string? Foreign(string pattern)
    {
        if (pattern.Length > MaxLength) return $"has {pattern.Length} characters, more than {MaxLength}";
        var (inClass, repeats) = (false, 1.0);
        for (var i = 0; i < pattern.Length; i++)
        {
            var rest = pattern.AsSpan(i + 1);
            if (pattern[i] == '\\') i++;
            else if (inClass && pattern[i] == ']') inClass = false;
            else if (inClass && pattern[i] == '-' && rest.StartsWith("[")) return "subtracts one set of characters from another";
            else if (!inClass && pattern[i] == '[')
            {
                inClass = true;
                if (rest.StartsWith("^")) i++;
                if (i + 1 < pattern.Length && pattern[i + 1] == ']') i++;   // a bracket that comes first is a character
            }
            else if (!inClass && pattern[i] == '{')
            {
                if (rest.StartsWith(",")) return "has a count without a lower bound";
                var count = rest[..Math.Max(rest.IndexOf('}'), 0)];
                var last = count[(count.IndexOf(',') + 1)..];
                if (double.TryParse(last.IsEmpty ? count.TrimEnd(',') : last, NumberStyles.None, CultureInfo.InvariantCulture, out var most))
                    repeats *= Math.Max(most, 1);
                if (repeats > MaxRepeats) return $"repeats a part more than {MaxRepeats} times";
            }
        }
        return null;
    }

    private static string Short(string pattern) => pattern.Length > 80 ? pattern[..80] + "…" : pattern;
}
