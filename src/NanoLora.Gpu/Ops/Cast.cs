using ILGPU;
using ILGPU.Algorithms;

namespace NanoLora;

// Between element types, one thread an element. Widening by arithmetic on bits works on every device: 16-bit floats are an extension of OpenCL that many lack.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Cast(Tensor x, Tensor y)
    {
        if (y.Count == 0) return;
        var groups = _launch.Elements(y.Count);
        switch (y.DType == DType.F32 ? x.DType : y.DType, y.DType == DType.F32)
        {
            case (DType.BF16, true): _launch.Run(WidenKernel<ushort, FromBF16>, groups, View<ushort>(x, false), Out(y)); break;
            case (DType.F16, true): _launch.Run(WidenKernel<ushort, FromF16>, groups, View<ushort>(x, false), Out(y)); break;
            case (DType.F8E4M3, true): _launch.Run(WidenKernel<byte, FromF8E4M3>, groups, View<byte>(x, false), Out(y)); break;
            case (DType.F8E5M2, true): _launch.Run(WidenKernel<byte, FromF8E5M2>, groups, View<byte>(x, false), Out(y)); break;
            case (DType.BF16, false): _launch.Run(NarrowBF16Kernel, groups, In(x), View<ushort>(y, true)); break;
            case (DType.F16, false): _launch.Run(NarrowF16Kernel, groups, In(x), View<ushort>(y, true)); break;
            case (DType.F8E4M3, false): _launch.Run(NarrowF8Kernel, groups, In(x), View<byte>(y, true), 3, -6, 0x7E, 0x7E); break;
            case (DType.F8E5M2, false): _launch.Run(NarrowF8Kernel, groups, In(x), View<byte>(y, true), 2, -14, 0x7B, 0x7C); break;
            default: Copy(x, y); break;
        }
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void WidenKernel<T, TFrom>(ArrayView<T> x, ArrayView<float> y) where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride) y[i] = TFrom.Widen(x[i]);
    }

    /// <summary>A thread owns every so many-th element: rounds to the nearest, ties to even.</summary>
    public static void NarrowBF16Kernel(ArrayView<float> x, ArrayView<ushort> y)
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride)
        {
            var bits = Interop.FloatAsInt(x[i]);
            y[i] = (bits & 0x7FFFFFFF) > 0x7F800000 ? (ushort)0x7FC0 : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
        }
    }

    /// <summary>A thread owns every so many-th element: rounds to the nearest, ties to even.</summary>
    public static void NarrowF16Kernel(ArrayView<float> x, ArrayView<ushort> y)
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride)
        {
            var bits = Interop.FloatAsInt(x[i]);
            y[i] = (ushort)(((bits >> 16) & 0x8000) | Narrow(bits & 0x7FFFFFFF, 10, -14, 0x7BFF, 0x7C00, 0x7E00));
        }
    }

    /// <summary>A thread owns every so many-th element: rounds to the nearest, ties to even.</summary>
    public static void NarrowF8Kernel(ArrayView<float> x, ArrayView<byte> y, int mantissa, int lowest, int largest, int beyond)
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride)
        {
            var bits = Interop.FloatAsInt(x[i]);
            y[i] = (byte)(((bits >> 24) & 0x80) | Narrow(bits & 0x7FFFFFFF, mantissa, lowest, largest, beyond, 0x7F));
        }
    }

    // With e = max(exponent of x, lowest) the steps there are 2^(e - mantissa) wide, and x is q of them. Normal or not, the code is (e - lowest) 2^mantissa +
    // q: the leading one of a normal q is what adds 1 to the exponent, and rounding up carries by itself.
    private static uint Narrow(uint magnitude, int mantissa, int lowest, int largest, int beyond, int nan)
    {
        if (magnitude >= 0x7F800000) return (uint)(magnitude == 0x7F800000 ? beyond : nan);
        var e = (int)(magnitude >> 23) - 127;
        if (e < lowest) e = lowest;
        var steps = Interop.IntAsFloat(magnitude) * Interop.IntAsFloat((uint)(mantissa - e + 127) << 23);
        var whole = (int)steps;                                                        // steps < 2^(mantissa + 1)
        var rest = steps - whole;
        if (rest > 0.5f || (rest == 0.5f && (whole & 1) == 1)) whole++;
        var code = ((e - lowest) << mantissa) + whole;
        return (uint)(code > largest ? beyond : code);
    }
}

/// <summary>How an element that rests in a smaller type becomes a float.</summary>
public interface IWiden<T> where T : unmanaged
{
    /// <summary>Its value.</summary>
    static abstract float Widen(T x);
}

#pragma warning disable CS1591 // IWiden says it

/// <summary>A float as it is.</summary>
public readonly struct FromF32 : IWiden<float>
{
    public static float Widen(float x) => x;
}

/// <summary>bfloat16: the upper half of a float.</summary>
public readonly struct FromBF16 : IWiden<ushort>
{
    public static float Widen(ushort x) => Interop.IntAsFloat((uint)x << 16);
}

/// <summary>The bits at their place in a float are a number 2^112 times too small, subnormals included.</summary>
public readonly struct FromF16 : IWiden<ushort>
{
    public static float Widen(ushort x)
    {
        var magnitude = (x & 0x7FFFu) >= 0x7C00
            ? Interop.IntAsFloat(0x7F800000 | (x & 0x3FFu) << 13)
            : Interop.IntAsFloat((x & 0x7FFFu) << 13) * 5.192296858534828e33f;
        return x < 0x8000 ? magnitude : -magnitude;
    }
}

/// <summary>The bits at their place in a float are a number 2^120 times too small.</summary>
public readonly struct FromF8E4M3 : IWiden<byte>
{
    public static float Widen(byte x)
    {
        var magnitude = (x & 0x7Fu) == 0x7F ? float.NaN : Interop.IntAsFloat((x & 0x7Fu) << 20) * 1.329227995784916e36f;
        return x < 0x80 ? magnitude : -magnitude;
    }
}

/// <summary>The upper half of a 16-bit float.</summary>
public readonly struct FromF8E5M2 : IWiden<byte>
{
    public static float Widen(byte x) => FromF16.Widen((ushort)(x << 8));
}
