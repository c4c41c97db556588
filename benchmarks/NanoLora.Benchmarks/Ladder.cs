using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace NanoLora.Benchmarks;

/// <summary>
/// `ladder`: y = x Wᵀ from the loop of the textbook to the kernel that runs, a rung at a time, with what each brings. The lower rungs are written out here;
/// the upper ones are the library's product in a process of its own, with the wider instructions switched off.
/// </summary>
internal static unsafe class Ladder
{
    /// <summary>The word that starts this program as one rung.</summary>
    public const string RungCommand = "ladder-rung";

    private const int K = 768, N = 768, Rounds = 7;

    private sealed record Rung(string Name, Func<double> Measure);

    private static readonly (string, string)[] s_wide = [], s_avx2 = [("DOTNET_EnableAVX512", "0"), ("DOTNET_EnableAVX512F", "0")];

    /// <summary>Measures all rungs in turns and prints the table.</summary>
    public static int Run()
    {
        Rung[] rungs =
        [
            new("the loop: y_ij = Σ_p x_ip w_jp, one number at a time", static () => Rate(16, static (m, x, w, y) =>
                Gemm.Plain(m, N, K, x, K, false, w, K, true, DType.F32, y, N, false))),
            new("vectors along p, four sums, so that an add need not wait for the last", static () => Rate(64, Vectors)),
            new("a tile of 3 x 4 dots: a vector of x is used four times, one of w three", static () => Rate(192, Tiles)),
            new("w packed in panels, a tile of y in registers (6 x 16, 256-bit vectors)", static () => Child(1, s_avx2)),
            new("the same, 512-bit vectors and 32 registers (8 x 48)", static () => Child(1, s_wide)),
            new("two threads", static () => Child(2, s_wide)),
        ];
        if (!Vector512.IsHardwareAccelerated) rungs = [.. rungs.Where(static r => !r.Name.Contains("512", StringComparison.Ordinal))];
        var rates = rungs.Select(static _ => new List<double>()).ToArray();
        var peak = 0.0;
        for (var round = 0; round < Rounds; round++)
        {
            for (var i = 0; i < rungs.Length; i++)
            {
                peak = Math.Max(peak, Peak.Measure());
                rates[i].Add(rungs[i].Measure());
            }
        }
        Console.WriteLine($"y = x Wᵀ, rows x {K} x {N}, float32; FMA peak of one thread {peak:0.0} GFLOP/s; medians of {Rounds} rounds, in turns\n");
        Console.WriteLine("| rung | GFLOP/s | of the peak | to the one before |\n|---|---:|---:|---:|");
        for (var (i, before) = (0, 0.0); i < rungs.Length; i++)
        {
            var rate = QuickRow.Quantile(rates[i], 0.5);
            var share = rate / peak / (rungs[i].Name == "two threads" ? 2 : 1);
            var gain = before > 0 ? $"{rate / before:0.0} x" : "";
            Console.WriteLine($"| {rungs[i].Name} | {(rate < 10 ? $"{rate:0.0}" : $"{rate:0}")} | {share:P0} | {gain} |");
            before = rate;
        }
        return 0;
    }

    /// <summary>Prints the GFLOP/s of the library's product.</summary>
    public static int RunRung(int threads)
    {
        using var backend = new CpuBackend(threads);
        var rate = Rate(1576, (m, x, w, y) => Gemm.Multiply(backend.Threads, m, N, K, x, K, false, w, K, true, DType.F32, y, N, false));
        Console.WriteLine(rate.ToString("R", CultureInfo.InvariantCulture));
        return 0;
    }

    private delegate void Product(int m, float* x, float* w, float* y);

    // GFLOP/s, the best of some tries: other programs can only take away.
    private static double Rate(int rows, Product product)
    {
        float* x = New(rows * K), w = New(N * K), y = New(rows * N);
        var best = double.PositiveInfinity;
        for (var i = 0; i < 4; i++)
        {
            var start = Stopwatch.GetTimestamp();
            product(rows, x, w, y);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        foreach (var block in new[] { (nint)x, (nint)w, (nint)y }) NativeMemory.AlignedFree((void*)block);
        return 2.0 * rows * N * K / best / 1e9;

        static float* New(int count)
        {
            var block = (float*)NativeMemory.AlignedAlloc((nuint)count * sizeof(float), 64);
            QuickProtocol.Fill(count, 1).CopyTo(new Span<float>(block, count));
            return block;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Vectors(int m, float* x, float* w, float* y)
    {
        var v = Vector<float>.Count;
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < N; j++)
            {
                float* a = x + i * K, b = w + j * K;
                Vector<float> s0 = default, s1 = default, s2 = default, s3 = default;
                for (var p = 0; p < K; p += 4 * v)
                {
                    s0 += Vector.Load(a + p) * Vector.Load(b + p);
                    s1 += Vector.Load(a + p + v) * Vector.Load(b + p + v);
                    s2 += Vector.Load(a + p + 2 * v) * Vector.Load(b + p + 2 * v);
                    s3 += Vector.Load(a + p + 3 * v) * Vector.Load(b + p + 3 * v);
                }
                y[i * N + j] = Vector.Sum((s0 + s1) + (s2 + s3));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tiles(int m, float* x, float* w, float* y)
    {
        for (var i = 0; i < m; i += 3)
        {
            for (var j = 0; j < N; j += 4)
            {
                float* a = x + i * K, b = w + j * K, c = y + i * N + j;
                Vector<float> s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default;
                Vector<float> s20 = default, s21 = default, s22 = default, s23 = default;
                for (var p = 0; p < K; p += Vector<float>.Count)
                {
                    Vector<float> a0 = Vector.Load(a + p), a1 = Vector.Load(a + p + K), a2 = Vector.Load(a + p + 2 * K), u = Vector.Load(b + p);
                    s00 = Add(a0, u, s00); s10 = Add(a1, u, s10); s20 = Add(a2, u, s20); u = Vector.Load(b + p + K);
                    s01 = Add(a0, u, s01); s11 = Add(a1, u, s11); s21 = Add(a2, u, s21); u = Vector.Load(b + p + 2 * K);
                    s02 = Add(a0, u, s02); s12 = Add(a1, u, s12); s22 = Add(a2, u, s22); u = Vector.Load(b + p + 3 * K);
                    s03 = Add(a0, u, s03); s13 = Add(a1, u, s13); s23 = Add(a2, u, s23);
                }
                (c[0], c[1], c[2], c[3]) = (Vector.Sum(s00), Vector.Sum(s01), Vector.Sum(s02), Vector.Sum(s03));
                (c[N], c[N + 1], c[N + 2], c[N + 3]) = (Vector.Sum(s10), Vector.Sum(s11), Vector.Sum(s12), Vector.Sum(s13));
                (c[2 * N], c[2 * N + 1], c[2 * N + 2], c[2 * N + 3]) = (Vector.Sum(s20), Vector.Sum(s21), Vector.Sum(s22), Vector.Sum(s23));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Add(Vector<float> x, Vector<float> y, Vector<float> z) => Vector.MultiplyAddEstimate(x, y, z);

    // The library's product in a process that may use only some instructions.
    private static double Child(int threads, (string Name, string Value)[] switches)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        foreach (var word in (string[])[RungCommand, $"{threads}"]) start.ArgumentList.Add(word);
        foreach (var (name, value) in switches) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return double.TryParse(text, CultureInfo.InvariantCulture, out var rate) ? rate : double.NaN;
    }
}
