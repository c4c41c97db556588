using System.Runtime.CompilerServices;

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
    }

    // How many rows of Tile8x3 are compiled in: a constant to the JIT, so that eight and four rows are one text.
    private interface IRows { static abstract int Count { get; } }
    private readonly struct Eight : IRows { public static int Count => 8; }
    private readonly struct Four : IRows { public static int Count => 4; }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile8x3<V, L, R>(in Tile t, float* c, nint ldc, int rows, bool add) where V : struct where L : ILanes<V> where R : IRows
    {
        float* a = t.A, b = t.B;
        nint ka = t.StepA, kb = t.StepB;
        nint r1 = Row(1, rows, t.RowA), r2 = Row(2, rows, t.RowA), r3 = Row(3, rows, t.RowA), r4 = Row(4, rows, t.RowA);
        nint r5 = Row(5, rows, t.RowA), r6 = Row(6, rows, t.RowA), r7 = Row(7, rows, t.RowA);
        V x0a = default, x0b = default, x0c = default;
        V x1a = default, x1b = default, x1c = default;
        V x2a = default, x2b = default, x2c = default;
        V x3a = default, x3b = default, x3c = default;
        V x4a = default, x4b = default, x4c = default;
        V x5a = default, x5b = default, x5c = default;
        V x6a = default, x6b = default, x6c = default;
        V x7a = default, x7b = default, x7c = default;
        for (var p = t.K; p > 0; p--)
        {
            V b0 = L.Load(b), b1 = L.Load(b + L.Width), b2 = L.Load(b + 2 * L.Width);
            V y = L.Spread(*a); x0a = L.MultiplyAdd(y, b0, x0a); x0b = L.MultiplyAdd(y, b1, x0b); x0c = L.MultiplyAdd(y, b2, x0c);
            y = L.Spread(a[r1]); x1a = L.MultiplyAdd(y, b0, x1a); x1b = L.MultiplyAdd(y, b1, x1b); x1c = L.MultiplyAdd(y, b2, x1c);
            y = L.Spread(a[r2]); x2a = L.MultiplyAdd(y, b0, x2a); x2b = L.MultiplyAdd(y, b1, x2b); x2c = L.MultiplyAdd(y, b2, x2c);
            y = L.Spread(a[r3]); x3a = L.MultiplyAdd(y, b0, x3a); x3b = L.MultiplyAdd(y, b1, x3b); x3c = L.MultiplyAdd(y, b2, x3c);
            if (R.Count > 4)
            {
                y = L.Spread(a[r4]); x4a = L.MultiplyAdd(y, b0, x4a); x4b = L.MultiplyAdd(y, b1, x4b); x4c = L.MultiplyAdd(y, b2, x4c);
                y = L.Spread(a[r5]); x5a = L.MultiplyAdd(y, b0, x5a); x5b = L.MultiplyAdd(y, b1, x5b); x5c = L.MultiplyAdd(y, b2, x5c);
                y = L.Spread(a[r6]); x6a = L.MultiplyAdd(y, b0, x6a); x6b = L.MultiplyAdd(y, b1, x6b); x6c = L.MultiplyAdd(y, b2, x6c);
                y = L.Spread(a[r7]); x7a = L.MultiplyAdd(y, b0, x7a); x7b = L.MultiplyAdd(y, b1, x7b); x7c = L.MultiplyAdd(y, b2, x7c);
            }
            a += ka;
            b += kb;
        }
        Put<V, L>(c, add, x0a, x0b, x0c);
        if (rows > 1) Put<V, L>(c + ldc, add, x1a, x1b, x1c);
        if (rows > 2) Put<V, L>(c + 2 * ldc, add, x2a, x2b, x2c);
        if (rows > 3) Put<V, L>(c + 3 * ldc, add, x3a, x3b, x3c);
        if (rows > 4) Put<V, L>(c + 4 * ldc, add, x4a, x4b, x4c);
        if (rows > 5) Put<V, L>(c + 5 * ldc, add, x5a, x5b, x5c);
        if (rows > 6) Put<V, L>(c + 6 * ldc, add, x6a, x6b, x6c);
        if (rows > 7) Put<V, L>(c + 7 * ldc, add, x7a, x7b, x7c);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile6x2<V, L>(in Tile t, float* c, nint ldc, int rows, bool add) where V : struct where L : ILanes<V>
    {
        float* a = t.A, b = t.B;
        nint ka = t.StepA, kb = t.StepB;
        nint r1 = Row(1, rows, t.RowA), r2 = Row(2, rows, t.RowA), r3 = Row(3, rows, t.RowA), r4 = Row(4, rows, t.RowA), r5 = Row(5, rows, t.RowA);
        V x0a = default, x0b = default;
        V x1a = default, x1b = default;
        V x2a = default, x2b = default;
        V x3a = default, x3b = default;
        V x4a = default, x4b = default;
        V x5a = default, x5b = default;
        for (var p = t.K; p > 0; p--)
        {
            V b0 = L.Load(b), b1 = L.Load(b + L.Width);
            V y = L.Spread(*a); x0a = L.MultiplyAdd(y, b0, x0a); x0b = L.MultiplyAdd(y, b1, x0b);
            y = L.Spread(a[r1]); x1a = L.MultiplyAdd(y, b0, x1a); x1b = L.MultiplyAdd(y, b1, x1b);
            y = L.Spread(a[r2]); x2a = L.MultiplyAdd(y, b0, x2a); x2b = L.MultiplyAdd(y, b1, x2b);
            y = L.Spread(a[r3]); x3a = L.MultiplyAdd(y, b0, x3a); x3b = L.MultiplyAdd(y, b1, x3b);
            y = L.Spread(a[r4]); x4a = L.MultiplyAdd(y, b0, x4a); x4b = L.MultiplyAdd(y, b1, x4b);
            y = L.Spread(a[r5]); x5a = L.MultiplyAdd(y, b0, x5a); x5b = L.MultiplyAdd(y, b1, x5b);
            a += ka;
            b += kb;
        }
        Put<V, L>(c, add, x0a, x0b);
        if (rows > 1) Put<V, L>(c + ldc, add, x1a, x1b);
        if (rows > 2) Put<V, L>(c + 2 * ldc, add, x2a, x2b);
        if (rows > 3) Put<V, L>(c + 3 * ldc, add, x3a, x3b);
        if (rows > 4) Put<V, L>(c + 4 * ldc, add, x4a, x4b);
        if (rows > 5) Put<V, L>(c + 5 * ldc, add, x5a, x5b);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile12x1<V, L>(in Tile t, float* c, nint ldc, int rows, bool add) where V : struct where L : ILanes<V>
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
        Put<V, L>(c, add, x0);
        if (rows > 1) Put<V, L>(c + ldc, add, x1);
        if (rows > 2) Put<V, L>(c + 2 * ldc, add, x2);
        if (rows > 3) Put<V, L>(c + 3 * ldc, add, x3);
        if (rows > 4) Put<V, L>(c + 4 * ldc, add, x4);
        if (rows > 5) Put<V, L>(c + 5 * ldc, add, x5);
        if (rows > 6) Put<V, L>(c + 6 * ldc, add, x6);
        if (rows > 7) Put<V, L>(c + 7 * ldc, add, x7);
        if (rows > 8) Put<V, L>(c + 8 * ldc, add, x8);
        if (rows > 9) Put<V, L>(c + 9 * ldc, add, x9);
        if (rows > 10) Put<V, L>(c + 10 * ldc, add, x10);
        if (rows > 11) Put<V, L>(c + 11 * ldc, add, x11);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint Row(int i, int rows, nint stride) => (i < rows ? i : rows - 1) * stride;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<V, L>(float* c, bool add, V x) where V : struct where L : ILanes<V> => L.Store(add ? L.Add(L.Load(c), x) : x, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<V, L>(float* c, bool add, V x, V y) where V : struct where L : ILanes<V>
    {
        Put<V, L>(c, add, x);
        Put<V, L>(c + L.Width, add, y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<V, L>(float* c, bool add, V x, V y, V z) where V : struct where L : ILanes<V>
    {
        Put<V, L>(c, add, x, y);
        Put<V, L>(c + 2 * L.Width, add, z);
    }
}
