using System.Globalization;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>What the files of a <see cref="T5"/> say of it, and how they call its parts.</summary>
internal static class T5File
{
    /// <summary>Tensors that some files hold although they are the embedding once more, or that no version of the model reads.</summary>
    public static string[] Copies { get; } =
    [
        "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
    ];

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

    /// <summary>Writes the config of a model that was made here, in the words of transformers.</summary>
    public static void Describe(Utf8JsonWriter json, T5Config c)
    {
        var function = c.Activation switch
        {
            Activation.GeluTanh => c.Gated ? "gelu" : "gelu_new",
            Activation.Gelu => "gelu",
            Activation.Silu => "silu",
            Activation.QuickGelu => "quick_gelu",
            _ => "relu",
        };
        json.WriteStartObject();
        json.WriteString("model_type", "t5");
        json.WriteStartArray("architectures");
        json.WriteStringValue("T5ForConditionalGeneration");
        json.WriteEndArray();
        json.WriteBoolean("is_encoder_decoder", true);
        json.WriteNumber("vocab_size", c.Vocabulary);
        json.WriteNumber("d_model", c.HiddenSize);
        json.WriteNumber("d_kv", c.HeadSize);
        json.WriteNumber("num_heads", c.Heads);
        json.WriteNumber("d_ff", c.IntermediateSize);
        json.WriteNumber("num_layers", c.EncoderLayers);
        json.WriteNumber("num_decoder_layers", c.DecoderLayers);
        json.WriteNumber("relative_attention_num_buckets", c.Buckets);
        json.WriteNumber("relative_attention_max_distance", c.MaxDistance);
        json.WriteString("feed_forward_proj", c.Gated ? $"gated-{function}" : function);
        Float("layer_norm_epsilon", c.Eps);
        Float("initializer_factor", c.InitialFactor);
        Float("dropout_rate", 0);
        json.WriteBoolean("tie_word_embeddings", c.TiedHead);
        json.WriteBoolean("scale_decoder_outputs", c.ScaledHead);
        json.WriteNumber("pad_token_id", c.StartToken);
        json.WriteNumber("decoder_start_token_id", c.StartToken);
        json.WriteNumber("eos_token_id", c.EndToken);
        json.WriteEndObject();

        // With a point: transformers takes no "1" for a float.
        void Float(string name, float value)
        {
            json.WritePropertyName(name);
            json.WriteRawValue(value.ToString(float.IsInteger(value) ? "0.0" : "R", CultureInfo.InvariantCulture));
        }
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

/// <summary>The first weights of a new T5, each from a random stream of its own: normal numbers of the deviations that Mesh TensorFlow gives them.</summary>
/// <param name="backend">Where they are put.</param>
/// <param name="seed">Of all streams.</param>
/// <param name="c">The model.</param>
internal sealed class NewT5Weights(Backend backend, ulong seed, T5Config c) : WeightSource(backend)
{
    /// <inheritdoc/>
    public override Tensor Get(string path, Shape shape, Init init = Init.Normal, bool matrix = false)
    {
        var values = new float[shape.Count];
        if (init == Init.Ones) Array.Fill(values, c.InitialFactor);
        else
        {
            var (random, deviation) = (new Philox(seed, Philox.StreamOf(path)), c.InitialFactor * Deviation(path));
            for (var i = 0; i < values.Length; i++) values[i] = deviation * random.Normal((ulong)i);
        }
        return Backend.Main.From(values, shape);
    }

    // Scores are not divided by √(head size): the queries' weights are so much smaller.
    private float Deviation(string path) => path.Split('.') switch
    {
        ["embed" or "head", ..] => 1,
        [.., "q", _] => 1 / MathF.Sqrt((float)c.HiddenSize * c.HeadSize),
        [.., "attn" or "cross", "o", _] => 1 / MathF.Sqrt((float)c.Heads * c.HeadSize),
        [.., "down", _] => 1 / MathF.Sqrt(c.IntermediateSize),
        _ => 1 / MathF.Sqrt(c.HiddenSize),
    };
}
