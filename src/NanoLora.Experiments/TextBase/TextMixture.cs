using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// What the base for texts reads in a step, drawn anew each time: rows of running text, then queries with an intent, then the first texts of all pairs, then
/// the second ones. Each row's targets are the tokens that follow, or at its first place the query's intent; pairs need none.
/// </summary>
internal sealed class TextMixture : IDataset
{
    private readonly TextPretrainOptions _options;
    private readonly EncodedTexts _texts;

    /// <param name="texts">The sets; one of them has classes.</param>
    /// <param name="tokenizer">Makes their ids.</param>
    /// <param name="options">How many of what.</param>
    public TextMixture(IReadOnlyList<FreeText> texts, ITokenizer tokenizer, TextPretrainOptions options)
    {
        EncodedTexts.Check("TextMixture", texts, options.RowShares, options.PairShares);
        (_options, _texts) = (options, new EncodedTexts(texts, tokenizer));
    }

    /// <summary>The classes of the queries.</summary>
    public IReadOnlyList<string> Intents => _texts.Intents;

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
        var (rows, width) = (new List<int[]>(), Math.Max(_options.RowLength, _options.TextLength));
        // One token more than the model goes on from.
        for (var i = 0; i < _options.Rows; i++) rows.Add(_texts.Running(draw, _options.RowShares, _options.RowLength + 1));
        var classes = new int[_options.Queries];
        for (var i = 0; i < classes.Length; i++) rows.Add(_texts.Query(draw, out classes[i]));
        var pairs = new (int[] First, int[] Second)[_options.Pairs];
        for (var i = 0; i < pairs.Length; i++) pairs[i] = _texts.Pair(draw, _options.PairShares, _options.PairIntents, _options.Drop);
        rows.AddRange(pairs.Select(static pair => pair.First));
        rows.AddRange(pairs.Select(static pair => pair.Second));

        var (ids, targets, lengths) = (new int[rows.Count * width], new int[rows.Count * width], new int[rows.Count]);
        Array.Fill(targets, Batch.Ignored);
        for (var row = 0; row < rows.Count; row++)
        {
            var running = row < _options.Rows;
            lengths[row] = running ? _options.RowLength : Math.Min(_options.TextLength, rows[row].Length);
            rows[row].AsSpan(0, lengths[row]).CopyTo(ids.AsSpan(row * width));
            if (running) rows[row].AsSpan(1, lengths[row]).CopyTo(targets.AsSpan(row * width));
            else if (row < _options.Rows + classes.Length) targets[row * width] = classes[row - _options.Rows];
        }
        var shape = new Shape(rows.Count, width);
        return new Batch(workspace.From(ids, shape), workspace.From(targets, shape)) { Lengths = lengths };
    }
}
