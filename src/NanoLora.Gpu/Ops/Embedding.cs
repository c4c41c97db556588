using System.Buffers;
using ILGPU;
using ILGPU.Runtime;

namespace NanoLora;

// Rows of a table, and the sum of gradients by row. Several positions may name one row: one group adds them all up, in order, so that no two groups write to
// one place and the sum does not depend on who comes first. Which positions those are is worked out on the host, from its copy of the ids.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Embedding(Tensor weight, Tensor ids, Tensor y)
    {
        if (y.Count == 0) return;
        var groups = _launch.Elements(y.Count);
        switch (weight.DType)
        {
            case DType.F32: _launch.Run(EmbeddingKernel<float, FromF32>, groups, View<float>(weight, false), InInts(ids), Out(y), y.Cols); break;
            case DType.BF16: _launch.Run(EmbeddingKernel<ushort, FromBF16>, groups, View<ushort>(weight, false), InInts(ids), Out(y), y.Cols); break;
            case DType.F16: _launch.Run(EmbeddingKernel<ushort, FromF16>, groups, View<ushort>(weight, false), InInts(ids), Out(y), y.Cols); break;
            case DType.F8E4M3: _launch.Run(EmbeddingKernel<byte, FromF8E4M3>, groups, View<byte>(weight, false), InInts(ids), Out(y), y.Cols); break;
            case DType.F8E5M2: _launch.Run(EmbeddingKernel<byte, FromF8E5M2>, groups, View<byte>(weight, false), InInts(ids), Out(y), y.Cols); break;
            default: throw new ArgumentException($"Embedding: a table of {weight.DType}.");
        }
    }

    /// <inheritdoc/>
    public override void EmbeddingBackward(Tensor ids, Tensor dy, Tensor dw, int? paddingIndex)
    {
        Fill(dw, 0);
        if (dy.Count == 0) return;
        var count = ids.Count;
        var pairs = ArrayPool<long>.Shared.Rent(count);
        var plan = ArrayPool<int>.Shared.Rent(2 * count + 1);
        try
        {
            var rows = Plan(HostInts(ids), paddingIndex ?? -1, pairs, plan);
            if (rows == 0) return;
            using var on = ids.Workspace.Loose(new Shape(count + rows + 1), DType.I32);
            Upload<int>(plan.AsSpan(0, on.Count), on);
            _launch.Run(EmbeddingBackwardKernel, _launch.Rows(rows), InInts(ids), InInts(on), In(dy), Out(dw), count, dw.Cols);
        }
        finally
        {
            ArrayPool<long>.Shared.Return(pairs);
            ArrayPool<int>.Shared.Return(plan);
        }
    }

    // Positions in the order of the rows they name, those of one row in their own; behind them, where each row's begin. Gives how many rows are named.
    private static int Plan(ReadOnlySpan<int> ids, int padding, Span<long> pairs, Span<int> plan)
    {
        for (var i = 0; i < ids.Length; i++) pairs[i] = (long)ids[i] << 32 | (uint)i;
        pairs = pairs[..ids.Length];
        pairs.Sort();
        var rows = 0;
        var last = -1;
        var named = 0;
        foreach (var pair in pairs)
        {
            var id = (int)(pair >> 32);
            if (id == padding) continue;
            if (id != last) plan[ids.Length + rows++] = named;
            last = id;
            plan[named++] = (int)pair;
        }
        plan[ids.Length + rows] = named;
        plan[named..ids.Length].Clear();
        return rows;
    }

    /// <summary>A thread owns every so many-th element of y.</summary>
    public static void EmbeddingKernel<T, TFrom>(ArrayView<T> w, ArrayView<int> ids, ArrayView<float> y, int cols)
        where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        for (var n = Each.First; Each.Within(n, y); n += Each.Stride) y[n] = TFrom.Widen(w[ids[n / cols] * cols + n % cols]);
    }

    /// <summary>A group owns a row that is named, and adds its gradients up; its threads stride over the columns.</summary>
    public static void EmbeddingBackwardKernel(ArrayView<int> ids, ArrayView<int> plan, ArrayView<float> dy, ArrayView<float> dw, int count, int cols)
    {
        int first = plan[count + Grid.IdxX], end = plan[count + Grid.IdxX + 1], id = ids[plan[first]];
        for (var c = Group.IdxX; c < cols; c += Group.DimX)
        {
            var sum = 0f;
            for (var i = first; i < end; i++) sum += dy[plan[i] * cols + c];
            dw[id * cols + c] = sum;
        }
    }
}
