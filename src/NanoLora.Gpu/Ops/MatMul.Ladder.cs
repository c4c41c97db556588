using ILGPU;

namespace NanoLora;

// The rungs that lead to the kernels of MatMul.cs, each a product of its own right. What a rung buys is traffic: the numbers read from the device's memory for
// each multiplication.
//
//     naive            a thread owns one element and reads a row of A and a column of B                       2 reads a multiplication
//     shared tiles     a group brings 16 x 16 of A and of B into shared memory; each is used by 16 threads    1/8
//     register tiles   a thread owns 4 x 4 elements: what it reads from shared memory is used four times      1/32, and shared memory is read a quarter
//                                                                                                             as often
//     (MatMul.cs)      two slabs in turn, so that loading and multiplying overlap; 8 x 8 a thread             1/64
//
// NaiveKernel also serves devices whose groups are too small for tiles. The next rung, tensor cores, goes here.

/// <summary>A rung of the ladder.</summary>
public enum MatMulRung
{
    /// <summary>A thread an element.</summary>
    Naive,
    /// <summary>Tiles in shared memory.</summary>
    SharedTiles,
    /// <summary>And 4 x 4 elements a thread.</summary>
    RegisterTiles,
    /// <summary>And two slabs in turn: <see cref="GpuBackend.SmallTileKernel"/>.</summary>
    SmallTile,
    /// <summary>And 8 x 8 elements a thread: <see cref="GpuBackend.LargeTileKernel"/>.</summary>
    LargeTile,
}

public sealed partial class GpuBackend
{
    private const int Square = 16;

    /// <summary>y = a b by one rung, to compare them; a [M, K], b [K, N].</summary>
    /// <exception cref="NotSupportedException">The device's groups are too small for it.</exception>
    public void MatMul(Tensor a, Tensor b, Tensor y, MatMulRung rung)
    {
        if (rung != MatMulRung.Naive && !_launch.Allows(Threads))
            throw new NotSupportedException($"{Name} has no groups of {Threads} threads, which {rung} wants.");
        var s = new MatMulShape(a.Rows, b.Cols, a.Cols, a.Cols, false, b.Cols, false, b.Cols, accumulate: false);
        KernelConfig Groups(int tile) => (s.Tiles(tile), Threads);
        switch (rung)
        {
            case MatMulRung.Naive: _launch.Run(NaiveKernel<float, FromF32>, _launch.Elements(s.M * s.N), In(a), In(b), In(a), Out(y), s); break;
            case MatMulRung.SharedTiles: _launch.Run(SharedTilesKernel, Groups(Square), In(a), In(b), Out(y), s); break;
            case MatMulRung.RegisterTiles: _launch.Run(RegisterTilesKernel, Groups(Small), In(a), In(b), Out(y), s); break;
            case MatMulRung.SmallTile: _launch.Run(SmallTileKernel<float, FromF32>, Groups(Small), In(a), In(b), In(a), Out(y), s); break;
            default: _launch.Run(LargeTileKernel<float, FromF32>, Groups(Large), In(a), In(b), In(a), Out(y), s); break;
        }
    }

    /// <summary>A thread owns every so many-th element of Y.</summary>
    public static void NaiveKernel<T, TFrom>(ArrayView<float> a, ArrayView<T> b, ArrayView<float> bias, ArrayView<float> y, MatMulShape s)
        where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        for (var i = Each.First; (uint)i < (uint)(s.M * s.N * s.Batches); i += Each.Stride)
        {
            int n = i % s.N, m = i / s.N % s.M, batch = i / s.N / s.M;
            int fromA = s.OfA.At(batch) + m * s.StrideAM, fromB = s.OfB.At(batch) + n * s.StrideBN;
            var sum = 0f;
            for (var k = 0; k < s.K; k++) sum += a[fromA + k * s.StrideAK] * TFrom.Widen(b[fromB + k * s.StrideBK]);
            Write(y, bias, s, new TilePlace(s.YOf(batch)), m, n, sum);
        }
    }

    /// <summary>16 x 16 threads own 16 x 16 elements of Y, one each, and share 16 x 16 of A and of B.</summary>
    public static void SharedTilesKernel(ArrayView<float> a, ArrayView<float> b, ArrayView<float> y, MatMulShape s)
    {
        var tileA = SharedMemory.Allocate<float>(Square * Square);                          // [m, k]
        var tileB = SharedMemory.Allocate<float>(Square * Square);                          // [k, n]
        int tx = Group.IdxX % Square, ty = Group.IdxX / Square, across = (s.N + Square - 1) / Square;
        int m = Grid.IdxX / across * Square + ty, n = Grid.IdxX % across * Square + tx;
        var sum = 0f;
        for (var k = 0; k < s.K; k += Square)
        {
            tileA[Group.IdxX] = m < s.M && k + tx < s.K ? a[m * s.StrideAM + (k + tx) * s.StrideAK] : 0;
            tileB[Group.IdxX] = n < s.N && k + ty < s.K ? b[(k + ty) * s.StrideBK + n * s.StrideBN] : 0;
            Group.Barrier();
            for (var i = 0; i < Square; i++) sum += tileA[ty * Square + i] * tileB[i * Square + tx];
            Group.Barrier();
        }
        if (m < s.M && n < s.N) y[m * s.StrideY + n] = sum;
    }

    /// <summary>16 x 16 threads own 64 x 64 elements of Y, 4 x 4 each, and share 16 columns of A and 16 rows of B.</summary>
    public static void RegisterTilesKernel(ArrayView<float> a, ArrayView<float> b, ArrayView<float> y, MatMulShape s)
    {
        const int step = 16;
        var slabA = SharedMemory.Allocate<float>(step * Small);                             // [k, m]
        var slabB = SharedMemory.Allocate<float>(step * Small);                             // [k, n]
        int t = Group.IdxX, tx = t % 16, ty = t / 16, across = (s.N + Small - 1) / Small;
        int m0 = Grid.IdxX / across * Small, n0 = Grid.IdxX % across * Small;
        Float4 c0 = default, c1 = default, c2 = default, c3 = default;
        for (var k = 0; k < s.K; k += step)
        {
            for (var i = t; i < step * Small; i += Threads)
            {
                int m = m0 + i % Small, n = n0 + i % Small, at = k + i / Small;
                slabA[i] = m < s.M && at < s.K ? a[m * s.StrideAM + at * s.StrideAK] : 0;
                slabB[i] = n < s.N && at < s.K ? b[at * s.StrideBK + n * s.StrideBN] : 0;
            }
            Group.Barrier();
            for (var i = 0; i < step; i++)
            {
                int u = i * Small + 4 * ty, v = i * Small + 4 * tx;
                var p = new Float4(slabB[v], slabB[v + 1], slabB[v + 2], slabB[v + 3]);
                c0.Add(slabA[u], p); c1.Add(slabA[u + 1], p); c2.Add(slabA[u + 2], p); c3.Add(slabA[u + 3], p);
            }
            Group.Barrier();
        }
        Write4(y, s, m0 + 4 * ty, n0 + 4 * tx, c0);
        Write4(y, s, m0 + 4 * ty + 1, n0 + 4 * tx, c1);
        Write4(y, s, m0 + 4 * ty + 2, n0 + 4 * tx, c2);
        Write4(y, s, m0 + 4 * ty + 3, n0 + 4 * tx, c3);
    }

    private static void Write4(ArrayView<float> y, MatMulShape s, int m, int n, Float4 x)
    {
        if (m >= s.M) return;
        if (n < s.N) y[m * s.StrideY + n] = x.X;
        if (n + 1 < s.N) y[m * s.StrideY + n + 1] = x.Y;
        if (n + 2 < s.N) y[m * s.StrideY + n + 2] = x.Z;
        if (n + 3 < s.N) y[m * s.StrideY + n + 3] = x.W;
    }
}
