using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// What the text-to-text base reads and writes in a step, drawn anew each time: rows of running text without some spans, which it writes; queries, of which
/// it writes the intent's name; and first texts of pairs, of which it writes the rarest tokens in a row of the second.
/// </summary>
internal sealed class TextToTextMixture : IDataset
{
    private readonly TextToTextOptions _options;
    private readonly EncodedTexts _texts;
    private readonly int[] _sentinels;
    private readonly int[][] _intents;
    private readonly double[] _rarity;

    /// <param name="texts">The sets; one of them has classes.</param>
    /// <param name="tokenizer">Makes their ids.</param>
    /// <param name="options">How many of what.</param>
    public TextToTextMixture(IReadOnlyList<FreeText> texts, ITokenizer tokenizer, TextToTextOptions options)
    {
        EncodedTexts.Check("TextToTextMixture", texts, options.RowShares, options.PairShares);
        (_options, _texts) = (options, new EncodedTexts(texts, tokenizer));
        _sentinels = [.. Enumerable.Range(0, options.Sentinels).Select(n => tokenizer.Id(Sentinel(n))
            ?? throw new ArgumentException($"TextToTextMixture: the tokenizer has no {Sentinel(n)}."))];
        _intents = [.. _texts.Intents.Select(name => (int[])[.. tokenizer.Encode(Answers.Words(name)), _texts.End])];
        _rarity = new double[tokenizer.VocabularySize];
        foreach (var row in _texts.Documents) foreach (var id in row) _rarity[id]++;
        for (var (id, total) = (0, _rarity.Sum()); id < _rarity.Length; id++) _rarity[id] = Math.Log(total / Math.Max(1, _rarity[id]));
    }

    /// <summary>What the tokens that stand for spans are called, as T5 has them.</summary>
    public static string Sentinel(int n) => $"<extra_id_{n}>";

    /// <summary>Every document as one row of tokens.</summary>
    public IEnumerable<int[]> Documents => _texts.Documents;

    /// <inheritdoc/>
    public string Name => _texts.Name;

    /// <inheritdoc/>
    public int Count => _texts.Count;

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes => [];

    /// <inheritdoc/>
    public int Label(int index) => -1;

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var draw = new TextDraws(random ?? throw new NotSupportedException($"{Name}: rows are drawn at random."));
        var rows = new List<(int[] Read, int[] Written)>();
        for (var i = 0; i < _options.Rows; i++)
        {
            var text = _texts.Running(draw, _options.RowShares, _options.RowLength);
            rows.Add(SpanCorruption.Of(text, _sentinels, _texts.End, _options.SpanShare, _options.SpanLength, draw));
        }
        for (var i = 0; i < _options.Queries; i++)
        {
            var text = _texts.Query(draw, out var intent);
            rows.Add((Cut(text), _intents[intent]));
        }
        for (var i = 0; i < _options.Pairs; i++)
        {
            var (first, second) = _texts.Pair(draw, _options.PairShares, ofIntents: false, _options.Drop);
            rows.Add((Cut(first), [.. Rarest(second, 1 + draw.Below(_options.KeyTokens)), _texts.End]));
        }
        int[] lengths = [.. rows.Select(static row => row.Read.Length)];
        return new Batch(Padded(static row => row.Read, 0), Padded(static row => row.Written, Batch.Ignored)) { Lengths = lengths };

        int[] Cut(int[] text) => text[..Math.Min(text.Length, _options.TextLength)];

        // [rows, the longest]
        Tensor Padded(Func<(int[] Read, int[] Written), int[]> part, int padding)
        {
            var width = rows.Max(row => part(row).Length);
            var all = new int[rows.Count * width];
            Array.Fill(all, padding);
            for (var row = 0; row < rows.Count; row++) part(rows[row]).CopyTo(all.AsSpan(row * width));
            return workspace.From(all, new Shape(rows.Count, width));
        }
    }

    /// <summary>The tokens in a row of a text that are the rarest together; the first of equals.</summary>
    internal ReadOnlySpan<int> Rarest(ReadOnlySpan<int> text, int count)
    {
        count = Math.Min(count, text.Length);
        var (best, most) = (0, double.NegativeInfinity);
        for (var at = 0; at + count <= text.Length; at++)
        {
            var sum = 0.0;
            foreach (var id in text.Slice(at, count)) sum += _rarity[id];
            if (sum > most) (best, most) = (at, sum);
        }
        return text.Slice(best, count);
    }
}
