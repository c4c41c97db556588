namespace NanoLora.Data;

/// <summary>Reads the steps around the model in tokenizer.json; what is not supported is refused by its name.</summary>
internal static class TokenizerJsonParts
{
    public static Normalizer Normalizer(JsonTree x) => x["type"].Text() switch
    {
        "Sequence" => new NormalizerSequence([.. x["normalizers"].Items().Select(Normalizer)]),
        "NFC" => new UnicodeNormalizer(composes: true, compatibility: false),
        "NFKC" => new UnicodeNormalizer(composes: true, compatibility: true),
        "NFD" => new UnicodeNormalizer(composes: false, compatibility: false),
        "NFKD" => new UnicodeNormalizer(composes: false, compatibility: true),
        "Lowercase" => new LowercaseNormalizer(),
        "Strip" => new StripNormalizer(x.Bool("strip_left", true), x.Bool("strip_right", true)),
        "StripAccents" => new StripAccentsNormalizer(),
        "Replace" => new ReplaceNormalizer(Pattern(x["pattern"]), CodePoints.Of(x["content"].Text())),
        "Prepend" => new PrependNormalizer(CodePoints.Of(x["prepend"].Text())),
        "BertNormalizer" => Bert(x),
        "Nmt" => new NmtNormalizer(),
        "ByteLevel" => new ByteLevelNormalizer(),
        "Precompiled" => Precompiled(x["precompiled_charsmap"]),
        _ => throw Unsupported(x, "normalizer"),
    };

    public static PreTokenizer PreTokenizer(JsonTree x) => x["type"].Text() switch
    {
        "Sequence" => new PreTokenizerSequence([.. x["pretokenizers"].Items().Select(PreTokenizer)]),
        "ByteLevel" => new ByteLevelPreTokenizer(x.Bool("add_prefix_space", true), x.Bool("use_regex", true)),
        "Split" => new SplitPreTokenizer(Pattern(x["pattern"]), Behavior(x["behavior"]), x.Bool("invert", false)),
        "Metaspace" => new MetaspacePreTokenizer(x["replacement"].Character(), Scheme(x), x.Bool("split", true)),
        "BertPreTokenizer" => new BertPreTokenizer(),
        "Whitespace" => new SplitPreTokenizer(
            new RunPattern(static c => CodePoints.IsWord(c) ? 1 : CodePoints.IsWhiteSpace(c) ? 0 : 2), SplitBehavior.Removed, true),
        "WhitespaceSplit" => new SplitPreTokenizer(new CharacterPattern(CodePoints.IsWhiteSpace), SplitBehavior.Removed, false),
        "Digits" => new SplitPreTokenizer(
            new CharacterPattern(CodePoints.IsNumber), x.Bool("individual_digits", false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous, false),
        "Punctuation" => new SplitPreTokenizer(
            new CharacterPattern(UnicodeTables.IsPunctuation), x.Find("behavior") is { } b ? Behavior(b) : SplitBehavior.Isolated, false),
        _ => throw Unsupported(x, "pre-tokenizer"),
    };

    public static PostProcessor PostProcessor(JsonTree x) => x["type"].Text() switch
    {
        "Sequence" => new PostProcessorSequence([.. x["processors"].Items().Select(PostProcessor)]),
        "ByteLevel" => ByteLevel(x),
        "TemplateProcessing" => Template(x),
        "BertProcessing" => new TemplateProcessor(
            [Special(x["cls"], 0), Text(0, 0), Special(x["sep"], 0)],
            [Special(x["cls"], 0), Text(0, 0), Special(x["sep"], 0), Text(1, 1), Special(x["sep"], 1)]),
        "RobertaProcessing" => new PostProcessorSequence([ByteLevel(x), new OneTypeProcessor(), new TemplateProcessor(
            [Special(x["cls"], 0), Text(0, 0), Special(x["sep"], 0)],
            [Special(x["cls"], 0), Text(0, 0), Special(x["sep"], 0), Special(x["sep"], 0), Text(1, 0), Special(x["sep"], 0)])]),
        _ => throw Unsupported(x, "post-processor"),
    };

    public static Decoder Decoder(JsonTree x) => x["type"].Text() switch
    {
        "Sequence" => new DecoderSequence([.. x["decoders"].Items().Select(Decoder)]),
        "ByteLevel" => new ByteLevelDecoder(),
        "ByteFallback" => new ByteFallbackDecoder(),
        "Fuse" => new FuseDecoder(),
        "Strip" => new StripDecoder(Unit(x["content"]), x["start"].Int(), x["stop"].Int()),
        "Replace" => new ReplaceDecoder(Pattern(x["pattern"]), x["content"].Text()),
        "Metaspace" => new MetaspaceDecoder(Unit(x["replacement"]), Scheme(x) != PrependScheme.Never),
        "WordPiece" => new WordPieceDecoder(x.Text("prefix", "##"), x.Bool("cleanup", true)),
        "BPEDecoder" => new BpeDecoder(x.Text("suffix", "</w>")),
        _ => throw Unsupported(x, "decoder"),
    };

    private static BertNormalizer Bert(JsonTree x)
    {
        var lower = x.Bool("lowercase", true);
        return new(x.Bool("clean_text", true), x.Bool("handle_chinese_chars", true), x.Bool("strip_accents", lower), lower);
    }

    private static PrecompiledNormalizer Precompiled(JsonTree x)
    {
        try { return new(new CharacterMap(Convert.FromBase64String(x.Text()), x.Source)); }
        catch (FormatException) { throw x.Error("base64 is expected"); }
    }

    private static Pattern Pattern(JsonTree x) => x.Find("String") is { } literal ? new LiteralPattern(CodePoints.Of(literal.Text()))
        : x.Find("Regex") is { } regex ? WordPattern.Of(regex.Text(), x.Source) : throw x.Error("a String or a Regex is expected");

    private static SplitBehavior Behavior(JsonTree x) => x.Text() switch
    {
        "Removed" => SplitBehavior.Removed,
        "Isolated" => SplitBehavior.Isolated,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        "Contiguous" => SplitBehavior.Contiguous,
        _ => throw x.Error("Removed, Isolated, MergedWithPrevious, MergedWithNext and Contiguous are supported"),
    };

    // Older files say add_prefix_space where newer ones say prepend_scheme.
    private static PrependScheme Scheme(JsonTree x) => x.Find("prepend_scheme") is not { } scheme
        ? x.Bool("add_prefix_space", true) ? PrependScheme.Always : PrependScheme.Never
        : scheme.Text() switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            _ => throw scheme.Error("always, first and never are supported"),
        };

    private static PostProcessor ByteLevel(JsonTree x) =>
        x.Bool("trim_offsets", true) ? new ByteLevelProcessor(x.Bool("add_prefix_space", true)) : new PostProcessorSequence([]);

    private static TemplateProcessor Template(JsonTree x)
    {
        List<TemplatePart> Parts(string field) => [.. x[field].Items().Select(part => Part(part, x["special_tokens"], pair: field == "pair"))];
        return new(Parts("single"), Parts("pair"));
    }

    private static TemplatePart Part(JsonTree x, JsonTree special, bool pair)
    {
        if (x.Find("Sequence") is { } sequence)
        {
            return sequence["id"].Text() switch
            {
                "A" => Text(0, sequence["type_id"].Int()),
                "B" when pair => Text(1, sequence["type_id"].Int()),
                _ => throw sequence["id"].Error("A is expected, or in a pair B"),
            };
        }
        var token = x["SpecialToken"];
        var meaning = special[token["id"].Text()];
        int[] ids = [.. meaning["ids"].Items().Select(static id => id.Int())];
        string[] tokens = [.. meaning["tokens"].Items().Select(static t => t.Text())];
        if (ids.Length != tokens.Length) throw meaning.Error("as many ids as tokens are expected");
        return new(-1, [.. ids.Zip(tokens)], token["type_id"].Int());
    }

    private static TemplatePart Text(int text, int type) => new(text, [], type);

    // ["</s>", 2]
    private static TemplatePart Special(JsonTree x, int type)
    {
        JsonTree[] pair = [.. x.Items()];
        return pair.Length == 2 ? new(-1, [(pair[1].Int(), pair[0].Text())], type) : throw x.Error("a token and its id are expected");
    }

    private static char Unit(JsonTree x) => x.Text() is [var unit] ? unit : throw x.Error("one character up to U+FFFF is expected");

    private static InvalidDataException Unsupported(JsonTree x, string what) => x["type"].Error($"no such {what} is supported; use a tokenizer without it");
}
