using ILGPU;
using ILGPU.Algorithms;

namespace NanoLora;

// What the kernels of Attention.cs and Attention.Backward.cs do with tiles. A thread (tx, ty) of Across x down owns, of a tile, rows ty + down i, i < 4. All
// threads of a group call.

public sealed partial class GpuBackend
{
    // s += a xᵀ: this thread's 4 x 4 of the products of rows of a, whole in shared memory, with 4 Across rows of x, which come in slabs of columns.
    private static void AddDots<T>(ref Float4x4 s, ArrayView<Float4> a, ArrayView<Float4> slab, int down,
        ArrayView<float> x, int from, int stride, int there, int size) where T : unmanaged, IHeadTile
    {
        int tx = Group.IdxX % T.Across, ty = Group.IdxX / T.Across, pitchA = T.Size / 4 + 1, pitch = T.SlabCols / 4 + 1;
        for (var cols = 0; cols < size; cols += T.SlabCols)
        {
            Group.Barrier();                                                                // nobody reads what is in the slab any more
            Load(slab, 4 * T.Across, T.SlabCols, x, from + cols, stride, there, size - cols, T.Across * down);
            Group.Barrier();
            var fours = size - cols < T.SlabCols ? (size - cols + 3) / 4 : T.SlabCols / 4;
            int fromA = ty * pitchA + cols / 4, fromX = tx * pitch;
            for (var i = 0; i < fours; i++)
                s.AddProductTransposed(Float4x4.From(a, fromA + i, down * pitchA), Float4x4.From(slab, fromX + i, T.Across * pitch));
        }
    }

    // (o, w) += p x: this thread's 4 x 8 of the sums of 4 Across rows of x, which come in slabs of rows or are there already, weighted by rows of p.
    private static void AddWeighted<T>(ref Float4x4 o, ref Float4x4 w, ArrayView<Float4> p, ArrayView<Float4> slab, int down,
        ArrayView<float> x, int from, int stride, int there, int size, bool isThere) where T : unmanaged, IHeadTile
    {
        int tx = Group.IdxX % T.Across, ty = Group.IdxX / T.Across, pitchP = T.Across + (T.Across + 3) / 4, pitch = T.Size / 4 + 1;
        for (var row = 0; row < 4 * T.Across; row += T.SlabRows)
        {
            Group.Barrier();                                                                // p is there, and nobody reads what is in the slab any more
            if (!isThere)
            {
                Load(slab, T.SlabRows, T.Size, x, from + row * stride, stride, there - row, size, T.Across * down);
                Group.Barrier();
            }
            var fromP = ty * pitchP + row / 4;
            for (var i = 0; i < T.SlabRows / 4; i++)
            {
                var weights = Float4x4.From(p, fromP + i, down * pitchP);
                o.AddProduct(weights, Float4x4.From(slab, 4 * i * pitch + tx, pitch));
                if (T.Size > 4 * T.Across) w.AddProduct(weights, Float4x4.From(slab, 4 * i * pitch + T.Across + tx, pitch));
            }
        }
    }

    // This thread's 4 x 4 into a tile of p.
    private static void Store<T>(ArrayView<Float4> p, int down, Float4x4 x) where T : unmanaged, IHeadTile
    {
        int tx = Group.IdxX % T.Across, ty = Group.IdxX / T.Across, pitch = 4 * (T.Across + (T.Across + 3) / 4);
        var floats = p.Cast<float>();
        Store(floats, ty * pitch + tx, T.Across, x.A);
        Store(floats, (ty + down) * pitch + tx, T.Across, x.B);
        Store(floats, (ty + 2 * down) * pitch + tx, T.Across, x.C);
        Store(floats, (ty + 3 * down) * pitch + tx, T.Across, x.D);
    }

    private static void Store(ArrayView<float> p, int at, int step, Float4 x)
    {
        p[at] = x.X;
        p[at + step] = x.Y;
        p[at + 2 * step] = x.Z;
        p[at + 3 * step] = x.W;
    }

    // Rows of a matrix into shared memory, one four longer there; beyond the last row and the last column there is 0. Four loads are under way at a time.
    private static void Load(ArrayView<Float4> to, int rows, int cols, ArrayView<float> x, int from, int stride, int rowsThere, int colsThere, int threads)
    {
        var floats = to.Cast<float>();
        for (var e = Group.IdxX; e < rows * cols; e += 4 * threads)
        {
            Float4 z = new(Read(x, from, stride, e, cols, rowsThere, colsThere), Read(x, from, stride, e + threads, cols, rowsThere, colsThere),
                Read(x, from, stride, e + 2 * threads, cols, rowsThere, colsThere), Read(x, from, stride, e + 3 * threads, cols, rowsThere, colsThere));
            floats[Place(e, cols)] = z.X;
            floats[Place(e + threads, cols)] = z.Y;
            floats[Place(e + 2 * threads, cols)] = z.Z;
            floats[Place(e + 3 * threads, cols)] = z.W;
        }
    }

    private static float Read(ArrayView<float> x, int from, int stride, int e, int cols, int rowsThere, int colsThere) =>
        e / cols < rowsThere && e % cols < colsThere ? x[from + e / cols * stride + e % cols] : 0;

    private static int Place(int e, int cols) => e / cols * (cols + 4) + e % cols;

    // This thread's 4 x 8 of a result, as far as it has rows and columns.
    private static void Write<T>(ArrayView<float> y, HeadPlace place, int batch, int head, int time, int down, int times, int size, Float4x4 o, Float4x4 w)
        where T : unmanaged, IHeadTile
    {
        Write<T>(y, place.At(batch, head, time), time < times, size, o.A, w.A);
        Write<T>(y, place.At(batch, head, time + down), time + down < times, size, o.B, w.B);
        Write<T>(y, place.At(batch, head, time + 2 * down), time + 2 * down < times, size, o.C, w.C);
        Write<T>(y, place.At(batch, head, time + 3 * down), time + 3 * down < times, size, o.D, w.D);
    }

    private static void Write<T>(ArrayView<float> y, int at, bool isThere, int size, Float4 o, Float4 w) where T : unmanaged, IHeadTile
    {
        var col = 4 * (Group.IdxX % T.Across);
        if (!isThere) return;
        Write(y, at, col, size, o);
        if (T.Size > 4 * T.Across) Write(y, at, col + 4 * T.Across, size, w);
    }

    private static void Write(ArrayView<float> y, int at, int col, int size, Float4 x)
    {
        if (col < size) y[at + col] = x.X;
        if (col + 1 < size) y[at + col + 1] = x.Y;
        if (col + 2 < size) y[at + col + 2] = x.Z;
        if (col + 3 < size) y[at + col + 3] = x.W;
    }

    // What the threads of this thread's rows have put there, in order.
    private static Float4 MeetingSum<T>(ArrayView<Float4> meeting) where T : unmanaged, IHeadTile
    {
        Float4 sum = default;
        for (var i = 0; i < T.Across; i++) sum.Add(1, meeting[Group.IdxX / T.Across * T.Across + i]);
        return sum;
    }

    private static Float4 Exp(Float4 x, float shift) => new(Exp(x.X - shift), Exp(x.Y - shift), Exp(x.Z - shift), Exp(x.W - shift));

    private static float Exp(float x) => XMath.Exp(x);
}
