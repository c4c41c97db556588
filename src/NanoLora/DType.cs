using System.Runtime.CompilerServices;

namespace NanoLora;

/// <summary>
/// What one element of a tensor is. The engine computes and accumulates in <see cref="F32"/>; the smaller types are how frozen weights rest in memory.
/// </summary>
public enum DType
{
    /// <summary>32-bit float.</summary>
    F32,
    /// <summary>bfloat16: the upper half of a 32-bit float.</summary>
    BF16,
    /// <summary>IEEE 16-bit float.</summary>
    F16,
    /// <summary>32-bit integer: ids, labels, positions.</summary>
    I32,
    /// <summary>8-bit float with 4 exponent bits, no infinity, largest value 448 (e4m3fn).</summary>
    F8E4M3,
    /// <summary>8-bit float with 5 exponent bits: the upper half of an IEEE 16-bit float.</summary>
    F8E5M2,
}

/// <summary>Sizes of the element types.</summary>
public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Bytes(this DType dtype) => dtype switch
    {
        DType.F32 or DType.I32 => 4,
        DType.BF16 or DType.F16 => 2,
        _ => 1,
    };
}
