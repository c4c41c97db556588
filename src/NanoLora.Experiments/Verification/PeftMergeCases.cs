using System.Globalization;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// What PEFT's add_weighted_adapter makes, of every combination type. Held to a share of the whole tensor's norm, as golden.json states it: A and B where
/// they are defined, scale · B A always (singular vectors come with any sign), and logits. The exact sum is held against PEFT's cat, which is exact.
/// <para>
/// PEFT's singular vectors are LAPACK's in single precision, ours are exact, so the svd types are taken apart. Their product may be off by the share and by
/// what golden.json states as PEFT's own distance from its formula. Clamping acts on single entries of the vectors: it is done to the vectors that PEFT
/// clamped, those of the same job without a clamp. Logits are those of the stored A and B.
/// </para>
/// <para>
/// The stored logits are a float32 forward with rounding errors of its own. Where ours are not within the share of them, the logits of the stored A and B in
/// double precision judge (<see cref="CompositionCase.ExactLogits"/>): if the stored ones are within the share of those, ours are wrong; if they are off by
/// more, though by no more than rounding explains, ours must be within the same share of the exact ones, and the line says what it was held against.
/// </para>
/// </summary>
internal static class PeftMergeCases
{
    // Of the norm: what is allowed, and how far off rounding alone may put logits that were computed in float32.
    private const double Share = 2e-6, Rounding = 5e-6;

    /// <summary>All jobs.</summary>
    internal static void All(CompositionCase c)
    {
        foreach (var number in c.Numbers.EnumerateObject())
        {
            if (number.Value.ValueKind == JsonValueKind.Object && number.Value.TryGetProperty("options", out _)) Run(c, number.Name, number.Value);
        }
    }

    private static void Run(CompositionCase c, string name, JsonElement job)
    {
        var where = $"numbers.{name}.";
        var modules = c.Folder.Field(job, "adapters", JsonValueKind.Array, where).EnumerateArray().Select(a => c.Module(a.GetString()!)).ToArray();
        var weights = c.Folder.Field(job, "weights", JsonValueKind.Array, where).EnumerateArray().Select(static w => w.GetDouble()).ToArray();
        var paths = modules.SelectMany(static m => m.Updates.Keys).Distinct().ToDictionary(p => p, Theirs);
        var options = Options(c, name, c.Folder.Field(job, "options", JsonValueKind.Object, where), paths);
        using var merged = PeftMerge.WeightedAdapter(name, c.Backend, modules, weights, options);
        var scale = c.Folder.Field(job, "scale_in_memory", JsonValueKind.Number, where).GetDouble();
        var type = job.GetProperty("options").GetProperty("combination_type").GetString()!;
        var product = type.EndsWith("svd", StringComparison.Ordinal) && modules.Length > 1;
        var clamped = options.SvdClamp is null ? null : WithoutClamp(c, job);
        var stored = new Dictionary<string, double[]>(StringComparer.Ordinal);   // scale · B A of the stored factors, by the weight's name in the file
        foreach (var (path, theirs) in paths)
        {
            var (lora, a, b) = (merged.Updates[path], Wide(c.Folder.Floats($"{name}.A.{theirs}")), Wide(c.Folder.Floats($"{name}.B.{theirs}")));
            var (want, shape) = (Product(a, b, scale, lora.A.Shape[1], lora.B.Shape[0]), new Shape(lora.B.Shape[0], lora.A.Shape[1]));
            stored[$"{theirs}.weight"] = want;
            if (clamped is not null)
            {
                double[] right = Wide(c.Folder.Floats($"{clamped}.A.{theirs}")), left = Wide(c.Folder.Floats($"{clamped}.B.{theirs}"));
                PeftMerge.Clamp(left, right, options.SvdClamp!.Value);
                Compare(c.Report, $"{name}.A.{theirs}", lora.A.Shape, Array.ConvertAll(right, static x => (float)x), a);
                Compare(c.Report, $"{name}.B.{theirs}", lora.B.Shape, Array.ConvertAll(left, static x => (float)x), b);
                continue;
            }
            if (!product)
            {
                Compare(c.Report, $"{name}.A.{theirs}", c.Folder.ShapeOf($"{name}.A.{theirs}"), lora.A.Value.ToArray(), a);
                Compare(c.Report, $"{name}.B.{theirs}", c.Folder.ShapeOf($"{name}.B.{theirs}"), lora.B.Value.ToArray(), b);
            }
            // A sum that is 0 but for rounding has no norm to be a share of: there it is the norm of one of the parts.
            var norm = job.TryGetProperty("norm_where_zero_is_right", out _) ? Math.Abs(weights[0]) * modules[0].Updates[path].Factors().Norm() : Norm(want);
            Compare(c.Report, $"{name}.scale B A.{theirs}", shape, lora.Factors().Delta(), want, norm, OwnError(job, theirs));
            if (type != "cat" || modules[0].Updates[path].RankStabilised) continue;
            var exact = Factors.Cat([.. modules.Select(m => m.Updates[path].Factors())], [.. weights.Select(static w => (float)w)]);
            Compare(c.Report, $"{name}.exact sum.{theirs}", shape, exact.Delta(), want, norm);
        }
        if (product)
        {
            foreach (var (path, theirs) in paths)
            {
                c.Backend.Upload<float>(c.Folder.Floats($"{name}.A.{theirs}"), merged.Updates[path].A);
                c.Backend.Upload<float>(c.Folder.Floats($"{name}.B.{theirs}"), merged.Updates[path].B);
            }
        }
        Attach.Module(c.Model, merged);
        var logits = c.Logits();
        Attach.Detach(c.Model, dispose: false);
        Logits(c.Report, $"{name}.logits", c.Folder.ShapeOf($"{name}.logits"), logits, Wide(c.Folder.Floats($"{name}.logits")),
            () => c.ExactLogits(stored));

        string Theirs(string path) => c.Model.Names.Theirs(path).First(t => c.Folder.Holds($"{name}.A.{t}"));
    }

    /// <summary>
    /// Compares logits with the stored ones, or with the exact ones if the stored ones are in doubt. The exact ones are asked for only where ours do not agree
    /// with the stored ones.
    /// </summary>
    internal static void Logits(GoldenReport report, string name, Shape shape, float[] got, double[] stored, Func<double[]> exact)
    {
        var (want, held) = (stored, name);
        if (!(Distance(Wide(got), stored) <= Share * Norm(stored)))
        {
            var truth = exact();
            var off = Distance(stored, truth) / Norm(truth);
            if (off is > Share and <= Rounding)
            {
                want = truth;
                held = string.Create(CultureInfo.InvariantCulture, $"{name} (exact: the reference is {off:0.0e-00} off, {Share:0.#e-00} allowed)");
            }
        }
        Compare(report, held, shape, got, want);
    }

    // How far golden.json puts PEFT's product from PEFT's own formula, as a share; 0 where it does not say.
    private static double OwnError(JsonElement job, string theirs) =>
        job.TryGetProperty("relative_error_against_the_scale_applied_twice", out var errors) && errors.TryGetProperty(theirs, out var error)
            ? error.GetDouble()
            : 0;

    // The job that merges the same modules in the same way and does not clamp, or null.
    private static string? WithoutClamp(CompositionCase c, JsonElement job)
    {
        foreach (var other in c.Numbers.EnumerateObject())
        {
            if (other.Value.ValueKind != JsonValueKind.Object || !other.Value.TryGetProperty("options", out var options)
                || options.TryGetProperty("svd_clamp", out _)) continue;
            if (Same("adapters") && Same("weights")
                && options.EnumerateObject().All(o => job.GetProperty("options").TryGetProperty(o.Name, out var mine) && JsonElement.DeepEquals(mine, o.Value))
                && options.EnumerateObject().Count() == job.GetProperty("options").EnumerateObject().Count() - 1) return other.Name;

            bool Same(string field) => JsonElement.DeepEquals(job.GetProperty(field), other.Value.GetProperty(field));
        }
        return null;
    }

    private static double[] Wide(float[] x) => Array.ConvertAll(x, static v => (double)v);

    private static PeftMergeOptions Options(CompositionCase c, string name, JsonElement options, Dictionary<string, string> paths)
    {
        var type = options.GetProperty("combination_type").GetString()!;
        var frequency = options.TryGetProperty("majority_sign_method", out var how) && how.GetString() == "frequency";
        var clamp = options.TryGetProperty("svd_clamp", out var quantile) ? quantile.GetDouble() : (double?)null;
        return new PeftMergeOptions
        {
            Combination = type switch
            {
                "linear" => PeftCombination.Linear,
                "cat" => PeftCombination.Cat,
                "svd" => PeftCombination.Svd,
                "ties" => PeftCombination.Ties,
                "ties_svd" => PeftCombination.TiesSvd,
                "magnitude_prune" => PeftCombination.MagnitudePrune,
                "magnitude_prune_svd" => PeftCombination.MagnitudePruneSvd,
                "dare_linear" => PeftCombination.DareLinear,
                "dare_linear_svd" => PeftCombination.DareLinearSvd,
                "dare_ties" => PeftCombination.DareTies,
                "dare_ties_svd" => PeftCombination.DareTiesSvd,
                _ => throw new NotBuiltException($"PEFT's combination type {type}"),
            },
            SvdRank = options.TryGetProperty("svd_rank", out var rank) ? rank.GetInt32() : null,
            SvdClamp = clamp,
            Density = options.TryGetProperty("density", out var density) ? density.GetDouble() : 1,
            MajoritySign = frequency ? MajoritySign.Frequency : MajoritySign.Total,
            Masks = mask => c.Folder.Floats($"{name}.mask.{(mask.Side == 'P' ? "delta" : mask.Side)}.{mask.Module}.{paths[mask.Path]}"),
            // Clamping depends on the singular vectors' signs, which are LAPACK's whim: ours follow the stored A, which clamping leaves pointing where it did.
            SvdSigns = clamp is null ? null : paths.ToDictionary(static p => p.Key, p => c.Folder.Floats($"{name}.A.{p.Value}")),
        };
    }

    // scale · B A in double precision
    private static double[] Product(double[] a, double[] b, double scale, int inputs, int outputs)
    {
        var (rank, product) = (a.Length / inputs, new double[outputs * inputs]);
        for (var o = 0; o < outputs; o++)
        {
            for (var i = 0; i < inputs; i++)
            {
                var sum = 0.0;
                for (var r = 0; r < rank; r++) sum += b[o * rank + r] * a[r * inputs + i];
                product[o * inputs + i] = scale * sum;
            }
        }
        return product;
    }

    private static double Norm(double[] x) => Math.Sqrt(x.Sum(static v => v * v));

    // ‖x - y‖; no number where their lengths differ
    private static double Distance(double[] x, double[] y) => x.Length == y.Length ? Norm([.. x.Zip(y, static (a, b) => a - b)]) : double.NaN;

    // ‖got - want‖ ≤ (share + the reference's own error) · norm. The line shows the error's norm, and the entry that is farthest off.
    private static void Compare(GoldenReport report, string name, Shape shape, float[] got, double[] want, double? norm = null, double ownError = 0)
    {
        if (got.Length != want.Length)
        {
            report.Tensor(name, shape, Comparison.Fail($"{got.Length} elements where {want.Length} are expected"));
            return;
        }
        var worst = 0;
        for (var i = 0; i < got.Length; i++) if (!(Math.Abs(got[i] - want[i]) <= Math.Abs(got[worst] - want[worst]))) worst = i;
        var (error, tolerance) = (Distance(Wide(got), want), (Share + ownError) * (norm ?? Norm(want)));
        report.Tensor(name, shape, new Comparison(error <= tolerance, error, tolerance, worst, got[worst], want[worst]));
    }
}
