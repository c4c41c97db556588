namespace NanoLora.Data;

/// <summary>What a <see cref="UnigramModel"/> may be told.</summary>
internal sealed record UnigramOptions
{
    /// <summary>The token of what is unknown, or -1.</summary>
    public int Unknown { get; init; } = -1;

    /// <summary>Whether what is unknown becomes its bytes.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Which tokens are written into texts; all if null.</summary>
    public Func<int, bool>? IsWritten { get; init; }

    /// <summary>
    /// Whether sums are rounded to 32 bits, as SentencePiece does and the tokenizers library does not; where two ways to cut a word are close, it decides.
    /// </summary>
    public bool SinglePrecision { get; init; }
}

/// <summary>
/// The unigram model: each token has a log probability, and a word is cut so that their sum is largest (Viterbi); a character that no token covers costs 10
/// more than the least likely one, and unknown ones in a row are one token.
/// </summary>
internal sealed class UnigramModel : TokenModel
{
    private const double UnknownPenalty = 10;

    private readonly Trie _trie = new();
    private readonly double[] _scores;
    private readonly double _unknownScore;
    private readonly UnigramOptions _options;
    private readonly int[]? _byteTokens;
    private readonly string _source;

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="scores">Their log probabilities, by id.</param>
    /// <param name="lowest">The least of them that counts.</param>
    /// <param name="options">The rest.</param>
    /// <param name="source">How errors name the file.</param>
    public UnigramModel(Vocabulary vocabulary, double[] scores, double lowest, UnigramOptions options, string source) : base(vocabulary)
    {
        (_scores, _options, _source, _unknownScore) = (scores, options, source, lowest - UnknownPenalty);
        for (var id = 0; id < vocabulary.Size; id++)
        {
            if (vocabulary.Token(id) is { Length: > 0 } token && vocabulary.Id(token) == id && options.IsWritten?.Invoke(id) != false)
                _trie.Add(CodePoints.Of(token), id);
        }
        _byteTokens = options.ByteFallback ? vocabulary.ByteTokens() : null;
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidDataException">A character is unknown, and the model has no token for it.</exception>
    public override void Encode(AlignedText x, int start, int end, TokenList y)
    {
        var word = x.Points[start..end];
        var nodes = Best(word);
        var parts = new List<(int Start, int End, int Id)>();
        for (var at = word.Length; at > 0; at = nodes[at].Start)
        {
            var (from, id) = (nodes[at].Start, nodes[at].Id);
            if (id < 0 && parts.Count > 0 && parts[^1].Id < 0) parts[^1] = parts[^1] with { Start = from };
            else parts.Add((from, at, id));
        }
        for (var i = parts.Count - 1; i >= 0; i--)
        {
            var (from, to, id) = parts[i];
            // Unknown characters may together be what a token is called, as the unknown token itself is.
            if (id < 0 && _options.IsWritten is null) id = Vocabulary.Id(word[from..to]);
            if (id >= 0) y.Add(id, Vocabulary.Token(id)!, x, start + from, start + to);
            else if (_byteTokens is not null) for (var at = from; at < to; at++) AddBytes(_byteTokens, x, start + from, start + to, word[at], y);
            else if (_options.Unknown >= 0) y.Add(_options.Unknown, CodePoints.Text(word[from..to]), x, start + from, start + to);
            else throw Unknown(word[from..to]);
        }
    }

    // The best way to each place of the word: where its last token starts, which it is (-1: unknown), and the sum.
    private (int Start, int Id, double Sum)[] Best(ReadOnlySpan<int> word)
    {
        var nodes = new (int Start, int Id, double Sum)[word.Length + 1];
        for (var i = 1; i < nodes.Length; i++) nodes[i].Start = -1;
        for (var at = 0; at < word.Length; at++)
        {
            var sum = nodes[at].Sum;
            var covered = false;
            var node = 0;
            for (var to = at; to < word.Length && (node = _trie.Step(node, word[to])) >= 0; to++)
            {
                if (_trie.Value(node) is not (>= 0 and var id)) continue;
                Offer(ref nodes[to + 1], at, id == _options.Unknown ? -1 : id, Rounded(sum + _scores[id]));
                covered |= to == at;
            }
            if (!covered) Offer(ref nodes[at + 1], at, -1, Rounded(sum + _unknownScore));
        }
        return nodes;
    }

    private InvalidDataException Unknown(ReadOnlySpan<int> text) =>
        new($"{_source}: \"{CodePoints.Text(text)}\" is unknown, and the model has no token for what is unknown; use another tokenizer.");

    private double Rounded(double sum) => _options.SinglePrecision ? (float)sum : sum;

    private static void Offer(ref (int Start, int Id, double Sum) node, int start, int id, double sum)
    {
        if (node.Start < 0 || sum > node.Sum) node = (start, id, sum);
    }
}
