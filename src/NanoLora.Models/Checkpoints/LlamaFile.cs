using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// The files of Llama and its relatives: how each family's config.json becomes a <see cref="LlamaConfig"/>, with the reference's defaults, and how they call
/// the parts. Models made here that no family's config can describe are called nano_llama.
/// </summary>
internal static class LlamaFile
{
    private const string Own = "nano_llama";

    /// <summary>The config of any of the families.</summary>
    /// <exception cref="CheckpointException">The family is unknown, or the config asks for something that is not supported.</exception>
    public static LlamaConfig ConfigOf(ConfigNode node)
    {
        if (node.Bool("use_bidirectional_attention", false)) throw node.Error("use_bidirectional_attention", "only causal attention is supported.");
        var config = node.Text("model_type") switch
        {
            "llama" => Plain(node) with { QkvBias = node.Bool("attention_bias", false), OutputBias = node.Bool("attention_bias", false), MlpBias = node.Bool("mlp_bias", false) },
            "mistral" => Windowed(Plain(node), node, 4096, static (_, _) => true),
            "qwen2" => QwenWindows(Plain(node) with { QkvBias = true }, node),
            "qwen3" => QwenWindows(Plain(node, headSize: 128) with { QkvBias = node.Bool("attention_bias", false), OutputBias = node.Bool("attention_bias", false), QkNorm = true }, node),
            "gemma" => Gemma(node),
            "gemma2" => Gemma2(node),
            "gemma3_text" => Gemma3(node),
            "phi3" => Windowed(Plain(node) with { FusedQkv = true, FusedGate = true }, node, null, static (_, _) => true),
            Own => Described(node),
            var other => throw node.Error("model_type", $"\"{other}\" is not a known language model; known are llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, phi3, "
                + $"gpt2, opt, gpt_neox and {Own}. One like Llama may be loaded with Llama.Load and a LlamaConfig."),
        };
        try { return config.Checked(node.Path); }
        catch (ArgumentException e) { throw node.Error("sizes", e.Message, e); }
    }

    /// <summary>The names of the parts; where norms stand after the branches as well, those before the MLP have another name.</summary>
    public static NameMap Names(string[] prefixes, bool postNorms)
    {
        var map = new NameMap();
        Add("embed", "embed_tokens");
        foreach (var (ours, theirs) in (ReadOnlySpan<(string, string)>)[
            ("norm1", "input_layernorm"), ("attn.qkv", "self_attn.qkv_proj"), ("attn.q", "self_attn.q_proj"), ("attn.k", "self_attn.k_proj"), ("attn.v", "self_attn.v_proj"),
            ("attn.q_norm", "self_attn.q_norm"), ("attn.k_norm", "self_attn.k_norm"), ("attn.o", "self_attn.o_proj"),
            ("after1", "post_attention_layernorm"), ("norm2", postNorms ? "pre_feedforward_layernorm" : "post_attention_layernorm"),
            ("mlp.gate_up", "mlp.gate_up_proj"), ("mlp.gate", "mlp.gate_proj"), ("mlp.up", "mlp.up_proj"), ("mlp.down", "mlp.down_proj"),
            ("after2", "post_feedforward_layernorm")])
        {
            if (postNorms || ours != "after1") Add($"blocks.{{n}}.{ours}", $"layers.{{n}}.{theirs}");
        }
        Add("norm", "norm");
        return map.Add("head", "lm_head");

        void Add(string ours, string theirs) => map.Add(ours, Array.ConvertAll(prefixes, prefix => prefix + theirs));
    }

    /// <summary>Writes the config of a model that was made here: as Llama's where that says it all.</summary>
    public static void Describe(Utf8JsonWriter json, LlamaConfig c)
    {
        var bias = c.QkvBias && c.OutputBias;
        var plain = c with { QkvBias = bias, OutputBias = bias, Rotary = c.Rotary, Windows = [] } == new LlamaConfig
        {
            Vocabulary = c.Vocabulary, HiddenSize = c.HiddenSize, Layers = c.Layers, Heads = c.Heads, KeyHeads = c.KeyHeads, HeadSize = c.HeadSize,
            IntermediateSize = c.IntermediateSize, MaxPositions = c.MaxPositions, Activation = c.Activation, Eps = c.Eps, Rotary = c.Rotary, TiedHead = c.TiedHead,
            QkvBias = bias, OutputBias = bias, MlpBias = c.MlpBias, Windows = [],
        } && bias == c.QkvBias && bias == c.OutputBias && c.Windows.All(static w => w == 0);
        json.WriteString("model_type", plain ? "llama" : Own);
        json.WriteStartArray("architectures");
        json.WriteStringValue(plain ? "LlamaForCausalLM" : "NanoLlama");
        json.WriteEndArray();
        json.WriteNumber("vocab_size", c.Vocabulary);
        json.WriteNumber("hidden_size", c.HiddenSize);
        json.WriteNumber("num_hidden_layers", c.Layers);
        json.WriteNumber("num_attention_heads", c.Heads);
        json.WriteNumber("num_key_value_heads", c.KeyHeads);
        json.WriteNumber("head_dim", c.HeadSize);
        json.WriteNumber("intermediate_size", c.IntermediateSize);
        json.WriteNumber("max_position_embeddings", c.MaxPositions);
        json.WriteString("hidden_act", c.Activation switch { Activation.Silu => "silu", Activation.Gelu => "gelu", Activation.GeluTanh => "gelu_pytorch_tanh", _ => "relu" });
        json.WriteNumber("rms_norm_eps", c.Eps);
        json.WriteBoolean("tie_word_embeddings", c.TiedHead);
        json.WriteBoolean("mlp_bias", c.MlpBias);
        WriteRotary(json, "rope_parameters", c.Rotary);
        if (plain) json.WriteBoolean("attention_bias", bias);
        else DescribeRest(json, c);
    }

    private static void DescribeRest(Utf8JsonWriter json, LlamaConfig c)
    {
        json.WriteBoolean("qkv_bias", c.QkvBias);
        json.WriteBoolean("output_bias", c.OutputBias);
        json.WriteBoolean("fused_qkv", c.FusedQkv);
        json.WriteBoolean("fused_gate", c.FusedGate);
        json.WriteBoolean("qk_norm", c.QkNorm);
        json.WriteBoolean("shifted_norms", c.ShiftedNorms);
        json.WriteBoolean("post_norms", c.PostNorms);
        json.WriteNumber("embedding_scale", c.EmbeddingScale);
        if (c.AttentionScale is { } scale) json.WriteNumber("attention_scale", scale);
        json.WriteNumber("attn_logit_softcapping", c.AttentionCap);
        json.WriteNumber("final_logit_softcapping", c.LogitCap);
        if (c.LocalRotary is not null)
        {
            json.WriteStartObject("local");
            json.WriteNumber("max_position_embeddings", c.MaxPositions);
            WriteRotary(json, "rope_parameters", c.LocalRotary);
            json.WriteEndObject();
        }
        json.WriteStartArray("windows");
        foreach (var window in c.Windows) json.WriteNumberValue(window);
        json.WriteEndArray();
    }

    private static LlamaConfig Described(ConfigNode node)
    {
        var c = Plain(node);
        return c with
        {
            QkvBias = node.Bool("qkv_bias", false), OutputBias = node.Bool("output_bias", false), MlpBias = node.Bool("mlp_bias", false),
            FusedQkv = node.Bool("fused_qkv", false), FusedGate = node.Bool("fused_gate", false), QkNorm = node.Bool("qk_norm", false),
            ShiftedNorms = node.Bool("shifted_norms", false), PostNorms = node.Bool("post_norms", false), EmbeddingScale = node.Float("embedding_scale", 1),
            AttentionScale = node.Has("attention_scale") ? node.Float("attention_scale") : null, AttentionCap = Cap(node, "attn_logit_softcapping", 0),
            LogitCap = Cap(node, "final_logit_softcapping", 0),
            LocalRotary = node.Has("local") ? RotaryFile.Read(node.Sub("local"), HeadSize(node, c.HeadSize)) : null,
            Windows = node.Ints("windows", 4096) ?? [],
        };
    }

    // What all families say in the same words.
    private static LlamaConfig Plain(ConfigNode node, int headSize = 0, string act = "silu", bool tied = false, bool rotary = true)
    {
        var heads = node.Int("num_attention_heads");
        if (headSize == 0 || node.Has("head_dim")) headSize = node.Has("head_dim") ? node.Int("head_dim") : 0;
        return new LlamaConfig
        {
            Vocabulary = node.Int("vocab_size"),
            HiddenSize = node.Int("hidden_size"),
            Layers = node.Int("num_hidden_layers", max: 4096),
            Heads = heads,
            KeyHeads = node.Int("num_key_value_heads", heads),
            HeadSize = headSize,
            IntermediateSize = node.Int("intermediate_size"),
            MaxPositions = node.Int("max_position_embeddings", 2048),
            Activation = Act(node, "hidden_act", act),
            Eps = node.Float("rms_norm_eps", 1e-6f),
            TiedHead = node.Bool("tie_word_embeddings", tied),
            Rotary = rotary ? RotaryFile.Read(node, HeadSize(node, headSize)) : new(),
        };
    }

    private static LlamaConfig Gemma(ConfigNode node, bool rotary = true)
    {
        var c = Plain(node, headSize: 256, act: "gelu_pytorch_tanh", tied: true, rotary);
        // The first published configs say "gelu", which those models were not trained with: the reference reads it as the tanh form.
        var act = node.Has("hidden_activation") ? Act(node, "hidden_activation", "") : c.Activation == Activation.Gelu ? Activation.GeluTanh : c.Activation;
        var bias = node.Bool("attention_bias", false);
        return c with { Activation = act, ShiftedNorms = true, QkvBias = bias, OutputBias = bias, EmbeddingScale = MathF.Sqrt(c.HiddenSize) };
    }

    private static LlamaConfig Gemma2(ConfigNode node) => Windowed(Gemma(node) with
    {
        PostNorms = true,
        AttentionScale = Scale(node),
        AttentionCap = Cap(node, "attn_logit_softcapping", 50),
        LogitCap = Cap(node, "final_logit_softcapping", 30),
    }, node, 4096, static (layer, _) => layer % 2 == 0);

    private static LlamaConfig Gemma3(ConfigNode node)
    {
        var c = Gemma(node, rotary: false);
        var pattern = node.Int("sliding_window_pattern", node.Int("_sliding_window_pattern", 6));
        var nested = node.Sub("rope_parameters").Has("sliding_attention");
        return Windowed(c with
        {
            PostNorms = true,
            QkNorm = true,
            AttentionScale = Scale(node),
            AttentionCap = Cap(node, "attn_logit_softcapping", 0),
            LogitCap = Cap(node, "final_logit_softcapping", 0),
            Rotary = RotaryFile.Read(node, c.HeadSize, theta: 1e6f, layers: "full_attention"),
            LocalRotary = nested ? RotaryFile.Read(node, c.HeadSize, layers: "sliding_attention") : new RotaryConfig { Theta = node.Float("rope_local_base_freq", 10000) },
        }, node, 4096, (layer, _) => (layer + 1) % pattern != 0);
    }

    private static LlamaConfig QwenWindows(LlamaConfig c, ConfigNode node)
    {
        var first = node.Int("max_window_layers", 28, min: 0);
        return node.Bool("use_sliding_window", false) ? Windowed(c, node, 4096, (layer, _) => layer >= first) : c;
    }

    // The layers with a window, as "layer_types" says, or else as the family has it. A window of null is none; one that is not there is the family's.
    private static LlamaConfig Windowed(LlamaConfig c, ConfigNode node, int? fallback, Func<int, int, bool> slides)
    {
        var window = node.IsNull("sliding_window") || (fallback is null && !node.Has("sliding_window")) ? 0 : node.Int("sliding_window", fallback);
        if (window == 0) return c;
        var types = node.Texts("layer_types", 4096);
        if (types is not null && types.Length != c.Layers) throw node.Error("layer_types", $"{types.Length} types for {c.Layers} layers.");
        var windows = new int[c.Layers];
        for (var layer = 0; layer < windows.Length; layer++)
        {
            var sliding = types?[layer] switch
            {
                null => slides(layer, c.Layers),
                "sliding_attention" => true,
                "full_attention" => false,
                var other => throw node.Error("layer_types", $"\"{other}\" is not supported; supported are full_attention and sliding_attention."),
            };
            windows[layer] = sliding ? window : 0;
        }
        return c with { Windows = windows };
    }

    private static Activation Act(ConfigNode node, string field, string fallback)
    {
        var act = TextFile.Activation(node, field, fallback);
        return act != Activation.QuickGelu ? act : throw node.Error(field, "quick_gelu has no gated form here; supported are silu, gelu, gelu_pytorch_tanh and relu.");
    }

    private static int HeadSize(ConfigNode node, int given) => given > 0 ? given : Math.Max(1, node.Int("hidden_size") / node.Int("num_attention_heads"));

    private static float Scale(ConfigNode node)
    {
        var scalar = node.Float("query_pre_attn_scalar", 256);
        return scalar > 0 ? 1 / MathF.Sqrt(scalar) : throw node.Error("query_pre_attn_scalar", $"it is {scalar}; a number above 0 is expected.");
    }

    // Null is none; a field that is not there is the family's.
    private static float Cap(ConfigNode node, string field, float fallback)
    {
        var cap = node.IsNull(field) ? 0 : node.Float(field, fallback);
        return cap >= 0 ? cap : throw node.Error(field, $"it is {cap}; a number above 0 is expected.");
    }

    private static void WriteRotary(Utf8JsonWriter json, string field, RotaryConfig c)
    {
        json.WriteStartObject(field);
        json.WriteString("rope_type", c.Scaling.ToString().ToLowerInvariant() is "none" ? "default" : c.Scaling.ToString().ToLowerInvariant());
        json.WriteNumber("rope_theta", c.Theta);
        if (c.Part != 1) json.WriteNumber("partial_rotary_factor", c.Part);
        if (c.Scaling != RotaryScaling.None)
        {
            json.WriteNumber("factor", c.Factor);
            if (c.Trained > 0) json.WriteNumber("original_max_position_embeddings", c.Trained);
            if (c.AttentionFactor is { } factor) json.WriteNumber("attention_factor", factor);
            if (c.Scaling is RotaryScaling.Llama3 or RotaryScaling.Yarn)
            {
                json.WriteNumber(c.Scaling == RotaryScaling.Yarn ? "beta_slow" : "low_freq_factor", c.Slow);
                json.WriteNumber(c.Scaling == RotaryScaling.Yarn ? "beta_fast" : "high_freq_factor", c.Fast);
            }
            if (!c.Truncate) json.WriteBoolean("truncate", false);
            if (c.Scaling == RotaryScaling.LongRope) foreach (var (name, factors) in (ReadOnlySpan<(string, IReadOnlyList<double>)>)[("short_factor", c.ShortFactors), ("long_factor", c.LongFactors)])
            {
                json.WriteStartArray(name);
                foreach (var f in factors) json.WriteNumberValue(f);
                json.WriteEndArray();
            }
        }
        json.WriteEndObject();
    }
}
