using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// The config.json of a Llama that was made here: in Llama's own words where they say it all, so that others can read it; else as a "nano_llama", which has a
/// field for everything that a <see cref="LlamaConfig"/> can say.
/// </summary>
internal static class NanoLlama
{
    /// <summary>What its config calls it.</summary>
    public const string ModelType = "nano_llama";

    /// <summary>Reads one.</summary>
    public static LlamaConfig Read(ConfigNode node)
    {
        var c = LlamaFile.Plain(node);
        return c with
        {
            QkvBias = node.Bool("qkv_bias", false),
            OutputBias = node.Bool("output_bias", false),
            MlpBias = node.Bool("mlp_bias", false),
            FusedQkv = node.Bool("fused_qkv", false),
            FusedGate = node.Bool("fused_gate", false),
            QkNorm = node.Bool("qk_norm", false),
            ShiftedNorms = node.Bool("shifted_norms", false),
            PostNorms = node.Bool("post_norms", false),
            EmbeddingScale = node.Float("embedding_scale", 1),
            AttentionScale = node.Has("attention_scale") ? node.Float("attention_scale") : null,
            AttentionCap = LlamaFile.Cap(node, "attn_logit_softcapping", 0),
            LogitCap = LlamaFile.Cap(node, "final_logit_softcapping", 0),
            LocalRotary = node.Has("local") ? RotaryFile.Read(node.Sub("local"), LlamaFile.HeadSize(node, c.HeadSize)) : null,
            Windows = node.Ints("windows", most: 4096) ?? [],
        };
    }

    /// <summary>Writes one.</summary>
    public static void Describe(Utf8JsonWriter json, LlamaConfig c)
    {
        var plain = IsPlain(c);
        json.WriteString("model_type", plain ? "llama" : ModelType);
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
        json.WriteString("hidden_act", c.Activation switch
        {
            Activation.Silu => "silu",
            Activation.Gelu => "gelu",
            Activation.GeluTanh => "gelu_pytorch_tanh",
            _ => "relu",
        });
        json.WriteNumber("rms_norm_eps", c.Eps);
        json.WriteBoolean("tie_word_embeddings", c.TiedHead);
        json.WriteBoolean("mlp_bias", c.MlpBias);
        Write(json, c.Rotary);
        if (plain) json.WriteBoolean("attention_bias", c.QkvBias);
        else DescribeRest(json, c);
    }

    // Whether nothing is set that Llama's config has no field for.
    private static bool IsPlain(LlamaConfig c) => c.QkvBias == c.OutputBias && !c.FusedQkv && !c.FusedGate && !c.QkNorm && !c.ShiftedNorms && !c.PostNorms
        && c.EmbeddingScale == 1 && c.AttentionScale is null && c.AttentionCap == 0 && c.LogitCap == 0 && c.LocalRotary is null
        && c.Windows.All(static window => window == 0);

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
            Write(json, c.LocalRotary);
            json.WriteEndObject();
        }
        json.WriteStartArray("windows");
        foreach (var window in c.Windows) json.WriteNumberValue(window);
        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, RotaryConfig c)
    {
        json.WriteStartObject("rope_parameters");
        json.WriteString("rope_type", c.Scaling switch
        {
            RotaryScaling.Linear => "linear",
            RotaryScaling.Dynamic => "dynamic",
            RotaryScaling.Llama3 => "llama3",
            RotaryScaling.Yarn => "yarn",
            RotaryScaling.LongRope => "longrope",
            _ => "default",
        });
        json.WriteNumber("rope_theta", c.Theta);
        if (c.Part != 1) json.WriteNumber("partial_rotary_factor", c.Part);
        if (c.Scaling != RotaryScaling.None) WriteScaling(json, c);
        json.WriteEndObject();
    }

    private static void WriteScaling(Utf8JsonWriter json, RotaryConfig c)
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
        if (c.Scaling != RotaryScaling.LongRope) return;
        WriteNumbers(json, "short_factor", c.ShortFactors);
        WriteNumbers(json, "long_factor", c.LongFactors);
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<double> numbers)
    {
        json.WriteStartArray(name);
        foreach (var number in numbers) json.WriteNumberValue(number);
        json.WriteEndArray();
    }
}
