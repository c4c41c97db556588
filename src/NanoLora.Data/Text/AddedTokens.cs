namespace NanoLora.Data;

/// <summary>A token that is found in a text before the model sees it.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">What is looked for.</param>
internal sealed record AddedToken(int Id, string Content)
{
    /// <summary>Whether it is meant for machines, so that decoding may skip it.</summary>
    public bool Special { get; init; }

    /// <summary>Whether it is only found where no letter, digit or _ touches it.</summary>
    public bool SingleWord { get; init; }

    /// <summary>Whether it takes the white space before it.</summary>
    public bool LeftStrip { get; init; }

    /// <summary>Whether it takes the white space behind it.</summary>
    public bool RightStrip { get; init; }

    /// <summary>Whether it is looked for, rewritten, in the rewritten text.</summary>
    public bool Normalized { get; init; }
}

/// <summary>Finds added tokens: from the left, at each place the longest; first in the text as it stands, then in what is between, rewritten.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<int, (AddedToken Token, string Text)> _byId = [];
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly HashSet<string> _special = new(StringComparer.Ordinal);
    private readonly Finder _plain = new(), _normalized = new();

    /// <param name="tokens">The tokens; of two with one content, the later counts.</param>
    /// <param name="normalizer">What rewrites texts, if anything does.</param>
    public AddedTokens(IEnumerable<AddedToken> tokens, Normalizer? normalizer)
    {
        foreach (var token in tokens)
        {
            var text = token.Normalized && normalizer is not null ? normalizer.Apply(token.Content) : token.Content;
            _byId[token.Id] = (token, text);
            _ids[token.Content] = token.Id;
            if (token.Special) _special.Add(token.Content);
            if (text.Length > 0) (token.Normalized ? _normalized : _plain).Add(CodePoints.Of(text), token.Id);
        }
    }

    /// <summary>All of them, by id.</summary>
    public IEnumerable<AddedToken> All => _byId.Values.Select(static t => t.Token).OrderBy(static t => t.Id);

    /// <summary>The id of a token, or -1.</summary>
    public int Id(string content) => _ids.GetValueOrDefault(content, -1);

    /// <summary>What a token is called: its content, rewritten where it is looked for rewritten; null if the id is no added token's.</summary>
    public string? Text(int id) => _byId.TryGetValue(id, out var found) ? found.Text : null;

    /// <summary>Whether a token is special; a token that is looked for rewritten, and looks different then, is none, as in the tokenizers library.</summary>
    public bool IsSpecial(string text) => _special.Contains(text);

    /// <summary>Cuts a text at the tokens that are found as they stand, or rewritten.</summary>
    /// <param name="x">The text.</param>
    /// <param name="normalized">Which of the two.</param>
    /// <param name="specialAsText">Whether special tokens are not looked for.</param>
    /// <returns>Parts in order, which together cover the text: an added token's id, or -1.</returns>
    public List<(int Start, int End, int Id)> Cut(AlignedText x, bool normalized, bool specialAsText)
    {
        var y = new List<(int Start, int End, int Id)>();
        var text = x.Points;
        var done = 0;
        var finder = normalized ? _normalized : _plain;
        for (var at = 0; ;)
        {
            var (start, length, id) = finder.Next(text, at);
            if (start < 0) break;
            var end = at = start + length;
            var token = _byId[id].Token;
            if (specialAsText && _special.Contains(token.Content)) continue;
            if (token.SingleWord && ((start > 0 && CodePoints.IsWord(text[start - 1])) || (end < text.Length && CodePoints.IsWord(text[end])))) continue;
            if (token.LeftStrip) while (start > done && CodePoints.IsWhiteSpace(text[start - 1])) start--;
            // White space that it takes may be tokens too: they are found once more, as in the tokenizers library.
            if (token.RightStrip) while (end < text.Length && CodePoints.IsWhiteSpace(text[end])) end++;
            if (start > done) y.Add((done, start, -1));
            y.Add((start, end, id));
            done = end;
        }
        if (done < text.Length) y.Add((done, text.Length, -1));
        return y;
    }

    private sealed class Finder
    {
        private readonly Trie _trie = new();
        private readonly HashSet<int> _starts = [];
        private int[] _firsts = [];

        public void Add(int[] text, int id)
        {
            _trie.Add(text, id);
            if (_starts.Add(text[0])) _firsts = [.. _starts];
        }

        public (int At, int Length, int Id) Next(ReadOnlySpan<int> text, int at)
        {
            while (_firsts.Length > 0 && at < text.Length)
            {
                var next = text[at..].IndexOfAny(_firsts);
                if (next < 0) break;
                at += next;
                var (length, id) = _trie.Longest(text[at..]);
                if (length > 0) return (at, length, id);
                at++;
            }
            return (-1, 0, -1);
        }
    }
}
