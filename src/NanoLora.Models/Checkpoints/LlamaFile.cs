using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// The files of Llama and its relatives: how each family's config.json becomes a <see cref="LlamaConfig"/>, with the reference's defaults, and how they call
/// the parts. <see cref="NanoLlama"/> has those that are made here.
/// </summary>
internal static class LlamaFile
{
    private const string Full = "full_attention", Sliding = "sliding_attention";

    /// <summary>The config of any of the families.</summary>
    /// <exception cref="CheckpointException">The family is unknown, or the config asks for something that is not supported.</exception>
    public static LlamaConfig ConfigOf(ConfigNode node)
    {
        if (node.Bool("use_bidirectional_attention", false)) throw node.Error("use_bidirectional_attention", "only causal attention is supported.");
        var config = node.Text("model_type") switch
        {
            "llama" => Biased(Plain(node), node) with { MlpBias = node.Bool("mlp_bias", false) },
            "mistral" => Windowed(Plain(node), node, 4096, static _ => true),
            "qwen2" => QwenWindows(Plain(node) with { QkvBias = true }, node),
            "qwen3" => QwenWindows(Biased(Plain(node, headSize: 128), node) with { QkNorm = true }, node),
            "gemma" => Gemma(node),
            "gemma2" => Gemma2(node),
            "gemma3_text" => Gemma3(node),
            "phi3" => Windowed(Plain(node) with { FusedQkv = true, FusedGate = true }, node, null, static _ => true),
            NanoLlama.ModelType => NanoLlama.Read(node),
            var other => throw node.Error("model_type", $"\"{other}\" is not a known language model; known are llama, mistral, qwen2, qwen3, gemma, gemma2, "
                + $"gemma3_text, phi3, gpt2, opt, gpt_neox and {NanoLlama.ModelType}. One like Llama may be loaded with Llama.Load and a LlamaConfig; "
                + "T5.Load reads t5."),
        };
        foreach (var type in node.Texts("layer_types", 4096) ?? [])
            if (type is not (Full or Sliding)) throw node.Error("layer_types", $"\"{type}\" is not supported; supported are {Full} and {Sliding}.");
        try { return config.Checked(node.Path); }
        catch (ArgumentException e) { throw node.Error("sizes", e.Message, e); }
    }

    /// <summary>The names of the parts; where norms stand after the branches as well, those before the MLP have another name.</summary>
    public static NameMap Names(string[] prefixes, bool postNorms)
    {
        var map = new NameMap();
        Add("embed", "embed_tokens");
        foreach (var (ours, theirs) in (ReadOnlySpan<(string, string)>)[
            ("norm1", "input_layernorm"), ("attn.qkv", "self_attn.qkv_proj"), ("attn.q", "self_attn.q_proj"), ("attn.k", "self_attn.k_proj"),
            ("attn.v", "self_attn.v_proj"), ("attn.q_norm", "self_attn.q_norm"), ("attn.k_norm", "self_attn.k_norm"), ("attn.o", "self_attn.o_proj"),
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

    /// <summary>What all families say in the same words.</summary>
    /// <param name="node">The config.</param>
    /// <param name="headSize">The width of a head where the config gives none; 0 for that of the model over the number of heads.</param>
    /// <param name="act">The function where the config gives none.</param>
    /// <param name="tied">Whether the head is the embedding where the config does not say.</param>
    /// <param name="rotary">Whether all layers turn alike.</param>
    public static LlamaConfig Plain(ConfigNode node, int headSize = 0, string act = "silu", bool tied = false, bool rotary = true)
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

    /// <summary>A cap on scores: null is none; where there is no field it is the family's.</summary>
    public static float Cap(ConfigNode node, string field, float fallback)
    {
        var cap = node.IsNull(field) ? 0 : node.Float(field, fallback);
        return cap >= 0 ? cap : throw node.Error(field, $"it is {cap}; a number above 0 is expected.");
    }

    /// <summary>The width of a head, as given or as it follows.</summary>
    public static int HeadSize(ConfigNode node, int given) => given > 0 ? given : Math.Max(1, node.Int("hidden_size") / node.Int("num_attention_heads"));

    private static LlamaConfig Gemma(ConfigNode node, bool rotary = true)
    {
        var c = Plain(node, headSize: 256, act: "gelu_pytorch_tanh", tied: true, rotary);
        // The first published configs say "gelu", which those models were not trained with: the reference reads it as the tanh form.
        var act = node.Has("hidden_activation") ? Act(node, "hidden_activation", "") : c.Activation == Activation.Gelu ? Activation.GeluTanh : c.Activation;
        return Biased(c, node) with { Activation = act, ShiftedNorms = true, EmbeddingScale = MathF.Sqrt(c.HiddenSize) };
    }

    private static LlamaConfig Biased(LlamaConfig c, ConfigNode node)
    {
        var bias = node.Bool("attention_bias", false);
        return c with { QkvBias = bias, OutputBias = bias };
    }

    private static LlamaConfig Gemma2(ConfigNode node) => Windowed(Gemma(node) with
    {
        PostNorms = true,
        AttentionScale = Scale(node),
        AttentionCap = Cap(node, "attn_logit_softcapping", 50),
        LogitCap = Cap(node, "final_logit_softcapping", 30),
    }, node, 4096, static layer => layer % 2 == 0);

    private static LlamaConfig Gemma3(ConfigNode node)
    {
        var c = Gemma(node, rotary: false);
        var pattern = node.Int("sliding_window_pattern", node.Int("_sliding_window_pattern", 6));
        var nested = node.Sub("rope_parameters").Has(Sliding);
        return Windowed(c with
        {
            PostNorms = true,
            QkNorm = true,
            AttentionScale = Scale(node),
            AttentionCap = Cap(node, "attn_logit_softcapping", 0),
            LogitCap = Cap(node, "final_logit_softcapping", 0),
            Rotary = RotaryFile.Read(node, c.HeadSize, theta: 1e6f, layers: Full),
            LocalRotary = nested ? RotaryFile.Read(node, c.HeadSize, layers: Sliding)
                : new RotaryConfig { Theta = node.Float("rope_local_base_freq", 10000) },
        }, node, 4096, layer => (layer + 1) % pattern != 0);
    }

    private static LlamaConfig QwenWindows(LlamaConfig c, ConfigNode node)
    {
        var first = node.Int("max_window_layers", 28, min: 0);
        return node.Bool("use_sliding_window", false) ? Windowed(c, node, 4096, layer => layer >= first) : c;
    }

    // The layers with a window, as "layer_types" says, or else as the family has it. A window of null is none; one that is not there is the family's.
    private static LlamaConfig Windowed(LlamaConfig c, ConfigNode node, int? fallback, Predicate<int> slides)
    {
        var window = node.IsNull("sliding_window") || (fallback is null && !node.Has("sliding_window")) ? 0 : node.Int("sliding_window", fallback);
        if (window == 0) return c;
        var types = node.Texts("layer_types", 4096);
        if (types is not null && types.Length != c.Layers) throw node.Error("layer_types", $"{types.Length} types for {c.Layers} layers.");
        var windows = new int[c.Layers];
        for (var layer = 0; layer < windows.Length; layer++) windows[layer] = (types is null ? slides(layer) : types[layer] == Sliding) ? window : 0;
        return c with { Windows = windows };
    }

    private static Activation Act(ConfigNode node, string field, string fallback)
    {
        var act = TextFile.Activation(node, field, fallback);
        return act != Activation.QuickGelu ? act
            : throw node.Error(field, "quick_gelu has no gated form here; supported are silu, gelu, gelu_pytorch_tanh and relu.");
    }

    private static float Scale(ConfigNode node)
    {
        var scalar = node.Float("query_pre_attn_scalar", 256);
        return scalar > 0 ? 1 / MathF.Sqrt(scalar) : throw node.Error("query_pre_attn_scalar", $"it is {scalar}; a number above 0 is expected.");
    }
}
