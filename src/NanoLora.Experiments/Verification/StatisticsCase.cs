using System.Text.Json;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// The statistics of a study beside PyTorch's and SciPy's: similarity of features, and for paired differences interval, bootstrap, Wilcoxon and sign test,
/// rank correlation. A line per number or list of golden.json's <c>numbers</c>. Where these speak of features that the folder does not hold, there is
/// nothing to compute from, and no line.
/// </summary>
internal sealed class StatisticsCase(GoldenFolder folder, GoldenReport report)
{
    private double _tolerance;

    /// <summary>Runs the case.</summary>
    public void Run()
    {
        var tolerance = folder.Field(folder.Field(folder.Root, "tolerance", JsonValueKind.Object), "numbers", JsonValueKind.Object, "tolerance.");
        _tolerance = folder.Field(tolerance, "all", JsonValueKind.Number, "tolerance.numbers.").GetDouble();
        foreach (var entry in folder.Field(folder.Root, "numbers", JsonValueKind.Object).EnumerateObject())
        {
            if (entry.Name == "cka") Similarities(entry.Value);
            else if (entry.Name == "cka_per_depth") AlongDepth(entry.Value);
            else if (entry.Name.StartsWith("unbiased_cka_", StringComparison.Ordinal)) UnbiasedAlongDepth(entry.Name, entry.Value);
            else if (entry.Name == "cka_base_depth_by_depth") DepthByDepth(entry.Value);
            else if (entry.Name.StartsWith("sample.", StringComparison.Ordinal)) Sample(entry.Name, entry.Value);
            else if (entry.Name == "spearman") Correlations(entry.Value);
            else report.Tensor($"numbers.{entry.Name}", default, Comparison.Fail("no statistic has this name"));
        }
    }

    private void Similarities(JsonElement numbers)
    {
        var rows = folder.ShapeOf("cka.X")[0];
        double[] x = Wide("cka.X"), y = Wide("cka.Y");
        foreach (var number in numbers.EnumerateObject())
        {
            double? got = number.Name switch
            {
                "X,Y" => Cka.Linear(x, y, rows),
                "Y,X" => Cka.Linear(y, x, rows),
                "X,X" => Cka.Linear(x, x, rows),
                "X,3XQ+1" => Cka.Linear(x, Turned(x, x.Length / rows), rows),
                "unbiased X,Y" => Cka.Unbiased(x, y, rows),
                _ => null,
            };
            Number($"numbers.cka.{number.Name}", got, number.Value);
        }
    }

    // 3 X Q + 1 for an orthogonal Q: a reflection, Q = I - 2 u uᵀ / ⟨u, u⟩, as good as any.
    private static double[] Turned(double[] x, int columns)
    {
        var u = new double[columns];
        for (var i = 0; i < columns; i++) u[i] = 1 + 0.3 * i;
        var norm = u.Sum(static v => v * v);
        var turned = new double[x.Length];
        for (var row = 0; row < x.Length; row += columns)
        {
            var along = 0.0;
            for (var i = 0; i < columns; i++) along += x[row + i] * u[i];
            for (var i = 0; i < columns; i++) turned[row + i] = 3 * (x[row + i] - 2 * along / norm * u[i]) + 1;
        }
        return turned;
    }

    private void AlongDepth(JsonElement numbers)
    {
        foreach (var number in numbers.EnumerateObject())
        {
            var module = number.Name.Split(" vs ")[0];
            if (folder.Holds($"features.{module}.0"))
                List($"numbers.cka_per_depth.{number.Name}", number.Value, depth => Linear($"features.{module}.{depth}", $"features.base.{depth}"));
        }
    }

    // As in unbiased_cka_module.0_vs_base_per_depth, without the embedding, which is the same with every module.
    private void UnbiasedAlongDepth(string name, JsonElement numbers)
    {
        var module = name["unbiased_cka_".Length..].Split("_vs_")[0];
        List($"numbers.{name}", numbers, i =>
        {
            var (x, y) = ($"features.{module}.{i + 1}", $"features.base.{i + 1}");
            return Cka.Unbiased(Wide(x), Wide(y), folder.ShapeOf(x)[0]);
        });
    }

    private void DepthByDepth(JsonElement numbers)
    {
        var depth = 0;
        foreach (var row in numbers.EnumerateArray())
        {
            var at = depth++;
            List($"numbers.cka_base_depth_by_depth.{at}", row, other => Linear($"features.base.{at}", $"features.base.{other}"));
        }
    }

    private void Sample(string name, JsonElement numbers)
    {
        var sample = Wide(name);
        var student = Statistics.Estimate(sample);
        var bootstrap = new Bootstrap(folder.Ints(name.Replace("sample.", "resamples.", StringComparison.Ordinal)), sample.Length);
        var (means, interval) = (bootstrap.Means(sample), bootstrap.Estimate(sample));
        var wilcoxon = SignedRank.Of(sample);
        var sign = SignTest.Of(sample);
        Fields(name, "student_95", numbers, field => field switch
        {
            "n" => student.Count,
            "mean" => student.Mean,
            "std" => student.Deviation,
            "low" => student.Low,
            "high" => student.High,
            _ => null,
        });
        Fields(name, "bootstrap_95", numbers, field => field switch
        {
            "mean" => interval.Mean,
            "low" => interval.Low,
            "high" => interval.High,
            "share_above_zero" => means.Count(static m => m > 0) / (double)means.Length,
            _ => null,
        }, means);
        Fields(name, "wilcoxon", numbers, field => field switch
        {
            "n_nonzero" => wilcoxon.Count,
            "w_plus" => wilcoxon.Plus,
            "w_minus" => wilcoxon.Minus,
            "p_exact" => wilcoxon.Exact,
            "p_normal" => wilcoxon.Normal,
            "p_normal_corrected" => wilcoxon.Corrected,
            _ => null,
        });
        if (wilcoxon.Exact is not null != numbers.GetProperty("wilcoxon").TryGetProperty("p_exact", out _))
            report.Tensor($"numbers.{name}.wilcoxon.p_exact", default, Comparison.Fail("there is an exact p where no sizes are equal, and only there"));
        Fields(name, "sign_test", numbers, field => field switch { "wins" => sign.Wins, "losses" => sign.Losses, "p" => sign.P, _ => null });
    }

    private void Correlations(JsonElement numbers)
    {
        var orders = folder.Ints("rank.permutations");
        foreach (var pair in numbers.EnumerateObject())
        {
            if (pair.Name.Split(',') is not [var x, var y])
                throw folder.Error($"numbers.spearman.{pair.Name}", "is not the names of two samples, as in \"a,b\".");
            var found = Spearman.Of(Wide($"rank.{x}"), Wide($"rank.{y}"), orders);
            Fields("spearman", pair.Name, numbers, field => field switch
            {
                "rho" => found.Rho,
                "p_t" => found.P,
                "p_permutation" => found.PermutationP,
                _ => null,
            });
        }
    }

    // Every number of an object, and its list "first_means" beside the first of the list found.
    private void Fields(string place, string name, JsonElement parent, Func<string, double?> found, double[]? list = null)
    {
        foreach (var field in folder.Field(parent, name, JsonValueKind.Object, $"numbers.{place}.").EnumerateObject())
        {
            var path = $"numbers.{place}.{name}.{field.Name}";
            if (list is not null && field.Name == "first_means") List(path, field.Value, i => list[i]);
            else Number(path, found(field.Name), field.Value);
        }
    }

    private void List(string name, JsonElement numbers, Func<int, double> found)
    {
        if (numbers.ValueKind != JsonValueKind.Array) throw folder.Error(name, $"is {numbers.ValueKind} where a list of numbers is expected.");
        var worst = new Comparison(true, 0, _tolerance);
        var i = 0;
        foreach (var number in numbers.EnumerateArray())
        {
            var one = Compare(found(i), number, name) with { Index = i };
            if (i++ == 0 || !(one.Error <= worst.Error)) worst = one;
        }
        report.Tensor(name, new Shape(i), worst);
    }

    private void Number(string name, double? got, JsonElement want) =>
        report.Tensor(name, default, got is { } value ? Compare(value, want, name) : Comparison.Fail("the statistics give no such number"));

    private Comparison Compare(double got, JsonElement number, string name)
    {
        if (number.ValueKind != JsonValueKind.Number) throw folder.Error(name, $"is {number.ValueKind} where a number is expected.");
        var want = number.GetDouble();
        var error = Math.Abs(got - want);
        return new Comparison(error <= _tolerance, error, _tolerance, 0, got, want);
    }

    private double Linear(string x, string y) => Cka.Linear(Wide(x), Wide(y), folder.ShapeOf(x)[0]);

    private double[] Wide(string tensor) => Array.ConvertAll(folder.Floats(tensor), static v => (double)v);
}
