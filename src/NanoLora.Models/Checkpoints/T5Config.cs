using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>What a <see cref="T5"/> is made of, as its files say, and how they call its parts.</summary>
internal sealed record T5Config
{
    /// <summary>Tensors that some files hold although they are the embedding once more, or that no version of the model reads.</summary>
    public static string[] Copies { get; } =
    [
        "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
    ];

    public required int Vocabulary { get; init; }
    public required int HiddenSize { get; init; }
    public required int HeadSize { get; init; }
    public required int Heads { get; init; }
    public required int IntermediateSize { get; init; }
    public required int EncoderLayers { get; init; }
    public required int DecoderLayers { get; init; }
    public required int Buckets { get; init; }
    public required int MaxDistance { get; init; }
    public required Activation Activation { get; init; }
    public required bool Gated { get; init; }
    public required float Eps { get; init; }
    public required int StartToken { get; init; }
    public required bool TiedHead { get; init; }

    /// <summary>Whether what enters the head is divided by √D.</summary>
    public required bool ScaledHead { get; init; }

    /// <summary>Reads a config.json.</summary>
    /// <param name="node">The config.</param>
    /// <param name="ownHead">Whether the file has a head: then it is the head, whatever the config says of ties.</param>
    /// <exception cref="CheckpointException">A field that is missing or not supported.</exception>
    public static T5Config Of(ConfigNode node, bool ownHead)
    {
        var words = node.Text("feed_forward_proj", "relu").Split('-');
        if (words.Length > 2 || (words.Length == 2 && words[0] != "gated"))
            throw node.Error("feed_forward_proj", "a function is expected, or gated- and a function.");
        var gated = words.Length == 2;
        Activation activation;                                                         // "gated-gelu" means the tanh form
        try { activation = gated && words[1] == "gelu" ? Activation.GeluTanh : Activations.Named(words[^1], node.Path); }
        catch (NotSupportedException e) { throw node.Error("feed_forward_proj", e.Message, e); }
        if (gated && activation == Activation.QuickGelu) throw node.Error("feed_forward_proj", "quick_gelu has no gated form here.");
        var layers = node.Int("num_layers", 6, max: 4096);
        var tied = node.Bool("tie_word_embeddings", true);
        var config = new T5Config
        {
            Vocabulary = node.Int("vocab_size", 32128),
            HiddenSize = node.Int("d_model", 512),
            HeadSize = node.Int("d_kv", 64, max: 1 << 16),
            Heads = node.Int("num_heads", 8, max: 1 << 14),
            IntermediateSize = node.Int("d_ff", 2048),
            EncoderLayers = layers,
            DecoderLayers = node.Int("num_decoder_layers", layers, max: 4096),
            Buckets = node.Int("relative_attention_num_buckets", 32, min: 4, max: 1 << 16),
            MaxDistance = node.Int("relative_attention_max_distance", 128),
            Activation = activation,
            Gated = gated,
            Eps = node.Float("layer_norm_epsilon", 1e-6f),
            StartToken = node.Int("decoder_start_token_id", node.Int("pad_token_id", 0, min: 0), min: 0),
            TiedHead = !ownHead,
            ScaledHead = node.Bool("scale_decoder_outputs", tied),
        };
        if (!ownHead && !tied)
        {
            throw node.Error("tie_word_embeddings", "it says that the head is not the embedding, and the file has no lm_head.weight; "
                + "give the file that belongs to the config.");
        }
        if (config.StartToken >= config.Vocabulary)
            throw node.Error("decoder_start_token_id", $"{config.StartToken} is none of the {config.Vocabulary} tokens.");
        if (config.MaxDistance <= config.Buckets / 2)
        {
            throw node.Error("relative_attention_max_distance",
                $"it is {config.MaxDistance}; a number above half of the {config.Buckets} buckets is expected.");
        }
        return config;
    }

    /// <summary>
    /// The bucket of a distance, key minus query: one each for the nearest, then wider and wider ones. The reference takes the logarithm in F32.
    /// </summary>
    public int Bucket(int distance, bool bidirectional)
    {
        var (first, count) = bidirectional ? (distance > 0 ? Buckets / 2 : 0, Buckets / 2) : (0, Buckets);
        var d = bidirectional ? Math.Abs(distance) : Math.Max(0, -distance);
        var exact = count / 2;
        if (d < exact) return first + d;
        var wider = MathF.Log((float)d / exact) / (float)Math.Log((double)MaxDistance / exact) * (count - exact);
        return first + Math.Min(exact + (int)wider, count - 1);
    }

    /// <summary>How the files call the parts.</summary>
    /// <param name="gated">Whether MLPs have two linears before the function.</param>
    public static NameMap Names(bool gated)
    {
        var map = new NameMap().Add("embed", "shared").Add("head", "lm_head");
        foreach (var (stack, mlp) in (ReadOnlySpan<(string, int)>)[("encoder", 1), ("decoder", 2)])
        {
            map.Add($"{stack}.bias", $"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias").Add($"{stack}.norm", $"{stack}.final_layer_norm");
            Add("norm1", "0.layer_norm");
            Add("norm2", $"{mlp}.layer_norm");
            foreach (var part in (ReadOnlySpan<string>)["q", "k", "v", "o"]) Add($"attn.{part}", $"0.SelfAttention.{part}");
            Add("mlp.up", $"{mlp}.DenseReluDense.{(gated ? "wi_1" : "wi")}");
            Add("mlp.gate", $"{mlp}.DenseReluDense.wi_0");
            Add("mlp.down", $"{mlp}.DenseReluDense.wo");

            void Add(string ours, string theirs) => map.Add($"{stack}.blocks.{{n}}.{ours}", $"{stack}.block.{{n}}.layer.{theirs}");
        }
        foreach (var part in (ReadOnlySpan<string>)["q", "k", "v", "o"])
            map.Add($"decoder.blocks.{{n}}.cross.{part}", $"decoder.block.{{n}}.layer.1.EncDecAttention.{part}");
        return map.Add("decoder.blocks.{n}.norm_cross", "decoder.block.{n}.layer.1.layer_norm");
    }
}
