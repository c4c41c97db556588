using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>What a <see cref="Bert"/> is made of, as its files say, and how they call its parts.</summary>
internal sealed record BertConfig
{
    /// <summary>The families that are read.</summary>
    public const string Known = "bert, roberta, xlm-roberta and camembert";

    public required bool Roberta { get; init; }
    public required int Vocabulary { get; init; }
    public required int HiddenSize { get; init; }
    public required int Layers { get; init; }
    public required int Heads { get; init; }
    public required int IntermediateSize { get; init; }
    public required int Segments { get; init; }
    public required Activation Activation { get; init; }
    public required float Eps { get; init; }

    /// <summary>The rows of the table of positions.</summary>
    public required int Positions { get; init; }

    /// <summary>The row of position 0.</summary>
    public required int FirstPosition { get; init; }

    public required TextPooling Pooling { get; init; }

    /// <summary>The classes of the head; none for no head.</summary>
    public IReadOnlyList<string> Labels { get; init; } = [];

    /// <summary>
    /// What files hold beside it: heads for the task that the model was trained on, tables that follow from the config, a pooler or a head that is of no use.
    /// </summary>
    public string[] Ignored =>
    [
        "cls.", "lm_head.", "classifier.", "embeddings.position_ids", "pooler.", $"{Prefix(Roberta)}embeddings.position_ids", $"{Prefix(Roberta)}pooler.",
    ];

    /// <summary>Whether a family is one of these.</summary>
    public static bool Reads(string modelType) => modelType is "bert" or "roberta" or "xlm-roberta" or "camembert";

    /// <summary>Reads the config of an open file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="asked">How states are to become features; null for what the file's head was made for, a pooler, or the mean.</param>
    /// <exception cref="CheckpointException">A field that is missing or not supported.</exception>
    /// <exception cref="ArgumentException">A pooler is asked for where the file has none.</exception>
    public static (BertConfig Config, NameMap Names) Of(TextFile file, TextPooling? asked)
    {
        var (node, roberta) = (file.Json, file.ModelType != "bert");
        foreach (var field in (ReadOnlySpan<string>)["is_decoder", "add_cross_attention"])
            if (node.Bool(field, false)) throw node.Error(field, "only encoders are supported.");
        if (node.Text("position_embedding_type", "absolute") is not "absolute" and var kind)
            throw node.Error("position_embedding_type", $"\"{kind}\" is not supported, only \"absolute\".");
        var names = Names(roberta, file.Has);
        bool hasHead = file.HasPath(names, "head.weight"), hasPooler = file.HasPath(names, "pooler.weight");
        // RoBERTa was trained without a pooler: what its bare files call so is random, and only taken if asked for.
        var trained = hasPooler && (!roberta || file.Has("classifier.dense.weight"));
        var said = ClassifierFile.Pooling(node) ?? (hasHead || trained ? TextPooling.Pooler : TextPooling.Mean);
        if (asked == TextPooling.Pooler && !hasPooler) ClassifierFile.WithoutPooler(file.Path, TextPooling.Pooler);
        ClassifierFile.AfterNorm(file.Path, asked ?? said);
        if (hasHead) OfSequences(node);
        int width = node.Int("hidden_size", 768), pad = node.Int("pad_token_id", roberta ? 1 : 0, min: 0);
        var config = new BertConfig
        {
            Roberta = roberta,
            Vocabulary = node.Int("vocab_size", roberta ? 50265 : 30522),
            HiddenSize = width,
            Layers = node.Int("num_hidden_layers", 12, max: 4096),
            Heads = TextFile.Heads(node, "num_attention_heads", 12, width),
            IntermediateSize = node.Int("intermediate_size", 3072),
            Segments = node.Int("type_vocab_size", 2),
            Activation = TextFile.Activation(node, "hidden_act", "gelu"),
            Eps = node.Float("layer_norm_eps", 1e-12f),
            Positions = node.Int("max_position_embeddings", 512),
            FirstPosition = roberta ? pad + 1 : 0,
            Pooling = asked ?? said,
            Labels = hasHead && (asked ?? said) == said ? VitFile.LabelsOf(node.Labels(), names, file.Checkpoint) : [],
        };
        return config.FirstPosition < config.Positions ? (config, names)
            : throw node.Error("max_position_embeddings", $"it is {config.Positions}, and the row of the first position is {config.FirstPosition}.");
    }

    /// <summary>How the files call the parts.</summary>
    /// <param name="roberta">RoBERTa's names, or BERT's.</param>
    /// <param name="has">Whether the file has a tensor of that name.</param>
    public static NameMap Names(bool roberta, Predicate<string> has)
    {
        var (prefix, map) = (Prefix(roberta), new NameMap());
        string[] prefixes = has("embeddings.word_embeddings.weight") ? ["", prefix] : [prefix, ""];
        var gamma = Array.Exists(prefixes, p => has($"{p}embeddings.LayerNorm.gamma"));
        Norm("embed_norm", "embeddings.LayerNorm");
        Norm("blocks.{n}.norm1", "encoder.layer.{n}.attention.output.LayerNorm");
        Norm("blocks.{n}.norm2", "encoder.layer.{n}.output.LayerNorm");
        TextFile.AddNames(map, prefixes,
            ("embed", "embeddings.word_embeddings"), ("position", "embeddings.position_embeddings"), ("segment", "embeddings.token_type_embeddings"),
            ("blocks.{n}.attn.q", "encoder.layer.{n}.attention.self.query"), ("blocks.{n}.attn.k", "encoder.layer.{n}.attention.self.key"),
            ("blocks.{n}.attn.v", "encoder.layer.{n}.attention.self.value"), ("blocks.{n}.attn.o", "encoder.layer.{n}.attention.output.dense"),
            ("blocks.{n}.mlp.fc1", "encoder.layer.{n}.intermediate.dense"), ("blocks.{n}.mlp.fc2", "encoder.layer.{n}.output.dense"));
        string[] poolers = Array.ConvertAll(prefixes, p => $"{p}pooler.dense");
        if (!roberta) return map.Add("pooler", poolers).Add("head", "classifier");
        var bare = !has("classifier.dense.weight") && Array.Exists(poolers, p => has($"{p}.weight"));
        return map.Add("pooler", bare ? [.. poolers, "classifier.dense"] : ["classifier.dense", .. poolers]).Add("head", "classifier.out_proj");

        // The oldest files, and those made of TensorFlow's, call weight and bias gamma and beta.
        void Norm(string ours, string theirs)
        {
            if (gamma) TextFile.AddNames(map, prefixes, ($"{ours}.weight", $"{theirs}.gamma"), ($"{ours}.bias", $"{theirs}.beta"));
            TextFile.AddNames(map, prefixes, (ours, theirs));
        }
    }

    private static string Prefix(bool roberta) => roberta ? "roberta." : "bert.";

    // Heads over tokens or over choices have the same name and another meaning.
    private static void OfSequences(ConfigNode node)
    {
        foreach (var name in node.Texts("architectures", 16) ?? [])
        {
            if (name.EndsWith("ForTokenClassification", StringComparison.Ordinal) || name.EndsWith("ForMultipleChoice", StringComparison.Ordinal))
                throw node.Error("architectures", $"the head of a {name} is not supported; known are those of …ForSequenceClassification.");
        }
    }
}
