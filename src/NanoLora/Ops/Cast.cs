using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace NanoLora;

// Between element types:   widening is exact; narrowing rounds to the nearest, ties to even, and keeps subnormals.
//     Beyond the largest value bf16, f16 and e5m2 give infinity; e4m3 has none and gives 448, for infinity too. NaN stays NaN.
// Gradient:                none. What rests in a smaller type is frozen, and narrowing something that wants a gradient is an error, not a silent cut.
//
//     bf16   s eeeeeeee mmmmmmm        the upper half of an f32
//     f16    s eeeee mmmmmmmmmm        exponents -14 to 15
//     e5m2   s eeeee mm                the upper half of an f16
//     e4m3   s eeee mmm                exponents -6 to 8; all ones is NaN, so 1.75 · 2^8 = 448 is the largest

public partial class Tensor
{
    /// <summary>The same values as elements of another type; the same tensor if it has that type already. One of the two types is F32.</summary>
    /// <exception cref="ArgumentException">Neither type is F32, or one is I32.</exception>
    /// <exception cref="InvalidOperationException">Narrowing would cut off a gradient.</exception>
    public Tensor Cast(DType to)
    {
        if (to == DType) return this;
        if ((DType != DType.F32 && to != DType.F32) || DType == DType.I32 || to == DType.I32)
            throw new ArgumentException($"Cast: from {DType} to {to}; go by way of F32, and leave integers as they are.");
        if (NeedsGrad)
            throw new InvalidOperationException($"Cast: {Shape} wants a gradient, and {to} has none; call Detach first, or cast in a scope without gradients.");
        var y = New(Shape, to);
        Backend.Cast(this, y);
        return to == DType.F32 ? y.By(null) : y;
    }
}

public abstract partial class Backend
{
    /// <summary>y = x in y's type; one of the two is F32.</summary>
    public abstract void Cast(Tensor x, Tensor y);
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Cast(Tensor x, Tensor y) => Chunks(y.Count, new CastJob(x, y));

    private readonly struct CastJob(Tensor x, Tensor y) : IRows
    {
        public void Run(int start, int end)
        {
            int from = x.DType.Bytes(), to = y.DType.Bytes();
            if (y.DType == DType.F32) Widening.Widen(x.Raw()[(start * from)..(end * from)], x.DType, y.Floats()[start..end]);
            else Widening.Narrow(x.Floats()[start..end], y.Raw()[(start * to)..(end * to)], y.DType);
        }
    }
}

/// <summary>Rows of the smaller float types, to F32 and back, on spans.</summary>
internal static class Widening
{
    /// <summary>y = x, whose elements are of <paramref name="type"/>.</summary>
    public static void Widen(ReadOnlySpan<byte> x, DType type, Span<float> y)
    {
        switch (type)
        {
            case DType.F32: MemoryMarshal.Cast<byte, float>(x).CopyTo(y); break;
            case DType.BF16: WidenBF16(MemoryMarshal.Cast<byte, ushort>(x), MemoryMarshal.Cast<float, uint>(y)); break;
            case DType.F16: TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(x), y); break;
            case DType.F8E4M3: for (var i = 0; i < y.Length; i++) y[i] = WidenE4M3(x[i]); break;
            case DType.F8E5M2: for (var i = 0; i < y.Length; i++) y[i] = WidenE5M2(x[i]); break;
            default: throw new ArgumentException($"{type} is not a float type that can be widened.");
        }
    }

    /// <summary>y = x rounded to <paramref name="type"/>.</summary>
    public static void Narrow(ReadOnlySpan<float> x, Span<byte> y, DType type)
    {
        switch (type)
        {
            case DType.F32: x.CopyTo(MemoryMarshal.Cast<byte, float>(y)); break;
            case DType.BF16: NarrowBF16(MemoryMarshal.Cast<float, uint>(x), MemoryMarshal.Cast<byte, ushort>(y)); break;
            case DType.F16: TensorPrimitives.ConvertToHalf(x, MemoryMarshal.Cast<byte, Half>(y)); break;
            case DType.F8E4M3: for (var i = 0; i < x.Length; i++) y[i] = Narrow8(x[i], mantissa: 3, lowest: -6, largest: 0x7E, beyond: 0x7E); break;
            case DType.F8E5M2: for (var i = 0; i < x.Length; i++) y[i] = Narrow8(x[i], mantissa: 2, lowest: -14, largest: 0x7B, beyond: 0x7C); break;
            default: throw new ArgumentException($"{type} is not a float type that can be narrowed to.");
        }
    }

    private static void WidenBF16(ReadOnlySpan<ushort> x, Span<uint> y)
    {
        int i = 0, w = Vector<ushort>.Count;
        for (; i + w <= x.Length; i += w)
        {
            Vector.Widen(new Vector<ushort>(x[i..]), out var low, out var high);
            (low << 16).CopyTo(y[i..]);
            (high << 16).CopyTo(y[(i + w / 2)..]);
        }
        for (; i < x.Length; i++) y[i] = (uint)x[i] << 16;
    }

    private static void NarrowBF16(ReadOnlySpan<uint> x, Span<ushort> y)
    {
        int i = 0, w = Vector<uint>.Count;
        for (; i + 2 * w <= x.Length; i += 2 * w)
            Vector.Narrow(RoundToBF16(new Vector<uint>(x[i..])), RoundToBF16(new Vector<uint>(x[(i + w)..]))).CopyTo(y[i..]);
        for (; i < x.Length; i++) y[i] = (ushort)RoundToBF16(new Vector<uint>(x[i]))[0];
    }

    // Adding 0x7FFF, and one more where the last bit kept is odd, carries exactly where rounding goes up. NaN would carry too: it becomes the quiet one.
    private static Vector<uint> RoundToBF16(Vector<uint> bits)
    {
        var rounded = (bits + new Vector<uint>(0x7FFF) + ((bits >>> 16) & Vector<uint>.One)) >>> 16;
        var isNaN = Vector.GreaterThan(bits & new Vector<uint>(0x7FFFFFFF), new Vector<uint>(0x7F800000));
        return Vector.ConditionalSelect(isNaN, new Vector<uint>(0x7FC0), rounded);
    }

    // With e = max(exponent of x, lowest) the steps there are 2^(e - mantissa) wide, and x is q of them. Normal or not, the code is
    // (e - lowest) 2^mantissa + q: the leading one of a normal q is what adds 1 to the exponent, and rounding up carries by itself.
    private static byte Narrow8(float x, int mantissa, int lowest, int largest, int beyond)
    {
        var bits = BitConverter.SingleToUInt32Bits(x);
        var sign = (int)(bits >> 24) & 0x80;
        var magnitude = (int)(bits & 0x7FFFFFFF);
        if (magnitude >= 0x7F800000) return (byte)(sign | (magnitude == 0x7F800000 ? beyond : 0x7F));
        var e = Math.Max((magnitude >> 23) - 127, lowest);
        var steps = BitConverter.Int32BitsToSingle(magnitude) * BitConverter.Int32BitsToSingle((mantissa - e + 127) << 23);
        var code = ((e - lowest) << mantissa) + (int)MathF.Round(steps, MidpointRounding.ToEven);
        return (byte)(sign | (code > largest ? beyond : code));
    }

    // The code's bits at their place in an f32 are a number 2^120 (or 2^112) times too small, subnormals included.
    private static float WidenE4M3(byte code)
    {
        var magnitude = (code & 0x7F) == 0x7F ? float.NaN : BitConverter.Int32BitsToSingle((code & 0x7F) << 20) * TwoTo120;
        return code < 0x80 ? magnitude : -magnitude;
    }

    private static float WidenE5M2(byte code)
    {
        var magnitude = (code & 0x7F) switch
        {
            < 0x7C => BitConverter.Int32BitsToSingle((code & 0x7F) << 21) * TwoTo112,
            0x7C => float.PositiveInfinity,
            _ => float.NaN,
        };
        return code < 0x80 ? magnitude : -magnitude;
    }

    private const float TwoTo112 = 5.192296858534828e33f, TwoTo120 = 1.329227995784916e36f;
}
