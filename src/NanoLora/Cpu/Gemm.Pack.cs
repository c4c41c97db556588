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

        // Neighbours in two vectors: of 32 bits the first and the second half of them, of 16 bits the even and the odd ones. Sixteen asks for AVX2.
        static abstract void Eight(byte* p, out Vector128<float> first, out Vector128<float> second);
        static abstract void Sixteen(byte* p, out Vector256<float> first, out Vector256<float> second);

        // Whether 32 neighbours in each of four rows are all finite, and the way that is shorter then.
        static abstract bool AreFinite(byte* p0, byte* p1, byte* p2, byte* p3);
        static abstract void SixteenFinite(byte* p, out Vector256<float> first, out Vector256<float> second);
    }

    private readonly struct F32 : IFormat
    {
        public static int Bytes => 4;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float One(byte* p) => *(float*)p;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Four(byte* p) => Vector128.Load((float*)p);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Eight(byte* p) => Vector256.Load((float*)p);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Eight(byte* p, out Vector128<float> first, out Vector128<float> second) => (first, second) = (Four(p), Four(p + 16));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Sixteen(byte* p, out Vector256<float> first, out Vector256<float> second) => (first, second) = (Eight(p), Eight(p + 32));

        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static bool AreFinite(byte* p0, byte* p1, byte* p2, byte* p3) => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void SixteenFinite(byte* p, out Vector256<float> first, out Vector256<float> second) => Sixteen(p, out first, out second);
    }

    // bf16 is the upper half of an f32.
    private readonly struct BF16 : IFormat
    {
        private const int Upper = unchecked((int)0xffff0000);

        public static int Bytes => 2;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float One(byte* p) => BitConverter.UInt32BitsToSingle((uint)*(ushort*)p << 16);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Four(byte* p) => (FourShorts(p) << 16).AsSingle();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* p) => (Avx2.ConvertToVector256Int32((ushort*)p) << 16).AsSingle();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Eight(byte* p, out Vector128<float> first, out Vector128<float> second)
        {
            var h = Vector128.Load((int*)p);
            (first, second) = ((h << 16).AsSingle(), (h & Vector128.Create(Upper)).AsSingle());
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Sixteen(byte* p, out Vector256<float> first, out Vector256<float> second)
        {
            var h = Vector256.Load((int*)p);
            (first, second) = ((h << 16).AsSingle(), (h & Vector256.Create(Upper)).AsSingle());
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static bool AreFinite(byte* p0, byte* p1, byte* p2, byte* p3) => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void SixteenFinite(byte* p, out Vector256<float> first, out Vector256<float> second) => Sixteen(p, out first, out second);
    }

    // f16 is s eeeee mmmmmmmmmm, with bias 15. Moved up by 13 bits, e and m stand where f32 has its own, whose bias is 127. So of the magnitude, as an integer,
    // y = x + 112 · 2²³ is
    //
    //   e of 1 to 30   the number, 2⁻¹⁴ at least
    //   e = 31         infinity or not a number, once its exponent is all ones
    //   e = 0          2⁻¹⁵ (1 + m / 2¹⁰) for 2⁻¹⁴ m / 2¹⁰, which is 2 y - 2⁻¹⁴, exactly
    //
    // and 2 y - 2⁻¹⁴ is below y where y is below 2⁻¹⁴. A product of x and 2¹¹² would be shorter, but at e = 0 its operand is a denormal f32, which took a Xeon
    // 50 ns each; of normal numbers with a deviation of 0.02, as weights are, one in 400 has e = 0.
    private readonly struct F16 : IFormat
    {
        private const int Sign = 1 << 31, Magnitude = 0x0fffe000, Infinite = 0x1f << 23, Bias = 112 << 23, Ones = 0xff << 23;
        private const float Smallest = 6.103515625e-5f;                         // 2⁻¹⁴

        public static int Bytes => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float One(byte* p) => (float)*(Half*)p;

        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Four(byte* p) => Value(FourShorts(p) << 13);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* p) => Value(Avx2.ConvertToVector256Int32((short*)p) << 13);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Eight(byte* p, out Vector128<float> first, out Vector128<float> second)
        {
            var h = Vector128.Load((int*)p);
            (first, second) = (Value(h << 16 >> 3), Value(h >> 3));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Sixteen(byte* p, out Vector256<float> first, out Vector256<float> second)
        {
            var h = Vector256.Load((int*)p);
            (first, second) = (Value(Even(h)), Value(h >> 3));
        }

        // None has an e of 31: 2 h, modulo 2¹⁶, is below 0xf800. An e of 0 is no reason to part ways: every fourth time one of 128 weights has it, too often
        // for the processor to foresee, and what it does in vain then takes as long as all else.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool AreFinite(byte* p0, byte* p1, byte* p2, byte* p3)
        {
            var most = Vector256.Max(Vector256.Max(Places(p0), Places(p0 + 32)), Vector256.Max(Places(p1), Places(p1 + 32)));
            most = Vector256.Max(most, Vector256.Max(Vector256.Max(Places(p2), Places(p2 + 32)), Vector256.Max(Places(p3), Places(p3 + 32))));
            return Vector256.EqualsAll(Avx2.SubtractSaturate(most, Vector256.Create((ushort)0xf7ff)), default);

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            static Vector256<ushort> Places(byte* p) => Vector256.Load((ushort*)p) + Vector256.Load((ushort*)p);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void SixteenFinite(byte* p, out Vector256<float> first, out Vector256<float> second)
        {
            var h = Vector256.Load((int*)p);
            (first, second) = (FiniteValue(Even(h)), FiniteValue(h >> 3));
        }

        // The lower of two shorts, 13 bits up, its sign above it: times 2¹³, the upper times 0.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<int> Even(Vector256<int> h) => Avx2.MultiplyAddAdjacent(h.AsInt16(), Vector256.Create(1 << 13).AsInt16());

        // Of h, 13 bits up: s in all bits above e.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<float> Value(Vector128<int> h)
        {
            var x = h & Vector128.Create(Magnitude);
            var y = (x + Vector128.Create(Bias)).AsSingle();
            var z = Vector128.Min(y.AsInt32(), (y + y - Vector128.Create(Smallest)).AsInt32());
            return (z | Vector128.GreaterThan(x, Vector128.Create(Infinite - 1)) & Vector128.Create(Ones) | h & Vector128.Create(Sign)).AsSingle();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> Value(Vector256<int> h)
        {
            var x = h & Vector256.Create(Magnitude);
            var infinite = Vector256.GreaterThan(x, Vector256.Create(Infinite - 1)) & Vector256.Create(Ones);
            return (infinite | FiniteValue(h).AsInt32()).AsSingle();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> FiniteValue(Vector256<int> h)
        {
            var y = ((h & Vector256.Create(Magnitude)) + Vector256.Create(Bias)).AsSingle();
            var z = Vector256.Min(y.AsInt32(), Vector256.MultiplyAddEstimate(y, Vector256.Create(2f), Vector256.Create(-Smallest)).AsInt32());
            return (z | h & Vector256.Create(Sign)).AsSingle();
        }

        // The same for Gemm.Pairs, with AVX-512.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool AreFinite(Vector512<int> h0, Vector512<int> h1, Vector512<int> h2, Vector512<int> h3)
        {
            Vector512<ushort> a = h0.AsUInt16(), b = h1.AsUInt16(), c = h2.AsUInt16(), d = h3.AsUInt16();
            return Vector512.LessThanAll(Vector512.Max(Vector512.Max(a + a, b + b), Vector512.Max(c + c, d + d)), Vector512.Create((ushort)0xf800));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Widen(Vector512<int> h, bool finite, out Vector512<float> even, out Vector512<float> odd)
        {
            var low = Avx512BW.MultiplyAddAdjacent(h.AsInt16(), Vector512.Create(1 << 13).AsInt16());
            (even, odd) = (Value(low, finite), Value(h >> 3, finite));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Value(Vector512<int> h, bool finite)
        {
            var x = h & Vector512.Create(Magnitude);
            var y = (x + Vector512.Create(Bias)).AsSingle();
            var z = Vector512.Min(y.AsInt32(), Vector512.MultiplyAddEstimate(y, Vector512.Create(2f), Vector512.Create(-Smallest)).AsInt32());
            if (!finite) z |= Vector512.GreaterThan(x, Vector512.Create(Infinite - 1)) & Vector512.Create(Ones);
            return (z | h & Vector512.Create(Sign)).AsSingle();
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

    private const int Ahead = 8;                 // rows that are fetched early: one is too short for the processor to foresee the next

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackRows<F>(byte* b, nint row, float* packed, int width, int cols, int kc) where F : IFormat
    {
        for (var p = 0; p < kc; p++, b += row, packed += width)
        {
            var j = 0;
            if (Sse.IsSupported) for (var i = 0; i < cols * F.Bytes; i += 64) Sse.Prefetch0(b + Ahead * row + i);
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
