using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>
/// A small Llama whose parts carry the names of its checkpoint, for adapters to be held against; and its forward pass written out in double precision,
/// plain loops over plain arrays, as a second opinion on what an adapter does.
/// </summary>
internal sealed class LlamaByHand : Model
{
    private const int Heads = 2, Layers = 2;
    private const double Eps = 1e-5, Theta = 10000;

    private readonly Dictionary<string, float[]> _values = [];

    public LlamaByHand(Backend backend, string file) : base(backend, new NameMap(), file)
    {
        using var checkpoint = Checkpoint.Open(file);
        foreach (var entry in checkpoint.Entries) checkpoint.CopyTo(entry, _values[entry.Name] = new float[entry.Count]);
        foreach (var entry in checkpoint.Entries.Where(e => e.Name.EndsWith(".weight", StringComparison.Ordinal)))
        {
            var name = entry.Name[..^".weight".Length];
            var path = name == "lm_head" ? "head" : name;
            Names.Add(path, name);
            using var weight = backend.Main.From(_values[entry.Name], new Shape([.. entry.Shape.Select(n => (int)n)]));
            using var bias = _values.TryGetValue(name + ".bias", out var values) ? backend.Main.From(values, new Shape(values.Length)) : null;
            if (name.EndsWith("norm", StringComparison.Ordinal)) Part(path, new LayerNorm(weight, null, (float)Eps));
            else if (name.EndsWith("embed_tokens", StringComparison.Ordinal)) Own(path, weight);
            else Part(path, new Linear(weight, bias));
        }
    }

    public override Tensor Forward(Tensor inputs) => throw new NotSupportedException("Logits gives the last position in double precision.");

    /// <summary>The logits at the last position of one row of ids, under a module's updates and head.</summary>
    public double[] Logits(ReadOnlySpan<long> ids, LoraModule module)
    {
        var x = ids.ToArray().Select(id => Enumerable.Range(0, 32).Select(c => (double)_values["model.embed_tokens.weight"][id * 32 + c]).ToArray()).ToArray();
        for (var layer = 0; layer < Layers; layer++)
        {
            var at = $"model.layers.{layer}.";
            var h = x.Select(t => Norm(t, at + "input_layernorm")).ToArray();
            var q = h.Select((t, p) => Rope(Apply(at + "self_attn.q_proj", t), p)).ToArray();
            var k = h.Select((t, p) => Rope(Apply(at + "self_attn.k_proj", t), p)).ToArray();
            var v = h.Select(t => Apply(at + "self_attn.v_proj", t)).ToArray();
            for (var t = 0; t < x.Length; t++) Add(x[t], Apply(at + "self_attn.o_proj", Attend(q[t], k, v, t)));
            foreach (var t in x)
            {
                var n = Norm(t, at + "post_attention_layernorm");
                var (gate, up) = (Apply(at + "mlp.gate_proj", n), Apply(at + "mlp.up_proj", n));
                Add(t, Apply(at + "mlp.down_proj", gate.Select((g, i) => g / (1 + Math.Exp(-g)) * up[i]).ToArray()));
            }
        }
        return Apply("lm_head", Norm(x[^1], "model.norm"));

        double[] Apply(string name, double[] input)
        {
            var isHead = name == "lm_head";
            var weight = isHead && module.Head is { } head ? head.Weight : _values[name + ".weight"];
            var y = Times(weight, input);
            if (_values.TryGetValue(name + ".bias", out var bias)) Add(y, bias.Select(b => (double)b).ToArray());
            if (!module.Updates.TryGetValue(isHead ? "head" : name, out var lora)) return y;
            var scale = lora.RankStabilised ? lora.Alpha / Math.Sqrt(lora.Rank) : lora.Alpha / (double)lora.Rank;
            Add(y, Times(lora.B.Value.ToArray(), Times(lora.A.Value.ToArray(), input)).Select(d => scale * d).ToArray());
            return y;
        }
    }

    private double[] Norm(double[] x, string name)
    {
        var r = 1 / Math.Sqrt(x.Sum(v => v * v) / x.Length + Eps);
        return x.Select((v, i) => v * r * _values[name + ".weight"][i]).ToArray();
    }

    // Channel i of a head turns with channel i + D/2.
    private static double[] Rope(double[] x, int position)
    {
        var (d, y) = (x.Length / Heads, new double[x.Length]);
        for (var i = 0; i < x.Length; i++)
        {
            var c = i % d;
            var angle = position * Math.Pow(Theta, -2.0 * (c % (d / 2)) / d);
            y[i] = x[i] * Math.Cos(angle) + (c < d / 2 ? -x[i + d / 2] : x[i - d / 2]) * Math.Sin(angle);
        }
        return y;
    }

    private static double[] Attend(double[] q, double[][] k, double[][] v, int last)
    {
        var (d, y) = (q.Length / Heads, new double[q.Length]);
        for (var head = 0; head < Heads; head++)
        {
            var scores = Enumerable.Range(0, last + 1).Select(t => Math.Exp(Enumerable.Range(head * d, d).Sum(c => q[c] * k[t][c]) / Math.Sqrt(d))).ToArray();
            for (var t = 0; t <= last; t++)
                for (var c = head * d; c < (head + 1) * d; c++) y[c] += scores[t] / scores.Sum() * v[t][c];
        }
        return y;
    }

    private static double[] Times(float[] weight, double[] x) =>
        Enumerable.Range(0, weight.Length / x.Length).Select(o => Enumerable.Range(0, x.Length).Sum(i => weight[o * x.Length + i] * x[i])).ToArray();

    private static void Add(double[] sum, double[] x)
    {
        for (var i = 0; i < sum.Length; i++) sum[i] += x[i];
    }
}
