using System.Numerics;
using System.Runtime.CompilerServices;

namespace NanoLora;

// Attention:   s = scale q kᵀ,   s' = cap tanh(s / cap),   s'' = s' + mask,   p = softmax s'',   y = p v            for each head
//     Query i, which sits on key i + Tk - Tq, sees key j if j ≤ i + Tk - Tq (causal) and j > i + Tk - Tq - window.
//     Query head h reads key head h / (H / G): G = H is ordinary, G = 1 multi-query, between them grouped-query attention.
// Gradient:    dv = pᵀ dy,   dp = dy vᵀ,   ds'' = p ∘ (dp - Σ_j p dp),   ds = ds'' ∘ (1 - (s' / cap)²)
//              dq = scale ds k,   dk = scale dsᵀ q,   dmask = ds'' summed over the axes along which the mask was stretched
//
// Kept: q, k, v, the mask, and of each query the maximum of s'' and 1 / Σ exp(s'' - max); p is made again, tile by tile, so nothing of size
// Tq Tk outlives a block of work. The two numbers are kept apart because their log-sum-exp would lose the sum beside a maximum of -3e38, which
// is what masks of the lowest float give: such a row is the mean of v. A row hidden by -∞ from every key gives 0, and gradients of 0.
//
// Milakov and Gimelshein 2018 (the running maximum), Dao et al. 2022 (tiles, recomputation).

public partial class Tensor
{
    /// <summary>Attention of these queries [B, Tq, H, D] over keys and values [B, Tk, G, D], G a divisor of H: [B, Tq, H, D].</summary>
    /// <param name="k">The keys.</param>
    /// <param name="v">The values.</param>
    /// <param name="options">Order, window, soft-cap and scale.</param>
    /// <param name="mask">Added to the scores: [B or 1, H or 1, Tq or 1, Tk], or null.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public Tensor Attention(Tensor k, Tensor v, AttentionOptions options = default, Tensor? mask = null) =>
        Attention(HeadView.Of(this), HeadView.Of(k), HeadView.Of(v), options, mask).Reshape(Shape);

    /// <summary>
    /// As <see cref="Attention(Tensor, Tensor, AttentionOptions, Tensor?)"/>, with heads side by side: queries [B, Tq, H D], keys and values
    /// [B, Tk, G D], the result [B, Tq, H D].
    /// </summary>
    /// <param name="k">The keys.</param>
    /// <param name="v">The values.</param>
    /// <param name="heads">H.</param>
    /// <param name="keyHeads">G; 0 for as many as H.</param>
    /// <param name="options">Order, window, soft-cap and scale.</param>
    /// <param name="mask">Added to the scores: [B or 1, H or 1, Tq or 1, Tk], or null.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public Tensor Attention(Tensor k, Tensor v, int heads, int keyHeads = 0, AttentionOptions options = default, Tensor? mask = null)
    {
        if (keyHeads == 0) keyHeads = heads;
        return Attention(HeadView.SideBySide(this, heads), HeadView.SideBySide(k, keyHeads), HeadView.SideBySide(v, keyHeads), options, mask);
    }

    /// <summary>Attention within a fused projection [B, T, (H + 2G) D] whose slabs are q, k and v: [B, T, H D].</summary>
    /// <param name="heads">H.</param>
    /// <param name="options">Order, window, soft-cap and scale.</param>
    /// <param name="mask">Added to the scores: [B or 1, H or 1, T or 1, T], or null.</param>
    /// <param name="keyHeads">G; 0 for as many as H.</param>
    /// <exception cref="ArgumentException">The width is not that of so many heads.</exception>
    public Tensor SelfAttention(int heads, AttentionOptions options = default, Tensor? mask = null, int keyHeads = 0)
    {
        if (keyHeads == 0) keyHeads = heads;
        var all = heads + 2 * keyHeads;
        if (Shape.Rank != 3 || heads < 1 || keyHeads < 1 || Cols % all != 0)
            throw new ArgumentException($"SelfAttention: {Shape} is not [B, T, (H + 2 G) D] with H = {heads} and G = {keyHeads}.");
        var size = Cols / all;
        HeadView Slab(int first, int count) => new(this, new HeadLayout(first * size, Cols, size, Shape[1], count, size));
        return Attention(Slab(0, heads), Slab(heads, keyHeads), Slab(heads + keyHeads, keyHeads), options, mask);
    }

    /// <summary>Attention over heads wherever they lie: [B, Tq, H D]. Views of one tensor are the same or do not overlap.</summary>
    /// <param name="q">The queries.</param>
    /// <param name="k">The keys, of a projection or a cache.</param>
    /// <param name="v">The values.</param>
    /// <param name="options">Order, window, soft-cap and scale.</param>
    /// <param name="mask">Added to the scores: [B or 1, H or 1, Tq or 1, Tk], or null.</param>
    /// <exception cref="ArgumentException">The views or the mask do not fit.</exception>
    public static Tensor Attention(HeadView q, HeadView k, HeadView v, AttentionOptions options = default, Tensor? mask = null)
    {
        var (x, of, ok, ov) = (q.Tensor, q.Layout, k.Layout, v.Layout);
        var batch = x.Shape[0];
        var alike = k.Tensor.Shape[0] == batch && v.Tensor.Shape[0] == batch && ok.Size == of.Size && ov.Size == of.Size;
        if (!alike || ok.Length != ov.Length || ok.Count != ov.Count || ok.Count < 1 || of.Count % ok.Count != 0)
            throw new ArgumentException($"Attention: q {q}, k {k} and v {v}: batch and head size agree, k and v are alike, and their heads divide those of q.");
        if (!q.IsInside || !k.IsInside || !v.IsInside)
            throw new ArgumentException($"Attention: q {q}, k {k} and v {v}: a view reaches beyond its tensor; keep it within each batch.");
        if (mask is not null && !Stretches(mask.Shape, batch, of.Count, of.Length, ok.Length))
            throw new ArgumentException($"Attention: a mask {mask.Shape} does not stretch to [{batch}, {of.Count}, {of.Length}, {ok.Length}].");
        if (options.Window < 0 || options.Softcap < 0)
            throw new ArgumentException($"Attention: a window of {options.Window} and a soft-cap of {options.Softcap}; neither may be negative; 0 is none.");

        // A window beyond all keys is none; kept small, places in it cannot run over the largest int.
        options = options with { Scale = options.Scale ?? 1 / MathF.Sqrt(of.Size), Window = options.Window >= ok.Length ? 0 : options.Window };
        var y = x.New(new Shape(batch, of.Length, of.Count * of.Size));
        var statistics = x.New(new Shape(batch, of.Count, of.Length, 2));                          // max s'', 1 / Σ exp(s'' - max)
        x.Backend.Attention(q, k, v, mask, y, statistics, options);
        var wants = x.Workspace.Records && (x.Node is not null || k.Tensor.Node is not null || v.Tensor.Node is not null || mask?.Node is not null);
        return y.By(wants ? new AttentionNode(q, k, v, mask, statistics, options) : null);
    }

    private static bool Stretches(Shape mask, int batch, int heads, int queries, int keys) => mask.Rank == 4 && mask[3] == keys
        && (mask[0] == 1 || mask[0] == batch) && (mask[1] == 1 || mask[1] == heads) && (mask[2] == 1 || mask[2] == queries);
}

public abstract partial class Backend
{
    /// <summary>y [B, Tq, H D] = attention; statistics [B, H, Tq, 2] = max and 1 / Σ exp(s'' - max) of each query. The options' scale is set.</summary>
    public abstract void Attention(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor y, Tensor statistics, AttentionOptions options);

    /// <summary>Gradients of q, k and v into the tensors given, at the places of q, k and v, and ds'' into [B, H, Tq, Tk]; null is not wanted.</summary>
    public abstract void AttentionBackward(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor statistics, Tensor dy,
        Tensor? dq, Tensor? dk, Tensor? dv, Tensor? dscores, AttentionOptions options);
}

// Slabs of one tensor share one gradient; the same view given twice has two, which the tape adds.
file sealed class AttentionNode(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor statistics, AttentionOptions options)
    : Node([q.Tensor, Shares(k, q) ? null : k.Tensor, Shares(v, q) || Shares(v, k) ? null : v.Tensor, mask], [q.Tensor, k.Tensor, v.Tensor, mask, statistics])
{
    private readonly HeadLayout _q = q.Layout, _k = k.Layout, _v = v.Layout;
    private readonly bool _kInQ = Shares(k, q), _vInQ = Shares(v, q), _vInK = Shares(v, k);

    private static bool Shares(HeadView a, HeadView b) => a.Tensor == b.Tensor && a.Layout.Offset != b.Layout.Offset;

    protected override void Backward(Tensor dy)
    {
        HeadView q = new(Saved(0), _q), k = new(Saved(1), _k), v = new(Saved(2), _v);
        Wants(0, out var dq);
        Tensor? dk = _kInQ ? dq : Wants(1, out var ofK) ? ofK : null;
        Tensor? dv = _vInQ ? dq : _vInK ? dk : Wants(2, out var ofV) ? ofV : null;
        Clear(dq, _q.Length * _q.Count * _q.Size + (_kInQ ? _k.Length * _k.Count * _k.Size : 0) + (_vInQ ? _v.Length * _v.Count * _v.Size : 0));
        if (!_kInQ) Clear(dk, _k.Length * _k.Count * _k.Size + (_vInK && !_vInQ ? _v.Length * _v.Count * _v.Size : 0));
        if (!_vInQ && !_vInK) Clear(dv, _v.Length * _v.Count * _v.Size);
        var ds = Wants(3) ? dy.Workspace.Zeros(new Shape(dy.Shape[0], _q.Count, _q.Length, _k.Length)) : null;
        dy.Backend.AttentionBackward(q, k, v, SavedOrNull(3), Saved(4), dy, dq, dk, dv, ds, options);
        if (ds is not null) Give(3, ds.SumTo(InputShape(3)));
    }

    // What no view looks at, such as the empty end of a cache, has a gradient of 0; the kernel writes the rest.
    private static void Clear(Tensor? d, int seen)
    {
        if (d is not null && seen < d.Count / Math.Max(1, d.Shape[0])) d.Backend.Fill(d, 0);
    }
}

public partial class CpuBackend
{
    // A tile is at most 80 queries by 256 keys, 80 KiB on the stack. Its rows are padded to whole vectors with scores of -∞, so no loop over it has a tail.
    // What several tiles of queries multiply with (kᵀ, v, vᵀ, k of 256 keys) is packed once for all of them, where heads are not too wide for the stack.
    private const int QueryTile = 80, KeyTile = 256, WidestPacked = 128, EnoughBlocks = 32;

    private static int TileRow(int keys) => (Math.Min(keys, KeyTile) + Simd.Width - 1) & -Simd.Width;

    // Queries in equal tiles, of whole tiles of the matrix product.
    private static int TileRows(int queries)
    {
        var tiles = (queries + QueryTile - 1) / QueryTile;
        return tiles <= 1 ? queries : ((queries + tiles - 1) / tiles + 7) & -8;
    }

    /// <inheritdoc/>
    public override void Attention(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor y, Tensor statistics, AttentionOptions options)
    {
        var (heads, length) = (y.Shape[0] * q.Layout.Count, q.Layout.Length);
        if (heads == 0 || length == 0) return;
        // A block has all queries of a head, or some whole tiles of them where that would be too few blocks to share out.
        var rows = TileRows(length);
        var (tiles, parts) = ((length + rows - 1) / rows, (EnoughBlocks + heads - 1) / heads);
        var queries = Math.Min(length, (tiles + parts - 1) / parts * rows);
        var job = new AttentionJob(new Scores(q, k, mask, options), v, HeadView.SideBySide(y, q.Layout.Count), statistics, queries);
        ForRows(heads * ((length + queries - 1) / queries), Cost(q, k, queries), job);
    }

    /// <inheritdoc/>
    public override void AttentionBackward(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor statistics, Tensor dy,
        Tensor? dq, Tensor? dk, Tensor? dv, Tensor? dscores, AttentionOptions options)
    {
        using var scope = dy.Workspace.Scope(grad: false);
        var means = dy.New(new Shape(dy.Shape[0], q.Layout.Count, q.Layout.Length));               // Σ_j p dp of each query
        var job = new AttentionBackwardJob(new Scores(q, k, mask, options), v, HeadView.SideBySide(dy, q.Layout.Count), statistics, means,
            dq, dk, dv, dscores);
        ForRows(dy.Shape[0] * k.Layout.Count, Cost(q, k, q.Layout.Length), job);
    }

    private static int Cost(HeadView q, HeadView k, int rows) =>
        (int)Math.Min(1 << 20, (long)Math.Min(rows, q.Layout.Length) * k.Layout.Length * q.Layout.Size / 8);

    // The floats that the keys of a tile take, packed as kᵀ and as k; the values alike.
    private static (int Across, int Down) Rooms(int keys, int size) =>
        size > WidestPacked ? default : (Gemm.PanelsLength(size, keys), Gemm.PanelsLength(keys, size));

    private static Strided From(HeadView x, int batch, int head, int time) => new(x.Tensor.Floats()[x.At(batch, head, time)..], x.Layout.RowStride);

    // The scores s'' of a tile, hidden ones -∞.
    private readonly struct Scores(HeadView q, HeadView k, Tensor? mask, AttentionOptions options)
    {
        public HeadView Q => q;
        public HeadView K => k;
        public AttentionOptions Options => options;
        public int Group => q.Layout.Count / k.Layout.Count;
        private int Shift => k.Layout.Length - q.Layout.Length;

        // The factor of the scores can wait until they are exponents.
        private bool IsScaledLater => options.Softcap == 0 && mask is null && options.Scale > 0;

        /// <summary>What <see cref="Make"/> leaves to be multiplied.</summary>
        public float Factor => IsScaledLater ? options.Scale!.Value : 1;

        /// <summary>The keys that any of the queries sees, the last one excluded.</summary>
        public (int First, int Last) Keys(int time, int rows)
        {
            var first = options.Window > 0 ? Math.Max(0, time + Shift - options.Window + 1) : 0;
            var last = options.Causal ? Math.Clamp(time + rows + Shift, 0, k.Layout.Length) : k.Layout.Length;
            return (first, Math.Max(first, last));
        }

        /// <summary>
        /// Scores of queries time.. against the first of the keys from key on, but for <see cref="Factor"/>; where there is a soft-cap and a place for it,
        /// tanh (s / cap) as well.
        /// </summary>
        public void Make(in Right transposedKeys, int batch, int head, int time, int rows, int key, int keys, Span<float> s, int stride, Span<float> bent)
        {
            transposedKeys.Product(rows, keys, q.Layout.Size, From(q, batch, head, time), new Strided(s, stride), false);
            for (var r = 0; r < rows; r++)
            {
                var row = s.Slice(r * stride, stride);
                if (!IsScaledLater) Simd.Scale(options.Scale!.Value, row);
                if (options.Softcap > 0) Bend(row, bent.IsEmpty ? row : bent.Slice(r * stride, stride));
                var at = time + r + Shift - key;
                var end = options.Causal ? Math.Clamp(at + 1, 0, keys) : keys;
                if (options.Window > 0) row[..Math.Clamp(at - options.Window + 1, 0, end)].Fill(float.NegativeInfinity);
                row[end..].Fill(float.NegativeInfinity);
                if (mask is not null) Simd.AddScaled(1, MaskRow(batch, head, time + r).Slice(key, keys), row[..keys]);
            }
        }

        // s' = cap t, t = tanh (s / cap); t may be written over by s'.
        private void Bend(Span<float> row, Span<float> bent)
        {
            for (var i = 0; i < row.Length; i += Simd.Width)
            {
                var t = NanoLora.Tanh.Forward(Simd.Load(row, i) / options.Softcap);
                Simd.Store(t, bent, i);
                Simd.Store(options.Softcap * t, row, i);
            }
        }

        private ReadOnlySpan<float> MaskRow(int batch, int head, int time)
        {
            var shape = mask!.Shape;
            return mask.Row(((shape[0] == 1 ? 0 : batch) * shape[1] + (shape[1] == 1 ? 0 : head)) * shape[2] + (shape[2] == 1 ? 0 : time));
        }
    }

    // A block owns queries of one head, and goes through the keys with a running maximum.
    private readonly struct AttentionJob(Scores scores, HeadView v, HeadView y, Tensor statistics, int queries) : IRows
    {
        [SkipLocalsInit]
        public void Run(int start, int end)
        {
            var (length, heads, size) = (y.Layout.Length, y.Layout.Count, y.Layout.Size);
            var (rows, keys, blocks) = (TileRows(length), Math.Min(v.Layout.Length, KeyTile), (length + queries - 1) / queries);
            var (across, down) = rows < queries ? Rooms(keys, size) : default;
            Span<float> s = stackalloc float[rows * TileRow(keys)], keyRoom = stackalloc float[across], valueRoom = stackalloc float[down];
            for (var block = start; block < end; block++)
            {
                var (batch, head, from) = (block / blocks / heads, block / blocks % heads, block % blocks * queries);
                var to = Math.Min(length, from + queries);
                var kept = statistics.Floats().Slice(2 * ((batch * heads + head) * length + from), 2 * (to - from));
                for (var i = 0; i < kept.Length; i += 2) (kept[i], kept[i + 1]) = (float.NegativeInfinity, 0);
                var (first, last) = scores.Keys(from, to - from);
                for (var key = first; key < last; key += KeyTile)
                {
                    keys = Math.Min(KeyTile, last - key);
                    var transposedKeys = new Right(From(scores.K, batch, head / scores.Group, key), true, keys, size, keyRoom);
                    var values = new Right(From(v, batch, head / scores.Group, key), false, keys, size, valueRoom);
                    for (var time = from; time < to; time += rows)
                        Tile(transposedKeys, values, batch, head, time, Math.Min(rows, to - time), key, keys, s, kept[(2 * (time - from))..]);
                }
                for (var i = 0; i < kept.Length; i += 2)
                {
                    var (max, sum) = (kept[i], kept[i + 1]);
                    (kept[i], kept[i + 1]) = sum == 0 ? (0, 0) : (max, 1 / sum);
                    var row = From(y, batch, head, from + i / 2).Data[..size];
                    if (sum == 0) row.Clear();
                    else Simd.Scale(kept[i + 1], row);
                }
            }
        }

        private void Tile(in Right transposedKeys, in Right values, int batch, int head, int time, int rows, int key, int keys, Span<float> s, Span<float> kept)
        {
            var (first, last) = scores.Keys(time, rows);
            var (size, stride, seen) = (y.Layout.Size, TileRow(v.Layout.Length), Math.Min(keys, last - key));
            if (seen <= 0 || first >= key + keys) return;
            var to = From(y, batch, head, time);
            scores.Make(transposedKeys, batch, head, time, rows, key, seen, s, stride, default);
            for (var r = 0; r < rows; r++)
            {
                var shrink = Exponentials(s.Slice(r * stride, stride), scores.Factor, kept.Slice(2 * r, 2));
                if (first < key && shrink != 1) Simd.Scale(shrink, to.Row(r, size));
            }
            values.Product(rows, size, seen, new Strided(s, stride), to, accumulate: first < key);
        }

        // Turns a row of scores, short of a factor, into exp(s - max) and brings (max, sum) up to date; gives what sums made so far shrink by.
        private static float Exponentials(Span<float> row, float factor, Span<float> kept)
        {
            var (before, max) = (kept[0], MathF.Max(kept[0], factor * SoftExp.Max(row)));
            var shift = max == float.NegativeInfinity ? 0 : max;
            var shrink = before == max ? 1 : MathF.Exp(before - shift);
            (kept[0], kept[1]) = (max, kept[1] * shrink + SoftExp.OfDifference(row, factor, shift, 1, row));
            return shrink;
        }
    }

    // A block owns one key head of one batch, and with it the query heads that read it: no two blocks write to one place.
    private readonly struct AttentionBackwardJob(Scores scores, HeadView v, HeadView dy, Tensor statistics, Tensor means,
        Tensor? dq, Tensor? dk, Tensor? dv, Tensor? dscores) : IRows
    {
        [SkipLocalsInit]
        public void Run(int start, int end)
        {
            var (keyHeads, length, all, size) = (v.Layout.Count, dy.Layout.Length, v.Layout.Length, v.Layout.Size);
            var (rows, keys) = (TileRows(length), Math.Min(all, KeyTile));
            var tile = rows * TileRow(keys);
            var (across, down) = rows < length || scores.Group > 1 ? Rooms(keys, size) : default;
            Span<float> p = stackalloc float[tile], dp = stackalloc float[tile], bent = stackalloc float[scores.Options.Softcap > 0 ? tile : 0];
            Span<float> keyRoom = stackalloc float[across], valueRoom = stackalloc float[across], rowRoom = stackalloc float[down];
            for (var block = start; block < end; block++)
            {
                var (batch, keyHead) = (block / keyHeads, block % keyHeads);
                var heads = (First: keyHead * scores.Group, End: (keyHead + 1) * scores.Group);
                ClearBlind(batch, heads.First, heads.End, rows);
                // Σ_j p dp wants all keys: where a tile of queries sees more of them than one tile of keys, a first pass makes it.
                for (var pass = all <= KeyTile ? 1 : 0; pass < 2; pass++)
                {
                    for (var key = 0; key < all; key += KeyTile)
                    {
                        keys = Math.Min(KeyTile, all - key);
                        var ofK = From(scores.K, batch, keyHead, key);
                        var ofV = From(v, batch, keyHead, key);
                        Right transposedKeys = new(ofK, true, keys, size, keyRoom), transposedValues = new(ofV, true, keys, size, valueRoom);
                        var keyRows = new Right(ofK, false, keys, size, rowRoom);
                        var written = 0;                                                          // of these keys: dk and dv are there, and grow from now on
                        for (var head = heads.First; head < heads.End; head++)
                        {
                            for (var time = 0; time < length; time += rows)
                            {
                                Tile(transposedKeys, transposedValues, keyRows, batch, head, time, Math.Min(rows, length - time), key, keys, pass == 0,
                                    p, dp, bent, ref written);
                            }
                        }
                        if (pass == 1) ClearKeys(batch, keyHead, key + written, keys - written);
                    }
                }
            }
        }

        private void Tile(in Right transposedKeys, in Right transposedValues, in Right keyRows, int batch, int head, int time, int rows, int key, int keys,
            bool isFirstPass, Span<float> p, Span<float> dp, Span<float> bent, ref int written)
        {
            HeadView q = scores.Q, k = scores.K;
            var (size, stride, scale) = (q.Layout.Size, TileRow(v.Layout.Length), scores.Options.Scale!.Value);
            var (first, last) = scores.Keys(time, rows);
            var (seen, single) = (Math.Min(keys, last - key), first >= key && last <= key + keys);
            if (seen <= 0 || first >= key + keys || isFirstPass && single) return;

            var at = (batch * q.Layout.Count + head) * dy.Layout.Length + time;
            var dRows = From(dy, batch, head, time);
            var mean = means.Floats().Slice(at, rows);
            scores.Make(transposedKeys, batch, head, time, rows, key, seen, p, stride, bent);
            transposedValues.Product(rows, seen, size, dRows, new Strided(dp, stride), false);
            var kept = statistics.Floats().Slice(2 * at, 2 * rows);
            for (var r = 0; r < rows; r++)
            {
                Span<float> row = p.Slice(r * stride, stride), slope = dp.Slice(r * stride, stride);
                SoftExp.OfDifference(row, scores.Factor, kept[2 * r], kept[2 * r + 1], row);
                if (isFirstPass || single) mean[r] = (first < key ? mean[r] : 0) + Simd.Dot(row[..seen], slope[..seen]);
            }
            if (isFirstPass) return;
            var tile = new Strided(p, stride);
            var keyHead = head / scores.Group;
            var adds = written > 0;
            if (adds) ClearKeys(batch, keyHead, key + written, seen - written);
            written = Math.Max(written, seen);
            if (dv is not null) Strided.Product(seen, size, rows, tile, true, dRows, false, From(v with { Tensor = dv }, batch, keyHead, key), adds);
            if (dq is null && dk is null && dscores is null) return;
            for (var r = 0; r < rows; r++)
            {
                var row = p.Slice(r * stride, stride);
                var isPlain = dscores is null && bent.IsEmpty;
                Slope(row, dp.Slice(r * stride, stride), mean[r], isPlain ? scale : 1);
                if (isPlain) continue;
                if (dscores is not null) row[..seen].CopyTo(dscores.Row(at + r)[key..]);
                if (!bent.IsEmpty) Unbend(row, bent.Slice(r * stride, stride));
                Simd.Scale(scale, row);
            }
            if (dq is not null) keyRows.Product(rows, size, seen, tile, From(q with { Tensor = dq }, batch, head, time), accumulate: first < key);
            var qRows = From(q, batch, head, time);
            if (dk is not null) Strided.Product(seen, size, rows, tile, true, qRows, false, From(k with { Tensor = dk }, batch, keyHead, key), adds);
        }

        // factor p ∘ (dp - mean), over p
        private static void Slope(Span<float> p, ReadOnlySpan<float> dp, float mean, float factor)
        {
            Vector<float> m = new(mean), f = new(factor);
            for (var i = 0; i < p.Length; i += Simd.Width) Simd.Store(Simd.Load(p, i) * (Simd.Load(dp, i) - m) * f, p, i);
        }

        // ds ∘ (1 - t²), over ds
        private static void Unbend(Span<float> ds, ReadOnlySpan<float> t)
        {
            for (var i = 0; i < ds.Length; i += Simd.Width) Simd.Store(Simd.Load(ds, i) * (Vector<float>.One - Simd.Load(t, i) * Simd.Load(t, i)), ds, i);
        }

        // Queries that see no key.
        private void ClearBlind(int batch, int head, int end, int rows)
        {
            for (; head < end; head++)
            {
                for (var time = 0; time < dy.Layout.Length; time += rows)
                {
                    var count = Math.Min(rows, dy.Layout.Length - time);
                    var (first, last) = scores.Keys(time, count);
                    if (first == last) Clear(dq, scores.Q, batch, head, time, count);
                }
            }
        }

        private void ClearKeys(int batch, int keyHead, int key, int count)
        {
            Clear(dk, scores.K, batch, keyHead, key, count);
            Clear(dv, v, batch, keyHead, key, count);
        }

        private static void Clear(Tensor? d, HeadView x, int batch, int head, int time, int count)
        {
            if (d is null) return;
            for (var end = time + count; time < end; time++) d.Floats().Slice(x.At(batch, head, time), x.Layout.Size).Clear();
        }
    }
}
