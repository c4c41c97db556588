using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// The matrix product   C = op(A) op(B)  (+ C, or + a row for every row)   with C [m, n], op(A) [m, k], op(B) [k, n], all row-major.
//
//            n
//        ┌──┬──┬──┬─┐     C is cut into blocks (the unit of work for a thread) and a block into panels, as wide as the tile of the micro-kernel.
//        │  │  │  │ │     For each k block and panel, op(B) [kc, width] is packed so that a row of it lies in a row of vectors; 16-bit weights are
//   op(B)│  │  │  │ │ k   widened on the way. Then the micro-kernel walks down the rows of A:
//        └──┴──┴──┴─┘
//      k ┌──┬──┬──┬─┐         for each block of C                          one per thread at a time
//   ┌───┐│  │  │  │ │           for each k block of at most KC               A [rows, kc] stays in the L2 cache
//   │   ││──┼──┼──┼─│ m           for each panel                               B [kc, width] packed, in the L1 or L2 cache
//   └───┘└──┴──┴──┴─┘               for each tile of rows                        A [8, kc] in the L1 cache, C [8, width] in registers
//   op(A)      C
//
// One element of C is, for every tile and thread count, the same sum: per k block a chain of fused multiply-adds over p in order, the blocks added
// in order. So results do not depend on the machine's vector width (given FMA) or on the number of threads. Gemm.Dots, chosen by shape, has its own order.
// Files: Gemm.Tiles (micro-kernels), Gemm.Pack (packing and widening), Gemm.Lanes (vector widths), Gemm.Dots (a few rows: no packing),
// Gemm.Plain (the triple loop to compare with).

internal static unsafe partial class Gemm
{
    private const int KC = 384;                      // the longest chain; k is cut into equal blocks of at most this
    private const int WidestPanel = 48;
    private const int TallestTile = 12;
    private const int Alone = 200_000;               // flops below which waking other threads costs more than it brings

    /// <summary>
    /// C [m, n] = op(A) op(B), plus C if <paramref name="accumulate"/>. op(A) [m, k] is stored [k, m] if <paramref name="transA"/>, op(B) [k, n] is
    /// stored [n, k] if <paramref name="transB"/>; ld* are the floats (elements, for B) from one stored row to the next.
    /// </summary>
    public static void Multiply(Threads threads, int m, int n, int k, float* a, int lda, bool transA, void* b, int ldb, bool transB, DType bType,
        float* c, int ldc, bool accumulate) =>
        Multiply(threads, m, n, k, a, lda, transA, b, ldb, transB, bType, c, ldc, accumulate ? new Plus(c, ldc) : default);

    /// <summary>C [m, n] = op(A) op(B) + <paramref name="plus"/>, the sum of the first k block being the first to be added to it.</summary>
    public static void Multiply(Threads threads, int m, int n, int k, float* a, int lda, bool transA, void* b, int ldb, bool transB, DType bType,
        float* c, int ldc, Plus plus)
    {
        if (m <= 0 || n <= 0) return;
        Check(k, n, bType);
        var alone = 2L * m * n * k < Alone;
        if (IsDots(m, k, transA, transB))
        {
            var dots = new Dots(m, n, k, a, lda, b, ldb, bType, c, ldc, plus);
            if (alone) dots.Whole();
            else threads.For(dots.Blocks, dots);
        }
        else
        {
            var tiles = new Tiles(alone ? 1 : threads.Count, m, n, k, a, lda, transA, b, ldb, transB, bType, c, ldc, plus);
            if (alone) tiles.Whole();
            else threads.For(tiles.Blocks, tiles);
        }
    }

    /// <summary><c>Multiply</c> on the calling thread alone: for callers that are a block of work themselves.</summary>
    public static void MultiplySerial(int m, int n, int k, float* a, int lda, bool transA, void* b, int ldb, bool transB, DType bType,
        float* c, int ldc, bool accumulate)
    {
        if (m <= 0 || n <= 0) return;
        Check(k, n, bType);
        var plus = accumulate ? new Plus(c, ldc) : default;
        if (IsDots(m, k, transA, transB)) new Dots(m, n, k, a, lda, b, ldb, bType, c, ldc, plus).Whole();
        else new Tiles(1, m, n, k, a, lda, transA, b, ldb, transB, bType, c, ldc, plus).Whole();
    }

    /// <summary>What a product is added to: nothing, C itself, or a bias, one row for every row of C.</summary>
    /// <param name="data">[m, n], or [n]; null for nothing.</param>
    /// <param name="stride">The floats from one row to the next; 0 for a bias.</param>
    public readonly struct Plus(float* data, nint stride)
    {
        public readonly float* Data = data;
        public readonly nint Stride = stride;

        /// <summary>What is added to element (i, j) and those after it in its row; null for nothing.</summary>
        public float* At(nint i, nint j) => Data == null ? null : Data + i * Stride + j;
    }

    /// <summary>B [k, n], k at most <see cref="KC"/>, packed for <see cref="MultiplyPacked"/>.</summary>
    /// <param name="Data">One panel after the other.</param>
    /// <param name="Rows">k</param>
    /// <param name="Cols">n</param>
    public readonly record struct Panels(nint Data, int Rows, int Cols);

    /// <summary>The floats that <see cref="Panels"/> of this size take.</summary>
    public static int PanelsLength(int k, int n)
    {
        var cols = 0;
        while (cols < n) cols += PanelWidth(n - cols);
        return k * cols;
    }

    /// <summary>Packs op(B) [k, n] once, for several products.</summary>
    public static Panels PackPanels(int k, int n, float* b, int ldb, bool transB, float* to)
    {
        Debug.Assert(k <= KC);
        for (int j = 0, width; j < n; j += width)
        {
            width = PanelWidth(n - j);
            Pack<F32>((byte*)(transB ? b + (nint)j * ldb : b + j), ldb, transB, to + (nint)j * k, width, Math.Min(width, n - j), k);
        }
        return new((nint)to, k, n);
    }

    /// <summary><see cref="MultiplySerial"/> with the first k rows and n columns of a B that is packed already; the same sums.</summary>
    public static void MultiplyPacked(int m, int n, int k, float* a, int lda, bool transA, Panels b, float* c, int ldc, bool accumulate)
    {
        if (m > 0 && n > 0) new Tiles(m, n, k, a, lda, transA, b, c, ldc, accumulate ? new Plus(c, ldc) : default).Whole();
    }

    private static void Check(int k, int n, DType bType)
    {
        if (bType is not (DType.F32 or DType.BF16 or DType.F16))
            throw new NotSupportedException($"Gemm: the right operand [{k}, {n}] is {bType}; it must be F32, BF16 or F16 (cast or widen it first).");
    }

    private readonly struct Tiles : IBlocks
    {
        private readonly int _m, _n, _k, _blockRows, _blockCols, _blocksAcross, _panelRows, _panelCols;
        private readonly float* _a, _c;
        private readonly void* _b;
        private readonly nint _rowA, _stepA, _ldb, _ldc;
        private readonly bool _transB;
        private readonly Plus _plus;
        private readonly DType _bType;

        public Tiles(int threads, int m, int n, int k, float* a, int lda, bool transA, void* b, int ldb, bool transB, DType bType,
            float* c, int ldc, Plus plus)
        {
            (_m, _n, _k, _bType) = (m, n, k, bType);
            _a = a;
            _b = b;
            _c = c;
            (_rowA, _stepA) = transA ? (1, lda) : (lda, (nint)1);
            (_ldb, _ldc, _transB, _plus) = (ldb, ldc, transB, plus);

            (_blockRows, _blockCols) = Cut(threads, m, n, least: !transB && bType == DType.F32 && m <= 384 ? 24 : 96);
            _blocksAcross = (n + _blockCols - 1) / _blockCols;
            Blocks = (m + _blockRows - 1) / _blockRows * _blocksAcross;
        }

        public Tiles(int m, int n, int k, float* a, int lda, bool transA, Panels b, float* c, int ldc, Plus plus)
            : this(1, m, n, k, a, lda, transA, (void*)b.Data, 0, false, DType.F32, c, ldc, plus) =>
            (_panelRows, _panelCols) = (b.Rows, b.Cols);

        // A block is two wide panels across, one if there are few rows, and at most 800 rows high, so that its part of A stays in the L2 cache. It is lower
        // where there would be too few blocks to share out, or not as many for each thread, but so high that packing B again in each block is a small
        // part of the work; f32 rows of B need no packing (see Compute), then a block may be low. Where blocks begin changes no sum.
        private static (int Rows, int Cols) Cut(int threads, int m, int n, int least)
        {
            var cols = Math.Min(n, m <= 96 ? WidestPanel : 2 * WidestPanel);
            var across = (n + cols - 1) / cols;
            var down = Math.Max((m + 799) / 800, Math.Min((8 + across - 1) / across, m / least));
            while (down * across < 4 * threads && down * across % threads != 0 && m / (down + 1) >= least * 3 / 4) down++;
            return (down <= 1 ? m : RoundUp((m + down - 1) / down, 24), cols);
        }

        public int Blocks { get; }

        public void Run(int block)
        {
            // Across first: so a thread's share of blocks is a share of rows, as in the loops before and after, and those of A and C are in its own caches.
            int i = block / _blocksAcross * _blockRows, j = block % _blocksAcross * _blockCols;
            Compute(i, Math.Min(i + _blockRows, _m), j, Math.Min(j + _blockCols, _n));
        }

        public void Whole() => Compute(0, _m, 0, _n);

        [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Compute(int i0, int i1, int j0, int j1)
        {
            if (_k <= 0)
            {
                for (var i = i0; i < i1; i++)
                {
                    var row = new Span<float>(_c + i * _ldc + j0, j1 - j0);
                    var plus = _plus.At(i, j0);
                    if (plus == null) row.Clear();
                    else new Span<float>(plus, row.Length).CopyTo(row);
                }
                return;
            }
            // A packed panel and a tile of C, 76 KB, live on the stack: nothing to allocate, lock or free, and the same warm pages for every product.
            var room = stackalloc float[KC * WidestPanel + TallestTile * WidestPanel + 16];
            var packed = (float*)(((nuint)room + 63) & ~(nuint)63);
            var edge = packed + KC * WidestPanel;

            var kc = BlockOfK(_k);
            for (var p = 0; p < _k; p += kc)
            {
                var plus = p > 0 ? new Plus(_c, _ldc) : _plus;
                Tile t;
                t.RowA = _rowA;
                t.StepA = _stepA;
                t.K = Math.Min(kc, _k - p);
                t.RowPlus = plus.Stride;
                for (int j = j0, width; j < j1; j += width)
                {
                    width = PanelWidth((_panelCols > 0 ? _panelCols : j1) - j);
                    var cols = Math.Min(width, j1 - j);
                    if (_panelCols > 0)
                    {
                        t.B = (float*)_b + (nint)j * _panelRows;
                        t.StepB = width;
                    }
                    else if (_bType == DType.F32 && !_transB && cols == width && i1 - i0 <= 48)       // rows of B are rows of vectors already
                    {
                        t.B = (float*)_b + p * _ldb + j;
                        t.StepB = _ldb;
                    }
                    else
                    {
                        Pack(packed, width, cols, p, t.K, j);
                        t.B = packed;
                        t.StepB = width;
                    }
                    for (int i = i0, rows; i < i1; i += rows)
                    {
                        rows = TileRows(width, i1 - i);
                        t.A = _a + i * _rowA + p * _stepA;
                        var c = _c + i * _ldc + j;
                        if (cols == width)
                        {
                            t.Plus = plus.At(i, j);
                            RunTile(width, t, c, _ldc, rows);
                        }
                        else
                        {
                            t.Plus = null;
                            RunTile(width, t, edge, width, rows);
                            PutEdge(edge, width, c, _ldc, rows, cols, plus.At(i, j), plus.Stride);
                        }
                    }
                }
            }
        }

        private void Pack(float* packed, int width, int cols, int p, int kc, int j)
        {
            var offset = _transB ? j * _ldb + p : p * _ldb + j;
            switch (_bType)
            {
                case DType.F32: Gemm.Pack<F32>((byte*)_b + 4 * offset, _ldb, _transB, packed, width, cols, kc); break;
                case DType.BF16: Gemm.Pack<BF16>((byte*)_b + 2 * offset, _ldb, _transB, packed, width, cols, kc); break;
                default: Gemm.Pack<F16>((byte*)_b + 2 * offset, _ldb, _transB, packed, width, cols, kc); break;
            }
        }
    }

    /// <summary>The length of a k block: k in equal parts of at most <see cref="KC"/>.</summary>
    internal static int BlockOfK(int k)
    {
        var parts = (k + KC - 1) / KC;
        return RoundUp((k + parts - 1) / parts, 8);
    }

    private static int RoundUp(int x, int unit) => (x + unit - 1) / unit * unit;

    /// <summary>The micro-kernel that this machine runs, for a reader of benchmarks and bug reports.</summary>
    public static string Kernel => Wide512 ? "AVX-512, 8 x 48" : Wide256 ? "AVX2 and FMA, 6 x 16" : Wide128 ? "128-bit SIMD, 6 x 8" : "no SIMD, 6 x 2";

    private static bool Wide512 => Vector512.IsHardwareAccelerated;
    private static bool Wide256 => Vector256.IsHardwareAccelerated && Fma.IsSupported;
    private static bool Wide128 => Vector128.IsHardwareAccelerated;
    private static int MachinePanel => Wide512 ? WidestPanel : Wide256 ? 16 : Wide128 ? 8 : 2;

    // The last columns take the narrowest panel that holds them, so that a LoRA's four columns do not pay for forty-eight.
    private static int PanelWidth(int left)
    {
        if (Wide512) return left > 32 ? 48 : left > 8 ? 16 : left > 4 ? 8 : 4;
        if (Wide256) return left > 8 ? 16 : left > 4 ? 8 : 4;
        if (Wide128) return left > 4 ? 8 : 4;
        return left > 1 ? 2 : 1;
    }

    // Rows of the next tile of a panel: at most eight (Tile8x3) or six (Tile6x2); narrow panels take twelve or at most six (Tile12x1).
    private static int TileRows(int width, int left) => width < MachinePanel && left >= 12 ? 12 : Math.Min(left, width == WidestPanel ? 8 : 6);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void RunTile(int width, in Tile t, float* c, nint ldc, int rows)
    {
        if (Wide512 && width == 48 && rows > 4) Tile8x3<Vector512<float>, Lanes512, Eight>(t, c, ldc, rows);
        else if (Wide512 && width == 48) Tile8x3<Vector512<float>, Lanes512, Four>(t, c, ldc, rows);
        else if (Wide512 && width == 16) Tile12x1<Vector512<float>, Lanes512>(t, c, ldc, rows);
        else if (Wide256 && width == 16) Tile6x2<Vector256<float>, Lanes256>(t, c, ldc, rows);
        else if (Wide256 && width == 8) Tile12x1<Vector256<float>, Lanes256>(t, c, ldc, rows);
        else if (Wide128 && width == 8) Tile6x2<Vector128<float>, Lanes128>(t, c, ldc, rows);
        else if (Wide128) Tile12x1<Vector128<float>, Lanes128>(t, c, ldc, rows);
        else if (width == 2) Tile6x2<float, Lane1>(t, c, ldc, rows);
        else Tile12x1<float, Lane1>(t, c, ldc, rows);
    }

    // A tile that is wider than what is left of C was computed aside; its first columns are brought in.
    private static void PutEdge(float* edge, int width, float* c, nint ldc, int rows, int cols, float* plus, nint rowPlus)
    {
        for (var i = 0; i < rows; i++, edge += width, c += ldc)
        {
            var x = new ReadOnlySpan<float>(edge, cols);
            var y = new Span<float>(c, cols);
            if (plus == null) x.CopyTo(y);
            else System.Numerics.Tensors.TensorPrimitives.Add(new ReadOnlySpan<float>(plus + i * rowPlus, cols), x, y);
        }
    }
}
