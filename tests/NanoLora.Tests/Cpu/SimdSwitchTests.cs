using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NanoLora.Tests.Cpu;

/// <summary>When the suite runs with SIMD narrowed or off, it really does: a switch that was misspelt would let the wide kernels pass for the narrow ones.</summary>
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

    private static bool Off(string name) => Environment.GetEnvironmentVariable($"DOTNET_{name}") == "0";
}
