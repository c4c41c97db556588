using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace NanoLora.Benchmarks;

/// <summary>
/// The most floating-point operations a second that one thread of this machine reaches: twelve independent chains of fused multiply-adds at the widest vector.
/// </summary>
internal static class Peak
{
    private const int Rounds = 400_000, Chains = 12;
    private static float _sink;

    /// <summary>GFLOP/s of one thread.</summary>
    public static double Measure()
    {
        var start = Stopwatch.GetTimestamp();
        var lanes = Vector512.IsHardwareAccelerated ? Run512(0.5f, 0.001f) : Vector256.IsHardwareAccelerated ? Run256(0.5f, 0.001f) : Run128(0.5f, 0.001f);
        return 2.0 * lanes * Chains * Rounds / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static int Run512(float x, float y)
    {
        Vector512<float> a = Vector512.Create(x), b = Vector512.Create(y);
        Vector512<float> c0 = b, c1 = b, c2 = b, c3 = b, c4 = b, c5 = b, c6 = b, c7 = b, c8 = b, c9 = b, c10 = b, c11 = b;
        for (var i = 0; i < Rounds; i++)
        {
            c0 = Vector512.FusedMultiplyAdd(a, b, c0); c1 = Vector512.FusedMultiplyAdd(a, b, c1); c2 = Vector512.FusedMultiplyAdd(a, b, c2);
            c3 = Vector512.FusedMultiplyAdd(a, b, c3); c4 = Vector512.FusedMultiplyAdd(a, b, c4); c5 = Vector512.FusedMultiplyAdd(a, b, c5);
            c6 = Vector512.FusedMultiplyAdd(a, b, c6); c7 = Vector512.FusedMultiplyAdd(a, b, c7); c8 = Vector512.FusedMultiplyAdd(a, b, c8);
            c9 = Vector512.FusedMultiplyAdd(a, b, c9); c10 = Vector512.FusedMultiplyAdd(a, b, c10); c11 = Vector512.FusedMultiplyAdd(a, b, c11);
        }
        _sink = (c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)[0];
        return Vector512<float>.Count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static int Run256(float x, float y)
    {
        Vector256<float> a = Vector256.Create(x), b = Vector256.Create(y);
        Vector256<float> c0 = b, c1 = b, c2 = b, c3 = b, c4 = b, c5 = b, c6 = b, c7 = b, c8 = b, c9 = b, c10 = b, c11 = b;
        for (var i = 0; i < Rounds; i++)
        {
            c0 = Vector256.FusedMultiplyAdd(a, b, c0); c1 = Vector256.FusedMultiplyAdd(a, b, c1); c2 = Vector256.FusedMultiplyAdd(a, b, c2);
            c3 = Vector256.FusedMultiplyAdd(a, b, c3); c4 = Vector256.FusedMultiplyAdd(a, b, c4); c5 = Vector256.FusedMultiplyAdd(a, b, c5);
            c6 = Vector256.FusedMultiplyAdd(a, b, c6); c7 = Vector256.FusedMultiplyAdd(a, b, c7); c8 = Vector256.FusedMultiplyAdd(a, b, c8);
            c9 = Vector256.FusedMultiplyAdd(a, b, c9); c10 = Vector256.FusedMultiplyAdd(a, b, c10); c11 = Vector256.FusedMultiplyAdd(a, b, c11);
        }
        _sink = (c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)[0];
        return Vector256<float>.Count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static int Run128(float x, float y)
    {
        Vector128<float> a = Vector128.Create(x), b = Vector128.Create(y);
        Vector128<float> c0 = b, c1 = b, c2 = b, c3 = b, c4 = b, c5 = b, c6 = b, c7 = b, c8 = b, c9 = b, c10 = b, c11 = b;
        for (var i = 0; i < Rounds; i++)
        {
            c0 = Vector128.MultiplyAddEstimate(a, b, c0); c1 = Vector128.MultiplyAddEstimate(a, b, c1); c2 = Vector128.MultiplyAddEstimate(a, b, c2);
            c3 = Vector128.MultiplyAddEstimate(a, b, c3); c4 = Vector128.MultiplyAddEstimate(a, b, c4); c5 = Vector128.MultiplyAddEstimate(a, b, c5);
            c6 = Vector128.MultiplyAddEstimate(a, b, c6); c7 = Vector128.MultiplyAddEstimate(a, b, c7); c8 = Vector128.MultiplyAddEstimate(a, b, c8);
            c9 = Vector128.MultiplyAddEstimate(a, b, c9); c10 = Vector128.MultiplyAddEstimate(a, b, c10); c11 = Vector128.MultiplyAddEstimate(a, b, c11);
        }
        _sink = (c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)[0];
        return Vector128<float>.Count;
    }
}

/// <summary>The GEMM beside the peak, interleaved: what share of the machine it uses.</summary>
internal static class PeakShare
{
    private static readonly (int M, int K, int N)[] Shapes = [(1576, 768, 768), (1576, 768, 3072), (1576, 3072, 768), (3152, 384, 384), (64, 768, 768),
        (1576, 768, 8), (1576, 8, 768), (544, 96, 96), (544, 96, 384)];

    public static unsafe int Run()
    {
        using var one = new CpuBackend(1);
        using var all = new CpuBackend();
        using var scope = one.Scope(grad: false);
        double peak = 0;
        var rates = new List<double>[Shapes.Length, 2];
        foreach (var i in Enumerable.Range(0, Shapes.Length)) (rates[i, 0], rates[i, 1]) = ([], []);
        for (var round = 0; round < 9; round++)
        {
            peak = Math.Max(peak, Peak.Measure());
            for (var i = 0; i < Shapes.Length; i++)
            {
                var (m, k, n) = Shapes[i];
                using var inner = one.Scope(grad: false);
                Tensor x = one.Main.From(QuickProtocol.Fill(m * k, 1), new Shape(m, k)), w = one.Main.From(QuickProtocol.Fill(n * k, 2), new Shape(n, k));
                var y = one.Main.New(new Shape(m, n));
                for (var team = 0; team < 2; team++)
                {
                    var backend = team == 0 ? one : all;
                    var flops = 2.0 * m * k * n;
                    var repeats = Math.Max(1, (int)(1e8 / flops));
                    backend.Linear(x, w, null, y);
                    var start = Stopwatch.GetTimestamp();
                    for (var r = 0; r < repeats; r++) backend.Linear(x, w, null, y);
                    rates[i, team].Add(flops * repeats / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9);
                }
            }
        }
        Console.WriteLine($"{Gemm.Kernel}; FMA peak of one thread {peak:0.0} GFLOP/s; medians of 9 rounds, and the spread of the middle half");
        Console.WriteLine($"{"y = x Wᵀ (rows x in x out)",-28}{"1 thread",12}{"of peak",10}{"spread",10}{all.Threads.Count + " threads",14}{"ratio",8}");
        for (var i = 0; i < Shapes.Length; i++)
        {
            var (m, k, n) = Shapes[i];
            rates[i, 0].Sort();
            rates[i, 1].Sort();
            double a = rates[i, 0][4], b = rates[i, 1][4];
            Console.WriteLine($"{$"{m} x {k} x {n}",-28}{a,12:0.0}{a / peak,10:P0}{(rates[i, 0][6] - rates[i, 0][2]) / a,10:P0}{b,14:0.0}{b / a,8:0.00}");
        }
        return 0;
    }
}
