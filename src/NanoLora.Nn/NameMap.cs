using System.Globalization;

namespace NanoLora.Nn;

/// <summary>
/// How a family of checkpoint files calls the parts of a model. A rule is our path and the file's names for it, the one to write first; {n} stands for a
/// block's number. Adapters are named by the same rules, so both generations of names lead to the same matrix.
/// </summary>
public sealed class NameMap
{
    private readonly List<(string Ours, string[] Theirs)> _rules = [];

    /// <summary>
    /// Adds a rule for a module or a parameter, without ".weight" and ".bias", which follow by themselves; where our path has them, the file's names are whole.
    /// </summary>
    public NameMap Add(string ours, params string[] theirs)
    {
        _rules.Add((ours, theirs));
        return this;
    }

    /// <summary>The names that a file may have for our path; the first is the one to write.</summary>
    public IEnumerable<string> Theirs(string ours)
    {
        var (stem, suffix) = Cut(ours);
        foreach (var (rule, theirs) in _rules)
        {
            var end = Matches(rule, stem, out var number) ? suffix : Matches(rule, ours, out number) ? "" : null;
            if (end is null) continue;
            foreach (var name in theirs) yield return Fill(name, number) + end;
            yield break;
        }
    }

    /// <summary>Our path for a file's name, or null.</summary>
    public string? Ours(string theirs)
    {
        var (stem, suffix) = Cut(theirs);
        foreach (var (ours, names) in _rules)
        {
            foreach (var name in names)
            {
                if (Matches(name, stem, out var number)) return Fill(ours, number) + suffix;
                if (suffix.Length > 0 && Matches(name, theirs, out number)) return Fill(ours, number);
            }
        }
        return null;
    }

    /// <summary>The same names, but for one of our paths.</summary>
    internal NameMap With(string ours, params string[] theirs)
    {
        var map = new NameMap().Add(ours, theirs);
        map._rules.AddRange(_rules.Where(rule => rule.Ours != ours));
        return map;
    }

    private static (string Stem, string Suffix) Cut(string name)
    {
        foreach (var suffix in (ReadOnlySpan<string>)[".weight", ".bias"])
        {
            if (name.EndsWith(suffix, StringComparison.Ordinal)) return (name[..^suffix.Length], suffix);
        }
        return (name, "");
    }

    private static string Fill(string template, int number) => template.Replace("{n}", number.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);

    private static bool Matches(string template, string name, out int number)
    {
        number = 0;
        var hole = template.IndexOf("{n}", StringComparison.Ordinal);
        if (hole < 0) return template == name;
        var (head, tail) = (template[..hole], template[(hole + 3)..]);
        return name.Length > head.Length + tail.Length && name.StartsWith(head, StringComparison.Ordinal) && name.EndsWith(tail, StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(head.Length, name.Length - head.Length - tail.Length), NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
