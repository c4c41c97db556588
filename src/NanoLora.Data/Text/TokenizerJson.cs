using System.Text;
using System.Text.Json;

namespace NanoLora.Data;

/// <summary>Reads tokenizer.json of Hugging Face's tokenizers library: the model and the tokens; <see cref="TokenizerJsonParts"/> reads what is around
/// them.</summary>
internal static class TokenizerJson
{
    public static Tokenizer Read(string path) => Read(JsonTree.Read(path));

    public static Tokenizer Read(JsonTree root)
    {
        var model = Model(root["model"]);
        var normalizer = root.Find("normalizer") is { } n ? TokenizerJsonParts.Normalizer(n) : null;
        return new Tokenizer(model, Added(root, model.Vocabulary), normalizer)
        {
            PreTokenizer = root.Find("pre_tokenizer") is { } p ? TokenizerJsonParts.PreTokenizer(p) : null,
            PostProcessor = root.Find("post_processor") is { } q ? TokenizerJsonParts.PostProcessor(q) : null,
            Decoder = root.Find("decoder") is { } d ? TokenizerJsonParts.Decoder(d) : null,
        };
    }

    private static List<AddedToken> Added(JsonTree root, Vocabulary vocabulary)
    {
        var y = new List<AddedToken>();
        if (root.Find("added_tokens") is not { } tokens) return y;
        foreach (var token in tokens.Items())
        {
            var content = token["content"].Text();
            if (content.Length == 0) continue;
            // A token that the model has keeps the model's id, whatever the list says.
            var known = vocabulary.Id(content);
            y.Add(new(known >= 0 ? known : token["id"].Int(), content)
            {
                Special = token.Bool("special", false), SingleWord = token.Bool("single_word", false), LeftStrip = token.Bool("lstrip", false),
                RightStrip = token.Bool("rstrip", false), Normalized = token.Bool("normalized", !token.Bool("special", false)),
            });
        }
        return y;
    }

    // Older files do not say what the model is: it is told by what it has.
    private static TokenModel Model(JsonTree model)
    {
        var type = model.Text("type", model.Find("merges") is not null ? "BPE" : model.Find("unk_id") is not null ? "Unigram" : "WordPiece");
        return type switch
        {
            "BPE" => Bpe(model),
            "WordPiece" => new WordPieceModel(
                Vocabulary(model["vocab"]), model.Text("unk_token", "[UNK]"), model.Text("continuing_subword_prefix", "##"),
                model.Find("max_input_chars_per_word")?.Int() ?? 100, model.Source),
            "Unigram" => Unigram(model),
            _ => throw model["type"].Error("BPE, WordPiece and Unigram are supported"),
        };
    }

    private static BpeModel Bpe(JsonTree model)
    {
        if (model.Find("dropout") is { } dropout && dropout.Number() > 0) throw dropout.Error("dropout is for training, and not supported; set it to null");
        var options = new BpeOptions
        {
            UnknownToken = model.Find("unk_token")?.Text(), ContinuingSubwordPrefix = model.Text("continuing_subword_prefix", ""),
            EndOfWordSuffix = model.Text("end_of_word_suffix", ""), FuseUnknown = model.Bool("fuse_unk", false),
            ByteFallback = model.Bool("byte_fallback", false), IgnoreMerges = model.Bool("ignore_merges", false),
        };
        return new BpeModel(Vocabulary(model["vocab"]), [.. model["merges"].Items().Select(Merge)], options, model.Source);
    }

    // ["a", "b"], or in older files "a b".
    private static (string, string) Merge(JsonTree merge)
    {
        string[] parts = merge.Kind == JsonValueKind.String ? merge.Text().Split(' ') : [.. merge.Items().Select(static part => part.Text())];
        return parts.Length == 2 ? (parts[0], parts[1]) : throw merge.Error("two tokens are expected");
    }

    private static UnigramModel Unigram(JsonTree model)
    {
        var tokens = new List<string>();
        var scores = new List<double>();
        foreach (var entry in model["vocab"].Items())
        {
            JsonTree[] pair = [.. entry.Items()];
            if (pair.Length != 2) throw entry.Error("a token and its score are expected");
            tokens.Add(pair[0].Text());
            scores.Add(pair[1].Number());
        }
        var unknown = model.Find("unk_id")?.Int() ?? -1;
        if (unknown >= tokens.Count) throw model["unk_id"].Error($"there are {tokens.Count} tokens");
        var options = new UnigramOptions { Unknown = unknown, ByteFallback = model.Bool("byte_fallback", false) };
        return new UnigramModel(new Vocabulary(tokens), [.. scores], scores.Count > 0 ? scores.Min() : 0, options, model.Source);
    }

    /// <summary>Tokens and their ids, as an object.</summary>
    public static Vocabulary Vocabulary(JsonTree vocabulary)
    {
        var y = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (token, id) in vocabulary.Fields()) y[token] = id.Int();
        return new Vocabulary(y, vocabulary.Source);
    }
}
