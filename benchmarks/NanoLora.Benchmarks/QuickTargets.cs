using System.Runtime.Intrinsics;

namespace NanoLora.Benchmarks;

/// <summary>A number that is one on AVX2 and another on AVX-512, where TorchSharp's products gain more.</summary>
internal readonly record struct QuickLimit(double Avx2, double Avx512)
{
    /// <summary>The one for this machine.</summary>
    public double Here => Vector512.IsHardwareAccelerated ? Avx512 : Avx2;
}

/// <summary>What a row is to reach; what is null is not asked. Times are medians.</summary>
internal sealed record QuickTarget
{
    /// <summary>Nothing is asked.</summary>
    public static readonly QuickTarget None = new();

    /// <summary>The least ratio of times: how much faster NanoLora is to be.</summary>
    public QuickLimit? LeastRatio { get; init; }

    /// <summary>The most ratio of times, where a row says what something costs.</summary>
    public QuickLimit? MostRatio { get; init; }

    /// <summary>The most memory, as a share of the other's.</summary>
    public double? MostMemory { get; init; }

    /// <summary>The least share of the machine's multiply-adds.</summary>
    public double? LeastPeak { get; init; }

    /// <summary>The share of the machine's read bandwidth that is as good as the least ratio: then the machine can do no more.</summary>
    public double? OrBandwidth { get; init; }

    /// <summary>Each thing that is asked, and whether it is met; null where it was not measured.</summary>
    public IEnumerable<(string Text, bool? Met)> Judge(QuickRow row, QuickMachine machine)
    {
        var ratio = row.Ratio.Median;
        if (LeastRatio is { } least && OrBandwidth is { } bandwidth)
        {
            var (byRatio, byBandwidth) = (Met(ratio, ratio >= least.Here), row.Bandwidth / machine.Bandwidth >= bandwidth);
            yield return ($"≥ {least.Here:0.00} or {100 * bandwidth:0} % of bandwidth", byBandwidth ? true : byRatio);
        }
        else if (LeastRatio is { } alone) yield return ($"≥ {alone.Here:0.00}", Met(ratio, ratio >= alone.Here));
        if (MostRatio is { } most) yield return ($"≤ {most.Here:0.00}", Met(ratio, ratio <= most.Here));
        if (LeastPeak is { } peak) yield return ($"≥ {100 * peak:0} % of peak", row.Pair.Flops / row.Ours / 1e9 / machine.Peak >= peak);
        if (MostMemory is { } memory) yield return ($"memory ≤ {memory:0.00}", Met(row.Memory, row.Memory <= memory));
    }

    private static bool? Met(double value, bool met) => double.IsNaN(value) ? null : met;
}

/// <summary>What each row of `quick` is to reach.</summary>
internal static class QuickTargets
{
    public static readonly QuickTarget
        LargeProduct = new() { LeastRatio = new(1.2, 1.0), LeastPeak = 0.88 },
        MiddleProduct = new() { LeastRatio = new(1.6, 1.0) },
        SmallProduct = new() { LeastRatio = new(1.6, 1.2) },
        Skinny = new() { LeastRatio = new(2, 1.5) },
        LoraOnProduct = new() { MostRatio = new(1.08, 1.10) },
        Operation = new() { LeastRatio = new(1.3, 1.3), OrBandwidth = 0.85 },
        LargeStep = new() { LeastRatio = new(1.5, 1.3) },
        RecomputedStep = new() { LeastRatio = new(1.5, 1.3), MostMemory = 0.35 },
        SmallStep = new() { LeastRatio = new(1.8, 1.6) },
        TinyStep = new() { LeastRatio = new(2.2, 1.8) },
        NanoStep = new() { LeastRatio = new(3, 2.5) },
        Inference = new() { LeastRatio = new(1.5, 1.35) },
        EightModules = new() { MostRatio = new(1.15, 1.15), MostMemory = 1.05 },
        ThirtyTwoModules = new() { MostRatio = new(1.4, 1.4), MostMemory = 1.15 },
        TwoThreads = new() { LeastRatio = new(1.9, 1.9) };

    /// <summary>
    /// The most of a steady training step: no native byte from the system, and small managed objects (tape, tensors) alone. The smallest array of
    /// activations of the smallest model here has 0.2 MB, and there are some 50 of them.
    /// </summary>
    public const double MostNative = 0, MostManaged = 1 << 20;
}
