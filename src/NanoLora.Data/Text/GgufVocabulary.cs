namespace NanoLora.Data;

/// <summary>
/// Reads the vocabulary of a GGUF file as llama.cpp does: <c>llama</c> is SentencePiece's byte-pair encoding, <c>gpt2</c> the byte-level one with a named
/// way to cut words, <c>bert</c> WordPiece with words marked instead of their continuations. Control tokens in a text are text; tokens of the user's are
/// found.
/// </summary>
internal static class GgufVocabulary
{
    private const string Prefix = "tokenizer.ggml.";

    public static Tokenizer Read(string path) => Build(GgufMetadata.Read(path), path);

    public static Tokenizer Build(GgufMetadata x, string source)
    {
        var kind = x.Text(Prefix + "model") ?? throw x.Error(Prefix + "model", "it is missing; there is no tokenizer in this file.");
        var tokens = x.Texts(Prefix + "tokens") ?? throw x.Error(Prefix + "tokens", "it is missing; copy the file again.");
        var kinds = x.Ints(Prefix + "token_type") ?? Enumerable.Repeat((int)PieceKind.Normal, tokens.Length).ToArray();
        if (tokens.Length == 0 || kinds.Length != tokens.Length)
            throw x.Error(Prefix + "token_type", $"there are {kinds.Length} of it and {tokens.Length} tokens; copy the file again.");
        return kind switch
        {
            "llama" => Llama(x, tokens, kinds, source),
            "gpt2" => ByteLevel(x, tokens, kinds, source),
            "bert" => Bert(x, tokens, kinds, source),
            _ => throw x.Error(Prefix + "model", $"it is \"{kind}\"; llama, gpt2 and bert are supported."),
        };
    }

    private static Tokenizer Llama(GgufMetadata x, string[] tokens, int[] kinds, string source)
    {
        var scores = x.Floats(Prefix + "scores") ?? throw x.Error(Prefix + "scores", "it is missing; copy the file again.");
        if (scores.Length != tokens.Length || !scores.All(float.IsFinite))
            throw x.Error(Prefix + "scores", "a finite score for each token is expected; copy the file again.");
        var vocabulary = new Vocabulary(tokens);
        Piece[] pieces = [.. tokens.Select((token, id) => new Piece(token, scores[id], (PieceKind)kinds[id]))];
        if (vocabulary.ByteTokens() is null) throw x.Error(Prefix + "tokens", "there are not 256 byte tokens, <0x00> to <0xFF>; copy the file again.");
        var unknown = Math.Max(0, x.Id(Prefix + "unknown_token_id"));
        var space = x.Flag(Prefix + "add_space_prefix") ?? true;
        var model = new SentencePieceBpe(vocabulary, pieces, new Trie(), unknown, byteFallback: true) { MergesReserved = true };
        return new Tokenizer(model, UserDefined(tokens, kinds))
        {
            PreTokenizer = new GgufSpaces(space), Decoder = new SentencePieceDecoder(vocabulary, pieces, space, false, " \u2047 "),
            IsSpecial = IsSpecial(kinds), PostProcessor = Around(x, vocabulary, addBegin: true),
        };
    }

    private static Tokenizer ByteLevel(GgufMetadata x, string[] tokens, int[] kinds, string source)
    {
        var vocabulary = new Vocabulary(tokens);
        (string, string)[] merges = [.. (x.Texts(Prefix + "merges") ?? throw x.Error(Prefix + "merges", "it is missing; copy the file again.")).Select(
            merge => merge.Split(' ') is [var left, var right] ? (left, right)
                : throw x.Error(Prefix + "merges", $"\"{merge}\" is not two tokens; copy the file again."))];
        var cut = x.Text(Prefix + "pre") ?? "default";
        var options = new BpeOptions { IgnoreMerges = cut is "llama3" or "llama-v3" or "llama-bpe" };
        return new Tokenizer(new BpeModel(vocabulary, merges, options, source), UserDefined(tokens, kinds))
        {
            PreTokenizer = new PreTokenizerSequence([.. Words(x, cut), new ByteLevelPreTokenizer(false, useRegex: false)]), Decoder = new ByteLevelDecoder(),
            IsSpecial = IsSpecial(kinds), PostProcessor = Around(x, vocabulary, addBegin: options.IgnoreMerges),
        };
    }

    private static PreTokenizer[] Words(GgufMetadata x, string name)
    {
        var gpt2 = new SplitPreTokenizer(new Gpt2Pattern(), SplitBehavior.Isolated, false);
        return name switch
        {
            "gpt-2" or "phi-2" or "mpt" or "olmo" or "jais" => [gpt2],
            "llama3" or "llama-v3" or "llama-bpe" => [new SplitPreTokenizer(new Llama3Pattern(3), SplitBehavior.Isolated, false)],
            "qwen2" => [new SplitPreTokenizer(new Llama3Pattern(1), SplitBehavior.Isolated, false)],
            "starcoder" or "refact" or "command-r" or "smollm" or "codeshell" or "exaone" =>
                [new SplitPreTokenizer(new CharacterPattern(CodePoints.IsNumber), SplitBehavior.Isolated, false), gpt2],
            _ => throw x.Error(Prefix + "pre", $"it is \"{name}\"; gpt-2, llama-bpe, qwen2, starcoder and those that are the same are supported."),
        };
    }

    // Words begin with ▁ here, where BERT's own vocabulary has ## for what continues one; tokens in brackets have neither.
    private static Tokenizer Bert(GgufMetadata x, string[] tokens, int[] kinds, string source)
    {
        var vocabulary = new Vocabulary([.. tokens.Select(static t => t is ['[', .., ']'] ? t : t.StartsWith('▁') ? t[1..] : "##" + t)]);
        if (vocabulary.Token(x.Id(Prefix + "unknown_token_id")) is not { } unknown)
            throw x.Error(Prefix + "unknown_token_id", "it is no token's; copy the file again.");
        var model = new WordPieceModel(vocabulary, unknown, "##", int.MaxValue, source);
        int first = x.Id(Prefix + "cls_token_id"), last = x.Id(Prefix + "seperator_token_id");
        return new Tokenizer(model, UserDefined(tokens, kinds), new BertNormalizer(clean: true, chinese: true, strip: true, lower: true))
        {
            PreTokenizer = new BertPreTokenizer(), Decoder = new WordPieceDecoder("##", cleanup: true), IsSpecial = IsSpecial(kinds),
            PostProcessor = SentencePiece.Around(vocabulary, vocabulary.Token(first), vocabulary.Token(last)),
        };
    }

    private static TemplateProcessor? Around(GgufMetadata x, Vocabulary vocabulary, bool addBegin)
    {
        string? Token(string flag, bool missing, string id) => x.Flag(Prefix + flag) ?? missing ? vocabulary.Token(x.Id(Prefix + id)) : null;
        return SentencePiece.Around(vocabulary, Token("add_bos_token", addBegin, "bos_token_id"), Token("add_eos_token", false, "eos_token_id"));
    }

    private static IEnumerable<AddedToken> UserDefined(string[] tokens, int[] kinds) =>
        tokens.Select(static (token, id) => new AddedToken(id, token)).Where(t => kinds[t.Id] == (int)PieceKind.UserDefined && t.Content.Length > 0);

    private static Func<int, bool> IsSpecial(int[] kinds) =>
        id => (uint)id < (uint)kinds.Length && kinds[id] is (int)PieceKind.Control or (int)PieceKind.Unknown;
}

/// <summary>llama.cpp's way with spaces: they become ▁, and one is put in front of each text between added tokens, also where one is.</summary>
internal sealed class GgufSpaces(bool prefix) : PreTokenizer
{
    public override void Apply(Pieces x)
    {
        var y = new AlignedText(x.Text.Count + x.Cuts.Count);
        for (var i = 0; i < x.Cuts.Count; i++)
        {
            var (start, end) = x.Cuts[i];
            var at = y.Count;
            if (prefix) y.Add('▁', x.Text.From(start), x.Text.From(start));
            for (; start < end; start++) y.Add(x.Text.Points[start] == ' ' ? '▁' : x.Text.Points[start], x.Text, start);
            x.Cuts[i] = (at, y.Count);
        }
        x.Text = y;
    }
}
