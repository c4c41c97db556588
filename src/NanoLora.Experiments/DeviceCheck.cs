using System.Diagnostics;
using System.Globalization;
using NanoLora.Data;

namespace NanoLora.Experiments;

/// <summary>One thing that was checked on a device.</summary>
/// <param name="Name">What.</param>
/// <param name="Ok">Whether it is right.</param>
/// <param name="Found">What was found, with the tolerance.</param>
public sealed record DeviceFinding(string Name, bool Ok, string Found);

/// <summary>Whether a device computes what the processor computes: every operation, and trainings.</summary>
public static class DeviceCheck
{
    /// <summary>The losses of a training on a device may differ by so much of themselves from the processor's.</summary>
    public const double LossTolerance = 1e-3;

    /// <summary>Every row of the op table: the output against the double-precision reference, gradients against the processor's.</summary>
    /// <param name="device">The device.</param>
    /// <param name="most">Cases with more elements than this are passed over.</param>
    public static IEnumerable<DeviceFinding> Ops(Backend device, long most = long.MaxValue)
    {
        using var cpu = new CpuBackend();
        foreach (var row in OpTable.Rows)
        {
            var cases = row.Shapes.Where(shapes => shapes.Sum(static s => (long)Dense.Size(s)) <= most).ToList();
            if (cases.Count > 0) yield return Op(row, cases, device, cpu);
        }
    }

    /// <summary>All cases of one row.</summary>
    public static DeviceFinding Op(OpRow row, Backend device)
    {
        using var cpu = new CpuBackend();
        return Op(row, row.Shapes, device, cpu);
    }

    private static DeviceFinding Op(OpRow row, IReadOnlyList<int[][]> cases, Backend device, CpuBackend cpu)
    {
        double worst = 0, worstGradient = 0, slower = 0;
        try
        {
            foreach (var shapes in cases)
            {
                var values = row.Fill(shapes);
                var want = row.Reference([.. values.Select((x, n) => new Dense(Array.ConvertAll(x, static v => (double)v), shapes[n]))]).Values;
                var random = new Philox(3, 77);
                var dy = row.HasGradient ? Enumerable.Range(0, want.Length).Select(i => random.Normal((ulong)i)).ToArray() : null;
                var (here, there) = (row.On(device, shapes, values, dy), row.On(cpu, shapes, values, dy));
                worst = Math.Max(worst, Worst(here.Values, want));
                if (shapes == cases[^1]) slower = Seconds(() => row.On(device, shapes, values, dy)) / Seconds(() => row.On(cpu, shapes, values, dy));
                for (var n = 0; n < values.Length; n++)
                {
                    if (there.Gradients[n] is not { } gradient) continue;
                    worstGradient = Math.Max(worstGradient,
                        here.Gradients[n] is { } got ? Worst(got, Array.ConvertAll(gradient, static v => (double)v)) : double.PositiveInfinity);
                }
            }
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            return new(row.Name, false, error.Message);
        }
        var found = row.HasGradient ? Invariant($"error {worst:E1}, of gradients {worstGradient:E1}") : Invariant($"error {worst:E1}");
        return new(row.Name, worst <= row.Tolerance && worstGradient <= row.GradientTolerance,
            Invariant($"{found}; tolerances {row.Tolerance:E1} and {row.GradientTolerance:E1}; {slower:0.00} of the processor's time"));
    }

    // Forward and back with the copies of inputs and outputs, once more: the first run has compiled the kernels.
    private static double Seconds(Action run)
    {
        var clock = Stopwatch.StartNew();
        run();
        return clock.Elapsed.TotalSeconds;
    }

    // The largest |got - want| / max(1, |want|); NaN agrees with NaN alone.
    private static double Worst(float[] got, double[] want)
    {
        var worst = got.Length == want.Length ? 0 : double.PositiveInfinity;
        for (var i = 0; i < Math.Min(got.Length, want.Length); i++)
        {
            if (got[i].Equals((float)want[i])) continue;
            var error = Math.Abs(got[i] - want[i]) / Math.Max(1, Math.Abs(want[i]));
            worst = Math.Max(worst, double.IsNaN(error) ? double.PositiveInfinity : error);
        }
        return worst;
    }

    /// <summary>The arms that train, on a task: the loss of every step against the processor's.</summary>
    /// <param name="device">The device.</param>
    /// <param name="kit">Base and modules.</param>
    /// <param name="task">The task.</param>
    /// <param name="steps">How many steps.</param>
    public static IEnumerable<DeviceFinding> Training(Backend device, ArmKit kit, LabelledTask task, int steps)
    {
        using var cpu = new CpuBackend();
        foreach (var arm in Arm.OfTheDemo.Where(static a => a.TrainsBelowHead && !a.RandomModules))
        {
            DeviceFinding finding;
            try
            {
                var (here, there) = (Losses(device), Losses(cpu));
                var worst = here.Zip(there, static (a, b) => Math.Abs(a - b) / Math.Max(1e-6, Math.Abs(b)))
                    .Select(static e => double.IsNaN(e) ? double.PositiveInfinity : e).DefaultIfEmpty(double.PositiveInfinity).Max();
                finding = new($"training, {arm.Label}", here.Count == steps && worst <= LossTolerance,
                    Invariant($"{steps} steps, losses within {worst:E1}; tolerance {LossTolerance:E1}"));
            }
            catch (Exception error) when (error is not OutOfMemoryException)
            {
                finding = new($"training, {arm.Label}", false, error.Message);
            }
            yield return finding;

            List<float> Losses(Backend backend)
            {
                var losses = new List<float>();
                var protocol = new Protocol { Steps = steps, Draws = 1, TestPerClass = 1 };
                Arms.Run(new(arm, 5, 0), protocol, FewShot.Draw(task, 5, protocol.Seed, 0, protocol.TestPerClass), kit, backend, step => losses.Add(step.Loss));
                return losses;
            }
        }
    }

    /// <summary>Multiplications and additions of a product of two square matrices, in 10⁹ a second: the best of three.</summary>
    public static double GemmSpeed(Backend backend, int size = 1024)
    {
        using var scope = backend.Scope(grad: false);
        var (a, b) = (backend.Main.Zeros(new Shape(size, size)), backend.Main.Zeros(new Shape(size, size)));
        return 2.0 * size * size * size / Best(backend, () => a.MatMul(b, transposeB: true)) / 1e9;
    }

    /// <summary>What is read and written by y = 2 x, in 10⁹ bytes a second: the best of three.</summary>
    public static double Bandwidth(Backend backend, int megabytes = 64)
    {
        using var scope = backend.Scope(grad: false);
        var x = backend.Main.Zeros(new Shape(megabytes << 18));
        return 2.0 * (megabytes << 20) / Best(backend, () => x.Scale(2)) / 1e9;
    }

    private static double Best(Backend backend, Func<Tensor> work)
    {
        var best = double.PositiveInfinity;
        for (var i = 0; i < 4; i++)                                                    // the first compiles
        {
            backend.Synchronize();
            var clock = Stopwatch.StartNew();
            using var y = work();
            backend.Synchronize();
            if (i > 0) best = Math.Min(best, clock.Elapsed.TotalSeconds);
        }
        return best;
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
