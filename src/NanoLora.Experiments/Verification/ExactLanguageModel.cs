using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// A causal language model in double precision, with the parts and names of its checkpoint for adapters to be held against: a second opinion on what an
/// adapter does. Loops and formulas on arrays, written to be read; it takes from the library the reader of files and the factors, nothing that computes.
/// </summary>
internal abstract class ExactLanguageModel : Model
{
    private readonly Dictionary<string, double[]> _values = new(StringComparer.Ordinal);
    private LoraModule? _module;   // during Logits, as the updates
    private IReadOnlyDictionary<string, double[]>? _updates;

    private protected ExactLanguageModel(string folder, Checkpoint file, Config config, Backend backend) : base(backend, new NameMap(), folder)
    {
        (D, H, Layers, Eps) = (config.Int(config.Width), config.Int(config.Heads), config.Int(config.Depth), config.Number(config.Epsilon));
        foreach (var entry in file.Entries)
        {
            var values = new float[entry.Count];
            file.CopyTo(entry, values);
            _values.Add(entry.Name, Array.ConvertAll(values, static v => (double)v));
        }
    }

    /// <summary>Width, heads and blocks; the ε of norms.</summary>
    private protected int D { get; }

    private protected int H { get; }

    private protected int Layers { get; }

    private protected double Eps { get; }

    /// <summary>Reads the model of a folder: a Llama or a GPT-2, by its config.</summary>
    internal static ExactLanguageModel Load(string folder, Backend backend)
    {
        using var file = Checkpoint.Open(folder);
        using var config = new Config(Path.Combine(folder, "config.json"));
        return config.Type switch
        {
            "llama" => new ExactLlama(folder, file, config, backend),
            "gpt2" => new ExactGpt2(folder, file, config, backend),
            var type => throw config.Error("model_type", $"\"{type}\" is neither llama nor gpt2."),
        };
    }

    /// <summary>
    /// The logits [B, T, V] of ids [B, T], under a module's updates and head, and with some of the linears' weights changed by updates of their own shape, by
    /// their names in the file.
    /// </summary>
    internal double[] Logits(int[] ids, int tokens, LoraModule? module, IReadOnlyDictionary<string, double[]>? updates = null)
    {
        (_module, _updates) = (module, updates);
        var logits = new List<double>();
        for (var row = 0; row < ids.Length; row += tokens) logits.AddRange(Logits(ids.AsSpan(row, tokens)));
        return [.. logits];
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor inputs) => throw new NotSupportedException("Logits gives them in double precision.");

    /// <summary>The logits [T, V] of one row of ids.</summary>
    private protected abstract double[] Logits(ReadOnlySpan<int> ids);

    /// <summary>A tensor of the file.</summary>
    private protected double[] Value(string name) =>
        _values.TryGetValue(name, out var values) ? values : throw new CheckpointException(Source, name, "is not in the file; the exact forward needs it.");

    /// <summary>Makes a linear part out of [out, in] and its bias, if the file has one, so that an adapter finds it.</summary>
    private protected void AddLinear(string name, int inputs, string? path = null)
    {
        var w = Value(name + ".weight");
        using var weight = Backend.Main.From(Array.ConvertAll(w, static v => (float)v), new Shape(w.Length / inputs, inputs));
        var b = _values.GetValueOrDefault(name + ".bias");
        using var bias = b is null ? null : Backend.Main.From(Array.ConvertAll(b, static v => (float)v), new Shape(b.Length));
        Names.Add(path ?? name, name);
        Part(path ?? name, new Linear(weight, bias));
    }

    /// <summary>Makes a part that is no linear, so that an adapter which would replace it is refused by its name.</summary>
    private protected void AddOther(string name)
    {
        var w = Value(name + ".weight");
        using var weight = Backend.Main.From(Array.ConvertAll(w, static v => (float)v), new Shape(w.Length));
        Names.Add(name, name);
        Part(name, new LayerNorm(weight, null, (float)Eps));
    }

    /// <summary>[in, out] as [out, in].</summary>
    private protected void Transpose(string name, int inputs)
    {
        var (x, outputs) = (Value(name), Value(name).Length / inputs);
        var y = new double[x.Length];
        for (var i = 0; i < inputs; i++)
            for (var o = 0; o < outputs; o++) y[o * inputs + i] = x[i * outputs + o];
        _values[name] = y;
    }

    /// <summary>Gives a tensor a second name.</summary>
    private protected void Tie(string name, string to) => _values[name] = Value(to);

    /// <summary>y = x Wᵀ + b + s (x Aᵀ) Bᵀ, with the module's A, B and s, or with its own W for the head.</summary>
    private protected double[] Linear(string name, double[] x, string? path = null)
    {
        var w = path == "head" && _module?.Head is { } head ? Array.ConvertAll(head.Weight, static v => (double)v) : Value(name + ".weight");
        if (_updates?.GetValueOrDefault(name + ".weight") is { } changed) w = Sum(w, changed);
        var inputs = LinearAt(path ?? name).In;
        var y = Times(x, w, inputs);
        if (_values.TryGetValue(name + ".bias", out var b)) for (var i = 0; i < y.Length; i++) y[i] += b[i % b.Length];
        if (_module is null || !_module.Updates.TryGetValue(path ?? name, out var lora)) return y;
        var scale = lora.RankStabilised ? lora.Alpha / Math.Sqrt(lora.Rank) : lora.Alpha / (double)lora.Rank;
        var update = Times(Times(x, Wide(lora.A), inputs), Wide(lora.B), lora.Rank);
        for (var i = 0; i < y.Length; i++) y[i] += scale * update[i];
        if (lora.Bias is { } beside) for (var (i, more) = (0, Wide(beside)); i < y.Length; i++) y[i] += scale * more[i % more.Length];
        if (lora is Pissa pissa) AddStart(pissa, x, y);
        if (lora is Dora dora) Rescale(dora, scale, w, b, y);
        return y;
    }

    // y -= s (x A₀ᵀ) B₀ᵀ: the second half of the plain LoRA that a PiSSA is.
    private static void AddStart(Pissa pissa, double[] x, double[] y)
    {
        using var plain = pissa.AsLora();
        int rank = pissa.Rank, inputs = plain.A.Shape[1];
        double[] a = Wide(plain.A)[(rank * inputs)..], both = Wide(plain.B), b = new double[both.Length / 2];
        for (var i = 0; i < b.Length; i++) b[i] = both[i / rank * 2 * rank + rank + i % rank];
        var start = Times(Times(x, a, inputs), b, rank);
        for (var i = 0; i < y.Length; i++) y[i] += pissa.Scale * start[i];
    }

    // y = m / ‖W + s B A‖ ∘ (y - b) + b, norms of rows
    private static void Rescale(Dora dora, double scale, double[] w, double[]? bias, double[] y)
    {
        double[] a = Wide(dora.A), b = Wide(dora.B), gain = Wide(dora.Magnitude);
        int outputs = gain.Length, inputs = w.Length / outputs;
        for (var o = 0; o < outputs; o++)
        {
            var sum = 0.0;
            for (var i = 0; i < inputs; i++)
            {
                var v = w[o * inputs + i];
                for (var r = 0; r < dora.Rank; r++) v += scale * b[o * dora.Rank + r] * a[r * inputs + i];
                sum += v * v;
            }
            gain[o] /= Math.Sqrt(sum);
        }
        for (var i = 0; i < y.Length; i++)
        {
            var beside = bias?[i % outputs] ?? 0;
            y[i] = gain[i % outputs] * (y[i] - beside) + beside;
        }
    }

    /// <summary>
    /// y_t = Σ_{s ≤ t} p_ts v_s,   p_t = softmax over s of q_t · k_s / √d: head h of the H of q looks at head h / (H / K) of the K of k and v.
    /// </summary>
    private protected double[] Attention(double[] q, double[] k, double[] v, int tokens)
    {
        int Q = q.Length / tokens, d = Q / H, KV = k.Length / tokens, group = Q / KV;   // columns of q, of a head, of k and v; heads of q to one of k
        var (y, p) = (new double[q.Length], new double[tokens]);
        for (var t = 0; t < tokens; t++)
            for (var head = 0; head < H; head++)
            {
                int at = t * Q + head * d, of = head / group * d;
                var (max, sum) = (double.NegativeInfinity, 0.0);
                for (var s = 0; s <= t; s++)
                {
                    p[s] = 0;
                    for (var i = 0; i < d; i++) p[s] += q[at + i] * k[s * KV + of + i] / Math.Sqrt(d);
                    max = Math.Max(max, p[s]);
                }
                for (var s = 0; s <= t; s++) sum += p[s] = Math.Exp(p[s] - max);
                for (var s = 0; s <= t; s++)
                    for (var i = 0; i < d; i++) y[at + i] += p[s] / sum * v[s * KV + of + i];
            }
        return y;
    }

    /// <summary>The rows of a table at the ids.</summary>
    private protected double[] Rows(string name, ReadOnlySpan<int> ids)
    {
        var table = Value(name);
        var y = new double[ids.Length * D];
        for (var t = 0; t < ids.Length; t++) Array.Copy(table, ids[t] * D, y, t * D, D);
        return y;
    }

    /// <summary>x + y.</summary>
    private protected static double[] Sum(double[] x, double[] y) => [.. x.Zip(y, static (a, b) => a + b)];

    // x [rows, in]   w [out, in]
    private static double[] Times(double[] x, double[] w, int inputs)
    {
        int outputs = w.Length / inputs, rows = x.Length / inputs;
        var y = new double[rows * outputs];
        for (var row = 0; row < rows; row++)
            for (var o = 0; o < outputs; o++)
                for (var i = 0; i < inputs; i++) y[row * outputs + o] += x[row * inputs + i] * w[o * inputs + i];
        return y;
    }

    private static double[] Wide(Parameter parameter) => Array.ConvertAll(parameter.Value.ToArray(), static v => (double)v);

    /// <summary>A config.json, and how its family calls what all have.</summary>
    internal sealed class Config(string path) : IDisposable
    {
        private readonly JsonDocument _json = JsonDocument.Parse(File.ReadAllBytes(path));

        internal string? Type => _json.RootElement.GetProperty("model_type").GetString();

        internal string Width => Type == "gpt2" ? "n_embd" : "hidden_size";

        internal string Heads => Type == "gpt2" ? "n_head" : "num_attention_heads";

        internal string Depth => Type == "gpt2" ? "n_layer" : "num_hidden_layers";

        internal string Epsilon => Type == "gpt2" ? "layer_norm_epsilon" : "rms_norm_eps";

        internal int Int(string name) => Setting(_json.RootElement, name).GetInt32();

        internal double Number(string name, string? within = null) =>
            Setting(within is null ? _json.RootElement : Setting(_json.RootElement, within, JsonValueKind.Object), name).GetDouble();

        internal CheckpointException Error(string field, string message) => new(path, field, message);

        public void Dispose() => _json.Dispose();

        private JsonElement Setting(JsonElement parent, string name, JsonValueKind kind = JsonValueKind.Number) =>
            parent.TryGetProperty(name, out var value) && value.ValueKind == kind ? value
            : throw Error(name, $"is missing or no {kind}; the exact forward needs it.");
    }
}
