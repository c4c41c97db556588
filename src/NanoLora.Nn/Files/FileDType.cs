namespace NanoLora.Nn;

/// <summary>
/// What the elements of a tensor in a weight file are; the list and its order are those of safetensors, whose writer sorts by it.
/// A file may hold types that the engine does not compute with: they are listed and their bytes can be read, and widening them is refused by name.
/// </summary>
public enum FileDType
{
    /// <summary>One byte, zero or not.</summary>
    Bool,
    /// <summary>4-bit float, two to a byte.</summary>
    F4,
    /// <summary>6-bit float: sign, 2 bits of exponent, 3 of mantissa; four to three bytes.</summary>
    F6E2M3,
    /// <summary>6-bit float: sign, 3 bits of exponent, 2 of mantissa; four to three bytes.</summary>
    F6E3M2,
    /// <summary>Unsigned, 8 bits.</summary>
    U8,
    /// <summary>Signed, 8 bits.</summary>
    I8,
    /// <summary>8-bit float: sign, 5 bits of exponent, 2 of mantissa; infinities and NaN as in IEEE 754.</summary>
    F8E5M2,
    /// <summary>8-bit float: sign, 4 bits of exponent, 3 of mantissa; no infinities, NaN is all ones (torch's float8_e4m3fn).</summary>
    F8E4M3,
    /// <summary>8-bit power of two, for scales of blocks.</summary>
    F8E8M0,
    /// <summary>8-bit float, 4 bits of exponent, without infinities and without negative zero.</summary>
    F8E4M3Fnuz,
    /// <summary>8-bit float, 5 bits of exponent, without infinities and without negative zero.</summary>
    F8E5M2Fnuz,
    /// <summary>Signed, 16 bits.</summary>
    I16,
    /// <summary>Unsigned, 16 bits.</summary>
    U16,
    /// <summary>IEEE 754 half: sign, 5 bits of exponent, 10 of mantissa.</summary>
    F16,
    /// <summary>The upper half of a float32: sign, 8 bits of exponent, 7 of mantissa.</summary>
    BF16,
    /// <summary>Signed, 32 bits.</summary>
    I32,
    /// <summary>Unsigned, 32 bits.</summary>
    U32,
    /// <summary>IEEE 754 single.</summary>
    F32,
    /// <summary>A complex number of two float32.</summary>
    C64,
    /// <summary>IEEE 754 double.</summary>
    F64,
    /// <summary>Signed, 64 bits.</summary>
    I64,
    /// <summary>Unsigned, 64 bits.</summary>
    U64,
}

/// <summary>Sizes and safetensors names of <see cref="FileDType"/>.</summary>
public static class FileDTypes
{
    private static readonly string[] Names =
    [
        "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
        "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
    ];

    /// <summary>Bits of one element: a multiple of 8 except for the 4- and 6-bit floats.</summary>
    public static int Bits(this FileDType type) => type switch
    {
        FileDType.F4 => 4,
        FileDType.F6E2M3 or FileDType.F6E3M2 => 6,
        <= FileDType.F8E5M2Fnuz => 8,
        <= FileDType.BF16 => 16,
        <= FileDType.F32 => 32,
        _ => 64,
    };

    /// <summary>The name that safetensors files use, such as "F32" or "F8_E4M3".</summary>
    public static string FileName(this FileDType type) => Names[(int)type];

    /// <summary>Finds the type of a safetensors name; false when there is none (names are in upper case).</summary>
    public static bool TryParse(string name, out FileDType type)
    {
        var i = Array.IndexOf(Names, name);
        type = (FileDType)Math.Max(i, 0);
        return i >= 0;
    }

    /// <summary>Elements of <paramref name="shape"/>, or -1 when an axis is negative or the product does not fit 63 bits.</summary>
    internal static long Count(ReadOnlySpan<long> shape)
    {
        var count = 1L;
        var empty = false;
        foreach (var axis in shape)
        {
            if (axis < 0) return -1;
            if (axis == 0) { empty = true; continue; }
            if (count > long.MaxValue / axis) return -1;   // also before a later 0: no honest file holds such a shape
            count *= axis;
        }
        return empty ? 0 : count;
    }

    /// <summary>Bytes of <paramref name="count"/> elements, or -1 when they overflow or end inside a byte.</summary>
    internal static long Bytes(this FileDType type, long count)
    {
        var bits = (Int128)count * type.Bits();
        return bits % 8 != 0 || bits / 8 > long.MaxValue ? -1 : (long)(bits / 8);
    }
}
