using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NanoLora.Tests.Cpu;

/// <summary>
/// When the suite runs with SIMD narrowed or off, it really does: a switch that was misspelt would let the wide kernels pass for the narrow ones.
/// </summary>
public class SimdSwitchTests
{
    [Fact]
    public void The_switches_of_the_environment_hold()
    {
        if (Off("EnableAVX512")) Assert.False(Avx512F.IsSupported || Vector512.IsHardwareAccelerated);
        if (Off("EnableAVX2")) Assert.False(Avx2.IsSupported || Avx512F.IsSupported || Vector256.IsHardwareAccelerated);
        if (Off("EnableHWIntrinsic")) Assert.False(Sse42.IsSupported || Avx2.IsSupported || Fma.IsSupported);
        var widest = Avx512F.IsSupported && Vector512.IsHardwareAccelerated ? "AVX-512" : Avx2.IsSupported && Fma.IsSupported ? "AVX2" : null;
        if (widest is not null) Assert.StartsWith(widest, Gemm.Kernel, StringComparison.Ordinal);
        else Assert.DoesNotContain("AVX", Gemm.Kernel, StringComparison.Ordinal);
    }

    [Fact]
    public void A_backend_says_which_kernels_it_runs_and_what_it_leaves_unused()
    {
        using CpuBackend one = new(threads: 1), three = new(threads: 3);
        Assert.Contains($"{Gemm.Kernel} tiles, vectors of {Vector<float>.Count}, 1 thread", one.Description);
        Assert.Contains(", 3 threads", three.Description);
        var narrowed = Off("EnableAVX512") || Off("EnableAVX2") || Off("EnableHWIntrinsic");
        if (!narrowed && Vector512.IsHardwareAccelerated) Assert.DoesNotContain("does not use", one.Description);
        if (Off("EnableAVX512") && X86Base.IsSupported && (X86Base.CpuId(7, 0).Ebx & 1 << 16) != 0)
            Assert.EndsWith("the processor has AVX-512, which this program does not use", one.Description);
    }

    private static bool Off(string name) => Environment.GetEnvironmentVariable($"DOTNET_{name}") == "0";
}
