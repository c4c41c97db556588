using System.Text;

namespace NanoLora.Data;

/// <summary>
/// A SentencePiece model read as SentencePiece itself does, which is not what the tokenizer.json made from it does: control pieces in a text are text, and a
/// space is put in front also where one is.
/// </summary>
internal static class SentencePiece
{
    /// <summary>Reads a .model. Whether tokens are added around a text is not in it: add_bos_token and add_eos_token of tokenizer_config.json beside it say
    /// so.</summary>
    public static Tokenizer Read(string path)
    {
        var config = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "tokenizer_config.json");
        var settings = File.Exists(config) ? JsonTree.Read(config) : (JsonTree?)null;
        return Build(SentencePieceFile.Read(path), path, settings?.Bool("add_bos_token", false) ?? false, settings?.Bool("add_eos_token", false) ?? false);
    }

    public static Tokenizer Build(SentencePieceFile file, string source, bool addBegin = false, bool addEnd = false)
    {
        var pieces = file.Pieces;
        var vocabulary = new Vocabulary([.. pieces.Select(static p => p.Text)]);
        var unknown = pieces.FindIndex(static p => p.Kind == PieceKind.Unknown);
        var userDefined = new Trie();
        for (var id = 0; id < pieces.Count; id++) if (pieces[id].Kind == PieceKind.UserDefined) userDefined.Add(CodePoints.Of(pieces[id].Text), id);
        if (file.ByteFallback && vocabulary.ByteTokens() is null)
            throw new InvalidDataException($"{source}: byte_fallback is set and there are not 256 byte pieces; copy the file again.");
        TokenModel model = file.IsUnigram ? Unigram(file, vocabulary, unknown, source)
            : new SentencePieceBpe(vocabulary, pieces, userDefined, unknown, file.ByteFallback);
        return new Tokenizer(model, [], new SentencePieceNormalizer(file, userDefined))
        {
            Decoder = new SentencePieceDecoder(vocabulary, pieces, file.AddDummyPrefix, file.RemoveExtraWhitespaces, file.UnknownSurface),
            IsSpecial = id => pieces[id].Kind is PieceKind.Control or PieceKind.Unknown,
            PostProcessor = Around(vocabulary, addBegin ? file.Begin : null, addEnd ? file.End : null),
        };
    }

    /// <summary>Tokens around each text, as far as there are such tokens.</summary>
    public static TemplateProcessor? Around(Vocabulary vocabulary, string? begin, string? end)
    {
        List<TemplatePart> Text(int text)
        {
            List<TemplatePart> y = [new(text, [], text)];
            if (begin is not null && vocabulary.Id(begin) >= 0) y.Insert(0, new(-1, [(vocabulary.Id(begin), begin)], text));
            if (end is not null && vocabulary.Id(end) >= 0) y.Add(new(-1, [(vocabulary.Id(end), end)], text));
            return y;
        }
        return begin is null && end is null ? null : new TemplateProcessor(Text(0), [.. Text(0), .. Text(1)]);
    }

    // A piece of the user's is always taken: it is better than as many of the best pieces as it has bytes.
    private static UnigramModel Unigram(SentencePieceFile file, Vocabulary vocabulary, int unknown, string source)
    {
        var pieces = file.Pieces;
        float lowest = float.MaxValue, highest = 0;
        foreach (var piece in pieces)
        {
            if (piece.Kind == PieceKind.Normal) (lowest, highest) = (Math.Min(lowest, piece.Score), Math.Max(highest, piece.Score));
        }
        double[] scores = [.. pieces.Select(p => p.Kind == PieceKind.UserDefined ? Encoding.UTF8.GetByteCount(p.Text) * highest - 0.1 : p.Score)];
        var options = new UnigramOptions
        {
            Unknown = unknown, ByteFallback = file.ByteFallback, SinglePrecision = true,
            IsWritten = id => pieces[id].Kind is PieceKind.Normal or PieceKind.UserDefined,
        };
        return new UnigramModel(vocabulary, scores, lowest, options, source);
    }
}

/// <summary>SentencePiece's own: the character map by the longest string at each place, white space folded and marked by ▁, pieces of the user's as they
/// stand.</summary>
internal sealed class SentencePieceNormalizer(SentencePieceFile file, Trie userDefined) : Normalizer
{
    private static readonly int[] Space = [' '];

    private readonly int _mark = file.EscapeWhitespaces ? '▁' : ' ';

    public override AlignedText Apply(AlignedText x)
    {
        var y = new AlignedText(x.Count + 8);
        var at = 0;
        while (file.RemoveExtraWhitespaces && at < x.Count && Next(x.Points[at..]) is var (length, text) && text.AsSpan().SequenceEqual(Space)) at += length;
        if (at == x.Count) return y;
        if (file.AddDummyPrefix && !file.WhitespaceAsSuffix) y.Add(_mark, x.From(at), x.From(at));
        var afterSpace = file.RemoveExtraWhitespaces;
        while (at < x.Count)
        {
            var (length, text) = Next(x.Points[at..]);
            var skipped = 0;
            while (afterSpace && skipped < text.Length && text[skipped] == ' ') skipped++;
            for (var i = skipped; i < text.Length; i++) y.Add(text[i] == ' ' ? _mark : text[i], x.From(at), x.To(at + length - 1));
            if (skipped < text.Length) afterSpace = file.RemoveExtraWhitespaces && text[^1] == ' ';
            at += length;
        }
        while (file.RemoveExtraWhitespaces && y.Count > 0 && y.Points[^1] == _mark) y.Trim(y.Count - 1);
        if (file.AddDummyPrefix && file.WhitespaceAsSuffix) y.Add(_mark, x.To(x.Count - 1), x.To(x.Count - 1));
        return y;
    }

    // How many characters are replaced, and by what.
    private (int Length, int[] Text) Next(ReadOnlySpan<int> x)
    {
        if (userDefined.Longest(x).Length is > 0 and var own) return (own, x[..own].ToArray());
        if (file.Map?.Find(x, longest: true) is { Length: > 0 } found) return found;
        return (1, [x[0]]);
    }
}

/// <summary>
/// SentencePiece's byte-pair encoding: of all neighbours that together are a piece, those with the best score become it, the leftmost of equals first.
/// Pieces of the user's are never part of another. With a heap over a linked list.
/// </summary>
internal sealed class SentencePieceBpe : TokenModel
{
    private readonly IReadOnlyList<Piece> _pieces;
    private readonly Trie _userDefined;
    private readonly int _unknown, _longest;
    private readonly int[]? _byteTokens;

    public SentencePieceBpe(Vocabulary vocabulary, IReadOnlyList<Piece> pieces, Trie userDefined, int unknown, bool byteFallback) : base(vocabulary)
    {
        (_pieces, _userDefined, _unknown) = (pieces, userDefined, unknown);
        _byteTokens = byteFallback ? vocabulary.ByteTokens() : null;
        _longest = pieces.Max(static p => p.Text.Length);
    }

    /// <summary>Whether control and other reserved pieces are made of text too, as llama.cpp does.</summary>
    public bool MergesReserved { get; init; }

    public override void Encode(AlignedText x, int start, int end, TokenList y)
    {
        var text = x.Points[start..end];
        var symbols = new List<Symbol>(text.Length);
        for (var at = 0; at < text.Length;)
        {
            var own = _userDefined.Longest(text[at..]).Length;
            var length = Math.Max(1, own);
            symbols.Add(new(at, at + length, own > 0) { Before = symbols.Count - 1, After = at + length < text.Length ? symbols.Count + 1 : -1 });
            at += length;
        }
        var unused = Merge(text, symbols);
        var before = (Count: -1, Start: 0);
        for (var i = 0; i >= 0; i = symbols[i].After) Add(x, start, symbols[i].Start, symbols[i].End, unused, ref before, y);
    }

    // Merges what can be, and returns how pieces that are not used were made: the length of their left part.
    private Dictionary<int, int> Merge(ReadOnlySpan<int> text, List<Symbol> symbols)
    {
        var unused = new Dictionary<int, int>();
        var list = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(symbols);
        var queue = new PriorityQueue<(int Left, int Right, int Length), (float, int)>();
        for (var i = 1; i < list.Length; i++) Offer(queue, text, list, i - 1, i, unused);
        while (queue.TryDequeue(out var next, out _))
        {
            ref var left = ref list[next.Left];
            ref var right = ref list[next.Right];
            if (left.Length == 0 || right.Length == 0 || left.Length + right.Length != next.Length) continue;
            (left.End, left.After) = (right.End, right.After);
            right.End = right.Start;
            if (left.After >= 0) list[left.After].Before = next.Left;
            if (left.Before >= 0) Offer(queue, text, list, left.Before, next.Left, unused);
            if (left.After >= 0) Offer(queue, text, list, next.Left, left.After, unused);
        }
        return unused;
    }

    private void Offer(
        PriorityQueue<(int Left, int Right, int Length), (float, int)> queue, ReadOnlySpan<int> text, Span<Symbol> list, int left, int right,
        Dictionary<int, int> unused)
    {
        var (from, to) = (list[left].Start, list[right].End);
        if (list[left].IsFrozen || list[right].IsFrozen || to - from > _longest) return;
        var id = Vocabulary.Id(text[from..to]);
        if (id < 0 || (!MergesReserved && _pieces[id].Kind is not (PieceKind.Normal or PieceKind.UserDefined or PieceKind.Unused))) return;
        queue.Enqueue((left, right, to - from), (-_pieces[id].Score, left));
        if (!MergesReserved && _pieces[id].Kind == PieceKind.Unused) unused[id] = list[left].Length;
    }

    private void Add(AlignedText x, int start, int from, int to, Dictionary<int, int> unused, ref (int Count, int Start) unknownBefore, TokenList y)
    {
        var id = Vocabulary.Id(x.Points[(start + from)..(start + to)]);
        if (id >= 0 && _pieces[id].Kind == PieceKind.Unused && unused.TryGetValue(id, out var left))
        {
            Add(x, start, from, from + left, unused, ref unknownBefore, y);
            Add(x, start, from + left, to, unused, ref unknownBefore, y);
        }
        else if (id >= 0 && id != _unknown) y.Add(id, _pieces[id].Text, x, start + from, start + to);
        else if (_byteTokens is not null) for (var at = from; at < to; at++) AddBytes(_byteTokens, x, start + at, start + at + 1, x.Points[start + at], y);
        else
        {
            // Unknown ones in a row are one token.
            if (unknownBefore.Count == y.Ids.Count && y.Ids.Count > 0)
            {
                from = unknownBefore.Start;
                y.Keep(y.Ids.Count - 1);
            }
            y.Add(_unknown, CodePoints.Text(x.Points[(start + from)..(start + to)]), x, start + from, start + to);
            unknownBefore = (y.Ids.Count, from);
        }
    }

    // A piece in the making: characters [Start, End), none once it is part of the one before, and its neighbours.
    private record struct Symbol(int Start, int End, bool IsFrozen)
    {
        public int Before { get; set; }

        public int After { get; set; }

        public readonly int Length => End - Start;
    }
}

/// <summary>SentencePiece's own: pieces joined, ▁ for a space; the first one's is left out if one was put in front.</summary>
internal sealed class SentencePieceDecoder(
    Vocabulary vocabulary, IReadOnlyList<Piece> pieces, bool addDummyPrefix, bool removeExtraWhitespaces, string unknownSurface) : Decoder
{
    public override List<string> Apply(List<string> x)
    {
        var y = new StringBuilder();
        var bytes = new List<byte>();
        bool atStart = true, taken = false;
        foreach (var token in x)
        {
            var id = vocabulary.Id(token);
            var kind = id < 0 ? PieceKind.Unknown : pieces[id].Kind;
            if (kind == PieceKind.Byte && ByteFallbackDecoder.Byte(token) is { } value)
            {
                bytes.Add(value);
                continue;
            }
            Flush(bytes, y);
            if (taken || y.Length > 0) atStart = false;
            taken = false;
            if (kind == PieceKind.Control) continue;
            if (kind == PieceKind.Unknown)
            {
                y.Append(id >= 0 ? unknownSurface : token);
                continue;
            }
            var text = token;
            if (atStart && (addDummyPrefix || removeExtraWhitespaces) && text.StartsWith('▁'))
            {
                text = text[1..];
                taken = !removeExtraWhitespaces;
            }
            y.Append(text.Replace('▁', ' '));
        }
        Flush(bytes, y);
        return [y.ToString()];
    }

    // Each byte that begins no character becomes U+FFFD.
    private static void Flush(List<byte> bytes, StringBuilder y)
    {
        ReadOnlySpan<byte> rest = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(bytes);
        while (rest.Length > 0)
        {
            var isWhole = Rune.DecodeFromUtf8(rest, out var rune, out var length) == System.Buffers.OperationStatus.Done;
            y.Append(isWhole ? rune.ToString() : "\uFFFD");
            rest = rest[(isWhole ? length : 1)..];
        }
        bytes.Clear();
    }
}
