using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// Packing: a panel of op(B), [kc, cols], becomes [kc, width] in one piece; columns beyond cols are zero and 16-bit floats are widened.
//
//   B stored [k, n]: rows are copied.        B stored [n, k]: 8 x 8 squares are transposed in registers.
//
//     b[p, 0..cols)  ─►  packed[p, ·]           b[j, p..p+8)    ┐   interleave singles,     ┌  packed[p, j..j+8)
//                                                    ...        ├─► then pairs,         ──► │         ...
//                                               b[j+7, p..p+8)  ┘   then halves             └  packed[p+7, j..j+8)

internal static unsafe partial class Gemm
{
    // How an element of B is stored: its size, and how one or eight neighbours become f32.
    private interface IFormat
    {
        static abstract int Bytes { get; }
        static abstract float One(byte* p);
        static abstract Vector256<float> Eight(byte* p);
    }

    private readonly struct F32 : IFormat
    {
        public static int Bytes => 4;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float One(byte* p) => *(float*)p;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Eight(byte* p) => Vector256.Load((float*)p);
    }

    // bf16 is the upper half of an f32.
    private readonly struct BF16 : IFormat
    {
        public static int Bytes => 2;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float One(byte* p) => BitConverter.UInt32BitsToSingle((uint)*(ushort*)p << 16);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* p) => (Avx2.ConvertToVector256Int32((ushort*)p) << 16).AsSingle();
    }

    // f16: s eeeee mmmmmmmmmm. Moved up by 13 bits, exponent and mantissa stand where f32 has them, with the exponent 112 too small:
    //   e = 1..30    add 112 to the exponent
    //   e = 31       infinity or not a number: add 224, which gives 255
    //   e = 0        m · 2⁻²⁴: with exponent 113 the bits say (1 + m / 1024) · 2⁻¹⁴; take 2⁻¹⁴ off again
    private readonly struct F16 : IFormat
    {
        private const int Exponent = 0x1f << 23, Rebias = 112 << 23, Least = 113 << 23;

        public static int Bytes => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static float One(byte* p)
        {
            int h = *(ushort*)p, x = (h & 0x7fff) << 13, e = x & Exponent;
            x = e == Exponent ? x + 2 * Rebias
              : e != 0 ? x + Rebias
              : BitConverter.SingleToInt32Bits(BitConverter.Int32BitsToSingle(x + Least) - BitConverter.Int32BitsToSingle(Least));
            return BitConverter.Int32BitsToSingle(x | (h & 0x8000) << 16);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* p)
        {
            var h = Avx2.ConvertToVector256Int32((ushort*)p);
            var x = (h & Vector256.Create(0x7fff)) << 13;
            var e = x & Vector256.Create(Exponent);
            var least = Vector256.Create(Least);
            var normal = x + Vector256.Create(Rebias) + (Vector256.Equals(e, Vector256.Create(Exponent)) & Vector256.Create(Rebias));
            var tiny = ((x + least).AsSingle() - least.AsSingle()).AsInt32();
            x = Vector256.ConditionalSelect(Vector256.Equals(e, Vector256<int>.Zero), tiny, normal);
            return (x | (h & Vector256.Create(0x8000)) << 16).AsSingle();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pack<F>(byte* b, nint ldb, bool trans, float* packed, int width, int cols, int kc) where F : IFormat
    {
        var row = ldb * F.Bytes;
        if (trans) PackColumns<F>(b, row, packed, width, cols, kc);
        else PackRows<F>(b, row, packed, width, cols, kc);
        if (cols < width) for (var p = 0; p < kc; p++) new Span<float>(packed + p * width + cols, width - cols).Clear();
    }

    private static void PackRows<F>(byte* b, nint row, float* packed, int width, int cols, int kc) where F : IFormat
    {
        for (var p = 0; p < kc; p++, b += row, packed += width)
        {
            var j = 0;
            if (Avx2.IsSupported) for (; j <= cols - 8; j += 8) F.Eight(b + j * F.Bytes).Store(packed + j);
            for (; j < cols; j++) packed[j] = F.One(b + j * F.Bytes);
        }
    }

    private static void PackColumns<F>(byte* b, nint row, float* packed, int width, int cols, int kc) where F : IFormat
    {
        var j = 0;
        if (Avx2.IsSupported)
        {
            for (; j <= cols - 8; j += 8, b += 8 * row)
            {
                var p = 0;
                for (; p <= kc - 8; p += 8) Transpose8x8<F>(b + p * F.Bytes, row, packed + p * width + j, width);
                for (; p < kc; p++)
                    for (var i = 0; i < 8; i++) packed[p * width + j + i] = F.One(b + i * row + p * F.Bytes);
            }
        }
        for (; j < cols; j++, b += row)
            for (var p = 0; p < kc; p++) packed[p * width + j] = F.One(b + p * F.Bytes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose8x8<F>(byte* b, nint row, float* packed, nint width) where F : IFormat
    {
        Vector256<float> x0 = F.Eight(b), x1 = F.Eight(b + row), x2 = F.Eight(b + 2 * row), x3 = F.Eight(b + 3 * row);
        Vector256<float> x4 = F.Eight(b + 4 * row), x5 = F.Eight(b + 5 * row), x6 = F.Eight(b + 6 * row), x7 = F.Eight(b + 7 * row);

        // singles: [a0 b0 a1 b1 | a4 b4 a5 b5] and [a2 b2 a3 b3 | a6 b6 a7 b7]
        Vector256<float> y0 = Avx.UnpackLow(x0, x1), y1 = Avx.UnpackHigh(x0, x1), y2 = Avx.UnpackLow(x2, x3), y3 = Avx.UnpackHigh(x2, x3);
        Vector256<float> y4 = Avx.UnpackLow(x4, x5), y5 = Avx.UnpackHigh(x4, x5), y6 = Avx.UnpackLow(x6, x7), y7 = Avx.UnpackHigh(x6, x7);

        // pairs: column q of rows 0..3 in the lower half and column q + 4 in the upper, for q = 0..3; the same of rows 4..7
        x0 = Avx.Shuffle(y0, y2, 0b01_00_01_00); x1 = Avx.Shuffle(y0, y2, 0b11_10_11_10);
        x2 = Avx.Shuffle(y1, y3, 0b01_00_01_00); x3 = Avx.Shuffle(y1, y3, 0b11_10_11_10);
        x4 = Avx.Shuffle(y4, y6, 0b01_00_01_00); x5 = Avx.Shuffle(y4, y6, 0b11_10_11_10);
        x6 = Avx.Shuffle(y5, y7, 0b01_00_01_00); x7 = Avx.Shuffle(y5, y7, 0b11_10_11_10);

        // halves
        Avx.Permute2x128(x0, x4, 0x20).Store(packed);
        Avx.Permute2x128(x1, x5, 0x20).Store(packed + width);
        Avx.Permute2x128(x2, x6, 0x20).Store(packed + 2 * width);
        Avx.Permute2x128(x3, x7, 0x20).Store(packed + 3 * width);
        Avx.Permute2x128(x0, x4, 0x31).Store(packed + 4 * width);
        Avx.Permute2x128(x1, x5, 0x31).Store(packed + 5 * width);
        Avx.Permute2x128(x2, x6, 0x31).Store(packed + 6 * width);
        Avx.Permute2x128(x3, x7, 0x31).Store(packed + 7 * width);
    }
}
