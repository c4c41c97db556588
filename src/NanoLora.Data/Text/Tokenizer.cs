using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>
/// Makes token ids of text as the model's own tokenizer does, with the place of each token in the text, and text of ids. Several threads may use one at once.
/// </summary>
public sealed class Tokenizer : ITokenizer
{
    private readonly TokenModel _model;
    private readonly AddedTokens _added;
    private readonly int _addedToVocabulary;

    internal Tokenizer(TokenModel model, IEnumerable<AddedToken> added, Normalizer? normalizer = null)
    {
        (_model, Normalizer, _added) = (model, normalizer, new AddedTokens(added, normalizer));
        _addedToVocabulary = _added.All.Count(t => model.Vocabulary.Id(t.Content) < 0);
        SpecialTokens = [.. _added.All.Where(static t => t.Special).Select(static t => (t.Id, t.Content))];
    }

    /// <summary>
    /// Reads a tokenizer: tokenizer.json, a SentencePiece .model, vocab.json with merges.txt, vocab.txt, the vocabulary in a .gguf, or llama2.c's
    /// tokenizer.bin. In a folder the first of these that is there counts.
    /// </summary>
    /// <param name="path">A folder, or one of the files.</param>
    /// <exception cref="InvalidDataException">There is none, it is damaged, or it has what is not supported; the message names file and field.</exception>
    public static Tokenizer Load(string path) => TokenizerFiles.Load(path);

    /// <inheritdoc/>
    public int VocabularySize => _model.Vocabulary.Count + _addedToVocabulary;

    /// <summary>The tokens that are meant for machines, by id.</summary>
    public IReadOnlyList<(int Id, string Token)> SpecialTokens { get; }

    internal Normalizer? Normalizer { get; }

    internal PreTokenizer? PreTokenizer { get; init; }

    internal PostProcessor? PostProcessor { get; init; }

    internal Decoder? Decoder { get; init; }

    /// <summary>Tokens that are special though nothing looks for them in texts: those of SentencePiece and GGUF files.</summary>
    internal Func<int, bool>? IsSpecial { get; init; }

    /// <inheritdoc/>
    public int? Id(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        var id = _added.Id(token) is >= 0 and var added ? added : _model.Vocabulary.Id(token);
        return id >= 0 ? id : null;
    }

    /// <inheritdoc/>
    public string? Token(int id) => _added.Text(id) ?? _model.Vocabulary.Token(id);

    /// <summary>Encodes a text, with the place of each token.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">Whether the tokens that the model expects around a text are added.</param>
    public Encoded Encode(string text, bool addSpecialTokens = true) => Encode(text, null, new EncodeOptions { AddSpecialTokens = addSpecialTokens });

    /// <summary>Encodes a text, or two.</summary>
    /// <param name="text">The first text.</param>
    /// <param name="pair">The second, or null.</param>
    /// <param name="options">What is added, cut and filled up; null for the usual.</param>
    /// <exception cref="ArgumentException">The texts cannot be cut to the length that is asked for.</exception>
    public Encoded Encode(string text, string? pair, EncodeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        options ??= new EncodeOptions();
        List<TokenRow> rows = [TokenRow.Of(Tokens(text, options, 0), 0)];
        if (pair is not null) rows.Add(TokenRow.Of(Tokens(pair, options, 1), 1));
        if (options.Truncation is { } truncation)
        {
            var added = options.AddSpecialTokens ? PostProcessor?.Added(rows.Count) ?? 0 : 0;
            TextTruncation.Apply(rows, truncation, truncation.MaxLength - added);
        }
        if (PostProcessor is not null) rows = PostProcessor.Apply(rows, options.AddSpecialTokens);
        var y = new TokenRow();
        foreach (var row in rows) y.Append(row);
        if (options.Padding is { } padding) y.Pad(padding);
        return new Encoded(y);
    }

    int[] ITokenizer.Encode(string text, bool addSpecialTokens) => [.. Encode(text, addSpecialTokens).Ids];

    /// <inheritdoc/>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var tokens = new List<string>();
        foreach (var id in ids) if (Token(id) is { } token && !(skipSpecialTokens && IsSkipped(id, token))) tokens.Add(token);
        return Decoder is null ? string.Join(' ', tokens) : string.Concat(Decoder.Apply(tokens));
    }

    /// <inheritdoc/>
    public ITokenStream Stream(bool skipSpecialTokens = true) => new TokenStream(this, skipSpecialTokens);

    internal bool IsSkipped(int id) => Token(id) is { } token && IsSkipped(id, token);

    private bool IsSkipped(int id, string token) => _added.IsSpecial(token) || IsSpecial?.Invoke(id) == true;

    private TokenList Tokens(string text, EncodeOptions options, int number)
    {
        var parts = new List<Part>();
        var x = AlignedText.Of(CodePoints.Of(text));
        foreach (var (start, end, id) in _added.Cut(x, normalized: false, options.SpecialTokensAsText))
        {
            if (id >= 0) parts.Add(new(x, start, end, id));
            else AddWords(x.Slice(start, end), options.SpecialTokensAsText, parts);
        }
        // Words that will be cut off anyway are not looked at. So does the tokenizers library, which asks after each word and not after an added token, and
        // it shows in what overflows.
        var limit = options.Truncation is { } t && (t.Strategy != TruncationStrategy.OnlySecond || number > 0) ? t.MaxLength : int.MaxValue;
        return options.Truncation?.FromLeft == true ? LastTokens(parts, limit) : FirstTokens(parts, limit);
    }

    private TokenList FirstTokens(List<Part> parts, int limit)
    {
        var y = new TokenList();
        foreach (var part in parts)
        {
            Encode(part, y);
            if (part.Id < 0 && y.Ids.Count >= limit) break;
        }
        return y;
    }

    private TokenList LastTokens(List<Part> parts, int limit)
    {
        var lists = new Stack<TokenList>();
        for (int i = parts.Count - 1, count = 0; i >= 0; i--)
        {
            var tokens = new TokenList();
            Encode(parts[i], tokens);
            lists.Push(tokens);
            count += tokens.Ids.Count;
            if (parts[i].Id < 0 && count >= limit) break;
        }
        var y = new TokenList();
        foreach (var tokens in lists) y.Add(tokens);
        return y;
    }

    private void AddWords(AlignedText x, bool specialAsText, List<Part> parts)
    {
        if (Normalizer is not null) x = Normalizer.Apply(x);
        foreach (var (start, end, id) in _added.Cut(x, normalized: true, specialAsText))
        {
            if (id >= 0)
            {
                parts.Add(new(x, start, end, id));
                continue;
            }
            var pieces = new Pieces(x.Slice(start, end));
            PreTokenizer?.Apply(pieces);
            foreach (var (from, to) in pieces.Cuts) if (to > from) parts.Add(new(pieces.Text, from, to, -1));
        }
    }

    // What an added token is called is what it took of the text, white space and all.
    private void Encode(Part part, TokenList y)
    {
        if (part.Id < 0) _model.Encode(part.Text, part.Start, part.End, y);
        else y.Add(part.Id, CodePoints.Text(part.Text.Points[part.Start..part.End]), part.Text, part.Start, part.End);
    }

    // A word, or an added token: [Start, End) of a text, and the token's id or -1.
    private readonly record struct Part(AlignedText Text, int Start, int End, int Id);
}

/// <summary>Cuts one text or two to a length.</summary>
internal static class TextTruncation
{
    /// <param name="rows">The texts.</param>
    /// <param name="truncation">How.</param>
    /// <param name="most">The most tokens of all texts together.</param>
    public static void Apply(List<TokenRow> rows, Truncation truncation, int most)
    {
        if (most < 0)
            throw new ArgumentException($"Truncation: MaxLength {truncation.MaxLength} is less than the special tokens that are added; make it larger.");
        var total = rows.Sum(static r => r.Ids.Count);
        if (most == 0) foreach (var row in rows) row.Truncate(0, truncation);
        if (total <= most || most == 0) return;
        if (truncation.Strategy != TruncationStrategy.LongestFirst)
        {
            if (truncation.Strategy == TruncationStrategy.OnlySecond && rows.Count < 2)
                throw new ArgumentException("Truncation: OnlySecond is asked for and there is one text; give two, or use OnlyFirst.");
            var row = rows[truncation.Strategy == TruncationStrategy.OnlyFirst ? 0 : 1];
            var left = row.Ids.Count - (total - most);
            if (left <= 0)
                throw new ArgumentException($"Truncation: {truncation.Strategy} would leave nothing of that text; use LongestFirst or a larger MaxLength.");
            row.Truncate(left, truncation);
        }
        else if (rows.Count == 1) rows[0].Truncate(most, truncation);
        else
        {
            int shorter = Math.Min(rows[0].Ids.Count, rows[1].Ids.Count), longer = Math.Max(shorter, most - shorter);
            if (shorter + longer > most) (shorter, longer) = (most / 2, most / 2 + most % 2);
            var firstIsLonger = rows[0].Ids.Count > rows[1].Ids.Count;
            rows[0].Truncate(firstIsLonger ? longer : shorter, truncation);
            rows[1].Truncate(firstIsLonger ? shorter : longer, truncation);
        }
    }
}
