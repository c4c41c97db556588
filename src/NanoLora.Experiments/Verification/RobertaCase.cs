using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// A LoRA of RoBERTa that was trained for a task: the spectrum of each of its matrices, and mixtures of the first layer's with two random modules of the same
/// norm. The folder holds some of the layers; the others are in the published file, if that is there.
/// </summary>
internal sealed class RobertaCase(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
{
    private const string DataSet = "adapter-roberta-base-mnli-lora", FileName = "roberta_base_lora_mnli.bin";

    private readonly double _relative = Number(folder, folder.Field(folder.Root, "tolerance", JsonValueKind.Object), "relative");
    private readonly JsonElement _numbers = folder.Field(folder.Root, "numbers", JsonValueKind.Object);

    /// <summary>Runs the case.</summary>
    public void Run()
    {
        var path = options.DataFolder is { } data ? Path.Combine(data, DataSet, FileName) : "";
        using var published = File.Exists(path) ? Checkpoint.Open(path) : null;
        var scale = (float)Number(folder, folder.Field(_numbers, "scale", JsonValueKind.Object), "s");
        foreach (var matrix in folder.Field(_numbers, "all_matrices", JsonValueKind.Object).EnumerateObject())
        {
            var (name, here) = (matrix.Name, $"base_model.model.{matrix.Name}");
            using var scope = backend.Main.Scope(grad: false);
            using var trained = folder.Holds($"{here}.lora_A.weight")
                ? Module(folder.Load(backend.Main, $"{here}.lora_A.weight"), folder.Load(backend.Main, $"{here}.lora_B.weight"), scale)
                : published is null ? null : Module(published.Load($"{name}.lora_A", backend.Main), published.Load($"{name}.lora_B", backend.Main), scale);
            if (trained is null) continue;
            Spectrum(name, Product.Of(trained.Factors()).Values, matrix.Value);
            if (folder.Holds($"probe.{name}")) Mixed(name, trained, folder.Field(matrix.Value, "mixed", JsonValueKind.Object));
        }
        if (published is null)
        {
            report.Skip(DataSet);
            return;
        }
        foreach (var tensor in folder.Field(_numbers, "every_tensor_of_the_file", JsonValueKind.Object).EnumerateObject())
        {
            var shape = Array.ConvertAll(Values(tensor.Value), static n => (int)n);
            report.Tensor($"the file's {tensor.Name}", default, published.TryGet(tensor.Name, out var entry)
                ? Comparison.Of(entry.Shape.Select(static n => (int)n).ToArray(), shape) : Comparison.Fail("is not in the file"));
        }
    }

    private static Lora Module(Tensor a, Tensor b, float scale) => new(a, b, scale * a.Shape[0]);

    // Effective rank: exp of the entropy of s / Σ s. Stable rank: Σ s² / s₁². Participation: (Σ s²)² / Σ s⁴. Values that are 0 but for rounding do not count.
    private void Spectrum(string name, double[] all, JsonElement facts)
    {
        double[] s = [.. all.Where(v => v > 1e-12 * all[0])];
        var (sum, energy) = (s.Sum(), s.Sum(static v => v * v));
        foreach (var fact in facts.EnumerateObject())
        {
            double[]? got = fact.Name switch
            {
                "singular_values" => all,
                "effective_rank" => [Math.Exp(-s.Sum(v => v / sum * Math.Log(v / sum)))],
                "stable_rank" => [energy / (s[0] * s[0])],
                "participation" => [energy * energy / s.Sum(static v => v * v * v * v)],
                "frobenius" => [Math.Sqrt(energy)],
                "discarded_energy_at_rank" => [.. fact.Value.EnumerateObject().Select(k => Discarded(s, int.Parse(k.Name)))],
                _ => null,
            };
            if (fact.Name == "mixed") continue;
            Close($"{name}.{fact.Name}", got, Values(fact.Value), fact.Name == "discarded_energy_at_rank" ? energy : null);
        }
    }

    private void Mixed(string name, Lora trained, JsonElement facts)
    {
        using var one = Module(folder.Load(backend.Main, $"random.1.{name}.lora_A"), folder.Load(backend.Main, $"random.1.{name}.lora_B"), 1);
        using var two = Module(folder.Load(backend.Main, $"random.2.{name}.lora_A"), folder.Load(backend.Main, $"random.2.{name}.lora_B"), 1);
        Lora[] modules = [trained, one, two];
        var probe = folder.Load(backend.Main, $"probe.{name}");
        using var host = new Linear(backend.Main.Zeros(new Shape(trained.B.Shape[0], probe.Cols)));
        var weights = Array.ConvertAll(Values(folder.Field(facts, "weights", JsonValueKind.Array)), static w => (float)w);
        using var mixed = new Composition(host, modules, new FixedMixer(backend, weights));
        using (var uniform = new Composition(host, modules, new UniformMixer(backend, modules.Length))) Floats($"uniform.{name}", Applied(uniform));
        Floats($"mixed.{name}", Applied(mixed));
        var product = Product.Of(mixed.Factors());
        Floats($"mixed.svd8.{name}", product.Apply(probe.ToArray(), rank: 8));
        Close($"{name}.mixed.singular_values", product.Values, Values(folder.Field(facts, "singular_values", JsonValueKind.Array)));
        Close($"{name}.mixed.discarded_energy_at_rank_8", [Discarded(product.Values, 8)], [Number(folder, facts, "discarded_energy_at_rank_8")]);
        var inner = modules.SelectMany(f => modules.Select(g => Inner(f.Factors(), g.Factors())));
        Close($"{name}.mixed.inner", [.. inner], [.. folder.Field(facts, "inner", JsonValueKind.Array).EnumerateArray().SelectMany(static row => Values(row))]);
        var angles = Angles(trained.Factors(), one.Factors());
        Close($"{name}.mixed.angles_trained_random_1_inputs", angles, Values(folder.Field(facts, "angles_trained_random_1_inputs", JsonValueKind.Array)));

        float[] Applied(Composition composition) => composition.Apply(host, probe, backend.Main.Zeros(new Shape(probe.Rows, host.Out))).ToArray();
    }

    private static double Discarded(double[] s, int rank) => s.Skip(rank).Sum(static v => v * v);

    // ⟨B A, D C⟩ = tr((C Aᵀ)(Bᵀ D))
    private static double Inner(Factors f, Factors g)
    {
        var sum = 0.0;
        for (var i = 0; i < f.Rank; i++)
            for (var j = 0; j < g.Rank; j++)
            {
                double inputs = 0, outputs = 0;
                for (var k = 0; k < f.In; k++) inputs += (double)f.A[i * f.In + k] * g.A[j * f.In + k];
                for (var k = 0; k < f.Out; k++) outputs += (double)f.B[k * f.Rank + i] * g.B[k * g.Rank + j];
                sum += inputs * outputs;
            }
        return sum;
    }

    // Between the spaces of the inputs that A and C look at: arccos of the singular values of Q Pᵀ, with orthonormal rows Q of A's and P of C's.
    private static double[] Angles(Factors f, Factors g)
    {
        Svd a = Svd.Of(Wide(f.A), f.Rank, f.In), c = Svd.Of(Wide(g.A), g.Rank, g.In);
        var cosines = new double[a.Count * c.Count];
        for (var i = 0; i < a.Count; i++)
            for (var j = 0; j < c.Count; j++)
                for (var k = 0; k < f.In; k++) cosines[i * c.Count + j] += a.Right[i * f.In + k] * c.Right[j * f.In + k];
        return Array.ConvertAll(Svd.Of(cosines, a.Count, c.Count).Values, static cosine => Math.Acos(Math.Min(1, cosine)));
    }

    private void Floats(string name, float[] got)
    {
        var want = folder.Floats(name);
        report.Floats(name, folder.ShapeOf(name), got, want, _relative * want.Max(Math.Abs));
    }

    // Within the case's tolerance of the largest, or of the magnitude given.
    private void Close(string name, double[]? got, double[] want, double? magnitude = null)
    {
        if (got is null || got.Length != want.Length)
        {
            report.Tensor(name, default, Comparison.Fail(got is null ? "has no such name here" : $"{got.Length} numbers where {want.Length} are expected"));
            return;
        }
        var (allowed, worst) = (_relative * (magnitude ?? want.Max(Math.Abs)), 0);
        for (var i = 0; i < got.Length; i++) if (!(Math.Abs(got[i] - want[i]) <= Math.Abs(got[worst] - want[worst]))) worst = i;
        var error = Math.Abs(got[worst] - want[worst]);
        report.Tensor(name, new Shape(got.Length), new Comparison(error <= allowed, error, allowed, worst, got[worst], want[worst]));
    }

    // A number, a list of them, or an object of them.
    private static double[] Values(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Array => [.. json.EnumerateArray().Select(static v => v.GetDouble())],
        JsonValueKind.Object => [.. json.EnumerateObject().Select(static v => v.Value.GetDouble())],
        _ => [json.GetDouble()],
    };

    private static double Number(GoldenFolder folder, JsonElement parent, string name) => folder.Field(parent, name, JsonValueKind.Number).GetDouble();

    private static double[] Wide(float[] values) => Array.ConvertAll(values, static v => (double)v);

    /// <summary>The singular value decomposition of B A, of rank r: B = U S Vᵀ, and that of S Vᵀ A [r, in]; the product itself is never formed.</summary>
    private sealed class Product
    {
        private readonly Svd _outer, _inner;

        private Product(Svd outer, Svd inner) => (_outer, _inner) = (outer, inner);

        public double[] Values => _inner.Values;

        public static Product Of(Factors f)
        {
            var (r, n) = (f.Rank, f.In);
            var outer = Svd.Of(Wide(f.B), f.Out, r);
            var inner = new double[r * n];
            for (var i = 0; i < r; i++)
                for (var k = 0; k < r; k++)
                {
                    var w = outer.Values[i] * outer.Right[i * r + k];
                    for (var j = 0; j < n; j++) inner[i * n + j] += w * f.A[k * n + j];
                }
            return new Product(outer, Svd.Of(inner, r, n));
        }

        /// <summary>x (B A)ᵀ of the leading singular values only, for rows x [rows, in].</summary>
        public float[] Apply(float[] x, int rank)
        {
            var (n, r, m) = (_inner.Columns, _inner.Rows, _outer.Rows);
            var y = new double[x.Length / n * m];
            for (var row = 0; row < x.Length / n; row++)
                for (var k = 0; k < rank; k++)
                {
                    var along = 0.0;
                    for (var j = 0; j < n; j++) along += x[row * n + j] * _inner.Right[k * n + j];
                    for (var i = 0; i < r; i++)
                    {
                        var w = along * _inner.Values[k] * _inner.Left[k * r + i];
                        for (var o = 0; o < m; o++) y[row * m + o] += w * _outer.Left[i * m + o];
                    }
                }
            return Array.ConvertAll(y, static v => (float)v);
        }
    }
}
