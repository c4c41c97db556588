using ILGPU;
using ILGPU.Runtime;

namespace NanoLora;

// The gradients of Attention.cs, with the same threads over the same tiles; as many rows of threads as fit two matrices of rows into shared memory.
//     p is made again from the scores and what was kept of each query,   dp = dy vᵀ,   ds'' = p (dp - Σ_j p dp),   ds = ds'' ∂s' / ∂s
//     queries own rows of q and dy:   Σ_j p dp in a first pass over the keys, then   dq = scale ds k
//     keys own rows of k and v:       pᵀ and dsᵀ, [keys, queries],   dv = pᵀ dy,   dk = scale dsᵀ q

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void AttentionBackward(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor statistics, Tensor dy,
        Tensor? dq, Tensor? dk, Tensor? dv, Tensor? dscores, AttentionOptions options)
    {
        if (dy.Count == 0 || k.Layout.Length == 0) return;
        using var means = dy.Workspace.Loose(new Shape(dy.Shape[0], q.Layout.Count, q.Layout.Length));
        var s = new AttentionShape(q, k, v, HeadView.SideBySide(dy, q.Layout.Count), mask, options).For(dq, dk, dv, dscores);
        switch (HeadTile(s.Size))
        {
            case <= 16: Run<HeadsOf16>(); break;
            case <= 32: Run<HeadsOf32>(); break;
            case <= 64: Run<HeadsOf64>(); break;
            case <= 128: Run<HeadsOf128>(); break;
            default: Run<HeadsOf256>(); break;
        }

        void Run<T>() where T : unmanaged, IHeadTile
        {
            var threads = T.Across * T.DownBack;
            if (dq is not null || dk is not null || dscores is not null)
            {
                _launch.Run(AttentionQueriesKernel<T>, (s.Groups(s.Heads, s.Queries, 4 * T.DownBack), threads), In(q.Tensor), In(k.Tensor), In(v.Tensor),
                    In(mask, dy), In(statistics), In(dy), Out(means), Out(dq ?? means), Out(dscores ?? means), s);
            }
            if (dk is not null || dv is not null)
            {
                _launch.Run(AttentionKeysKernel<T>, (s.Groups(s.KeyHeads, s.Keys, 4 * T.DownBack), threads), In(q.Tensor), In(k.Tensor), In(v.Tensor),
                    In(mask, dy), In(statistics), In(dy), In(means), Out(dk ?? means), Out(dv ?? means), s);
            }
        }
    }

    /// <summary>
    /// A group owns R queries of one head: their Σ_j p dp, dq and the gradients of their scores. A thread owns 4 x 4 scores of each tile and 4 x 8 elements of
    /// dq.
    /// </summary>
    public static void AttentionQueriesKernel<T>(ArrayView<float> q, ArrayView<float> k, ArrayView<float> v, ArrayView<float> mask,
        ArrayView<float> statistics, ArrayView<float> dy,
        ArrayView<float> means, ArrayView<float> dq, ArrayView<float> dscores, AttentionShape s) where T : unmanaged, IHeadTile
    {
        var tileQ = SharedMemory.Allocate<Float4>(4 * T.DownBack * (T.Size / 4 + 1));
        var tileDy = SharedMemory.Allocate<Float4>(4 * T.DownBack * (T.Size / 4 + 1));
        var slab = SharedMemory.Allocate<Float4>(4 * T.Across * (T.SlabCols / 4 + 1));
        var tileDs = SharedMemory.Allocate<Float4>(4 * T.DownBack * (T.Across + (T.Across + 3) / 4));
        var meeting = SharedMemory.Allocate<Float4>(T.Across * T.DownBack);
        int t = Group.IdxX, tx = t % T.Across, ty = t / T.Across, rows = 4 * T.DownBack, keys = 4 * T.Across;
        int tiles = (s.Queries + rows - 1) / rows, batch = Grid.IdxX / tiles / s.Heads, head = Grid.IdxX / tiles % s.Heads, time = Grid.IdxX % tiles * rows;

        Load(tileQ, rows, T.Size, q, s.Q.At(batch, head, time), s.Q.RowStride, s.Queries - time, s.Size, T.Across * T.DownBack);
        Load(tileDy, rows, T.Size, dy, s.Y.At(batch, head, time), s.Y.RowStride, s.Queries - time, s.Size, T.Across * T.DownBack);
        Float4x4 o = default, w = default;
        Float4 mean = default;
        int first = s.FirstKey(time), last = s.LastKey(time, rows);
        // Two loops and not one with a branch, and as many turns for every thread, also one that has no rows: see README.md for what PoCL made of the other.
        for (var key = first; key < last; key += keys)
        {
            Float4x4 p = default, ds = default;
            AddDots<T>(ref ds, tileDy, slab, T.DownBack, v, s.V.At(batch, head / s.GroupSize, key), s.V.RowStride, last - key, s.Size);
            AddDots<T>(ref p, tileQ, slab, T.DownBack, k, s.K.At(batch, head / s.GroupSize, key), s.K.RowStride, last - key, s.Size);
            Gradients(s, new(s, batch, head, time + ty), statistics, 0, mask, dscores, key + tx, T.Across, 0, ref p.A, ref ds.A);
            Gradients(s, new(s, batch, head, time + ty + T.DownBack), statistics, 0, mask, dscores, key + tx, T.Across, 0, ref p.B, ref ds.B);
            Gradients(s, new(s, batch, head, time + ty + 2 * T.DownBack), statistics, 0, mask, dscores, key + tx, T.Across, 0, ref p.C, ref ds.C);
            Gradients(s, new(s, batch, head, time + ty + 3 * T.DownBack), statistics, 0, mask, dscores, key + tx, T.Across, 0, ref p.D, ref ds.D);
            mean.Add(1, ds.RowSums());
        }
        Group.Barrier();
        meeting[t] = mean;
        Group.Barrier();
        mean = MeetingSum<T>(meeting);
        if (!s.WantsQ && !s.WantsScores) last = first;
        for (var key = first; key < last; key += keys)
        {
            var fromK = s.K.At(batch, head / s.GroupSize, key);
            Float4x4 p = default, ds = default;
            AddDots<T>(ref ds, tileDy, slab, T.DownBack, v, s.V.At(batch, head / s.GroupSize, key), s.V.RowStride, last - key, s.Size);
            AddDots<T>(ref p, tileQ, slab, T.DownBack, k, fromK, s.K.RowStride, last - key, s.Size);
            Gradients(s, new(s, batch, head, time + ty), statistics, mean.X, mask, dscores, key + tx, T.Across, 1, ref p.A, ref ds.A);
            Gradients(s, new(s, batch, head, time + ty + T.DownBack), statistics, mean.Y, mask, dscores, key + tx, T.Across, 1, ref p.B, ref ds.B);
            Gradients(s, new(s, batch, head, time + ty + 2 * T.DownBack), statistics, mean.Z, mask, dscores, key + tx, T.Across, 1, ref p.C, ref ds.C);
            Gradients(s, new(s, batch, head, time + ty + 3 * T.DownBack), statistics, mean.W, mask, dscores, key + tx, T.Across, 1, ref p.D, ref ds.D);
            Store<T>(tileDs, T.DownBack, ds);
            AddWeighted<T>(ref o, ref w, tileDs, slab, T.DownBack, k, fromK, s.K.RowStride, last - key, s.Size, isThere: T.SlabCols == T.Size);
        }
        if (s.WantsQ) Write<T>(dq, s.Q, batch, head, time + ty, T.DownBack, s.Queries, s.Size, o.Times(s.Scale), w.Times(s.Scale));
        if (tx > 0) return;
        KeepMean(means, s, batch, head, time + ty, mean.X);
        KeepMean(means, s, batch, head, time + ty + T.DownBack, mean.Y);
        KeepMean(means, s, batch, head, time + ty + 2 * T.DownBack, mean.Z);
        KeepMean(means, s, batch, head, time + ty + 3 * T.DownBack, mean.W);
    }

    private static void KeepMean(ArrayView<float> means, AttentionShape s, int batch, int head, int time, float mean)
    {
        if (time < s.Queries) means[s.Row(batch, head, time)] = mean;
    }

    /// <summary>
    /// A group owns R keys of one key head, and goes through all queries of the heads that read it. A thread owns 4 x 4 scores of each tile, keys down and
    /// queries across, and 4 x 8 elements of dk and of dv.
    /// </summary>
    public static void AttentionKeysKernel<T>(ArrayView<float> q, ArrayView<float> k, ArrayView<float> v, ArrayView<float> mask,
        ArrayView<float> statistics, ArrayView<float> dy,
        ArrayView<float> means, ArrayView<float> dk, ArrayView<float> dv, AttentionShape s) where T : unmanaged, IHeadTile
    {
        var tileK = SharedMemory.Allocate<Float4>(4 * T.DownBack * (T.Size / 4 + 1));
        var tileV = SharedMemory.Allocate<Float4>(4 * T.DownBack * (T.Size / 4 + 1));
        var slab = SharedMemory.Allocate<Float4>(4 * T.Across * (T.SlabCols / 4 + 1));
        var tileP = SharedMemory.Allocate<Float4>(4 * T.DownBack * (T.Across + (T.Across + 3) / 4));   // pᵀ, then dsᵀ
        int t = Group.IdxX, tx = t % T.Across, ty = t / T.Across, rows = 4 * T.DownBack, queries = 4 * T.Across;
        int tiles = (s.Keys + rows - 1) / rows, batch = Grid.IdxX / tiles / s.KeyHeads, keyHead = Grid.IdxX / tiles % s.KeyHeads,
            key = Grid.IdxX % tiles * rows;

        Load(tileK, rows, T.Size, k, s.K.At(batch, keyHead, key), s.K.RowStride, s.Keys - key, s.Size, T.Across * T.DownBack);
        Load(tileV, rows, T.Size, v, s.V.At(batch, keyHead, key), s.V.RowStride, s.Keys - key, s.Size, T.Across * T.DownBack);
        Float4x4 oK = default, wK = default, oV = default, wV = default;
        int begin = 0, end;                                                                 // the queries that see any of these keys
        while (begin < s.Queries && s.LastKey(begin, queries) <= key) begin += queries;
        for (end = begin; end < s.Queries && s.FirstKey(end) < key + rows;) end += queries;
        for (var head = keyHead * s.GroupSize; head < (keyHead + 1) * s.GroupSize; head++)
        {
            for (var time = begin; time < end; time += queries)
            {
                int fromQ = s.Q.At(batch, head, time), fromDy = s.Y.At(batch, head, time);
                Float4x4 p = default, ds = default;
                AddDots<T>(ref p, tileK, slab, T.DownBack, q, fromQ, s.Q.RowStride, s.Queries - time, s.Size);
                AddDots<T>(ref ds, tileV, slab, T.DownBack, dy, fromDy, s.Y.RowStride, s.Queries - time, s.Size);
                p = p.Transposed();                                                         // a query a row
                ds = ds.Transposed();
                Gradients(s, new(s, batch, head, time + tx), statistics, means, mask, key + ty, T.DownBack, ref p.A, ref ds.A);
                Gradients(s, new(s, batch, head, time + tx + T.Across), statistics, means, mask, key + ty, T.DownBack, ref p.B, ref ds.B);
                Gradients(s, new(s, batch, head, time + tx + 2 * T.Across), statistics, means, mask, key + ty, T.DownBack, ref p.C, ref ds.C);
                Gradients(s, new(s, batch, head, time + tx + 3 * T.Across), statistics, means, mask, key + ty, T.DownBack, ref p.D, ref ds.D);
                Store<T>(tileP, T.DownBack, p.Transposed());
                AddWeighted<T>(ref oV, ref wV, tileP, slab, T.DownBack, dy, fromDy, s.Y.RowStride, s.Queries - time, s.Size,
                    isThere: T.SlabCols == T.Size);
                Group.Barrier();                                                            // p has been read
                Store<T>(tileP, T.DownBack, ds.Transposed());
                AddWeighted<T>(ref oK, ref wK, tileP, slab, T.DownBack, q, fromQ, s.Q.RowStride, s.Queries - time, s.Size, isThere: false);
            }
        }
        if (s.WantsK) Write<T>(dk, s.K, batch, keyHead, key + ty, T.DownBack, s.Keys, s.Size, oK.Times(s.Scale), wK.Times(s.Scale));
        if (s.WantsV) Write<T>(dv, s.V, batch, keyHead, key + ty, T.DownBack, s.Keys, s.Size, oV, wV);
    }

    // Of a query and four keys: dp, which comes in ds, becomes p (dp - mean), and in the second pass ds; products become p.
    private static void Gradients(AttentionShape s, QueryRow row, ArrayView<float> statistics, float mean, ArrayView<float> mask, ArrayView<float> dscores,
        int key, int step, int pass, ref Float4 p, ref Float4 ds)
    {
        float max = 0, inverse = 0;
        if (row.IsThere)
        {
            max = statistics[2 * row.Number];
            inverse = statistics[2 * row.Number + 1];
        }
        Gradient(s, row, max, inverse, mean, mask, dscores, key, pass, ref p.X, ref ds.X);
        Gradient(s, row, max, inverse, mean, mask, dscores, key + step, pass, ref p.Y, ref ds.Y);
        Gradient(s, row, max, inverse, mean, mask, dscores, key + 2 * step, pass, ref p.Z, ref ds.Z);
        Gradient(s, row, max, inverse, mean, mask, dscores, key + 3 * step, pass, ref p.W, ref ds.W);
    }

    private static void Gradients(AttentionShape s, QueryRow row, ArrayView<float> statistics, ArrayView<float> means, ArrayView<float> mask,
        int key, int step, ref Float4 p, ref Float4 ds)
    {
        var mean = s.WantsK && row.IsThere ? means[row.Number] : 0;                          // without dk nobody has made them
        Gradients(s, row, statistics, mean, mask, means, key, step, 2, ref p, ref ds);
    }

    private static void Gradient(AttentionShape s, QueryRow row, float max, float inverse, float mean, ArrayView<float> mask, ArrayView<float> dscores,
        int key, int pass, ref float p, ref float ds)
    {
        float weight = 0, d = 0;
        if (row.Sees(key))
        {
            weight = Exp(s.Score(p, mask, row.MaskAt(key), out var slope) - max) * inverse;
            d = weight * (ds - mean);
            if (pass == 1 && s.WantsScores) dscores[row.Number * s.Keys + key] = d;
            if (pass > 0) d *= slope;
        }
        p = weight;
        ds = d;
    }
}
