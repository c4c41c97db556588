using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace NanoLora.Data;

/// <summary>Labelled texts.</summary>
public sealed class TextSet : LabelledSet
{
    /// <summary>Makes a set after checking that the arrays belong together.</summary>
    /// <param name="name">Names the set in errors and reports.</param>
    /// <param name="texts">[count].</param>
    /// <param name="labels">[count], each an index into <paramref name="classes"/>.</param>
    /// <param name="classes">The names of the classes.</param>
    /// <exception cref="ArgumentException">The lengths disagree, or a label has no class.</exception>
    public TextSet(string name, string[] texts, int[] labels, string[] classes) : base(name, labels, classes, groups: null)
    {
        if (texts.Length != labels.Length) throw new ArgumentException($"{name}: {labels.Length} labels, but {texts.Length} texts.");
        Texts = texts;
    }

    /// <inheritdoc/>
    public override string Noun => "text";

    /// <summary>The texts: [count].</summary>
    public string[] Texts { get; }

    /// <summary>
    /// The first 128 bits of the SHA-256 of a text's words: upper case, punctuation and white space do not count. A text without a word counts as it is.
    /// </summary>
    public override UInt128 ContentHash(int index)
    {
        var words = Words.Joined(Texts[index]);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(words.Length > 0 ? words : Texts[index]), hash);
        return BinaryPrimitives.ReadUInt128BigEndian(hash);
    }

    /// <inheritdoc/>
    public override TextSet Subset(ReadOnlySpan<int> indices, string? name = null)
    {
        var texts = new string[indices.Length];
        for (var i = 0; i < texts.Length; i++) texts[i] = Texts[indices[i]];
        return new(name ?? Name, texts, Chosen(indices).Labels, Classes) { Licence = Licence, Source = Source };
    }

    /// <summary>The texts whose index passes, in their order.</summary>
    public TextSet Where(Func<int, bool> keep)
    {
        var kept = Indices(keep);
        return kept.Length == Count ? this : Subset(kept);
    }

    /// <summary>One set after the other. Classes of the same name become one class, others are appended.</summary>
    /// <exception cref="ArgumentException">No set at all.</exception>
    public static TextSet Concat(string name, params ReadOnlySpan<TextSet> sets)
    {
        var (labels, classes, _) = Joined(name, sets);
        var texts = new List<string>(labels.Length);
        foreach (var set in sets) texts.AddRange(set.Texts);
        return new(name, [.. texts], labels, classes) { Licence = Joined(sets, s => s.Licence), Source = Joined(sets, s => s.Source) };
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Count} texts, {Classes.Length} classes";
}

/// <summary>One classification task on texts, for few-shot comparisons.</summary>
public sealed record LabelledTextTask : LabelledTask
{
    /// <summary>Makes a task after checking that both sets fit together.</summary>
    /// <exception cref="ArgumentException">The sets differ in classes.</exception>
    public LabelledTextTask(string name, TextSet train, TextSet test, Pool pool) : base(name, train, test, pool) => (Train, Test) = (train, test);

    /// <inheritdoc/>
    public override TextSet Train { get; }

    /// <inheritdoc/>
    public override TextSet Test { get; }

    /// <inheritdoc/>
    public override TextSet All() => TextSet.Concat(Name, Train, Test);

    /// <inheritdoc/>
    public override LabelledTextTask Where(Func<bool, int, bool> keep) => new(Name, Train.Where(i => keep(false, i)), Test.Where(i => keep(true, i)), Pool);

    /// <summary>The labelled texts of a file, as a few-shot task.</summary>
    /// <param name="task">What was read.</param>
    /// <param name="name">Names the task; few-shot draws depend on it. The task's own if not given.</param>
    /// <param name="pool">What the texts may be used for.</param>
    /// <exception cref="InvalidDataException">The texts have no labels.</exception>
    public static LabelledTextTask Of(TextTask task, string? name = null, Pool pool = Pool.Upstream)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.Kind != TextKind.Labelled)
            throw new InvalidDataException($"{task.Name}: its samples are of the kind {task.Kind}; to classify texts they need text and label.");
        string[] classes = [.. task.Classes];
        return new(name ?? task.Name, Set(task.Train), Set(task.Test), pool);

        TextSet Set(IReadOnlyList<TextSample> samples) =>
            new(name ?? task.Name, [.. samples.Select(s => s.Text)], [.. samples.Select(s => s.Label)], classes);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Train.Count} + {Test.Count} texts, {Classes.Length} classes, {Pool}";
}

/// <summary>The words of a text.</summary>
internal static class Words
{
    /// <summary>Its runs of letters and digits in lower case; an apostrophe within one is left out: "don't" is one word.</summary>
    public static IEnumerable<string> Of(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var word = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            if (Rune.IsLetterOrDigit(rune)) word.Append(Rune.ToLowerInvariant(rune).ToString());
            else if (word.Length > 0 && rune.Value is not ('\'' or '’'))
            {
                yield return word.ToString();
                word.Clear();
            }
        }
        if (word.Length > 0) yield return word.ToString();
    }

    /// <summary>A text as it is compared: its words with one space between.</summary>
    public static string Joined(string text) => string.Join(' ', Of(text));
}
