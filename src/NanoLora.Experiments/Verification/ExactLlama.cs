using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>Llama in double precision: RMS norms, heads whose halves turn with the position, a gated MLP.</summary>
internal sealed class ExactLlama : ExactLanguageModel
{
    private readonly double _theta;
    private readonly int _d;   // columns of a head

    internal ExactLlama(string folder, Checkpoint file, Config config, Backend backend) : base(folder, file, config, backend)
    {
        _theta = config.Number("rope_theta", within: "rope_parameters");
        _d = config.Int("head_dim");
        AddOther("model.embed_tokens");
        for (var layer = 0; layer < Layers; layer++)
        {
            foreach (var name in (ReadOnlySpan<string>)["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj"])
                AddLinear($"model.layers.{layer}.{name}", D);
            AddLinear($"model.layers.{layer}.self_attn.o_proj", H * _d);
            AddLinear($"model.layers.{layer}.mlp.down_proj", config.Int("intermediate_size"));
            AddOther($"model.layers.{layer}.input_layernorm");
            AddOther($"model.layers.{layer}.post_attention_layernorm");
        }
        AddOther("model.norm");
        AddLinear("lm_head", D, "head");
    }

    private protected override double[] Logits(ReadOnlySpan<int> ids)
    {
        var x = Rows("model.embed_tokens.weight", ids);                                 // [T, D]
        for (var layer = 0; layer < Layers; layer++)
        {
            var at = $"model.layers.{layer}.";
            var h = Norm(at + "input_layernorm", x);
            double[] q = Turn(Linear(at + "self_attn.q_proj", h), ids.Length), k = Turn(Linear(at + "self_attn.k_proj", h), ids.Length);
            var v = Linear(at + "self_attn.v_proj", h);
            x = Sum(x, Linear(at + "self_attn.o_proj", Attention(q, k, v, ids.Length)));
            var m = Norm(at + "post_attention_layernorm", x);
            double[] gate = Linear(at + "mlp.gate_proj", m), up = Linear(at + "mlp.up_proj", m);
            x = Sum(x, Linear(at + "mlp.down_proj", [.. gate.Zip(up, static (g, u) => g / (1 + Math.Exp(-g)) * u)]));
        }
        return Linear("lm_head", Norm("model.norm", x), "head");
    }

    // y = x / √(mean x² + ε) w,   over each row of D
    private double[] Norm(string name, double[] x)
    {
        double[] w = Value(name + ".weight"), y = new double[x.Length];
        for (var at = 0; at < x.Length; at += D)
        {
            var mean = 0.0;
            for (var i = 0; i < D; i++) mean += x[at + i] * x[at + i] / D;
            for (var i = 0; i < D; i++) y[at + i] = x[at + i] / Math.Sqrt(mean + Eps) * w[i];
        }
        return y;
    }

    // Channels i and i + d/2 of a head are turned together, by the angle position · θ^(-2i/d).
    private double[] Turn(double[] x, int tokens)
    {
        var (d, width, y) = (_d, x.Length / tokens, new double[x.Length]);
        for (var at = 0; at < x.Length; at += d)
            for (var i = 0; i < d / 2; i++)
            {
                var (sin, cos) = Math.SinCos(at / width * Math.Pow(_theta, -2.0 * i / d));
                (y[at + i], y[at + i + d / 2]) = (x[at + i] * cos - x[at + i + d / 2] * sin, x[at + i + d / 2] * cos + x[at + i] * sin);
            }
        return y;
    }
}
