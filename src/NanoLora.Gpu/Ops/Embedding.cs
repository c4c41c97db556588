using ILGPU;
using ILGPU.Runtime;

namespace NanoLora;

// Rows of a table, and the sum of gradients by row. Several positions may name one row: the group of the first of them adds them all up, in order, so that no
// two groups write to one place and the sum does not depend on who comes first.

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
        if (dy.Count > 0) _launch.Run(EmbeddingBackwardKernel, _launch.Rows(ids.Count), InInts(ids), In(dy), Out(dw), ids.Count, dw.Cols, paddingIndex ?? -1);
    }

    /// <summary>A thread owns every so many-th element of y.</summary>
    public static void EmbeddingKernel<T, TFrom>(ArrayView<T> w, ArrayView<int> ids, ArrayView<float> y, int cols)
        where T : unmanaged where TFrom : unmanaged, IWiden<T>
    {
        for (var n = Each.First; Each.Within(n, y); n += Each.Stride) y[n] = TFrom.Widen(w[ids[n / cols] * cols + n % cols]);
    }

    /// <summary>
    /// A group owns a position. If no position before names the same row, it adds that row's gradients up; its threads stride over the columns.
    /// </summary>
    public static void EmbeddingBackwardKernel(ArrayView<int> ids, ArrayView<float> dy, ArrayView<float> dw, int count, int cols, int padding)
    {
        var own = Grid.IdxX;
        var id = ids[own];
        if (id == padding) return;
        for (var i = 0; i < own; i++) if (ids[i] == id) return;
        for (var c = Group.IdxX; c < cols; c += Group.DimX)
        {
            var sum = 0f;
            for (var i = own; i < count; i++) if (ids[i] == id) sum += dy[i * cols + c];
            dw[id * cols + c] = sum;
        }
    }
}
