using System.Numerics;

namespace NanoLora;

/// <summary>The sizes that pools of blocks hold: four steps an octave, so at most a quarter of a block is wasted.</summary>
internal static class SizeClasses
{
    private const int Smallest = 8;                                   // log2 of the smallest block

    public const int Count = 4 * 40;

    /// <summary>Class 4e + s holds 2^(e + Smallest) (1 + s / 4) bytes.</summary>
    public static (int SizeClass, long Size) Of(long bytes)
    {
        var n = (ulong)Math.Max(bytes, 1L << Smallest);
        var e = BitOperations.Log2(n);
        var step = (1ul << e) / 4;
        var s = (int)((n - (1ul << e) + step - 1) / step);
        return (4 * (e - Smallest) + s, (long)((1ul << e) + (ulong)s * step));
    }
}
