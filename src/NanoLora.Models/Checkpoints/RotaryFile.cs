using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// Reads how a config.json turns heads: "rope_parameters" of transformers 5 (one object, or one for each kind of layer), or "rope_theta",
/// "rope_scaling", "partial_rotary_factor" of the versions before; GPT-NeoX calls them "rotary_emb_base" and "rotary_pct".
/// </summary>
internal static class RotaryFile
{
    private static readonly string[] Known =
    [
        "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow",
        "mscale", "mscale_all_dim", "truncate", "low_freq_factor", "high_freq_factor", "short_factor", "long_factor", "finetuned",
    ];

    /// <summary>The config of a model's layers of one kind.</summary>
    /// <param name="node">The whole config.</param>
    /// <param name="headSize">The width of a head.</param>
    /// <param name="theta">The base where the config gives none.</param>
    /// <param name="part">The part of a head that turns where the config gives none.</param>
    /// <param name="layers">The kind of layer, where the config may have an object for each; else null.</param>
    /// <exception cref="CheckpointException">A type or a field that is not supported, or numbers that make no frequencies.</exception>
    public static RotaryConfig Read(ConfigNode node, int headSize, float theta = 10000, float part = 1, string? layers = null)
    {
        var p = node.Sub(node.Has("rope_parameters") ? "rope_parameters" : "rope_scaling");
        if (layers is not null && p.Has(layers)) p = p.Sub(layers);
        foreach (var field in p.Fields())
            if (!Known.Contains(field)) throw p.Error(field, $"this field of rotary positions is not supported; supported are {string.Join(", ", Known)}.");
        var name = p.Has("rope_type") ? "rope_type" : "type";
        var scaling = p.Text(name, "default") switch
        {
            "default" => RotaryScaling.None,
            "linear" => RotaryScaling.Linear,
            "dynamic" => RotaryScaling.Dynamic,
            "llama3" => RotaryScaling.Llama3,
            "yarn" => RotaryScaling.Yarn,
            "longrope" or "su" => RotaryScaling.LongRope,
            var other => throw p.Error(name, $"\"{other}\" is not supported; supported are default, linear, dynamic, llama3, yarn and longrope."),
        };
        var longest = node.Int("max_position_embeddings", 2048);
        var own = p.Has("original_max_position_embeddings") ? p : node;                // Phi-3 has it beside, not within
        var trained = scaling switch
        {
            RotaryScaling.Dynamic => longest,
            RotaryScaling.LongRope or RotaryScaling.Yarn or RotaryScaling.Llama3 => own.Int("original_max_position_embeddings", longest),
            _ => longest,
        };
        var needed = scaling is RotaryScaling.Linear or RotaryScaling.Dynamic or RotaryScaling.Llama3;
        var llama3 = scaling == RotaryScaling.Llama3;
        var config = new RotaryConfig
        {
            Theta = p.Float("rope_theta", node.Float("rope_theta", node.Float("rotary_emb_base", theta))),
            Part = p.Float("partial_rotary_factor", node.Float("partial_rotary_factor", node.Float("rotary_pct", part))),
            Scaling = scaling,
            Factor = p.Float("factor", needed ? null : (float)longest / trained),
            Trained = trained,
            Slow = llama3 ? p.Float("low_freq_factor") : p.Float("beta_slow", 1),
            Fast = llama3 ? p.Float("high_freq_factor") : p.Float("beta_fast", 32),
            Truncate = p.Bool("truncate", true),
            ShortFactors = Factors(p, "short_factor"),
            LongFactors = Factors(p, "long_factor"),
        };
        config = config with { AttentionFactor = OnCosines(p, config) };
        Check(p, config, headSize);
        return config;
    }

    // YaRN's two "mscale" give the factor as a quotient.
    private static double? OnCosines(ConfigNode p, RotaryConfig config)
    {
        if (p.Has("attention_factor")) return p.Float("attention_factor");
        if (config.Scaling != RotaryScaling.Yarn || !p.Has("mscale") || !p.Has("mscale_all_dim")) return null;
        var (m, all) = (p.Float("mscale"), p.Float("mscale_all_dim"));
        return m == 0 || all == 0 ? null : RopeFrequencies.YarnFactor(config.Factor, m) / RopeFrequencies.YarnFactor(config.Factor, all);
    }

    private static double[] Factors(ConfigNode p, string name) => Array.ConvertAll(p.Floats(name) ?? [], static f => (double)f);

    private static void Check(ConfigNode p, RotaryConfig c, int headSize)
    {
        if (c.Theta <= 1) throw p.Error("rope_theta", $"it is {c.Theta}; a base above 1 is expected.");
        var turning = c.Part is > 0 and <= 1 ? c.Turning(headSize) : 0;
        if (turning < 2 || turning % 2 != 0 || (turning == 2 && c.Scaling == RotaryScaling.Dynamic))
            throw p.Error("partial_rotary_factor", $"{c.Part} of a head of {headSize} elements makes no pairs that turn.");
        if (c.Factor <= 0) throw p.Error("factor", $"it is {c.Factor}; a number above 0 is expected.");
        if (c.Scaling == RotaryScaling.Llama3 && c.Fast <= c.Slow)
            throw p.Error("high_freq_factor", $"it is {c.Fast}; a number above low_freq_factor, {c.Slow}, is expected.");
        if (c.Scaling == RotaryScaling.Yarn && (c.Fast <= 0 || c.Slow <= 0))
            throw p.Error("beta_fast", $"it and beta_slow are {c.Fast} and {c.Slow}; numbers above 0 are expected.");
        if (c.Scaling != RotaryScaling.LongRope) return;
        if (c.Trained < 2) throw p.Error("original_max_position_embeddings", $"it is {c.Trained}; a length of 2 at least is expected.");
        foreach (var (name, factors) in (ReadOnlySpan<(string, IReadOnlyList<double>)>)[("short_factor", c.ShortFactors), ("long_factor", c.LongFactors)])
        {
            if (factors.Count != turning / 2 || factors.Any(static f => !(f > 0)))
                throw p.Error(name, $"{turning / 2} factors above 0 are expected, one for each pair that turns; it has {factors.Count}.");
        }
    }
}
