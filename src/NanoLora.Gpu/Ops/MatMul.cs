using ILGPU;
using ILGPU.Runtime;

namespace NanoLora;

// Y = op(A) op(B), and y = x Wᵀ + b: one kernel for all of them, which knows its operands by strides. The rungs that lead to it stand in MatMul.Ladder.cs.
//
//     A group of 256 threads owns a tile of Y, 128 x 128 or 64 x 64. It goes along k in steps of 8 (16): a slab of A and one of B come into shared memory, two
//     of each, so that the next pair is on its way while this one is used.
//     A thread owns 8 x 8 (4 x 4) elements, in registers: for each k it reads 16 (8) numbers from shared memory and does 64 (16) multiplications with them.
//
//             tx → 0 .. 15
//          ┌────┬────┐        rows    4 ty + i  and 64 + 4 ty + i      i < 4
//     ty ↓ │ 4x4│ 4x4│        columns 4 tx + j  and 64 + 4 tx + j      j < 4
//     0..15├────┼────┤        Neighbours in tx read neighbouring fours of B, and the same fours of A.
//          │ 4x4│ 4x4│
//          └────┴────┘
//
// What hangs over the edge reads as 0 and is not written, in the same code. A product of few tiles and a long k is cut along k at places that depend on the
// shape alone; the parts are added by SumMiddle.

public sealed partial class GpuBackend
{
    private const int Large = 128, Small = 64, Threads = 256, SkinnyCols = 8, SkinnyRows = Threads / 32;

    /// <inheritdoc/>
    public override void MatMul(Tensor a, Tensor b, Tensor y, bool transposeA, bool transposeB, bool accumulate)
    {
        int m = y.Shape[-2], n = y.Shape[-1], k = a.Shape[transposeA ? -2 : -1];
        var shape = new MatMulShape(m, n, k, a.Cols, transposeA, b.Cols, transposeB, n, accumulate, y.Count / Math.Max(1, m * n),
            Batches(a, y, m * k), Batches(b, y, k * n));
        Product(a, 0, b, null, y, 0, shape);
    }

    /// <inheritdoc/>
    public override void Linear(Tensor x, Tensor weight, Tensor? bias, Tensor y)
    {
        int n = weight.Shape[0], k = weight.Shape[1];
        Product(x, 0, weight, bias, y, 0, new MatMulShape(y.Rows, n, k, k, false, k, true, n, accumulate: false));
    }

    // The product of shape s, from an element of A on into an element of Y on.
    private void Product(Tensor a, int aFrom, Tensor b, Tensor? bias, Tensor y, int yFrom, MatMulShape s)
    {
        if (s.M == 0 || s.N == 0 || s.Batches == 0) return;
        if (s.K == 0 && s.Accumulates) return;
        switch (b.DType)
        {
            case DType.F32: Product<float, FromF32>(a, aFrom, b, bias, y, yFrom, s); break;
            case DType.BF16: Product<ushort, FromBF16>(a, aFrom, b, bias, y, yFrom, s); break;
            case DType.F16: Product<ushort, FromF16>(a, aFrom, b, bias, y, yFrom, s); break;
            default:
                throw new ArgumentException($"MatMul: the right operand {b.Shape} is {b.DType}; F32, BF16 and F16 are read as they are, "
                    + "others after Cast(DType.F32).");
        }
    }

    private void Product<T, TFrom>(Tensor a, int aFrom, Tensor b, Tensor? bias, Tensor y, int yFrom, MatMulShape s)
        where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        ArrayView<float> x = In(a).SubView(aFrom), o = Out(y).SubView(yFrom), c = In(bias, a);
        var w = View<T>(b, writes: false);
        s = s.WithBias(bias is not null);
        if (!_launch.Allows(Threads))
        {
            _launch.Run(NaiveKernel<T, TFrom>, _launch.Elements(s.M * s.N * s.Batches), x, w, c, o, s);
            return;
        }
        if (s.N <= 2 * SkinnyCols && s.K >= 64 && s.StrideAK == 1)
        {
            var groups = (1 + (s.M - 1) / SkinnyRows) * (1 + (s.N - 1) / SkinnyCols) * s.Batches;
            _launch.Run(SkinnyKernel<T, TFrom>, (groups, Threads), x, w, c, o, s);
            return;
        }
        var large = s.M >= Large && s.N >= Large && s.Tiles(Large) * s.Batches >= _launch.Crowd / 32;
        var tile = large ? Large : Small;
        // Few tiles and a long k: 16 parts at most, of 512 at least.
        var parts = s.Batches > 1 || s.Accumulates || bias is not null || s.StrideY != s.N ? 1 : Math.Min(Math.Min(16, s.K / 512), 256 / s.Tiles(tile));
        if (parts > 1)
        {
            using var sums = y.Workspace.Loose(new Shape(parts, s.M, s.N));
            _launch.Run(SmallTileKernel<T, TFrom>, (s.Tiles(Small) * parts, Threads), x, w, c, Out(sums), s.InParts(parts));
            SumMiddle(sums, y, 1, parts);
            return;
        }
        if (large) _launch.Run(LargeTileKernel<T, TFrom>, (s.Tiles(Large) * s.Batches, Threads), x, w, c, o, s);
        else _launch.Run(SmallTileKernel<T, TFrom>, (s.Tiles(Small) * s.Batches, Threads), x, w, c, o, s);
    }

    // Where a matrix of y finds its operand, which may serve several: element = matrix number.
    private static Steps Batches(Tensor x, Tensor y, int size)
    {
        Span<int> of = stackalloc int[Shape.MaxRank], to = stackalloc int[Shape.MaxRank];
        x.Shape.Sizes[..^2].CopyTo(of);
        y.Shape.Sizes[..^2].CopyTo(to);
        return Steps.Stretch(new Shape(of[..(x.Shape.Rank - 2)]), new Shape(to[..(y.Shape.Rank - 2)]), size);
    }

    /// <summary>128 x 128 elements a group of 256 threads, 8 x 8 a thread.</summary>
    public static void LargeTileKernel<T, TFrom>(ArrayView<float> a, ArrayView<T> b, ArrayView<float> bias, ArrayView<float> y, MatMulShape s)
        where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        const int step = 8, slab = step * Large / 4;                                       // in fours
        var slabsA = SharedMemory.Allocate<Float4>(2 * slab);
        var slabsB = SharedMemory.Allocate<Float4>(2 * slab);
        var at = new TilePlace(s, Large);
        int t = Group.IdxX, tx = t % 16, ty = t / 16;
        Float4 c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default, c6 = default, c7 = default;
        Float4 d0 = default, d1 = default, d2 = default, d3 = default, d4 = default, d5 = default, d6 = default, d7 = default;

        var nextA = LoadA(a, s, at, t, step, Large, at.K0);
        var nextB = LoadB<T, TFrom>(b, s, at, t, step, Large, at.K0);
        var half = 0;
        for (var k = at.K0; k < at.K1; k += step)
        {
            StoreA(slabsA, half * slab, s, t, step, Large, nextA);
            StoreB(slabsB, half * slab, s, t, step, Large, nextB);
            Group.Barrier();                                                                // one barrier a step: the other half is read by nobody any more
            if (k + step < at.K1)
            {
                nextA = LoadA(a, s, at, t, step, Large, k + step);
                nextB = LoadB<T, TFrom>(b, s, at, t, step, Large, k + step);
            }
            for (var i = 0; i < step; i++)
            {
                var row = half * slab + i * (Large / 4);
                Float4 u = slabsA[row + ty], v = slabsA[row + 16 + ty], p = slabsB[row + tx], q = slabsB[row + 16 + tx];
                c0.Add(u.X, p); c1.Add(u.Y, p); c2.Add(u.Z, p); c3.Add(u.W, p);
                d0.Add(u.X, q); d1.Add(u.Y, q); d2.Add(u.Z, q); d3.Add(u.W, q);
                c4.Add(v.X, p); c5.Add(v.Y, p); c6.Add(v.Z, p); c7.Add(v.W, p);
                d4.Add(v.X, q); d5.Add(v.Y, q); d6.Add(v.Z, q); d7.Add(v.W, q);
            }
            half = 1 - half;
        }
        int m = at.M0 + 4 * ty, n = at.N0 + 4 * tx;
        Write(y, bias, s, at, m, n, c0); Write(y, bias, s, at, m + 1, n, c1); Write(y, bias, s, at, m + 2, n, c2); Write(y, bias, s, at, m + 3, n, c3);
        Write(y, bias, s, at, m, n + 64, d0); Write(y, bias, s, at, m + 1, n + 64, d1);
        Write(y, bias, s, at, m + 2, n + 64, d2); Write(y, bias, s, at, m + 3, n + 64, d3);
        m += 64;
        Write(y, bias, s, at, m, n, c4); Write(y, bias, s, at, m + 1, n, c5); Write(y, bias, s, at, m + 2, n, c6); Write(y, bias, s, at, m + 3, n, c7);
        Write(y, bias, s, at, m, n + 64, d4); Write(y, bias, s, at, m + 1, n + 64, d5);
        Write(y, bias, s, at, m + 2, n + 64, d6); Write(y, bias, s, at, m + 3, n + 64, d7);
    }

    /// <summary>64 x 64 elements a group of 256 threads, 4 x 4 a thread.</summary>
    public static void SmallTileKernel<T, TFrom>(ArrayView<float> a, ArrayView<T> b, ArrayView<float> bias, ArrayView<float> y, MatMulShape s)
        where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        const int step = 16, slab = step * Small / 4;
        var slabsA = SharedMemory.Allocate<Float4>(2 * slab);
        var slabsB = SharedMemory.Allocate<Float4>(2 * slab);
        var at = new TilePlace(s, Small);
        int t = Group.IdxX, tx = t % 16, ty = t / 16;
        Float4 c0 = default, c1 = default, c2 = default, c3 = default;

        var nextA = LoadA(a, s, at, t, step, Small, at.K0);
        var nextB = LoadB<T, TFrom>(b, s, at, t, step, Small, at.K0);
        var half = 0;
        for (var k = at.K0; k < at.K1; k += step)
        {
            StoreA(slabsA, half * slab, s, t, step, Small, nextA);
            StoreB(slabsB, half * slab, s, t, step, Small, nextB);
            Group.Barrier();
            if (k + step < at.K1)
            {
                nextA = LoadA(a, s, at, t, step, Small, k + step);
                nextB = LoadB<T, TFrom>(b, s, at, t, step, Small, k + step);
            }
            for (var i = 0; i < step; i++)
            {
                var row = half * slab + i * (Small / 4);
                Float4 u = slabsA[row + ty], p = slabsB[row + tx];
                c0.Add(u.X, p); c1.Add(u.Y, p); c2.Add(u.Z, p); c3.Add(u.W, p);
            }
            half = 1 - half;
        }
        int m = at.M0 + 4 * ty, n = at.N0 + 4 * tx;
        Write(y, bias, s, at, m, n, c0); Write(y, bias, s, at, m + 1, n, c1); Write(y, bias, s, at, m + 2, n, c2); Write(y, bias, s, at, m + 3, n, c3);
    }

    // A thread's four numbers of a slab of A, [step, tile]. Where k is what lies together in memory, neighbouring threads go along k, else along m.
    private static Float4 LoadA(ArrayView<float> a, MatMulShape s, TilePlace at, int t, int step, int tile, int k0) =>
        new(LoadA(a, s, at, t, step, tile, k0, 0), LoadA(a, s, at, t, step, tile, k0, 1), LoadA(a, s, at, t, step, tile, k0, 2),
            LoadA(a, s, at, t, step, tile, k0, 3));

    private static float LoadA(ArrayView<float> a, MatMulShape s, TilePlace at, int t, int step, int tile, int k0, int e)
    {
        var i = t + Threads * e;
        int m = at.M0 + (s.StrideAK == 1 ? i / step : i % tile), k = k0 + (s.StrideAK == 1 ? i % step : i / tile);
        return m < s.M && k < at.K1 ? a[at.A + m * s.StrideAM + k * s.StrideAK] : 0;
    }

    private static Float4 LoadB<T, TFrom>(ArrayView<T> b, MatMulShape s, TilePlace at, int t, int step, int tile, int k0)
        where T : unmanaged where TFrom : unmanaged, IWiden<T> =>
        new(LoadB<T, TFrom>(b, s, at, t, step, tile, k0, 0), LoadB<T, TFrom>(b, s, at, t, step, tile, k0, 1),
            LoadB<T, TFrom>(b, s, at, t, step, tile, k0, 2), LoadB<T, TFrom>(b, s, at, t, step, tile, k0, 3));

    private static float LoadB<T, TFrom>(ArrayView<T> b, MatMulShape s, TilePlace at, int t, int step, int tile, int k0, int e)
        where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        var i = t + Threads * e;
        int n = at.N0 + (s.StrideBK == 1 ? i / step : i % tile), k = k0 + (s.StrideBK == 1 ? i % step : i / tile);
        return n < s.N && k < at.K1 ? TFrom.Widen(b[at.B + n * s.StrideBN + k * s.StrideBK]) : 0;
    }

    private static void StoreA(ArrayView<Float4> slabs, int from, MatMulShape s, int t, int step, int tile, Float4 x) =>
        Store(slabs, from, s.StrideAK == 1, t, step, tile, x);

    private static void StoreB(ArrayView<Float4> slabs, int from, MatMulShape s, int t, int step, int tile, Float4 x) =>
        Store(slabs, from, s.StrideBK == 1, t, step, tile, x);

    // Into [k, m] or [k, n], whichever way they were loaded.
    private static void Store(ArrayView<Float4> slabs, int from, bool alongK, int t, int step, int tile, Float4 x)
    {
        var floats = slabs.Cast<float>();
        var at = 4 * from;
        if (alongK)
        {
            int k = t % step * tile, m = t / step, next = Threads / step;
            floats[at + k + m] = x.X;
            floats[at + k + m + next] = x.Y;
            floats[at + k + m + 2 * next] = x.Z;
            floats[at + k + m + 3 * next] = x.W;
        }
        else
        {
            floats[at + t] = x.X;
            floats[at + t + Threads] = x.Y;
            floats[at + t + 2 * Threads] = x.Z;
            floats[at + t + 3 * Threads] = x.W;
        }
    }

    private static void Write(ArrayView<float> y, ArrayView<float> bias, MatMulShape s, TilePlace at, int m, int n, Float4 x)
    {
        if (m >= s.M) return;
        Write(y, bias, s, at, m, n, x.X);
        Write(y, bias, s, at, m, n + 1, x.Y);
        Write(y, bias, s, at, m, n + 2, x.Z);
        Write(y, bias, s, at, m, n + 3, x.W);
    }

    private static void Write(ArrayView<float> y, ArrayView<float> bias, MatMulShape s, TilePlace at, int m, int n, float x)
    {
        if (n >= s.N) return;
        var o = at.Y + m * s.StrideY + n;
        if (s.HasBias) x += bias[n];
        if (s.Accumulates) x += y[o];
        y[o] = x;
    }

    /// <summary>Few columns, LoRA's x Aᵀ: 32 threads own a row of up to 8 of them and share k out; their sums meet as a tree.</summary>
    public static void SkinnyKernel<T, TFrom>(ArrayView<float> a, ArrayView<T> b, ArrayView<float> bias, ArrayView<float> y, MatMulShape s)
        where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        var sums = SharedMemory.Allocate<float>(SkinnyCols * Threads);
        int t = Group.IdxX, lane = t % 32, panels = 1 + (s.N - 1) / SkinnyCols, blocks = 1 + (s.M - 1) / SkinnyRows;
        int n0 = Grid.IdxX % panels * SkinnyCols, m = Grid.IdxX / panels % blocks * SkinnyRows + t / 32, batch = Grid.IdxX / panels / blocks;
        int fromA = s.OfA.At(batch) + m * s.StrideAM, fromB = s.OfB.At(batch) + n0 * s.StrideBN;
        var cols = s.N - n0;
        float c0 = 0, c1 = 0, c2 = 0, c3 = 0, c4 = 0, c5 = 0, c6 = 0, c7 = 0;
        if (m < s.M)
        {
            for (var k = lane; k < s.K; k += 32)
            {
                var u = a[fromA + k];
                var at = fromB + k * s.StrideBK;
                c0 += u * TFrom.Widen(b[at]);
                if (cols > 1) c1 += u * TFrom.Widen(b[at + s.StrideBN]);
                if (cols > 2) c2 += u * TFrom.Widen(b[at + 2 * s.StrideBN]);
                if (cols > 3) c3 += u * TFrom.Widen(b[at + 3 * s.StrideBN]);
                if (cols > 4) c4 += u * TFrom.Widen(b[at + 4 * s.StrideBN]);
                if (cols > 5) c5 += u * TFrom.Widen(b[at + 5 * s.StrideBN]);
                if (cols > 6) c6 += u * TFrom.Widen(b[at + 6 * s.StrideBN]);
                if (cols > 7) c7 += u * TFrom.Widen(b[at + 7 * s.StrideBN]);
            }
        }
        sums[t] = c0; sums[Threads + t] = c1; sums[2 * Threads + t] = c2; sums[3 * Threads + t] = c3;
        sums[4 * Threads + t] = c4; sums[5 * Threads + t] = c5; sums[6 * Threads + t] = c6; sums[7 * Threads + t] = c7;
        Group.Barrier();
        for (var half = 16; half > 0; half /= 2)
        {
            if (lane < half) for (var c = 0; c < SkinnyCols; c++) sums[c * Threads + t] += sums[c * Threads + t + half];
            Group.Barrier();
        }
        if (lane >= SkinnyCols || lane >= cols || m >= s.M) return;
        Write(y, bias, s, new TilePlace(s.YOf(batch)), m, n0 + lane, sums[lane * Threads + t - lane]);
    }
}
