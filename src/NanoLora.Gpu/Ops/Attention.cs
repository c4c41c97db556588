using ILGPU;
using ILGPU.Algorithms;

namespace NanoLora;

// Attention in tiles: nothing of size Tq Tk but a mask's gradient is ever in the device's memory.
//
// Forward. A group owns R queries of one head, and goes through the keys R at a time with a running maximum:
//     s = scale q kᵀ, bent and masked   [R, R]        in shared memory, like q, k, v and the result so far, [R, D] each
//     m' = max(m, max s),   p = exp(s - m'),   sum' = sum exp(m - m') + Σ p,   y' = y exp(m - m') + p v
// Backward. The scores are made again. One kernel owns queries, R / 2 of them, and makes dq and Σ_j p dp in two passes over the keys; the other owns keys, and
// goes through the queries of all heads that read them: no two groups write to one place.
//     thread t of a group owns, of every [R, R] or [R, D] that is made, the elements t, t + threads, …
//
// Rows in shared memory are D + 1 long, so that threads that read one below the other read from different banks. R goes with D: 32 up to 64, 16 up to 128, 8 up
// to 256.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Attention(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor y, Tensor statistics, AttentionOptions options)
    {
        if (y.Count == 0) return;
        var s = new AttentionShape(q, k, v, HeadView.SideBySide(y, q.Layout.Count), mask, options);
        if (s.Size <= HeadsOf64.Size) Run<HeadsOf64>();
        else if (s.Size <= HeadsOf128.Size) Run<HeadsOf128>();
        else Run<HeadsOf256>();

        void Run<T>() where T : unmanaged, IHeadTile =>
            _launch.Run(AttentionKernel<T>, _launch.Rows(s.Groups(s.Heads, s.Queries, T.Rows)), In(q.Tensor), In(k.Tensor), In(v.Tensor),
                In(mask, y), Out(y), Out(statistics), s);
    }

    /// <inheritdoc/>
    public override void AttentionBackward(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor statistics, Tensor dy,
        Tensor? dq, Tensor? dk, Tensor? dv, Tensor? dscores, AttentionOptions options)
    {
        if (dy.Count == 0 || k.Layout.Length == 0) return;
        using var means = dy.Workspace.Loose(new Shape(dy.Shape[0], q.Layout.Count, q.Layout.Length));
        var s = new AttentionShape(q, k, v, HeadView.SideBySide(dy, q.Layout.Count), mask, options).For(dq, dk, dv, dscores);
        if (s.Size <= HeadsOf64.Size) Run<HeadsOf64>();
        else if (s.Size <= HeadsOf128.Size) Run<HeadsOf128>();
        else Run<HeadsOf256>();

        void Run<T>() where T : unmanaged, IHeadTile
        {
            if (dq is not null || dk is not null || dscores is not null)
            {
                _launch.Run(AttentionQueriesKernel<T>, _launch.Rows(s.Groups(s.Heads, s.Queries, T.Rows / 2)), In(q.Tensor), In(k.Tensor), In(v.Tensor),
                    In(mask, dy), In(statistics), In(dy), Out(means), Out(dq ?? means), Out(dscores ?? means), s);
            }
            if (dk is not null || dv is not null)
            {
                _launch.Run(AttentionKeysKernel<T>, _launch.Rows(s.Groups(s.KeyHeads, s.Keys, T.Rows / 2)), In(q.Tensor), In(k.Tensor), In(v.Tensor),
                    In(mask, dy), In(statistics), In(dy), In(means), Out(dk ?? means), Out(dv ?? means), s);
            }
        }
    }

    /// <summary>A group owns R queries of one head.</summary>
    public static void AttentionKernel<T>(ArrayView<float> q, ArrayView<float> k, ArrayView<float> v, ArrayView<float> mask, ArrayView<float> y,
        ArrayView<float> statistics, AttentionShape s)
        where T : unmanaged, IHeadTile
    {
        int rows = T.Rows, pitch = T.Size + 1, size = s.Size, t = Group.IdxX, threads = Group.DimX;
        var tileQ = SharedMemory.Allocate<float>(T.Rows * (T.Size + 1));
        var tileK = SharedMemory.Allocate<float>(T.Rows * (T.Size + 1));
        var tileV = SharedMemory.Allocate<float>(T.Rows * (T.Size + 1));
        var sums = SharedMemory.Allocate<float>(T.Rows * (T.Size + 1));
        var p = SharedMemory.Allocate<float>(T.Rows * T.Rows);
        var state = SharedMemory.Allocate<float>(3 * T.Rows);                               // maximum, sum, what sums so far shrink by
        int tiles = (s.Queries + rows - 1) / rows, batch = Grid.IdxX / tiles / s.Heads, head = Grid.IdxX / tiles % s.Heads, time = Grid.IdxX % tiles * rows;

        Load(tileQ, q, s.Q.At(batch, head, time), s.Q.RowStride, rows, s.Queries - time, size, pitch);
        for (var e = t; e < rows * size; e += threads) sums[e / size * pitch + e % size] = 0;
        for (var r = t; r < rows; r += threads)
        {
            state[r] = float.NegativeInfinity;
            state[rows + r] = 0;
        }
        int first = s.FirstKey(time), last = s.LastKey(time, rows);
        for (var key = first; key < last; key += rows)
        {
            Load(tileK, k, s.K.At(batch, head / s.GroupSize, key), s.K.RowStride, rows, last - key, size, pitch);
            Load(tileV, v, s.V.At(batch, head / s.GroupSize, key), s.V.RowStride, rows, last - key, size, pitch);
            Group.Barrier();
            for (var e = t; e < rows * rows; e += threads)
            {
                int r = e / rows, c = e % rows;
                p[e] = s.Sees(time + r, key + c, last)
                    ? s.Score(Dot(tileQ, r * pitch, tileK, c * pitch, size), mask, batch, head, time + r, key + c, out _)
                    : float.NegativeInfinity;
            }
            Group.Barrier();
            for (var r = t; r < rows; r += threads)
            {
                float before = state[r], max = before;
                for (var c = 0; c < rows; c++) if (p[r * rows + c] > max) max = p[r * rows + c];
                var shift = max == float.NegativeInfinity ? 0 : max;
                var shrink = before == max ? 1 : XMath.Exp(before - shift);
                var sum = state[rows + r] * shrink;
                for (var c = 0; c < rows; c++)
                {
                    var e = XMath.Exp(p[r * rows + c] - shift);
                    p[r * rows + c] = e;
                    sum += e;
                }
                state[r] = max;
                state[rows + r] = sum;
                state[2 * rows + r] = shrink;
            }
            Group.Barrier();
            for (var e = t; e < rows * size; e += threads)
            {
                int r = e / size, d = e % size;
                var sum = sums[r * pitch + d] * state[2 * rows + r];
                for (var c = 0; c < rows; c++) sum += p[r * rows + c] * tileV[c * pitch + d];
                sums[r * pitch + d] = sum;
            }
            Group.Barrier();
        }
        Group.Barrier();
        for (var e = t; e < rows * size; e += threads)
        {
            int r = e / size, d = e % size;
            if (time + r < s.Queries) y[s.Y.At(batch, head, time + r) + d] = state[rows + r] == 0 ? 0 : sums[r * pitch + d] / state[rows + r];
        }
        for (var r = t; r < rows && time + r < s.Queries; r += threads)
        {
            var at = 2 * ((batch * s.Heads + head) * s.Queries + time + r);
            var seen = state[rows + r] != 0;
            statistics[at] = seen ? state[r] : 0;
            statistics[at + 1] = seen ? 1 / state[rows + r] : 0;
        }
    }

    /// <summary>A group owns R / 2 queries of one head: their Σ_j p dp, dq and the gradients of their scores.</summary>
    public static void AttentionQueriesKernel<T>(ArrayView<float> q, ArrayView<float> k, ArrayView<float> v, ArrayView<float> mask,
        ArrayView<float> statistics, ArrayView<float> dy,
        ArrayView<float> means, ArrayView<float> dq, ArrayView<float> dscores, AttentionShape s) where T : unmanaged, IHeadTile
    {
        int rows = T.Rows / 2, pitch = T.Size + 1, size = s.Size, t = Group.IdxX, threads = Group.DimX;
        var tileQ = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var tileK = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var tileV = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var tileDy = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var sums = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var ds = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Rows / 2));
        var mean = SharedMemory.Allocate<float>(T.Rows / 2);
        int tiles = (s.Queries + rows - 1) / rows, batch = Grid.IdxX / tiles / s.Heads, head = Grid.IdxX / tiles % s.Heads, time = Grid.IdxX % tiles * rows;
        var row0 = (batch * s.Heads + head) * s.Queries + time;

        Load(tileQ, q, s.Q.At(batch, head, time), s.Q.RowStride, rows, s.Queries - time, size, pitch);
        Load(tileDy, dy, s.Y.At(batch, head, time), s.Y.RowStride, rows, s.Queries - time, size, pitch);
        for (var e = t; e < rows * size; e += threads) sums[e / size * pitch + e % size] = 0;
        for (var r = t; r < rows; r += threads) mean[r] = 0;
        int first = s.FirstKey(time), last = s.LastKey(time, rows);
        for (var pass = 0; pass < 2; pass++)
        {
            for (var key = first; key < last; key += rows)
            {
                Load(tileK, k, s.K.At(batch, head / s.GroupSize, key), s.K.RowStride, rows, last - key, size, pitch);
                Load(tileV, v, s.V.At(batch, head / s.GroupSize, key), s.V.RowStride, rows, last - key, size, pitch);
                Group.Barrier();
                for (var e = t; e < rows * rows; e += threads)
                {
                    int r = e / rows, c = e % rows;
                    var d = 0f;
                    if (s.Sees(time + r, key + c, last))
                    {
                        var score = s.Score(Dot(tileQ, r * pitch, tileK, c * pitch, size), mask, batch, head, time + r, key + c, out var bent);
                        var p = XMath.Exp(score - statistics[2 * (row0 + r)]) * statistics[2 * (row0 + r) + 1];
                        d = p * (Dot(tileDy, r * pitch, tileV, c * pitch, size) - mean[r]);    // in the first pass the mean is 0
                        if (pass == 1 && s.WantsScores) dscores[(row0 + r) * s.Keys + key + c] = d;
                        if (pass == 1) d *= s.Slope(bent);
                    }
                    ds[e] = d;
                }
                Group.Barrier();
                if (pass == 0)
                {
                    // The sums for mean[r] wait in the first column of this row's own result, which is not in use yet.
                    for (var r = t; r < rows; r += threads) for (var c = 0; c < rows; c++) sums[r * pitch] += ds[r * rows + c];
                }
                else
                {
                    for (var e = t; e < rows * size; e += threads)
                    {
                        int r = e / size, d = e % size;
                        var sum = sums[r * pitch + d];
                        for (var c = 0; c < rows; c++) sum += ds[r * rows + c] * tileK[c * pitch + d];
                        sums[r * pitch + d] = sum;
                    }
                }
                Group.Barrier();
            }
            if (pass == 1) break;
            for (var r = t; r < rows; r += threads)
            {
                mean[r] = sums[r * pitch];
                sums[r * pitch] = 0;
                if (time + r < s.Queries) means[row0 + r] = mean[r];
            }
            Group.Barrier();
        }
        if (!s.WantsQ) return;
        for (var e = t; e < rows * size; e += threads)
        {
            int r = e / size, d = e % size;
            if (time + r < s.Queries) dq[s.Q.At(batch, head, time + r) + d] = s.Scale * sums[r * pitch + d];
        }
    }

    /// <summary>A group owns R / 2 keys of one key head, and goes through all queries of the heads that read it.</summary>
    public static void AttentionKeysKernel<T>(ArrayView<float> q, ArrayView<float> k, ArrayView<float> v, ArrayView<float> mask,
        ArrayView<float> statistics, ArrayView<float> dy,
        ArrayView<float> means, ArrayView<float> dk, ArrayView<float> dv, AttentionShape s) where T : unmanaged, IHeadTile
    {
        int rows = T.Rows / 2, pitch = T.Size + 1, size = s.Size, t = Group.IdxX, threads = Group.DimX;
        var tileQ = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var tileK = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var tileV = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var tileDy = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var sumsK = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var sumsV = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Size + 1));
        var p = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Rows / 2));
        var ds = SharedMemory.Allocate<float>(T.Rows / 2 * (T.Rows / 2));
        int tiles = (s.Keys + rows - 1) / rows, batch = Grid.IdxX / tiles / s.KeyHeads, keyHead = Grid.IdxX / tiles % s.KeyHeads,
            key = Grid.IdxX % tiles * rows;

        Load(tileK, k, s.K.At(batch, keyHead, key), s.K.RowStride, rows, s.Keys - key, size, pitch);
        Load(tileV, v, s.V.At(batch, keyHead, key), s.V.RowStride, rows, s.Keys - key, size, pitch);
        for (var e = t; e < rows * size; e += threads)
        {
            sumsK[e / size * pitch + e % size] = 0;
            sumsV[e / size * pitch + e % size] = 0;
        }
        for (var head = keyHead * s.GroupSize; head < (keyHead + 1) * s.GroupSize; head++)
        {
            for (var time = 0; time < s.Queries; time += rows)
            {
                if (s.FirstKey(time) >= key + rows || s.LastKey(time, rows) <= key) continue;   // the same for all threads
                Load(tileQ, q, s.Q.At(batch, head, time), s.Q.RowStride, rows, s.Queries - time, size, pitch);
                Load(tileDy, dy, s.Y.At(batch, head, time), s.Y.RowStride, rows, s.Queries - time, size, pitch);
                Group.Barrier();
                for (var e = t; e < rows * rows; e += threads)
                {
                    int r = e / rows, c = e % rows;
                    float weight = 0, d = 0;
                    if (s.Sees(time + r, key + c, s.Keys))
                    {
                        var row = (batch * s.Heads + head) * s.Queries + time + r;
                        var score = s.Score(Dot(tileQ, r * pitch, tileK, c * pitch, size), mask, batch, head, time + r, key + c, out var bent);
                        weight = XMath.Exp(score - statistics[2 * row]) * statistics[2 * row + 1];
                        if (s.WantsK) d = weight * (Dot(tileDy, r * pitch, tileV, c * pitch, size) - means[row]) * s.Slope(bent);
                    }
                    p[e] = weight;
                    ds[e] = d;
                }
                Group.Barrier();
                for (var e = t; e < rows * size; e += threads)
                {
                    int c = e / size, d = e % size;
                    float sumK = sumsK[c * pitch + d], sumV = sumsV[c * pitch + d];
                    for (var r = 0; r < rows; r++)
                    {
                        sumK += ds[r * rows + c] * tileQ[r * pitch + d];
                        sumV += p[r * rows + c] * tileDy[r * pitch + d];
                    }
                    sumsK[c * pitch + d] = sumK;
                    sumsV[c * pitch + d] = sumV;
                }
                Group.Barrier();
            }
        }
        Group.Barrier();
        for (var e = t; e < rows * size; e += threads)
        {
            int c = e / size, d = e % size;
            if (key + c >= s.Keys) continue;
            if (s.WantsK) dk[s.K.At(batch, keyHead, key + c) + d] = s.Scale * sumsK[c * pitch + d];
            if (s.WantsV) dv[s.V.At(batch, keyHead, key + c) + d] = sumsV[c * pitch + d];
        }
    }

    // Rows of a matrix into shared memory; beyond the last there is 0.
    private static void Load(ArrayView<float> tile, ArrayView<float> x, int from, int stride, int rows, int there, int size, int pitch)
    {
        for (var e = Group.IdxX; e < rows * size; e += Group.DimX)
        {
            int r = e / size, d = e % size;
            tile[r * pitch + d] = r < there ? x[from + r * stride + d] : 0;
        }
    }

    private static float Dot(ArrayView<float> a, int fromA, ArrayView<float> b, int fromB, int size)
    {
        var sum = 0f;
        for (var d = 0; d < size; d++) sum += a[fromA + d] * b[fromB + d];
        return sum;
    }
}
