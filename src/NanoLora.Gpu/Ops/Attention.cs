using ILGPU;
using ILGPU.Runtime;

namespace NanoLora;

// Attention in tiles: nothing of size Tq Tk but a mask's gradient is ever in the device's memory.
//
// Forward. A group owns R queries of one head, and goes through the keys a tile at a time with a running maximum:
//     s = scale q kᵀ, bent and masked   [R, keys]
//     m' = max(m, max s),   p = exp(s - m'),   sum' = sum exp(m - m') + Σ p,   y' = y exp(m - m') + p v
//
//             tx → 0 .. Across - 1                     rows     ty + Down i          i < 4      of s, p and y
//          ┌───────────────┐                           columns  tx + Across j        j < 4      of s and p: neighbours in tx read neighbouring keys
//     ty ↓ │ 4x4 of s,     │                                    4 tx + j,  4 (tx + Across) + j  of y: neighbours read neighbouring fours of v
//          │ 4x4 or 4x8 of y│                          In registers: s, the maximum of each of the four rows, this thread's share of their sums, and y.
//          └───────────────┘                           In shared memory: q whole, p, and one slab of keys or of values.
//
//     A thread multiplies blocks of 4 x 4 (Float4x4): 8 fours are read for 64 multiplications, and 12 for 128 where its share of y is 4 x 8. So of shared
//     memory are read 1/2 a number a multiplication for s and 3/8 for y. Rows there have one four more than they need (p: a quarter more), which begins
//     them in different banks.
//
// Backward (Attention.Backward.cs). The scores are made again. One kernel owns queries, and makes Σ_j p dp and dq in two passes over the keys; the other owns
// keys, and goes through the queries of all heads that read them: no two groups write to one place.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Attention(HeadView q, HeadView k, HeadView v, Tensor? mask, Tensor y, Tensor statistics, AttentionOptions options)
    {
        if (y.Count == 0) return;
        var s = new AttentionShape(q, k, v, HeadView.SideBySide(y, q.Layout.Count), mask, options);
        switch (HeadTile(s.Size))
        {
            case <= 16: Run<HeadsOf16>(); break;
            case <= 32: Run<HeadsOf32>(); break;
            case <= 64: Run<HeadsOf64>(); break;
            case <= 128: Run<HeadsOf128>(); break;
            default: Run<HeadsOf256>(); break;
        }

        void Run<T>() where T : unmanaged, IHeadTile =>
            _launch.Run(AttentionKernel<T>, (s.Groups(s.Heads, s.Queries, 4 * T.Down), T.Across * T.Down), In(q.Tensor), In(k.Tensor), In(v.Tensor),
                In(mask, y), Out(y), Out(statistics), s);
    }

    // The size of the tile that serves a head.
    private int HeadTile(int size)
    {
        var largeGroups = _launch.Allows(HeadsOf64.Across * HeadsOf64.Down);
        var most = largeGroups ? HeadsOf256.Size : HeadsOf16.Size;
        if (size > most) throw new ArgumentException($"Attention: heads of {size}; on {Name} they have {most} elements at most.");
        return largeGroups ? Math.Max(size, HeadsOf32.Size) : HeadsOf16.Size;
    }

    /// <summary>
    /// A group owns R queries of one head; a thread 4 x 4 scores of each tile, and 4 x 8 elements of the result (4 x 4 where heads are small).
    /// </summary>
    public static void AttentionKernel<T>(ArrayView<float> q, ArrayView<float> k, ArrayView<float> v, ArrayView<float> mask, ArrayView<float> y,
        ArrayView<float> statistics, AttentionShape s)
        where T : unmanaged, IHeadTile
    {
        var tileQ = SharedMemory.Allocate<Float4>(4 * T.Down * (T.Size / 4 + 1));
        var slab = SharedMemory.Allocate<Float4>(4 * T.Across * (T.SlabCols / 4 + 1));
        var tileP = SharedMemory.Allocate<Float4>(4 * T.Down * (T.Across + (T.Across + 3) / 4));
        var meeting = SharedMemory.Allocate<Float4>(T.Across * T.Down);
        int t = Group.IdxX, tx = t % T.Across, ty = t / T.Across, rows = 4 * T.Down, keys = 4 * T.Across;
        int tiles = (s.Queries + rows - 1) / rows, batch = Grid.IdxX / tiles / s.Heads, head = Grid.IdxX / tiles % s.Heads, time = Grid.IdxX % tiles * rows;

        Load(tileQ, rows, T.Size, q, s.Q.At(batch, head, time), s.Q.RowStride, s.Queries - time, s.Size, T.Across * T.Down);
        Float4x4 o = default, w = default;
        Float4 max = new(float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity), sum = default;
        int first = s.FirstKey(time), last = s.LastKey(time, rows);
        for (var key = first; key < last; key += keys)
        {
            Float4x4 p = default;
            AddDots<T>(ref p, tileQ, slab, T.Down, k, s.K.At(batch, head / s.GroupSize, key), s.K.RowStride, last - key, s.Size);
            // Where a query stands is worked out again each time: it would take registers from the products.
            p = new(Scores(s, new(s, batch, head, time + ty), p.A, mask, key + tx, T.Across),
                Scores(s, new(s, batch, head, time + ty + T.Down), p.B, mask, key + tx, T.Across),
                Scores(s, new(s, batch, head, time + ty + 2 * T.Down), p.C, mask, key + tx, T.Across),
                Scores(s, new(s, batch, head, time + ty + 3 * T.Down), p.D, mask, key + tx, T.Across));

            meeting[t] = new(p.A.Max(), p.B.Max(), p.C.Max(), p.D.Max());
            Group.Barrier();
            var before = max;
            for (var i = 0; i < T.Across; i++) max = max.Max(meeting[ty * T.Across + i]);
            Float4 shift = new(Shift(max.X), Shift(max.Y), Shift(max.Z), Shift(max.W));
            Float4 shrink = new(Shrink(before.X, max.X), Shrink(before.Y, max.Y), Shrink(before.Z, max.Z), Shrink(before.W, max.W));
            p = new(Exp(p.A, shift.X), Exp(p.B, shift.Y), Exp(p.C, shift.Z), Exp(p.D, shift.W));
            var more = p.RowSums();
            sum = new(sum.X * shrink.X + more.X, sum.Y * shrink.Y + more.Y, sum.Z * shrink.Z + more.Z, sum.W * shrink.W + more.W);
            o = o.RowsTimes(shrink);
            w = w.RowsTimes(shrink);

            Store<T>(tileP, T.Down, p);
            AddWeighted<T>(ref o, ref w, tileP, slab, T.Down, v, s.V.At(batch, head / s.GroupSize, key), s.V.RowStride, last - key, s.Size, isThere: false);
        }

        Group.Barrier();
        meeting[t] = sum;
        Group.Barrier();
        var total = MeetingSum<T>(meeting);
        Float4 inverse = new(Inverse(total.X), Inverse(total.Y), Inverse(total.Z), Inverse(total.W));
        Write<T>(y, s.Y, batch, head, time + ty, T.Down, s.Queries, s.Size, o.RowsTimes(inverse), w.RowsTimes(inverse));
        if (tx > 0) return;
        Keep(statistics, s, batch, head, time + ty, max.X, inverse.X);
        Keep(statistics, s, batch, head, time + ty + T.Down, max.Y, inverse.Y);
        Keep(statistics, s, batch, head, time + ty + 2 * T.Down, max.Z, inverse.Z);
        Keep(statistics, s, batch, head, time + ty + 3 * T.Down, max.W, inverse.W);
    }

    // s'' of a query and four keys.
    private static Float4 Scores(AttentionShape s, QueryRow row, Float4 dots, ArrayView<float> mask, int key, int step) =>
        new(Score(s, row, dots.X, mask, key), Score(s, row, dots.Y, mask, key + step), Score(s, row, dots.Z, mask, key + 2 * step),
            Score(s, row, dots.W, mask, key + 3 * step));

    private static float Score(AttentionShape s, QueryRow row, float dot, ArrayView<float> mask, int key) =>
        row.Sees(key) ? s.Score(dot, mask, row.MaskAt(key), out _) : float.NegativeInfinity;

    // A row that has seen nothing yet has no maximum to be taken off.
    private static float Shift(float max) => max == float.NegativeInfinity ? 0 : max;

    // What sums so far shrink by.
    private static float Shrink(float before, float max) => before == max ? 1 : Exp(before - Shift(max));

    private static float Inverse(float sum) => sum == 0 ? 0 : 1 / sum;

    private static void Keep(ArrayView<float> statistics, AttentionShape s, int batch, int head, int time, float max, float inverse)
    {
        if (time >= s.Queries) return;
        var at = 2 * s.Row(batch, head, time);
        statistics[at] = inverse == 0 ? 0 : max;
        statistics[at + 1] = inverse;
    }
}
