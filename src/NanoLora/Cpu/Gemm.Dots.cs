using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// A few rows times a stored-transposed matrix, y = x Wᵀ with m ≤ 8: a step of a generator. Each weight is used m times only, so packing would cost
// more than it saves. Rows of x and W lie along k: an element of C is a dot product, and W is read once, in order.
//
//   x[i,   p..p+w) ─┐
//   x[i+1, p..p+w) ─┼─►  2 x 4 sums of w lanes; lane l holds p = l, l + w, l + 2w, ...  Then the lanes are added, and the last k mod w terms.
//   W[j..j+4, ...) ─┘
//
// w is 8 on every machine with AVX2 and FMA (with AVX-512 too: the same bits) and 4 on the others. Four steps of w are done at a time: they fetch what the next
// four rows have at these places, and see whether the weights let themselves be widened by the short cut of their format.

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
        private readonly bool _accumulate;
        private readonly DType _bType;

        public Dots(int m, int n, int k, float* a, int lda, void* b, int ldb, DType bType, float* c, int ldc, bool accumulate)
        {
            (_m, _n, _k, _lda, _ldb, _ldc, _bType, _accumulate) = (m, n, k, lda, ldb, ldc, bType, accumulate);
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
            if (Wide256) Compute<Vector256<float>, Lanes256>(j0, j1);
            else Compute<Vector128<float>, Lanes128>(j0, j1);
        }

        private void Compute<V, L>(int j0, int j1) where V : struct where L : ILanes<V>
        {
            switch (_bType)
            {
                case DType.F32: Compute<V, L, F32>(j0, j1); break;
                case DType.BF16: Compute<V, L, BF16>(j0, j1); break;
                default: Compute<V, L, F16>(j0, j1); break;
            }
        }

        // Two rows of x and four of W at a time; a row that is not there is its neighbour again, and not stored.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Compute<V, L, F>(int j0, int j1) where V : struct where L : ILanes<V> where F : IFormat
        {
            var sums = stackalloc float[8];
            var row = _ldb * F.Bytes;
            for (var j = j0; j < j1; j += 4)
            {
                var cols = Math.Min(4, j1 - j);
                byte* w0 = _b + j * row, w1 = w0 + Row(1, cols, row), w2 = w0 + Row(2, cols, row), w3 = w0 + Row(3, cols, row);
                for (var i = 0; i < _m; i += 2)
                {
                    var rows = Math.Min(2, _m - i);
                    var x = _a + i * _lda;
                    if (rows == 2) Two<V, L, F>(x, x + _lda, w0, w1, w2, w3, _k, 4 * row, sums);
                    else One<V, L, F>(x, w0, w1, w2, w3, _k, 4 * row, sums);
                    for (var r = 0; r < rows; r++)
                    {
                        var c = _c + (i + r) * _ldc + j;
                        for (var q = 0; q < cols; q++) c[q] = _accumulate ? c[q] + sums[4 * r + q] : sums[4 * r + q];
                    }
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One<V, L, F>(float* x, byte* w0, byte* w1, byte* w2, byte* w3, int k, nint next, float* sums)
        where V : struct where L : ILanes<V> where F : IFormat
    {
        V s0 = default, s1 = default, s2 = default, s3 = default;
        nint p = 0, w = L.Width, b = w * F.Bytes;
        for (; p <= k - 4 * w; p += 4 * w)
        {
            byte* v0 = w0 + p * F.Bytes, v1 = w1 + p * F.Bytes, v2 = w2 + p * F.Bytes, v3 = w3 + p * F.Bytes;
            Fetch<F>(v0 + next, v1 + next, v2 + next, v3 + next);
            if (AreSimple<V, F>(v0, v1, v2, v3))
            {
                OneStep<V, L, F>(x + p, v0, v1, v2, v3, true, ref s0, ref s1, ref s2, ref s3);
                OneStep<V, L, F>(x + p + w, v0 + b, v1 + b, v2 + b, v3 + b, true, ref s0, ref s1, ref s2, ref s3);
                OneStep<V, L, F>(x + p + 2 * w, v0 + 2 * b, v1 + 2 * b, v2 + 2 * b, v3 + 2 * b, true, ref s0, ref s1, ref s2, ref s3);
                OneStep<V, L, F>(x + p + 3 * w, v0 + 3 * b, v1 + 3 * b, v2 + 3 * b, v3 + 3 * b, true, ref s0, ref s1, ref s2, ref s3);
            }
            else
            {
                for (nint q = 0; q < 4; q++)
                    OneStep<V, L, F>(x + p + q * w, v0 + q * b, v1 + q * b, v2 + q * b, v3 + q * b, false, ref s0, ref s1, ref s2, ref s3);
            }
        }
        for (; p <= k - w; p += w)
            OneStep<V, L, F>(x + p, w0 + p * F.Bytes, w1 + p * F.Bytes, w2 + p * F.Bytes, w3 + p * F.Bytes, false, ref s0, ref s1, ref s2, ref s3);
        float t0 = L.Sum(s0), t1 = L.Sum(s1), t2 = L.Sum(s2), t3 = L.Sum(s3);
        for (; p < k; p++)
        {
            t0 += x[p] * F.One(w0 + p * F.Bytes);
            t1 += x[p] * F.One(w1 + p * F.Bytes);
            t2 += x[p] * F.One(w2 + p * F.Bytes);
            t3 += x[p] * F.One(w3 + p * F.Bytes);
        }
        (sums[0], sums[1], sums[2], sums[3]) = (t0, t1, t2, t3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OneStep<V, L, F>(float* x, byte* v0, byte* v1, byte* v2, byte* v3, bool simple, ref V s0, ref V s1, ref V s2, ref V s3)
        where V : struct where L : ILanes<V> where F : IFormat
    {
        var a = L.Load(x);
        s0 = L.MultiplyAdd(a, Widen<V, F>(v0, simple), s0);
        s1 = L.MultiplyAdd(a, Widen<V, F>(v1, simple), s1);
        s2 = L.MultiplyAdd(a, Widen<V, F>(v2, simple), s2);
        s3 = L.MultiplyAdd(a, Widen<V, F>(v3, simple), s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Two<V, L, F>(float* x, float* y, byte* w0, byte* w1, byte* w2, byte* w3, int k, nint next, float* sums)
        where V : struct where L : ILanes<V> where F : IFormat
    {
        V s0 = default, s1 = default, s2 = default, s3 = default, t0 = default, t1 = default, t2 = default, t3 = default;
        nint p = 0, w = L.Width;
        for (; p <= k - 4 * w; p += 4 * w)
        {
            byte* v0 = w0 + p * F.Bytes, v1 = w1 + p * F.Bytes, v2 = w2 + p * F.Bytes, v3 = w3 + p * F.Bytes;
            Fetch<F>(v0 + next, v1 + next, v2 + next, v3 + next);
            var simple = AreSimple<V, F>(v0, v1, v2, v3);
            for (nint q = 0; q < 4 * w; q += w)
            {
                V a = L.Load(x + p + q), b = L.Load(y + p + q), u;
                u = Widen<V, F>(v0 + q * F.Bytes, simple); s0 = L.MultiplyAdd(a, u, s0); t0 = L.MultiplyAdd(b, u, t0);
                u = Widen<V, F>(v1 + q * F.Bytes, simple); s1 = L.MultiplyAdd(a, u, s1); t1 = L.MultiplyAdd(b, u, t1);
                u = Widen<V, F>(v2 + q * F.Bytes, simple); s2 = L.MultiplyAdd(a, u, s2); t2 = L.MultiplyAdd(b, u, t2);
                u = Widen<V, F>(v3 + q * F.Bytes, simple); s3 = L.MultiplyAdd(a, u, s3); t3 = L.MultiplyAdd(b, u, t3);
            }
        }
        for (; p <= k - w; p += w)
        {
            V a = L.Load(x + p), b = L.Load(y + p), u;
            u = Widen<V, F>(w0 + p * F.Bytes, false); s0 = L.MultiplyAdd(a, u, s0); t0 = L.MultiplyAdd(b, u, t0);
            u = Widen<V, F>(w1 + p * F.Bytes, false); s1 = L.MultiplyAdd(a, u, s1); t1 = L.MultiplyAdd(b, u, t1);
            u = Widen<V, F>(w2 + p * F.Bytes, false); s2 = L.MultiplyAdd(a, u, s2); t2 = L.MultiplyAdd(b, u, t2);
            u = Widen<V, F>(w3 + p * F.Bytes, false); s3 = L.MultiplyAdd(a, u, s3); t3 = L.MultiplyAdd(b, u, t3);
        }
        (sums[0], sums[1], sums[2], sums[3]) = (L.Sum(s0), L.Sum(s1), L.Sum(s2), L.Sum(s3));
        (sums[4], sums[5], sums[6], sums[7]) = (L.Sum(t0), L.Sum(t1), L.Sum(t2), L.Sum(t3));
        for (; p < k; p++)
        {
            Tail<F>(x[p], y[p], w0 + p * F.Bytes, sums);
            Tail<F>(x[p], y[p], w1 + p * F.Bytes, sums + 1);
            Tail<F>(x[p], y[p], w2 + p * F.Bytes, sums + 2);
            Tail<F>(x[p], y[p], w3 + p * F.Bytes, sums + 3);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Tail<F>(float a, float b, byte* w, float* sums) where F : IFormat
    {
        var x = F.One(w);
        sums[0] += a * x;
        sums[4] += b * x;
    }

    // What the next four rows have at these places: a row is too short for the processor to foresee where the next begins.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch<F>(byte* v0, byte* v1, byte* v2, byte* v3) where F : IFormat
    {
        if (!Sse.IsSupported) return;
        Sse.Prefetch0(v0);
        Sse.Prefetch0(v1);
        Sse.Prefetch0(v2);
        Sse.Prefetch0(v3);
        if (F.Bytes == 4) Fetch<BF16>(v0 + 64, v1 + 64, v2 + 64, v3 + 64);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool AreSimple<V, F>(byte* v0, byte* v1, byte* v2, byte* v3) where F : IFormat =>
        typeof(V) == typeof(Vector256<float>) && F.AreSimple(v0, v1, v2, v3);

    // Vector256 or Vector128 of weights as f32; the JIT keeps one of the branches.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Widen<V, F>(byte* p, bool simple) where V : struct where F : IFormat
    {
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(simple ? F.EightSimple(p) : F.Eight(p));
        return Unsafe.BitCast<Vector128<float>, V>(F.Four(p));
    }
}
