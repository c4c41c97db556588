using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>The pieces of a training by themselves: optimisers on a quadratic, schedules, losses, dropout.</summary>
internal static class TrainingPieces
{
    /// <summary>Twenty steps of each optimiser on ½ (x - c)ᵀ H (x - c): x before each step, gradient, loss, and the optimiser's state after it.</summary>
    internal static void Optimisers(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        var values = new GoldenValues(folder);
        var (hessian, centre, origin) = (values.Input("h"), values.Input("centre"), values.Input("origin"));
        foreach (var kind in folder.Root.GetProperty("hyper_parameters").EnumerateObject())
            Optimise(folder, backend, values, kind.Name, kind.Value, hessian, centre, origin);
        values.Compare(report, (name, _) => TrainingArea.Tolerance(folder, name));
    }

    private static void Optimise(
        GoldenFolder folder, Backend backend, GoldenValues values, string label, JsonElement settings, float[] hessian, float[] centre, float[] origin)
    {
        double Number(string name, double otherwise) => settings.TryGetProperty(name, out var value) ? value.GetDouble() : otherwise;
        bool Flag(string name) => settings.TryGetProperty(name, out var value) && value.GetBoolean();
        var kind = folder.Field(settings, "optimizer", JsonValueKind.String, $"hyper_parameters.{label}.").GetString();
        if (kind is not ("SGD" or "Adam" or "AdamW")) throw new NotBuiltException($"the optimiser {kind}");
        var (rate, decay, momentum) = (Number("lr", 0), Number("weight_decay", 0), Number("momentum", 0));
        var (beta1, beta2) = settings.TryGetProperty("betas", out var betas) ? (betas[0].GetDouble(), betas[1].GetDouble()) : (0.9, 0.999);
        var workspace = backend.Main;
        using var scope = workspace.Scope();
        var (n, steps) = (origin.Length, folder.ShapeOf($"{label}.loss")[0]);
        var (h, c) = (workspace.From(hessian, new Shape(n, n)), workspace.From(centre, new Shape(1, n)));
        using var x = new Parameter(workspace.From(origin, new Shape(1, n))) { Trains = true };
        var (buffer, m, v, largest) = (workspace.Zeros(x.Shape), workspace.Zeros(x.Shape), workspace.Zeros(x.Shape), workspace.Zeros(x.Shape));
        var rows = new Dictionary<string, List<float>>();
        void Row(string name, Tensor row)
        {
            if (!rows.TryGetValue(name, out var list)) rows[name] = list = [];
            list.AddRange(row.ToArray());
        }
        Row("x", x.Value);
        for (var step = 1; step <= steps; step++)
        {
            using (workspace.Scope())
            {
                var d = x.Value - c;
                var loss = (d.MatMul(h) * d).Sum() * 0.5f;
                loss.Backward();
                Row("loss", loss);
            }
            Row("grad", x.Gradient!);
            if (kind == "SGD")
            {
                var sgd = new SgdStep(step == 1, rate, momentum, Number("dampening", 0), Flag("nesterov"), decay);
                backend.Sgd(x.Value, x.Gradient!, momentum > 0 ? buffer : null, sgd);
                if (momentum > 0) Row("momentum_buffer", buffer);
            }
            else
            {
                var adam = new AdamWStep(step, rate, beta1, beta2, Number("eps", 1e-8), decay, Decoupled: kind == "AdamW");
                backend.AdamW(x.Value, x.Gradient!, m, v, Flag("amsgrad") ? largest : null, adam);
                Row("exp_avg", m);
                Row("exp_avg_sq", v);
                if (Flag("amsgrad")) Row("max_exp_avg_sq", largest);
            }
            x.ClearGradient();
            Row("x", x.Value);
        }
        foreach (var (name, list) in rows) values.Add($"{label}.{name}", [.. list]);
    }

    /// <summary>The rate of each step, some steps past the end: within 1e-6 of itself or 1e-10. Half of both, added, is never more.</summary>
    internal static void Schedules(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        var settings = folder.Root.GetProperty("hyper_parameters");
        double Number(JsonElement parent, string name) => folder.Field(parent, name, JsonValueKind.Number, "hyper_parameters.").GetDouble();
        var (rate, warmup, steps) = (Number(settings, "lr"), (int)Number(settings, "warmup"), (int)Number(settings, "steps"));
        var polynomial = folder.Field(settings, "polynomial", JsonValueKind.Object, "hyper_parameters.");
        var (power, end) = (Number(polynomial, "power"), Number(polynomial, "lr_end") / rate);
        var values = new GoldenValues(folder);
        foreach (var name in values.Names)
        {
            var schedule = name switch
            {
                "linear" => new Schedule(ScheduleKind.Linear, steps, warmup),
                "cosine" => new Schedule(ScheduleKind.Cosine, steps, warmup),
                "cosine_three_halves" => new Schedule(ScheduleKind.Cosine, steps, warmup, Cycles: 1.5),
                "cosine_with_restarts" => new Schedule(ScheduleKind.CosineRestarts, steps, warmup, Cycles: 3),
                "constant_with_warmup" => new Schedule(ScheduleKind.Constant, steps, warmup),
                "polynomial" => new Schedule(ScheduleKind.Polynomial, steps, warmup, Power: power, End: end),
                "inverse_sqrt" => new Schedule(ScheduleKind.InverseSqrt, steps, warmup),
                "cosine_no_warmup" => new Schedule(ScheduleKind.Cosine, steps),
                _ => throw new NotBuiltException($"the schedule {name}"),
            };
            var table = new float[folder.ShapeOf(name)[0]];
            for (var step = 0; step < table.Length; step++) table[step] = (float)(rate * schedule.At(step));
            values.Add(name, table);
        }
        values.Compare(report, static (_, _) => 0.5e-10, relative: 0.5e-6);
    }

    /// <summary>Cross entropy: smoothing, ignored targets, extreme logits, shifted targets.</summary>
    internal static void Losses(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        var values = new GoldenValues(folder);
        var (plain, extreme) = (values.Input("logits"), values.Input("extreme.logits"));
        var (all, ignored) = (values.IntInput("targets"), values.IntInput("targets_ignored"));
        var smoothing = (float)folder.Root.GetProperty("hyper_parameters").GetProperty("smoothing").GetDouble();
        var shape = folder.ShapeOf("logits");
        var rows = shape[0];
        foreach (var (label, logits, targets) in (ReadOnlySpan<(string, float[], int[])>)[("all", plain, all),
            ("ignored", plain, ignored), ("extreme", extreme, all)])
        {
            foreach (var (how, reduction) in (ReadOnlySpan<(string, Reduction)>)[("mean", Reduction.Mean), ("sum", Reduction.Sum), ("none", Reduction.None)])
            {
                Loss($"{label}.{how}", logits, x => x.CrossEntropy(Ints(targets), reduction), reduction != Reduction.None);
                Loss($"{label}.smooth.{how}", logits, x => x.CrossEntropy(Ints(targets), reduction, smoothing: smoothing), reduction != Reduction.None);
            }
        }
        // Row k is judged by target k + 1.
        Loss("shifted.smooth.mean", plain, x => x.Slice(0, 0, rows - 1).CrossEntropy(Ints(ignored[1..]), smoothing: smoothing), true);
        values.Compare(report, (name, _) => TrainingArea.Tolerance(folder, name));
        using var scope = backend.Main.Scope(grad: false);
        var none = backend.Main.From(plain, shape).CrossEntropy(Ints([.. Enumerable.Repeat(-100, rows)]));
        if (folder.Root.GetProperty("checks").TryGetProperty("mean_when_all_are_ignored_is_nan", out var isNaN))
            report.Floats("mean_when_all_are_ignored", new Shape(), none.ToArray(), [isNaN.GetBoolean() ? float.NaN : 0], 0);

        Tensor Ints(int[] targets) => backend.Main.From(targets, new Shape(targets.Length));

        void Loss(string name, float[] logits, Func<Tensor, Tensor> loss, bool scalar)
        {
            using var inner = backend.Main.Scope();
            using var x = new Parameter(backend.Main.From(logits, shape)) { Trains = true };
            var y = loss(x.Value);
            values.Add(name, y);
            if (!scalar) return;
            y.Backward();
            values.Add($"{name}.grad", x.Gradient!);
        }
    }

    /// <summary>Dropout's moments, within four standard deviations; the kept value, the gradient's mask, and that evaluation leaves all as it is.</summary>
    internal static void Dropout(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        var workspace = new Workspace(backend, seed: 1);
        foreach (var row in folder.Root.GetProperty("moments").EnumerateObject())
        {
            double Number(string name) => folder.Field(row.Value, name, JsonValueKind.Number, $"moments.{row.Name}.").GetDouble();
            double Inner(string parent, string name) =>
                folder.Field(row.Value.GetProperty(parent), name, JsonValueKind.Number, $"moments.{row.Name}.{parent}.").GetDouble();
            var (p, count, input) = (double.Parse(row.Name, System.Globalization.CultureInfo.InvariantCulture), (int)Number("count"), (float)Number("input"));
            using var scope = workspace.Scope();
            var ones = new float[count];
            Array.Fill(ones, input);
            using var x = new Parameter(workspace.From(ones, new Shape(count))) { Trains = true };
            workspace.Training = false;
            report.Floats($"{row.Name}.evaluation", x.Shape, x.Value.Dropout((float)p).ToArray(), ones, 0);
            workspace.Training = true;
            var y = x.Value.Dropout((float)p);
            y.Sum().Backward();
            var (values, gradient) = (y.ToArray(), x.Gradient!.ToArray());
            double kept = values.Count(static v => v != 0) / (double)count, mean = values.Average(static v => (double)v);
            var variance = values.Average(v => (v - mean) * (v - mean));
            var keptValue = (float)row.Value.GetProperty("kept_value")[0].GetDouble();
            Scalar("kept", kept, Inner("expected", "kept"), Inner("four_sigma", "kept"));
            Scalar("mean", mean, Inner("expected", "mean"), Inner("four_sigma", "mean"));
            // The variance is u² k (1 - k) of the share k and the value u of what is kept: its deviation follows from k's.
            var (share, sigma) = (Inner("expected", "kept"), Inner("four_sigma", "kept"));
            Scalar("variance", variance, Inner("expected", "variance"), keptValue * keptValue * (Math.Abs(1 - 2 * share) * sigma + sigma * sigma));
            report.Floats($"{row.Name}.kept_value", new Shape(), [values.Max()], [keptValue], 1e-6);
            report.Floats($"{row.Name}.values", x.Shape, values, Array.ConvertAll(values, v => v == 0 ? 0 : keptValue), 1e-6);
            report.Floats($"{row.Name}.grad", x.Shape, gradient, Array.ConvertAll(values, v => v / input), 1e-6);

            void Scalar(string name, double got, double want, double tolerance) =>
                report.Floats($"{row.Name}.{name}", new Shape(), [(float)got], [(float)want], tolerance);
        }
    }
}
