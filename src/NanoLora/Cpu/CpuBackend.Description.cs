using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// A program that was compiled ahead of time uses the instruction sets that it was compiled for, on any processor; the JIT uses what it finds, unless told
// otherwise. The difference is several times the speed, so a backend says which kernels it runs, and names a wider set that the processor has.

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public override string Description
    {
        get
        {
            var threads = Threads.Count == 1 ? "1 thread" : $"{Threads.Count} threads";
            return $"cpu: {Gemm.Kernel} tiles, vectors of {Vector<float>.Count}, {threads}"
                + $"{(Unused() is { } set ? $"; the processor has {set}, which this program does not use" : "")}";
        }
    }

    // CPUID, leaf 7: bit 5 of ebx is AVX2, bit 16 AVX-512F.
    private static string? Unused()
    {
        if (!X86Base.IsSupported || X86Base.CpuId(0, 0).Eax < 7) return null;
        var ebx = X86Base.CpuId(7, 0).Ebx;
        if ((ebx & (1 << 16)) != 0 && !Vector512.IsHardwareAccelerated) return "AVX-512";
        return (ebx & (1 << 5)) != 0 && !Vector256.IsHardwareAccelerated ? "AVX2" : null;
    }
}
