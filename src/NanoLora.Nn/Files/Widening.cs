using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace NanoLora.Nn;

/// <summary>From the bytes of a file to float32 and to 64-bit integers. Each loop returns the index of the first element that does not fit, or -1.</summary>
internal static class Widening
{
    // The 256 values of the 8-bit floats.
    private static readonly float[] E4M3 = Table(static b => E4M3Value(b));
    private static readonly float[] E5M2 = Table(static b => (float)BitConverter.UInt16BitsToHalf((ushort)(b << 8)));   // the upper byte of a half

    /// <summary>Whether <see cref="ToSingle"/> knows the type.</summary>
    public static bool ToSingles(FileDType type) =>
        type is FileDType.F32 or FileDType.F64 or FileDType.F16 or FileDType.BF16 or FileDType.F8E4M3 or FileDType.F8E5M2 || ToIntegers(type);

    /// <summary>Whether <see cref="ToInt64"/> knows the type.</summary>
    public static bool ToIntegers(FileDType type) =>
        type is FileDType.I64 or FileDType.I32 or FileDType.I16 or FileDType.I8
            or FileDType.U64 or FileDType.U32 or FileDType.U16 or FileDType.U8 or FileDType.Bool;

    /// <summary>Elements of <paramref name="type"/> in <paramref name="x"/> as float32.</summary>
    public static int ToSingle(FileDType type, ReadOnlySpan<byte> x, Span<float> y)
    {
        switch (type)
        {
            case FileDType.F32: x.CopyTo(MemoryMarshal.AsBytes(y)); return -1;
            case FileDType.BF16: FromBFloat16(Cast<ushort>(x), y); return -1;
            case FileDType.F16: TensorPrimitives.ConvertToSingle(Cast<Half>(x), y); return -1;
            case FileDType.F8E4M3: Look(E4M3, x, y); return -1;
            case FileDType.F8E5M2: Look(E5M2, x, y); return -1;
            case FileDType.F64: return FromDouble(Cast<double>(x), y);
            case FileDType.I64: return FromInteger(Cast<long>(x), y);
            case FileDType.I32: return FromInteger(Cast<int>(x), y);
            case FileDType.I16: return FromInteger(Cast<short>(x), y);
            case FileDType.I8: return FromInteger(Cast<sbyte>(x), y);
            case FileDType.U64: return FromInteger(Cast<ulong>(x), y);
            case FileDType.U32: return FromInteger(Cast<uint>(x), y);
            case FileDType.U16: return FromInteger(Cast<ushort>(x), y);
            case FileDType.U8: return FromInteger(x, y);
            case FileDType.Bool: for (var i = 0; i < x.Length; i++) y[i] = x[i] != 0 ? 1 : 0; return -1;
            default: throw new ArgumentOutOfRangeException(nameof(type), type, "no float32 form");
        }
    }

    /// <summary>Elements of <paramref name="type"/> in <paramref name="x"/> as 64-bit integers.</summary>
    public static int ToInt64(FileDType type, ReadOnlySpan<byte> x, Span<long> y)
    {
        switch (type)
        {
            case FileDType.I64: x.CopyTo(MemoryMarshal.AsBytes(y)); return -1;
            case FileDType.I32: return ToLong(Cast<int>(x), y);
            case FileDType.I16: return ToLong(Cast<short>(x), y);
            case FileDType.I8: return ToLong(Cast<sbyte>(x), y);
            case FileDType.U64: return ToLong(Cast<ulong>(x), y);
            case FileDType.U32: return ToLong(Cast<uint>(x), y);
            case FileDType.U16: return ToLong(Cast<ushort>(x), y);
            case FileDType.U8: return ToLong(x, y);
            case FileDType.Bool: for (var i = 0; i < x.Length; i++) y[i] = x[i] != 0 ? 1 : 0; return -1;
            default: throw new ArgumentOutOfRangeException(nameof(type), type, "not an integer");
        }
    }

    // Files hold little-endian bytes, and so do the machines this runs on.
    private static ReadOnlySpan<T> Cast<T>(ReadOnlySpan<byte> x) where T : struct => MemoryMarshal.Cast<byte, T>(x);

    // bf16 is the upper half of a float32: widen to 32 bits, shift by 16.
    private static void FromBFloat16(ReadOnlySpan<ushort> x, Span<float> y)
    {
        var i = 0;
        for (; i <= x.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(x[i..]), out var lower, out var upper);
            Vector.AsVectorSingle(lower << 16).CopyTo(y[i..]);
            Vector.AsVectorSingle(upper << 16).CopyTo(y[(i + Vector<float>.Count)..]);
        }
        for (; i < x.Length; i++) y[i] = BitConverter.UInt32BitsToSingle((uint)x[i] << 16);
    }

    private static int FromDouble(ReadOnlySpan<double> x, Span<float> y)
    {
        for (var i = 0; i < x.Length; i++)
        {
            y[i] = (float)x[i];
            if (float.IsInfinity(y[i]) && !double.IsInfinity(x[i])) return i;
        }
        return -1;
    }

    // Below 2^24 every integer is a float32; above, one that comes back unchanged.
    private static int FromInteger<T>(ReadOnlySpan<T> x, Span<float> y) where T : struct, IBinaryInteger<T>
    {
        for (var i = 0; i < x.Length; i++)
        {
            y[i] = float.CreateTruncating(x[i]);
            if (MathF.Abs(y[i]) >= 1 << 24 && Int128.CreateTruncating(x[i]) != (Int128)y[i]) return i;
        }
        return -1;
    }

    private static int ToLong<T>(ReadOnlySpan<T> x, Span<long> y) where T : struct, IBinaryInteger<T>
    {
        for (var i = 0; i < x.Length; i++)
        {
            y[i] = long.CreateTruncating(x[i]);
            if (y[i] < 0 && T.IsPositive(x[i])) return i;
        }
        return -1;
    }

    private static void Look(float[] table, ReadOnlySpan<byte> x, Span<float> y)
    {
        for (var i = 0; i < x.Length; i++) y[i] = table[x[i]];
    }

    // s eeee mmm, bias 7: (-1)^s 2^(e - 7) (1 + m/8); e = 0: (-1)^s 2^-6 m/8; no infinities, s.1111.111 is NaN.
    private static float E4M3Value(int b)
    {
        var (e, m) = ((b >> 3) & 15, b & 7);
        var x = (e, m) is (15, 7) ? float.NaN : e == 0 ? MathF.ScaleB(m, -9) : MathF.ScaleB(8 + m, e - 10);
        return (b & 128) != 0 ? -x : x;
    }

    private static float[] Table(Func<int, float> value)
    {
        var table = new float[256];
        for (var b = 0; b < 256; b++) table[b] = value(b);
        return table;
    }
}
