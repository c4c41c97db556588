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
    private readonly IReadOnlyList<Encoded> _sets;
    private readonly int _withIntents;
    private readonly int _end;

    /// <param name="texts">The sets; one of them has classes.</param>
    /// <param name="tokenizer">Makes their ids.</param>
    /// <param name="options">How many of what.</param>
    public TextMixture(IReadOnlyList<FreeText> texts, ITokenizer tokenizer, TextPretrainOptions options)
    {
        if (texts.Count != options.RowShares.Count || texts.Count != options.PairShares.Count)
        {
            throw new ArgumentException($"TextMixture: {texts.Count} sets, {options.RowShares.Count} shares of rows and {options.PairShares.Count} of pairs; "
                + "each set has one of both.");
        }
        (_options, _end) = (options, tokenizer.Id(BpeTrainer.EndToken) ?? throw new ArgumentException("TextMixture: the tokenizer has no end token."));
        _sets = [.. texts.Select(text => new Encoded(text, tokenizer))];
        _withIntents = texts.ToList().FindIndex(static text => text.Classes.Count > 0);
        if (_withIntents < 0) throw new ArgumentException("TextMixture: no set has classes.");
        Intents = texts[_withIntents].Classes;
        Count = texts.Sum(static text => text.Documents.Count);
    }

    /// <summary>The classes of the queries.</summary>
    public IReadOnlyList<string> Intents { get; }

    /// <summary>Every document as one row of tokens.</summary>
    public IEnumerable<int[]> Documents =>
        _sets.SelectMany(static set => set.Documents.Select(static sentences => sentences.SelectMany(static s => s).ToArray()));

    /// <inheritdoc/>
    public string Name => string.Join(" + ", _sets.Select(static set => set.Name));

    /// <inheritdoc/>
    public int Count { get; }

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes => [];

    /// <inheritdoc/>
    public int Label(int index) => -1;

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var draw = new Draws(random ?? throw new NotSupportedException($"{Name}: rows are drawn at random."));
        var (rows, width) = (new List<int[]>(), Math.Max(_options.RowLength, _options.TextLength));
        for (var i = 0; i < _options.Rows; i++) rows.Add(Running(draw));
        var classes = new int[_options.Queries];
        for (var i = 0; i < classes.Length; i++) rows.Add(Query(draw, out classes[i]));
        var pairs = new (int[] First, int[] Second)[_options.Pairs];
        for (var i = 0; i < pairs.Length; i++) pairs[i] = Pair(draw);
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

    // One token more than the model goes on from: from the beginning of a sentence, and then document after document, each with its end token.
    private int[] Running(Draws draw)
    {
        var set = _sets[draw.Share(_options.RowShares)];
        var row = new List<int>();
        for (var isFirst = true; row.Count <= _options.RowLength; isFirst = false)
        {
            var sentences = set.Documents[draw.Below(set.Documents.Count)];
            for (var s = isFirst ? draw.Below(sentences.Length) : 0; s < sentences.Length; s++) row.AddRange(sentences[s]);
            row.Add(_end);
        }
        return [.. row.Take(_options.RowLength + 1)];
    }

    private int[] Query(Draws draw, out int intent)
    {
        var set = _sets[_withIntents];
        var d = draw.Below(set.Documents.Count);
        intent = set.Labels[d];
        return set.Documents[d][0];
    }

    // Two that say the same, or stand next to each other, or two readings of one text, each without some of its tokens.
    private (int[] First, int[] Second) Pair(Draws draw)
    {
        var set = _sets[draw.Share(_options.PairShares)];
        if (set.Groups.Count > 0 && (set.Labels.Count == 0 || _options.PairIntents))
        {
            var group = set.Groups[draw.Below(set.Groups.Count)];
            var (a, b) = (draw.Below(group.Length), draw.Below(group.Length - 1));
            return (group[a], group[b < a ? b : b + 1]);
        }
        var sentences = set.Documents[draw.Below(set.Documents.Count)];
        var s = draw.Below(Math.Max(1, sentences.Length - 1));
        return sentences.Length > 1 ? (sentences[s], sentences[s + 1]) : (Thinned(sentences[0], draw), Thinned(sentences[0], draw));
    }

    private int[] Thinned(int[] text, Draws draw)
    {
        int[] kept = [.. text.Where(_ => draw.Uniform() >= _options.Drop)];
        return kept.Length > 0 ? kept : [text[draw.Below(text.Length)]];
    }

    // A set as token ids: [document][sentence][token].
    private sealed class Encoded
    {
        public Encoded(FreeText text, ITokenizer tokenizer)
        {
            Name = text.Name;
            Labels = text.Labels;
            Documents = [.. text.Documents.Select(document => document.Select(Ids).ToArray())];
            var ofClasses = Enumerable.Range(0, Labels.Count).GroupBy(d => Labels[d], d => Documents[d][0]).Where(static g => g.Count() > 1);
            Groups = Labels.Count > 0 ? [.. ofClasses.Select(static g => g.ToArray())] : [.. text.Paraphrases.Select(group => group.Select(Ids).ToArray())];

            int[] Ids(string sentence) => tokenizer.Encode(sentence) is { Length: > 0 } ids ? ids
                : throw new InvalidDataException($"{text.Name}: the tokenizer makes no token of \"{sentence}\".");
        }

        public string Name { get; }

        public IReadOnlyList<int> Labels { get; }

        public IReadOnlyList<int[][]> Documents { get; }

        public IReadOnlyList<int[][]> Groups { get; }
    }

    // The numbers of a stream, one after the other.
    private sealed class Draws(Philox random)
    {
        private ulong _next;

        public int Below(int n) => random.Below(_next++, n);

        public float Uniform() => random.Uniform(_next++);

        public int Share(IReadOnlyList<float> shares)
        {
            var (at, left) = (0, Uniform() * shares.Sum());
            while (at < shares.Count - 1 && (left -= shares[at]) >= 0) at++;
            return at;
        }
    }
}
