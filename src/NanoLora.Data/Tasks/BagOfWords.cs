using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>
/// Texts as bags of words: how often each word occurs, times its rarity, scaled to length 1 (tf-idf). The columns are the words of the support: a head that
/// learns from the support alone can learn nothing of others, which only count for the length.
/// </summary>
/// <remarks>
/// The rarity of a word is ln((1 + n) / (1 + n_w)) + 1, where n_w of the n background texts have it. The background carries no labels.
/// </remarks>
public sealed class BagOfWords : IDataset
{
    private readonly TextSet _texts;
    private readonly int _columns;
    private readonly (int Column, float Value)[][] _rows;

    private BagOfWords(TextSet texts, Dictionary<string, int> columns, Dictionary<string, int> seen, int background)
    {
        (_texts, _columns) = (texts, Math.Max(1, columns.Count));
        _rows = Array.ConvertAll(texts.Texts, Row);

        (int, float)[] Row(string text)
        {
            var (values, square) = (new SortedDictionary<int, double>(), 0.0);
            foreach (var (word, times) in Words.Of(text).CountBy(w => w).OrderBy(w => w.Key, StringComparer.Ordinal))
            {
                var value = times * (Math.Log((1.0 + background) / (1 + seen.GetValueOrDefault(word))) + 1);
                square += value * value;
                if (columns.TryGetValue(word, out var column)) values[column] = value;
            }
            var length = Math.Sqrt(Math.Max(square, double.Epsilon));
            return [.. values.Select(v => (v.Key, (float)(v.Value / length)))];
        }
    }

    /// <summary>Support and test texts with the same columns.</summary>
    /// <param name="support">The texts to learn from.</param>
    /// <param name="test">The texts to measure with.</param>
    /// <param name="background">The texts that say how rare a word is; no test text is to be among them.</param>
    public static (BagOfWords Support, BagOfWords Test) Of(TextSet support, TextSet test, IReadOnlyCollection<string> background)
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(test);
        ArgumentNullException.ThrowIfNull(background);
        var (columns, seen) = (new Dictionary<string, int>(StringComparer.Ordinal), new Dictionary<string, int>(StringComparer.Ordinal));
        foreach (var word in support.Texts.SelectMany(Words.Of)) columns.TryAdd(word, columns.Count);
        foreach (var word in background.SelectMany(text => Words.Of(text).Distinct())) seen[word] = seen.GetValueOrDefault(word) + 1;
        return (new(support, columns, seen, background.Count), new(test, columns, seen, background.Count));
    }

    /// <inheritdoc/>
    public string Name => _texts.Name;

    /// <inheritdoc/>
    public int Count => _texts.Count;

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes => _texts.Classes;

    /// <inheritdoc/>
    public int Label(int index) => _texts.Labels[index];

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        var (rows, labels) = (new float[indices.Length * _columns], new int[indices.Length]);
        for (var i = 0; i < labels.Length; i++)
        {
            foreach (var (column, value) in _rows[indices[i]]) rows[i * _columns + column] = value;
            labels[i] = Label(indices[i]);
        }
        return new(workspace.From(rows, new Shape(labels.Length, _columns)), workspace.From(labels, new Shape(labels.Length)));
    }
}
