using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// The micro-kernels: a tile of C stays in registers while k runs.
//
//                     b0    b1    b2              one row of a B panel, NR = 3 vectors wide
//                   ┌─────┬─────┬─────┐
//   spread a[0, p]  │ x0a │ x0b │ x0c │           x += spread(a[i, p]) · b[p, :]
//   spread a[1, p]  │ x1a │ x1b │ x1c │
//        ...        │     │     │     │           Tile8x3   24 sums + 3 b + 1 a of 32 registers (AVX-512: 8 x 48)
//   spread a[7, p]  │ x7a │ x7b │ x7c │           Tile6x2   12 sums + 2 b + 1 a of 16 registers (AVX2: 6 x 16, SSE and NEON: 6 x 8)
//                   └─────┴─────┴─────┘           Tile12x1  12 sums + 1 b + 1 a, the narrow panels: LoRA factors, the last columns;
//                                                 it takes 12 rows, or 6 and fewer
//
// A is read where it lies, one float at a time: element (i, p) is a[i · RowA + p · StepA], so A and Aᵀ are the same loop and neither is packed.
// Rows below the last are read from the last row again and not stored: a short tile touches nothing outside A and C.
// Every sum is one chain of fused multiply-adds over p in order, whatever the tile and the vector width.

internal static unsafe partial class Gemm
{
    private struct Tile
    {
        public float* A;          // row 0 of the tile, at the first p of the k block
        public nint RowA, StepA;  // floats from a row to the next, from p to p + 1
        public float* B;          // the panel at the first p
        public nint StepB;        // floats from p to p + 1
        public int K;
        public float* Plus;       // what is added to the tile, from its row 0 on; null for nothing
        public nint RowPlus;      // floats from a row to the next
    }

    // How many rows of Tile8x3 are compiled in: a constant to the JIT, so that eight and four rows are one text.
    private interface IRows { static abstract int Count { get; } }
    private readonly struct Eight : IRows { public static int Count => 8; }
    private readonly struct Four : IRows { public static int Count => 4; }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile8x3<V, L, R>(in Tile t, float* c, nint ldc, int rows) where V : struct where L : ILanes<V> where R : IRows
    {
        if (t.K >= LongChain) FetchTile(c, ldc, rows, 3 * L.Width);
        float* a = t.A, b = t.B;
        nint ka = t.StepA, kb = t.StepB;
        nint r1 = Row(1, rows, t.RowA), r2 = Row(2, rows, t.RowA), r3 = Row(3, rows, t.RowA), r4 = Row(4, rows, t.RowA);
        nint r5 = Row(5, rows, t.RowA), r6 = Row(6, rows, t.RowA), r7 = Row(7, rows, t.RowA);
        Three<V> x0 = default, x1 = default, x2 = default, x3 = default, x4 = default, x5 = default, x6 = default, x7 = default;
        var p = t.K;
        for (; p >= 4; p -= 4, a += 4 * ka, b += 4 * kb)
        {
            Step(a, b, r1, r2, r3, r4, r5, r6, r7, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Step(a + ka, b + kb, r1, r2, r3, r4, r5, r6, r7, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Step(a + 2 * ka, b + 2 * kb, r1, r2, r3, r4, r5, r6, r7, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Step(a + 3 * ka, b + 3 * kb, r1, r2, r3, r4, r5, r6, r7, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
        }
        for (; p > 0; p--, a += ka, b += kb) Step(a, b, r1, r2, r3, r4, r5, r6, r7, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
        if (t.Plus != null)
        {
            x0.Add<L>(t.Plus);
            if (rows > 1) x1.Add<L>(t.Plus + t.RowPlus);
            if (rows > 2) x2.Add<L>(t.Plus + 2 * t.RowPlus);
            if (rows > 3) x3.Add<L>(t.Plus + 3 * t.RowPlus);
            if (rows > 4) x4.Add<L>(t.Plus + 4 * t.RowPlus);
            if (rows > 5) x5.Add<L>(t.Plus + 5 * t.RowPlus);
            if (rows > 6) x6.Add<L>(t.Plus + 6 * t.RowPlus);
            if (rows > 7) x7.Add<L>(t.Plus + 7 * t.RowPlus);
        }
        x0.Store<L>(c);
        if (rows > 1) x1.Store<L>(c + ldc);
        if (rows > 2) x2.Store<L>(c + 2 * ldc);
        if (rows > 3) x3.Store<L>(c + 3 * ldc);
        if (rows > 4) x4.Store<L>(c + 4 * ldc);
        if (rows > 5) x5.Store<L>(c + 5 * ldc);
        if (rows > 6) x6.Store<L>(c + 6 * ldc);
        if (rows > 7) x7.Store<L>(c + 7 * ldc);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Step(float* a, float* b, nint r1, nint r2, nint r3, nint r4, nint r5, nint r6, nint r7,
            ref Three<V> x0, ref Three<V> x1, ref Three<V> x2, ref Three<V> x3, ref Three<V> x4, ref Three<V> x5, ref Three<V> x6, ref Three<V> x7)
        {
            V b0 = L.Load(b), b1 = L.Load(b + L.Width), b2 = L.Load(b + 2 * L.Width);
            x0.Add<L>(*a, b0, b1, b2);
            x1.Add<L>(a[r1], b0, b1, b2);
            x2.Add<L>(a[r2], b0, b1, b2);
            x3.Add<L>(a[r3], b0, b1, b2);
            if (R.Count <= 4) return;
            x4.Add<L>(a[r4], b0, b1, b2);
            x5.Add<L>(a[r5], b0, b1, b2);
            x6.Add<L>(a[r6], b0, b1, b2);
            x7.Add<L>(a[r7], b0, b1, b2);
        }
    }

    // A row of Tile8x3's sums.
    private struct Three<V> where V : struct
    {
        private V _a, _b, _c;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<L>(float a, V b0, V b1, V b2) where L : ILanes<V>
        {
            var y = L.Spread(a);
            _a = L.MultiplyAdd(y, b0, _a);
            _b = L.MultiplyAdd(y, b1, _b);
            _c = L.MultiplyAdd(y, b2, _c);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<L>(float* plus) where L : ILanes<V>
        {
            Gemm.Add<V, L>(plus, ref _a, ref _b);
            Gemm.Add<V, L>(plus + 2 * L.Width, ref _c);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Store<L>(float* c) where L : ILanes<V>
        {
            Gemm.Store<V, L>(_a, _b, c);
            L.Store(_c, c + 2 * L.Width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile6x2<V, L>(in Tile t, float* c, nint ldc, int rows) where V : struct where L : ILanes<V>
    {
        if (t.K >= LongChain) FetchTile(c, ldc, rows, 2 * L.Width);
        float* a = t.A, b = t.B;
        nint ka = t.StepA, kb = t.StepB;
        nint r1 = Row(1, rows, t.RowA), r2 = Row(2, rows, t.RowA), r3 = Row(3, rows, t.RowA), r4 = Row(4, rows, t.RowA), r5 = Row(5, rows, t.RowA);
        Two<V> x0 = default, x1 = default, x2 = default, x3 = default, x4 = default, x5 = default;
        var p = t.K;
        for (; p >= 4; p -= 4, a += 4 * ka, b += 4 * kb)
        {
            Step(a, b, r1, r2, r3, r4, r5, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5);
            Step(a + ka, b + kb, r1, r2, r3, r4, r5, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5);
            Step(a + 2 * ka, b + 2 * kb, r1, r2, r3, r4, r5, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5);
            Step(a + 3 * ka, b + 3 * kb, r1, r2, r3, r4, r5, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5);
        }
        for (; p > 0; p--, a += ka, b += kb) Step(a, b, r1, r2, r3, r4, r5, ref x0, ref x1, ref x2, ref x3, ref x4, ref x5);
        if (t.Plus != null)
        {
            x0.Add<L>(t.Plus);
            if (rows > 1) x1.Add<L>(t.Plus + t.RowPlus);
            if (rows > 2) x2.Add<L>(t.Plus + 2 * t.RowPlus);
            if (rows > 3) x3.Add<L>(t.Plus + 3 * t.RowPlus);
            if (rows > 4) x4.Add<L>(t.Plus + 4 * t.RowPlus);
            if (rows > 5) x5.Add<L>(t.Plus + 5 * t.RowPlus);
        }
        x0.Store<L>(c);
        if (rows > 1) x1.Store<L>(c + ldc);
        if (rows > 2) x2.Store<L>(c + 2 * ldc);
        if (rows > 3) x3.Store<L>(c + 3 * ldc);
        if (rows > 4) x4.Store<L>(c + 4 * ldc);
        if (rows > 5) x5.Store<L>(c + 5 * ldc);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Step(float* a, float* b, nint r1, nint r2, nint r3, nint r4, nint r5,
            ref Two<V> x0, ref Two<V> x1, ref Two<V> x2, ref Two<V> x3, ref Two<V> x4, ref Two<V> x5)
        {
            V b0 = L.Load(b), b1 = L.Load(b + L.Width);
            x0.Add<L>(*a, b0, b1);
            x1.Add<L>(a[r1], b0, b1);
            x2.Add<L>(a[r2], b0, b1);
            x3.Add<L>(a[r3], b0, b1);
            x4.Add<L>(a[r4], b0, b1);
            x5.Add<L>(a[r5], b0, b1);
        }
    }

    // A row of Tile6x2's sums.
    private struct Two<V> where V : struct
    {
        private V _a, _b;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<L>(float a, V b0, V b1) where L : ILanes<V>
        {
            var y = L.Spread(a);
            _a = L.MultiplyAdd(y, b0, _a);
            _b = L.MultiplyAdd(y, b1, _b);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<L>(float* plus) where L : ILanes<V> => Gemm.Add<V, L>(plus, ref _a, ref _b);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Store<L>(float* c) where L : ILanes<V> => Gemm.Store<V, L>(_a, _b, c);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile12x1<V, L>(in Tile t, float* c, nint ldc, int rows) where V : struct where L : ILanes<V>
    {
        float* a = t.A, d = rows > 6 ? a + 6 * t.RowA : a, b = t.B;              // rows 0..5 and rows 6..11: five offsets serve both
        nint ka = t.StepA, kb = t.StepB;
        nint r1 = Row(1, rows, t.RowA), r2 = Row(2, rows, t.RowA), r3 = Row(3, rows, t.RowA), r4 = Row(4, rows, t.RowA), r5 = Row(5, rows, t.RowA);
        V x0 = default, x1 = default, x2 = default, x3 = default, x4 = default, x5 = default;
        V x6 = default, x7 = default, x8 = default, x9 = default, x10 = default, x11 = default;
        for (var p = t.K; p > 0; p--)
        {
            V y = L.Load(b);
            x0 = L.MultiplyAdd(L.Spread(*a), y, x0);
            x1 = L.MultiplyAdd(L.Spread(a[r1]), y, x1);
            x2 = L.MultiplyAdd(L.Spread(a[r2]), y, x2);
            x3 = L.MultiplyAdd(L.Spread(a[r3]), y, x3);
            x4 = L.MultiplyAdd(L.Spread(a[r4]), y, x4);
            x5 = L.MultiplyAdd(L.Spread(a[r5]), y, x5);
            x6 = L.MultiplyAdd(L.Spread(*d), y, x6);
            x7 = L.MultiplyAdd(L.Spread(d[r1]), y, x7);
            x8 = L.MultiplyAdd(L.Spread(d[r2]), y, x8);
            x9 = L.MultiplyAdd(L.Spread(d[r3]), y, x9);
            x10 = L.MultiplyAdd(L.Spread(d[r4]), y, x10);
            x11 = L.MultiplyAdd(L.Spread(d[r5]), y, x11);
            a += ka;
            d += ka;
            b += kb;
        }
        if (t.Plus != null)
        {
            Add<V, L>(t.Plus, ref x0);
            if (rows > 1) Add<V, L>(t.Plus + t.RowPlus, ref x1);
            if (rows > 2) Add<V, L>(t.Plus + 2 * t.RowPlus, ref x2);
            if (rows > 3) Add<V, L>(t.Plus + 3 * t.RowPlus, ref x3);
            if (rows > 4) Add<V, L>(t.Plus + 4 * t.RowPlus, ref x4);
            if (rows > 5) Add<V, L>(t.Plus + 5 * t.RowPlus, ref x5);
            if (rows > 6) Add<V, L>(t.Plus + 6 * t.RowPlus, ref x6);
            if (rows > 7) Add<V, L>(t.Plus + 7 * t.RowPlus, ref x7);
            if (rows > 8) Add<V, L>(t.Plus + 8 * t.RowPlus, ref x8);
            if (rows > 9) Add<V, L>(t.Plus + 9 * t.RowPlus, ref x9);
            if (rows > 10) Add<V, L>(t.Plus + 10 * t.RowPlus, ref x10);
            if (rows > 11) Add<V, L>(t.Plus + 11 * t.RowPlus, ref x11);
        }
        L.Store(x0, c);
        if (rows > 1) L.Store(x1, c + ldc);
        if (rows > 2) L.Store(x2, c + 2 * ldc);
        if (rows > 3) L.Store(x3, c + 3 * ldc);
        if (rows > 4) L.Store(x4, c + 4 * ldc);
        if (rows > 5) L.Store(x5, c + 5 * ldc);
        if (rows > 6) L.Store(x6, c + 6 * ldc);
        if (rows > 7) L.Store(x7, c + 7 * ldc);
        if (rows > 8) L.Store(x8, c + 8 * ldc);
        if (rows > 9) L.Store(x9, c + 9 * ldc);
        if (rows > 10) L.Store(x10, c + 10 * ldc);
        if (rows > 11) L.Store(x11, c + 11 * ldc);
    }

    private const int LongChain = 64;

    // C's lines come while the sums are made; those of a short chain would come too late, and in the way of its stores.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FetchTile(float* c, nint ldc, int rows, int cols)
    {
        if (!Sse.IsSupported) return;
        for (var i = 0; i < rows; i++, c += ldc)
            for (var j = 0; j < cols; j += 16) Sse.Prefetch0(c + j);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint Row(int i, int rows, nint stride) => (i < rows ? i : rows - 1) * stride;

    // x = plus + x
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<V, L>(float* plus, ref V x) where V : struct where L : ILanes<V> => x = L.Add(L.Load(plus), x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<V, L>(float* plus, ref V x, ref V y) where V : struct where L : ILanes<V>
    {
        Add<V, L>(plus, ref x);
        Add<V, L>(plus + L.Width, ref y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<V, L>(V x, V y, float* c) where V : struct where L : ILanes<V>
    {
        L.Store(x, c);
        L.Store(y, c + L.Width);
    }
}
