namespace NanoLora.Data;

/// <summary>Labelled samples of one kind: images, texts. Nobody writes to the arrays once the set is made: sets share them.</summary>
public abstract class LabelledSet
{
    /// <summary>Checks that labels, classes and groups belong together.</summary>
    /// <param name="name">Names the set in errors and reports.</param>
    /// <param name="labels">[count], each an index into <paramref name="classes"/>.</param>
    /// <param name="classes">The names of the classes.</param>
    /// <param name="groups">[count]: who made the sample; none if unknown.</param>
    /// <exception cref="ArgumentException">The lengths disagree, or a label has no class.</exception>
    private protected LabelledSet(string name, int[] labels, string[] classes, int[]? groups)
    {
        if (groups is not null && groups.Length != labels.Length) throw new ArgumentException($"{name}: {labels.Length} labels, but {groups.Length} groups.");
        for (var i = 0; i < labels.Length; i++)
        {
            if ((uint)labels[i] >= (uint)classes.Length)
                throw new ArgumentException($"{name}: {Noun} {i} has the label {labels[i]}; there are {classes.Length} classes.");
        }
        (Name, Labels, Classes, Groups) = (name, labels, classes, groups);
    }

    /// <summary>What one sample is called in messages: image, text.</summary>
    public abstract string Noun { get; }

    /// <summary>Names the set in errors and reports.</summary>
    public string Name { get; }

    /// <summary>The class of each sample: [count].</summary>
    public int[] Labels { get; }

    /// <summary>The names of the classes.</summary>
    public string[] Classes { get; }

    /// <summary>Who made each sample, [count]; null if unknown.</summary>
    public int[]? Groups { get; }

    /// <summary>Under which licence the samples may be used.</summary>
    public string Licence { get; init; } = "";

    /// <summary>Where the samples come from.</summary>
    public string Source { get; init; } = "";

    /// <summary>The number of samples.</summary>
    public int Count => Labels.Length;

    /// <summary>Names the content of a sample: equal samples have equal hashes; unequal ones, for all practical purposes, do not.</summary>
    public abstract UInt128 ContentHash(int index);

    /// <summary>The chosen samples, in the order given; an index may come twice.</summary>
    public abstract LabelledSet Subset(ReadOnlySpan<int> indices, string? name = null);

    /// <summary>How many samples each class has.</summary>
    public int[] ClassCounts()
    {
        var counts = new int[Classes.Length];
        foreach (var label in Labels) counts[label]++;
        return counts;
    }

    /// <summary>The indices that pass, in their order.</summary>
    private protected int[] Indices(Func<int, bool> keep)
    {
        var kept = new List<int>();
        for (var i = 0; i < Count; i++) if (keep(i)) kept.Add(i);
        return [.. kept];
    }

    /// <summary>Labels and groups of the chosen samples.</summary>
    private protected (int[] Labels, int[]? Groups) Chosen(ReadOnlySpan<int> indices)
    {
        var (labels, groups) = (new int[indices.Length], Groups is null ? null : new int[indices.Length]);
        for (var i = 0; i < indices.Length; i++)
        {
            labels[i] = Labels[indices[i]];
            if (groups is not null) groups[i] = Groups![indices[i]];
        }
        return (labels, groups);
    }

    /// <summary>
    /// Labels, classes and groups of one set after the other. Classes of the same name become one class, others are appended; groups are kept if every set
    /// has them.
    /// </summary>
    /// <exception cref="ArgumentException">No set at all.</exception>
    private protected static (int[] Labels, string[] Classes, int[]? Groups) Joined(string name, ReadOnlySpan<LabelledSet> sets)
    {
        if (sets.IsEmpty) throw new ArgumentException($"{name}: nothing to concatenate.");
        var (count, grouped) = (0, true);
        foreach (var set in sets)
        {
            count = checked(count + set.Count);
            grouped &= set.Groups is not null;
        }
        var (labels, groups, classes, start) = (new int[count], grouped ? new int[count] : null, new List<string>(), 0);
        foreach (var set in sets)
        {
            var map = new int[set.Classes.Length];
            for (var c = 0; c < map.Length; c++)
            {
                map[c] = classes.IndexOf(set.Classes[c]);
                if (map[c] >= 0) continue;
                map[c] = classes.Count;
                classes.Add(set.Classes[c]);
            }
            for (var i = 0; i < set.Count; i++) labels[start + i] = map[set.Labels[i]];
            if (groups is not null) set.Groups!.CopyTo(groups, start);
            start += set.Count;
        }
        return (labels, [.. classes], groups);
    }

    /// <summary>What the sets say of themselves, each text once.</summary>
    private protected static string Joined(ReadOnlySpan<LabelledSet> sets, Func<LabelledSet, string> text)
    {
        var parts = new List<string>();
        foreach (var set in sets)
        {
            if (text(set).Length > 0 && !parts.Contains(text(set))) parts.Add(text(set));
        }
        return string.Join("; ", parts);
    }
}
