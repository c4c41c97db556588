using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Hugging Face's ViT for classification in double precision: the judge where two float32 forwards disagree by their rounding. Loops and formulas on arrays,
/// written to be read; of the library it takes the reader of files and nothing that it judges.
/// </summary>
internal sealed class ExactVit
{
    private readonly Checkpoint _file;
    private readonly string _configPath;
    private readonly JsonElement _config;
    private readonly IReadOnlyDictionary<string, double[]> _updates;
    private readonly int D, L, H, C, S, P, T;   // width, layers, heads, channels, rows and columns of an image, of a patch, tokens of an image
    private readonly double _eps;

    private ExactVit(Checkpoint file, string configPath, JsonElement config, IReadOnlyDictionary<string, double[]> updates)
    {
        (_file, _configPath, _config, _updates) = (file, configPath, config, updates);
        (D, L, H) = (Size("hidden_size"), Size("num_hidden_layers"), Size("num_attention_heads"));
        (C, S, P) = (Size("num_channels"), Size("image_size"), Size("patch_size"));
        (T, _eps) = (1 + S / P * (S / P), Setting("layer_norm_eps", JsonValueKind.Number).GetDouble());
        if (Setting("hidden_act", JsonValueKind.String).GetString() is var act and not "gelu") throw Error("hidden_act", $"is {act}; gelu is expected.");
        foreach (var (name, update) in updates)
        {
            if (_file[name].Count == update.Length) continue;
            throw new CheckpointException(_file.Path, name,
                $"has {_file[name].Count} elements, its update {update.Length}; give an update of the tensor's shape.");
        }
    }

    /// <summary>
    /// The logits [B, classes] of images [B, C, S, S]: the model of a folder, some of its tensors changed by updates of their own shape, by their names in the
    /// file.
    /// </summary>
    /// <exception cref="CheckpointException">The folder holds no such model, or an update fits no tensor.</exception>
    internal static double[] Logits(string folder, float[] images, IReadOnlyDictionary<string, double[]> updates)
    {
        var config = Path.Combine(folder, "config.json");
        using var file = Checkpoint.Open(folder);
        using var json = JsonDocument.Parse(File.ReadAllBytes(config));
        return new ExactVit(file, config, json.RootElement, updates).Logits(images);
    }

    /// <summary>
    /// erf z = 2/√π e^-z² Σ 2ⁿ z^(2n+1) / (1 · 3 · … · (2n+1)): all terms have the sign of z, so nothing cancels. Beyond 6 it is ±1 in double precision.
    /// </summary>
    internal static double Erf(double z)
    {
        if (Math.Abs(z) > 6) return Math.Sign(z);
        double term = z, sum = z;
        for (var n = 1; Math.Abs(term) > 1e-17 * Math.Abs(sum); n++) sum += term *= 2 * z * z / (2 * n + 1);
        return 2 / Math.Sqrt(Math.PI) * Math.Exp(-z * z) * sum;
    }

    private double[] Logits(float[] images)
    {
        var x = Embed(images);                                                          // [B, T, D]
        for (var layer = 0; layer < L; layer++)
        {
            var at = $"vit.encoder.layer.{layer}.";
            var h = Norm(at + "layernorm_before", x);
            double[] Head(string name) => Linear($"{at}attention.attention.{name}", h);   // [B, T, D]
            x = Sum(x, Linear(at + "attention.output.dense", Attention(Head("query"), Head("key"), Head("value"))));
            var m = Linear(at + "intermediate.dense", Norm(at + "layernorm_after", x));   // [B, T, F]
            x = Sum(x, Linear(at + "output.dense", Array.ConvertAll(m, Gelu)));
        }
        x = Norm("vit.layernorm", x);
        var first = new double[x.Length / T];                                           // [B, D]: the class token sees the head
        for (var b = 0; b * D < first.Length; b++) Array.Copy(x, b * T * D, first, b * D, D);
        return Linear("classifier", first);
    }

    // The class token, then the patches row by row, each a linear of its [C, P, P] pixels; all get their position.
    private double[] Embed(float[] images)
    {
        int B = images.Length / (C * S * S), grid = S / P;
        var pixels = new double[B * (T - 1) * C * P * P];                               // [B, grid, grid, C, P, P]
        var to = 0;
        for (var b = 0; b < B; b++)
            for (var row = 0; row < grid; row++)
                for (var column = 0; column < grid; column++)
                    for (var c = 0; c < C; c++)
                        for (var i = 0; i < P; i++)
                            for (var j = 0; j < P; j++) pixels[to++] = images[((b * C + c) * S + row * P + i) * S + column * P + j];
        var patches = Linear("vit.embeddings.patch_embeddings.projection", pixels);     // [B, T - 1, D]
        double[] cls = Read("vit.embeddings.cls_token"), position = Read("vit.embeddings.position_embeddings");   // [D], [T, D]
        var x = new double[B * T * D];
        for (var b = 0; b < B; b++)
            for (var t = 0; t < T; t++)
                for (var i = 0; i < D; i++) x[(b * T + t) * D + i] = (t == 0 ? cls[i] : patches[(b * (T - 1) + t - 1) * D + i]) + position[t * D + i];
        return x;
    }

    // y_t = Σ_s p_ts v_s,   p_t = softmax over s of q_t · k_s / √d,   d = D / H: each head has d of the D columns
    private double[] Attention(double[] q, double[] k, double[] v)
    {
        var (d, y, p) = (D / H, new double[q.Length], new double[T]);
        for (var row = 0; row < q.Length / D; row++)
            for (var head = 0; head < H; head++)
            {
                int at = row * D + head * d, start = row / T * T;   // the tokens of row's image start there
                for (var s = 0; s < T; s++)
                {
                    p[s] = 0;
                    for (var i = 0; i < d; i++) p[s] += q[at + i] * k[(start + s) * D + head * d + i] / Math.Sqrt(d);
                }
                var (max, sum) = (p.Max(), 0.0);
                for (var s = 0; s < T; s++) sum += p[s] = Math.Exp(p[s] - max);
                for (var s = 0; s < T; s++)
                    for (var i = 0; i < d; i++) y[at + i] += p[s] / sum * v[(start + s) * D + head * d + i];
            }
        return y;
    }

    // y = x Wᵀ + b,   x [rows, in]   W [out, in]   b [out]
    private double[] Linear(string name, double[] x)
    {
        double[] w = Read(name + ".weight"), b = Read(name + ".bias");
        int outputs = b.Length, inputs = w.Length / outputs, rows = x.Length / inputs;
        var y = new double[rows * outputs];
        for (var row = 0; row < rows; row++)
            for (var o = 0; o < outputs; o++)
            {
                var sum = b[o];
                for (var i = 0; i < inputs; i++) sum += x[row * inputs + i] * w[o * inputs + i];
                y[row * outputs + o] = sum;
            }
        return y;
    }

    // y = (x - mean) / √(variance + ε) w + b,   over each row of D
    private double[] Norm(string name, double[] x)
    {
        double[] w = Read(name + ".weight"), b = Read(name + ".bias"), y = new double[x.Length];
        for (var at = 0; at < x.Length; at += D)
        {
            double mean = 0, variance = 0;
            for (var i = 0; i < D; i++) mean += x[at + i] / D;
            for (var i = 0; i < D; i++) variance += (x[at + i] - mean) * (x[at + i] - mean) / D;
            for (var i = 0; i < D; i++) y[at + i] = (x[at + i] - mean) / Math.Sqrt(variance + _eps) * w[i] + b[i];
        }
        return y;
    }

    private static double Gelu(double x) => x / 2 * (1 + Erf(x / Math.Sqrt(2)));

    private static double[] Sum(double[] x, double[] y) => [.. x.Zip(y, static (a, b) => a + b)];

    // A tensor of the file and its update, if it has one.
    private double[] Read(string name)
    {
        var entry = _file[name];
        var values = new float[entry.Count];
        _file.CopyTo(entry, values);
        var wide = Array.ConvertAll(values, static v => (double)v);
        return _updates.TryGetValue(name, out var update) ? Sum(wide, update) : wide;
    }

    private int Size(string name) => Setting(name, JsonValueKind.Number).GetInt32();

    private JsonElement Setting(string name, JsonValueKind kind) =>
        _config.TryGetProperty(name, out var value) && value.ValueKind == kind ? value
        : throw Error(name, $"is missing or no {kind}; the exact forward needs it.");

    private CheckpointException Error(string field, string message) => new(_configPath, field, message);
}
