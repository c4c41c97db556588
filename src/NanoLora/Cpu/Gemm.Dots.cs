using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// A few rows times a stored-transposed matrix, y = x Wᵀ with m ≤ 8: a step of a generator. Each weight is used m times only, so packing would cost
// more than it saves. Rows of x and W lie along k: an element of C is a dot product, and W is read once, in order.
//
//   x[i,   p..p+2w) ─┐
//   x[i+1, p..p+2w) ─┼─►  2 x 4 sums of w lanes; then the lanes are added.     f32: lane l holds p = l, l + w, l + 2w, ...
//   W[j..j+4, ...)  ─┘                                                          16 bits: p = 2l, 2l + 1, 2l + 2w, ...
//
// Two weights of 16 bits lie in 32; the even and the odd ones of 2w neighbours are widened where they lie, by shifts, and x is parted likewise: less work
// than spreading w of them over a whole vector. w is 8 on every machine with AVX2 and FMA (with AVX-512 too: the same bits) and 4 on the others. Four steps
// of w are done at a time: they fetch what the next four rows have at these places, and see whether all weights are finite, which are widened in a shorter
// way. What is left of a row is copied, with zeros behind it. With AVX-512 weights in F16 are taken two rows to a vector, Gemm.Pairs.

internal static unsafe partial class Gemm
{
    private static bool IsDots(int m, int k, bool transA, bool transB) => transB && !transA && m <= 8 && k >= 16 && Wide128;

    private readonly struct Dots : IBlocks
    {
        private const int BlockWeights = 32 * 1024;        // enough for a thread to be worth waking

        private readonly int _m, _n, _k, _blockCols;
        private readonly float* _a, _c;
        private readonly byte* _b;
        private readonly nint _lda, _ldb, _ldc;
        private readonly Plus _plus;
        private readonly DType _bType;

        public Dots(int m, int n, int k, float* a, int lda, void* b, int ldb, DType bType, float* c, int ldc, Plus plus)
        {
            (_m, _n, _k, _lda, _ldb, _ldc, _bType, _plus) = (m, n, k, lda, ldb, ldc, bType, plus);
            _a = a;
            _b = (byte*)b;
            _c = c;
            _blockCols = Math.Min(n, RoundUp(Math.Max(1, BlockWeights / k), 4));
            Blocks = (n + _blockCols - 1) / _blockCols;
        }

        public int Blocks { get; }

        public void Run(int block) => Compute(block * _blockCols, Math.Min((block + 1) * _blockCols, _n));

        public void Whole() => Compute(0, _n);

        private void Compute(int j0, int j1)
        {
            if (Wide512 && _bType == DType.F16) Walk<F16, Pairs>(j0, j1);
            else if (Wide256) Compute<Vector256<float>, Lanes256>(j0, j1);
            else Compute<Vector128<float>, Lanes128>(j0, j1);
        }

        private void Compute<V, L>(int j0, int j1) where V : struct where L : ILanes<V>
        {
            switch (_bType)
            {
                case DType.F32: Walk<F32, Single<V, L, F32>>(j0, j1); break;
                case DType.BF16: Walk<BF16, Single<V, L, BF16>>(j0, j1); break;
                default: Walk<F16, Single<V, L, F16>>(j0, j1); break;
            }
        }

        // Two rows of x and four of W at a time; a row that is not there is its neighbour again, and not stored.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Walk<F, D>(int j0, int j1) where F : IFormat where D : IDot
        {
            var sums = stackalloc float[8];
            var row = _ldb * F.Bytes;
            for (var j = j0; j < j1; j += 4)
            {
                var cols = Math.Min(4, j1 - j);
                var w = new FourRows(_b + j * row, cols, row);
                for (var i = 0; i < _m; i += 2)
                {
                    var rows = Math.Min(2, _m - i);
                    var x = _a + i * _lda;
                    if (rows == 2) D.Run<Two>(x, x + _lda, w, _k, 4 * row, sums);
                    else D.Run<One>(x, x, w, _k, 4 * row, sums);
                    for (var r = 0; r < rows; r++)
                    {
                        var c = _c + (i + r) * _ldc + j;
                        var plus = _plus.At(i + r, j);
                        for (var q = 0; q < cols; q++) c[q] = plus == null ? sums[4 * r + q] : plus[q] + sums[4 * r + q];
                    }
                }
            }
        }
    }

    // One or two rows of x times four rows of W, whose next four begin so many bytes later: eight sums, four for each row of x.
    private interface IDot
    {
        static abstract void Run<R>(float* x, float* y, FourRows w, int k, nint next, float* sums) where R : IRows;
    }

    private readonly struct Single<V, L, F> : IDot where V : struct where L : ILanes<V> where F : IFormat
    {
        public static void Run<R>(float* x, float* y, FourRows w, int k, nint next, float* sums) where R : IRows =>
            Dot<V, L, F, R>(x, y, w, k, next, sums);
    }

    private readonly struct Two : IRows { public static int Count => 2; }
    private readonly struct One : IRows { public static int Count => 1; }

    // The same place in four rows of W.
    private readonly struct FourRows(byte* w0, byte* w1, byte* w2, byte* w3)
    {
        public readonly byte* W0 = w0, W1 = w1, W2 = w2, W3 = w3;

        public FourRows(byte* w, int rows, nint row) : this(w, w + Row(1, rows, row), w + Row(2, rows, row), w + Row(3, rows, row)) { }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static FourRows operator +(FourRows w, nint bytes) => new(w.W0 + bytes, w.W1 + bytes, w.W2 + bytes, w.W3 + bytes);

        public void Take(FourRows from, nint bytes)
        {
            Unsafe.CopyBlockUnaligned(W0, from.W0, (uint)bytes);
            Unsafe.CopyBlockUnaligned(W1, from.W1, (uint)bytes);
            Unsafe.CopyBlockUnaligned(W2, from.W2, (uint)bytes);
            Unsafe.CopyBlockUnaligned(W3, from.W3, (uint)bytes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dot<V, L, F, R>(float* x, float* y, FourRows w, int k, nint next, float* sums)
        where V : struct where L : ILanes<V> where F : IFormat where R : IRows
    {
        V s0 = default, s1 = default, s2 = default, s3 = default, t0 = default, t1 = default, t2 = default, t3 = default;
        nint p = 0, step = 2 * L.Width, bytes = step * F.Bytes;
        for (; p <= k - 2 * step; p += 2 * step)
        {
            var v = w + p * F.Bytes;
            Fetch<F>(v + next);
            if (AreFinite<V, F>(v))
            {
                Step<V, L, F, R>(x + p, y + p, v, true, ref s0, ref s1, ref s2, ref s3, ref t0, ref t1, ref t2, ref t3);
                Step<V, L, F, R>(x + p + step, y + p + step, v + bytes, true, ref s0, ref s1, ref s2, ref s3, ref t0, ref t1, ref t2, ref t3);
            }
            else
            {
                Step<V, L, F, R>(x + p, y + p, v, false, ref s0, ref s1, ref s2, ref s3, ref t0, ref t1, ref t2, ref t3);
                Step<V, L, F, R>(x + p + step, y + p + step, v + bytes, false, ref s0, ref s1, ref s2, ref s3, ref t0, ref t1, ref t2, ref t3);
            }
        }
        if (p < k)
        {
            const int Longest = 2 * 2 * 8;                                  // two steps
            var rest = stackalloc float[6 * Longest];                       // of x, y and the four rows of W
            new Span<float>(rest, 6 * Longest).Clear();
            Unsafe.CopyBlockUnaligned(rest, x + p, (uint)((k - p) * sizeof(float)));
            Unsafe.CopyBlockUnaligned(rest + Longest, y + p, (uint)((k - p) * sizeof(float)));
            var v = new FourRows((byte*)(rest + 2 * Longest), 4, Longest * sizeof(float));
            v.Take(w + p * F.Bytes, (k - p) * F.Bytes);
            for (nint q = 0; p < k; p += step, q += step)
                Step<V, L, F, R>(rest + q, rest + Longest + q, v + q * F.Bytes, false, ref s0, ref s1, ref s2, ref s3, ref t0, ref t1, ref t2, ref t3);
        }
        (sums[0], sums[1], sums[2], sums[3]) = (L.Sum(s0), L.Sum(s1), L.Sum(s2), L.Sum(s3));
        (sums[4], sums[5], sums[6], sums[7]) = (L.Sum(t0), L.Sum(t1), L.Sum(t2), L.Sum(t3));
    }

    // 2w terms of each sum.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<V, L, F, R>(float* x, float* y, FourRows w, bool finite,
        ref V s0, ref V s1, ref V s2, ref V s3, ref V t0, ref V t1, ref V t2, ref V t3)
        where V : struct where L : ILanes<V> where F : IFormat where R : IRows
    {
        V c = default, d = default;
        Part<V, L, F>(x, out var a, out var b);
        if (R.Count > 1) Part<V, L, F>(y, out c, out d);
        Widen<V, F>(w.W0, finite, out var u, out var v);
        s0 = L.MultiplyAdd(b, v, L.MultiplyAdd(a, u, s0));
        if (R.Count > 1) t0 = L.MultiplyAdd(d, v, L.MultiplyAdd(c, u, t0));
        Widen<V, F>(w.W1, finite, out u, out v);
        s1 = L.MultiplyAdd(b, v, L.MultiplyAdd(a, u, s1));
        if (R.Count > 1) t1 = L.MultiplyAdd(d, v, L.MultiplyAdd(c, u, t1));
        Widen<V, F>(w.W2, finite, out u, out v);
        s2 = L.MultiplyAdd(b, v, L.MultiplyAdd(a, u, s2));
        if (R.Count > 1) t2 = L.MultiplyAdd(d, v, L.MultiplyAdd(c, u, t2));
        Widen<V, F>(w.W3, finite, out u, out v);
        s3 = L.MultiplyAdd(b, v, L.MultiplyAdd(a, u, s3));
        if (R.Count > 1) t3 = L.MultiplyAdd(d, v, L.MultiplyAdd(c, u, t3));
    }

    // What the next four rows have at these places: a row is too short for the processor to foresee where the next begins. To the L2 cache: two
    // threads of a Zen 4 passed F32 at 22 GB/s with lines asked for in L1, at 30 so, where reading alone does 32.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch<F>(FourRows w) where F : IFormat
    {
        if (!Sse.IsSupported) return;
        Sse.Prefetch1(w.W0);
        Sse.Prefetch1(w.W1);
        Sse.Prefetch1(w.W2);
        Sse.Prefetch1(w.W3);
        if (F.Bytes == 4) Fetch<BF16>(w + 64);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool AreFinite<V, F>(FourRows w) where F : IFormat =>
        typeof(V) == typeof(Vector256<float>) && F.AreFinite(w.W0, w.W1, w.W2, w.W3);

    // 2w weights as f32: the first and the second w of them, or the even and the odd ones. The JIT keeps one of the branches.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Widen<V, F>(byte* p, bool finite, out V first, out V second) where V : struct where F : IFormat
    {
        if (typeof(V) == typeof(Vector256<float>))
        {
            Vector256<float> u, v;
            if (finite) F.SixteenFinite(p, out u, out v);
            else F.Sixteen(p, out u, out v);
            (first, second) = (Unsafe.BitCast<Vector256<float>, V>(u), Unsafe.BitCast<Vector256<float>, V>(v));
        }
        else
        {
            F.Eight(p, out var u, out var v);
            (first, second) = (Unsafe.BitCast<Vector128<float>, V>(u), Unsafe.BitCast<Vector128<float>, V>(v));
        }
    }

    // 2w floats parted as Widen parts the weights.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Part<V, L, F>(float* p, out V first, out V second) where V : struct where L : ILanes<V> where F : IFormat
    {
        (first, second) = (L.Load(p), L.Load(p + L.Width));
        if (F.Bytes == 4) return;
        if (typeof(V) == typeof(Vector256<float>))
        {
            Vector256<float> a = Unsafe.BitCast<V, Vector256<float>>(first), b = Unsafe.BitCast<V, Vector256<float>>(second);
            first = Unsafe.BitCast<Vector256<float>, V>(Lanes(Avx.Shuffle(a, b, 0b10_00_10_00)));
            second = Unsafe.BitCast<Vector256<float>, V>(Lanes(Avx.Shuffle(a, b, 0b11_01_11_01)));
        }
        else
        {
            Vector128<float> a = Unsafe.BitCast<V, Vector128<float>>(first), b = Unsafe.BitCast<V, Vector128<float>>(second);
            first = Unsafe.BitCast<Vector128<float>, V>(Sse.IsSupported ? Sse.Shuffle(a, b, 0b10_00_10_00) : AdvSimd.Arm64.UnzipEven(a, b));
            second = Unsafe.BitCast<Vector128<float>, V>(Sse.IsSupported ? Sse.Shuffle(a, b, 0b11_01_11_01) : AdvSimd.Arm64.UnzipOdd(a, b));
        }

        // [x0 x2 x8 x10 | x4 x6 x12 x14] to [x0 x2 x4 x6 | x8 x10 x12 x14]
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<float> Lanes(Vector256<float> x) => Avx2.Permute4x64(x.AsDouble(), 0b11_01_10_00).AsSingle();
    }
}
