namespace NanoLora.Data;

/// <summary>What a <see cref="BpeModel"/> may be told, named as in tokenizer.json.</summary>
internal sealed record BpeOptions
{
    /// <summary>What stands for an unknown character; without one it is left out.</summary>
    public string? UnknownToken { get; init; }

    /// <summary>Put before each character of a word but the first.</summary>
    public string ContinuingSubwordPrefix { get; init; } = "";

    /// <summary>Put behind the last character of a word.</summary>
    public string EndOfWordSuffix { get; init; } = "";

    /// <summary>Whether unknown characters in a row are one token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>Whether an unknown character becomes its bytes.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Whether a word that is a token is not looked into.</summary>
    public bool IgnoreMerges { get; init; }
}

/// <summary>
/// Byte-pair encoding: a word is its characters, and the pair of neighbours that stands first in the list of merges becomes one token, the leftmost of equals
/// first, until no pair is in the list. With a heap over a linked list, so a text that nothing cuts into words costs n log n.
/// </summary>
internal sealed class BpeModel : TokenModel
{
    private readonly Dictionary<long, (int Rank, int Id)> _merges;
    private readonly Dictionary<int, int> _characters = [];
    private readonly BpeOptions _options;
    private readonly int _unknown;
    private readonly int[]? _byteTokens;
    private readonly WordCache _cache = new();

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="merges">The pairs, first to last.</param>
    /// <param name="options">The rest.</param>
    /// <param name="source">How errors name the file.</param>
    /// <exception cref="InvalidDataException">A merge or the unknown token is not in the vocabulary.</exception>
    public BpeModel(Vocabulary vocabulary, IReadOnlyList<(string Left, string Right)> merges, BpeOptions options, string source) : base(vocabulary)
    {
        _options = options;
        _merges = new(merges.Count);
        for (var rank = 0; rank < merges.Count; rank++)
        {
            var (left, right) = merges[rank];
            var prefix = options.ContinuingSubwordPrefix.Length;
            var merged = prefix > 0 && right.Length >= prefix ? left + right[prefix..] : left + right;
            int a = vocabulary.Id(left), b = vocabulary.Id(right), c = vocabulary.Id(merged);
            if (a < 0 || b < 0 || c < 0)
            {
                var missing = a < 0 ? left : b < 0 ? right : merged;
                throw new InvalidDataException($"{source}: merge {rank} is \"{left}\" + \"{right}\", and \"{missing}\" is no token; copy the file again.");
            }
            _merges[Pair(a, b)] = (rank, c);
        }
        for (var id = 0; id < vocabulary.Size; id++)
        {
            if (vocabulary.Token(id) is not { Length: 1 or 2 } token) continue;
            var points = CodePoints.Of(token);
            if (points.Length == 1) _characters[points[0]] = vocabulary.Id(token);
        }
        _unknown = options.UnknownToken is null ? -1 : vocabulary.Id(options.UnknownToken);
        if (options.UnknownToken is not null && _unknown < 0)
            throw new InvalidDataException($"{source}: the unknown token \"{options.UnknownToken}\" is not in the vocabulary; copy the file again.");
        _byteTokens = options.ByteFallback ? vocabulary.ByteTokens() : null;
    }

    public override void Encode(AlignedText x, int start, int end, TokenList y)
    {
        var word = x.Points[start..end];
        if (_options.IgnoreMerges && Vocabulary.Id(word) is >= 0 and var whole)
        {
            y.Add(whole, Vocabulary.Token(whole)!, x, start, end);
            return;
        }
        var found = _cache.Find(word);
        if (found is null)
        {
            found = Merge(word);
            _cache.Add(word, found.Ids, found.Starts, found.Ends);
        }
        for (var i = 0; i < found.Ids.Length; i++) y.Add(found.Ids[i], Vocabulary.Token(found.Ids[i])!, x, start + found.Starts[i], start + found.Ends[i]);
    }

    private WordCache.Entry Merge(ReadOnlySpan<int> word)
    {
        var symbols = new List<Symbol>(word.Length);
        Span<byte> bytes = stackalloc byte[4];
        for (var i = 0; i < word.Length; i++)
        {
            var id = Character(word, i);
            if (id >= 0) symbols.Add(new(id, i, i + 1));
            else if (_byteTokens is not null)
            {
                foreach (var value in bytes[..CodePoints.Utf8(word[i], bytes)]) symbols.Add(new(_byteTokens[value], i, i + 1));
            }
            else if (_unknown >= 0)
            {
                if (_options.FuseUnknown && symbols.Count > 0 && symbols[^1] is { IsUnknown: true } last) symbols[^1] = last with { End = i + 1 };
                else symbols.Add(new(_unknown, i, i + 1) { IsUnknown = true });
            }
        }
        MergeAll(symbols);
        var count = symbols.Count(static s => s.End > 0);
        int[] ids = new int[count], starts = new int[count], ends = new int[count];
        count = 0;
        foreach (var symbol in symbols)
        {
            if (symbol.End == 0) continue;
            (ids[count], starts[count], ends[count]) = (symbol.Id, symbol.Start, symbol.End);
            count++;
        }
        return new([], ids, starts, ends);
    }

    private int Character(ReadOnlySpan<int> word, int i)
    {
        var prefix = i > 0 ? _options.ContinuingSubwordPrefix : "";
        var suffix = i == word.Length - 1 ? _options.EndOfWordSuffix : "";
        if (prefix.Length + suffix.Length > 0) return Vocabulary.Id(prefix + CodePoints.Text(word.Slice(i, 1)) + suffix);
        return _characters.GetValueOrDefault(word[i], -1);
    }

    private void MergeAll(List<Symbol> symbols)
    {
        var list = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(symbols);
        var queue = new PriorityQueue<(int At, int Id), long>();
        for (var i = 0; i < list.Length; i++)
        {
            (list[i].Before, list[i].After) = (i - 1, i + 1 < list.Length ? i + 1 : -1);
            if (i > 0) Offer(queue, list, i - 1);
        }
        while (queue.TryDequeue(out var next, out _))
        {
            ref var left = ref list[next.At];
            if (left.End == 0 || left.After < 0) continue;
            ref var right = ref list[left.After];
            // A pair of which one side has since been merged is no longer there.
            if (!_merges.TryGetValue(Pair(left.Id, right.Id), out var merge) || merge.Id != next.Id) continue;
            (left.Id, left.End, left.After) = (merge.Id, right.End, right.After);
            right.End = 0;
            if (left.After >= 0)
            {
                list[left.After].Before = next.At;
                Offer(queue, list, next.At);
            }
            if (left.Before >= 0) Offer(queue, list, left.Before);
        }
    }

    private void Offer(PriorityQueue<(int At, int Id), long> queue, Span<Symbol> list, int at)
    {
        if (_merges.TryGetValue(Pair(list[at].Id, list[list[at].After].Id), out var merge))
            queue.Enqueue((at, merge.Id), ((long)merge.Rank << 32) | (uint)at);
    }

    private static long Pair(int left, int right) => ((long)left << 32) | (uint)right;

    // A token within a word: characters [Start, End), an End of 0 where it has been merged away, and its neighbours.
    private record struct Symbol(int Id, int Start, int End)
    {
        public int Before { get; set; }

        public int After { get; set; }

        public bool IsUnknown { get; init; }
    }
}
