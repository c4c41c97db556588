using System.Globalization;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.AheadOfTime;

/// <summary>
/// What is measured, in the process that runs it: one thread, products of matrices and the bundled model. Times are the processor's, not the clock's, so that a
/// machine with other work can be measured on.
/// </summary>
internal static class Work
{
    private const int Samples = 7, BatchSize = 32;
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(3);      // enough for the JIT to reach its last tier
    private static readonly TimeSpan Least = TimeSpan.FromMilliseconds(30); // of one sample

    /// <summary>Prints a line for each work: its name and the milliseconds of every sample.</summary>
    public static int Run(string models)
    {
        using var backend = new CpuBackend(threads: 1);
        Console.WriteLine($"# {backend.Description}");
        foreach (var (m, k, n) in ((int, int, int)[])[(1576, 768, 768), (3152, 384, 384), (544, 96, 96), (1576, 768, 8)]) Product(backend, m, k, n);

        var (pixels, labels) = (new float[BatchSize * 28 * 28], new int[BatchSize]);
        var random = new Philox(1, 1);
        for (var i = 0; i < pixels.Length; i++) pixels[i] = random.Normal((ulong)i);
        for (var i = 0; i < labels.Length; i++) labels[i] = i % 24;
        string[] classes = [.. Enumerable.Range(0, 24).Select(c => $"{c}")];

        using (var vit = Vit.Load(models, backend))
        {
            Measure("nano-vit, inference", () =>
            {
                using var scope = backend.Scope(grad: false);
                vit.Features(backend.Main.From(pixels, new Shape(BatchSize, 1, 28, 28)));
            });
        }
        using (var vit = WithHead())
        {
            Attach.Lora(vit, "blocks.*", rank: 4);
            Measure("nano-vit, a step of LoRA", Step(vit));
        }
        using (var vit = WithHead())
        {
            Compose.Learned(vit, Lora.LoadAll(Path.Combine(models, "modules"), vit));
            Measure("nano-vit, a step of learned composition", Step(vit));
        }
        return 0;

        Vit WithHead()
        {
            var vit = Vit.Load(models, backend);
            vit.NewHead(new float[24 * vit.FeatureSize], new float[24], classes);
            return vit;
        }

        Action Step(Vit vit)
        {
            var optimiser = new AdamW(Trainer.Groups(vit, new FitOptions()));
            return () =>
            {
                using var scope = backend.Scope();
                vit.Forward(backend.Main.From(pixels, new Shape(BatchSize, 1, 28, 28)))
                    .CrossEntropy(backend.Main.From(labels, new Shape(BatchSize))).Backward();
                optimiser.Step(1, 1);
                optimiser.ClearGradients();
            };
        }
    }

    private static void Product(CpuBackend backend, int m, int k, int n)
    {
        using var scope = backend.Scope(grad: false);
        Tensor x = backend.Main.Zeros(new Shape(m, k)), w = backend.Main.Zeros(new Shape(n, k)), y = backend.Main.New(new Shape(m, n));
        Measure($"GEMM {m} x {k} x {n}", () => backend.Linear(x, w, null, y));
    }

    private static TimeSpan Now => Environment.CpuUsage.TotalTime;

    private static void Measure(string name, Action work)
    {
        var (start, times) = (Now, 0);
        for (; Now - start < WarmUp; times++) work();
        var repeats = Math.Max(1, (int)(Least / WarmUp * times));
        var samples = new string[Samples];
        for (var s = 0; s < Samples; s++)
        {
            start = Now;
            for (var r = 0; r < repeats; r++) work();
            samples[s] = ((Now - start).TotalMilliseconds / repeats).ToString("0.00000", CultureInfo.InvariantCulture);
        }
        Console.WriteLine($"{name}\t{string.Join(' ', samples)}");
    }
}
