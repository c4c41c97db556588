using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// GPT-2 in double precision: learned positions, q, k and v of one matrix, the tanh form of GELU, an output layer tied to the embedding. Its file has weights
/// as [in, out].
/// </summary>
internal sealed class ExactGpt2 : ExactLanguageModel
{
    internal ExactGpt2(string folder, Checkpoint file, Config config, Backend backend) : base(folder, file, config, backend)
    {
        AddOther("transformer.wte");
        AddOther("transformer.wpe");
        for (var layer = 0; layer < Layers; layer++)
        {
            var at = $"transformer.h.{layer}.";
            AddOther(at + "ln_1");
            Add(at + "attn.c_attn", D);
            Add(at + "attn.c_proj", D);
            AddOther(at + "ln_2");
            Add(at + "mlp.c_fc", D);
            Add(at + "mlp.c_proj", Value(at + "mlp.c_fc.bias").Length);
        }
        AddOther("transformer.ln_f");
        Tie("lm_head.weight", "transformer.wte.weight");
        AddLinear("lm_head", D, "head");

        void Add(string name, int inputs)
        {
            Transpose(name + ".weight", inputs);
            AddLinear(name, inputs);
        }
    }

    private protected override double[] Logits(ReadOnlySpan<int> ids)
    {
        var x = Sum(Rows("transformer.wte.weight", ids), Rows("transformer.wpe.weight", [.. Enumerable.Range(0, ids.Length)]));   // [T, D]
        for (var layer = 0; layer < Layers; layer++)
        {
            var at = $"transformer.h.{layer}.";
            var qkv = Linear(at + "attn.c_attn", Norm(at + "ln_1", x));                 // [T, 3 D]
            x = Sum(x, Linear(at + "attn.c_proj", Attention(Third(qkv, 0), Third(qkv, 1), Third(qkv, 2), ids.Length)));
            var m = Linear(at + "mlp.c_fc", Norm(at + "ln_2", x));
            x = Sum(x, Linear(at + "mlp.c_proj", Array.ConvertAll(m, Gelu)));
        }
        return Linear("lm_head", Norm("transformer.ln_f", x), "head");
    }

    private double[] Third(double[] qkv, int which)
    {
        var y = new double[qkv.Length / 3];
        for (var t = 0; t < y.Length / D; t++) Array.Copy(qkv, (t * 3 + which) * D, y, t * D, D);
        return y;
    }

    // y = (x - mean) / √(variance + ε) w + b,   over each row of D
    private double[] Norm(string name, double[] x)
    {
        double[] w = Value(name + ".weight"), b = Value(name + ".bias"), y = new double[x.Length];
        for (var at = 0; at < x.Length; at += D)
        {
            double mean = 0, variance = 0;
            for (var i = 0; i < D; i++) mean += x[at + i] / D;
            for (var i = 0; i < D; i++) variance += (x[at + i] - mean) * (x[at + i] - mean) / D;
            for (var i = 0; i < D; i++) y[at + i] = (x[at + i] - mean) / Math.Sqrt(variance + Eps) * w[i] + b[i];
        }
        return y;
    }

    private static double Gelu(double x) => x / 2 * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}
