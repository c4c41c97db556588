namespace NanoLora.Data;

/// <summary>
/// BERT's WordPiece: from the left, the longest token that the rest of the word begins with; a word that cannot be written so, or is very long, is unknown
/// as a whole.
/// </summary>
internal sealed class WordPieceModel : TokenModel
{
    private readonly Trie _first = new(), _rest = new();
    private readonly int _unknown, _longest;

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="unknown">What stands for an unknown word.</param>
    /// <param name="prefix">What tokens begin with that continue a word.</param>
    /// <param name="longest">The most characters of a word that is looked into.</param>
    /// <param name="source">How errors name the file.</param>
    /// <exception cref="InvalidDataException">The unknown token is not in the vocabulary.</exception>
    public WordPieceModel(Vocabulary vocabulary, string unknown, string prefix, int longest, string source) : base(vocabulary)
    {
        (_unknown, _longest) = (vocabulary.Id(unknown), longest);
        if (_unknown < 0) throw new InvalidDataException($"{source}: the unknown token \"{unknown}\" is not in the vocabulary; copy the file again.");
        for (var id = 0; id < vocabulary.Size; id++)
        {
            if (vocabulary.Token(id) is not { Length: > 0 } token || vocabulary.Id(token) != id) continue;
            _first.Add(CodePoints.Of(token), id);
            if (token.Length > prefix.Length && token.StartsWith(prefix, StringComparison.Ordinal)) _rest.Add(CodePoints.Of(token[prefix.Length..]), id);
        }
    }

    public override void Encode(AlignedText x, int start, int end, TokenList y)
    {
        var word = x.Points[start..end];
        var before = y.Ids.Count;
        for (var at = 0; at < word.Length;)
        {
            var (length, id) = word.Length > _longest ? (0, -1) : (at == 0 ? _first : _rest).Longest(word[at..]);
            if (length == 0)
            {
                y.Keep(before);
                y.Add(_unknown, Vocabulary.Token(_unknown)!, x, start, end);
                return;
            }
            y.Add(id, Vocabulary.Token(id)!, x, start + at, start + at + length);
            at += length;
        }
    }
}
