using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// Packing: a panel of op(B), [kc, cols], becomes [kc, width] in one piece; columns beyond cols are zero and 16-bit floats are widened.
//
//   B stored [k, n]: rows are copied.        B stored [n, k]: squares are transposed in registers, 8 x 8 with AVX2, 4 x 4 without and at the edges.
//
//     b[p, 0..cols)  ─►  packed[p, ·]           b[j, p..p+8)    ┐   interleave singles,     ┌  packed[p, j..j+8)
//                                                    ...        ├─► then pairs,         ──► │         ...
//                                               b[j+7, p..p+8)  ┘   then halves             └  packed[p+7, j..j+8)

internal static unsafe partial class Gemm
{
    // How an element of B is stored: its size, and how one, four or eight neighbours become f32. Eight asks for AVX2.
    private interface IFormat
    {
        static abstract int Bytes { get; }
        static abstract float One(byte* p);
        static abstract Vector128<float> Four(byte* p);
        static abstract Vector256<float> Eight(byte* p);
    }

    private readonly struct F32 : IFormat
    {
        public static int Bytes => 4;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float One(byte* p) => *(float*)p;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Four(byte* p) => Vector128.Load((float*)p);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Eight(byte* p) => Vector256.Load((float*)p);
    }

    // bf16 is the upper half of an f32.
    private readonly struct BF16 : IFormat
    {
        public static int Bytes => 2;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float One(byte* p) => BitConverter.UInt32BitsToSingle((uint)*(ushort*)p << 16);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Four(byte* p) => (FourShorts(p) << 16).AsSingle();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* p) => (Avx2.ConvertToVector256Int32((ushort*)p) << 16).AsSingle();
    }

    // f16 is s eeeee mmmmmmmmmm, with bias 15. Moved up by 13 bits (s goes up by 16, being the sign of the widened short), e and m stand where f32 has
    // its own, whose bias is 127: the number times 2⁻¹¹². Times 2¹¹² is exact, and makes the small ones (e = 0) normal. e = 31 means infinity or not
    // a number: its exponent becomes all ones and m stays.
    private readonly struct F16 : IFormat
    {
        private const int Kept = unchecked((int)0x8fffe000), Exponent = 0x1f << 23, Ones = 0xff << 23;
        private const float Scale = 5.192296858534828e33f;                     // 2¹¹²

        public static int Bytes => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static float One(byte* p)
        {
            var x = *(short*)p << 13 & Kept;
            var y = BitConverter.SingleToInt32Bits(BitConverter.Int32BitsToSingle(x) * Scale);
            return BitConverter.Int32BitsToSingle((x & Exponent) == Exponent ? y | Ones : y);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Four(byte* p)
        {
            var x = FourShorts(p) << 13 & Vector128.Create(Kept);
            var special = Vector128.Equals(x & Vector128.Create(Exponent), Vector128.Create(Exponent)) & Vector128.Create(Ones);
            return x.AsSingle() * Vector128.Create(Scale) | special.AsSingle();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* p)
        {
            var x = Avx2.ConvertToVector256Int32((short*)p) << 13 & Vector256.Create(Kept);
            var special = Vector256.Equals(x & Vector256.Create(Exponent), Vector256.Create(Exponent)) & Vector256.Create(Ones);
            return x.AsSingle() * Vector256.Create(Scale) | special.AsSingle();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> FourShorts(byte* p) => Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(long*)p).AsInt16());

    private static void Pack<F>(byte* b, nint ldb, bool trans, float* packed, int width, int cols, int kc) where F : IFormat
    {
        if (trans) PackColumns<F>(b, ldb * F.Bytes, packed, width, cols, kc);
        else PackRows<F>(b, ldb * F.Bytes, packed, width, cols, kc);
        if (cols < width) for (var p = 0; p < kc; p++) new Span<float>(packed + p * width + cols, width - cols).Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackRows<F>(byte* b, nint row, float* packed, int width, int cols, int kc) where F : IFormat
    {
        for (var p = 0; p < kc; p++, b += row, packed += width)
        {
            var j = 0;
            if (Avx2.IsSupported) for (; j <= cols - 8; j += 8) F.Eight(b + j * F.Bytes).Store(packed + j);
            if (Vector128.IsHardwareAccelerated) for (; j <= cols - 4; j += 4) F.Four(b + j * F.Bytes).Store(packed + j);
            for (; j < cols; j++) packed[j] = F.One(b + j * F.Bytes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackColumns<F>(byte* b, nint row, float* packed, int width, int cols, int kc) where F : IFormat
    {
        var j = 0;
        if (Avx2.IsSupported)
        {
            for (; j <= cols - 8; j += 8, b += 8 * row)
            {
                var p = 0;
                for (; p <= kc - 8; p += 8) Transpose8x8<F>(b + p * F.Bytes, row, packed + p * width + j, width);
                for (; p < kc; p++) PackOne<F>(b + p * F.Bytes, row, packed + p * width + j, 8);
            }
        }
        if (Sse.IsSupported || AdvSimd.Arm64.IsSupported)
        {
            for (; j <= cols - 4; j += 4, b += 4 * row)
            {
                var p = 0;
                for (; p <= kc - 4; p += 4) Transpose4x4<F>(b + p * F.Bytes, row, packed + p * width + j, width);
                for (; p < kc; p++) PackOne<F>(b + p * F.Bytes, row, packed + p * width + j, 4);
            }
        }
        for (var p = 0; p < kc; p++) PackOne<F>(b + p * F.Bytes, row, packed + p * width + j, cols - j);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PackOne<F>(byte* b, nint row, float* packed, int count) where F : IFormat
    {
        for (var i = 0; i < count; i++) packed[i] = F.One(b + i * row);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose4x4<F>(byte* b, nint row, float* packed, nint width) where F : IFormat
    {
        Vector128<float> x0 = F.Four(b), x1 = F.Four(b + row), x2 = F.Four(b + 2 * row), x3 = F.Four(b + 3 * row);
        Vector128<float> y0 = ZipLow(x0, x2), y1 = ZipHigh(x0, x2), y2 = ZipLow(x1, x3), y3 = ZipHigh(x1, x3);      // [a0 c0 a1 c1] [a2 c2 a3 c3] [b0 d0 ...
        ZipLow(y0, y2).Store(packed);
        ZipHigh(y0, y2).Store(packed + width);
        ZipLow(y1, y3).Store(packed + 2 * width);
        ZipHigh(y1, y3).Store(packed + 3 * width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> ZipLow(Vector128<float> x, Vector128<float> y) => Sse.IsSupported ? Sse.UnpackLow(x, y) : AdvSimd.Arm64.ZipLow(x, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> ZipHigh(Vector128<float> x, Vector128<float> y) => Sse.IsSupported ? Sse.UnpackHigh(x, y) : AdvSimd.Arm64.ZipHigh(x, y);

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
