namespace NanoLora;

// Rows of a table:   y[i] = W[id_i]
// Gradient:          dW[r] = Σ dy[i] over the i with id_i = r, in the order of i; none for the padding row     — needs the ids only
//
// A frozen table may rest in a smaller type: its rows are widened as they are read.

public partial class Tensor
{
    /// <summary>The rows of this table [rows, cols] that the ids name: [.., cols].</summary>
    /// <param name="ids">I32 of any shape.</param>
    /// <param name="paddingIndex">A row that is read as it is but gets no gradient; or null.</param>
    /// <exception cref="ArgumentException">An id is not a row of the table, or the ids are not I32.</exception>
    public Tensor Embedding(Tensor ids, int? paddingIndex = null)
    {
        if (Shape.Rank != 2 || ids.DType != DType.I32 || ids.Shape.Rank == Shape.MaxRank)
            throw new ArgumentException($"Embedding: a table {Shape} has two axes, and ids {ids.DType} {ids.Shape} are I32 of {Shape.MaxRank - 1} at most.");
        var place = Backend.FirstOutside(ids, Shape[0], null, out var id);
        if (place >= 0) throw new ArgumentException($"Embedding: id {id} at position {place} of {ids.Shape} is not one of the {Shape[0]} rows of the table.");
        Span<int> sizes = stackalloc int[ids.Shape.Rank + 1];
        ids.Shape.Sizes.CopyTo(sizes);
        sizes[^1] = Cols;
        var y = New(new Shape(sizes));
        Backend.Embedding(this, ids, y);
        return y.By(NeedsGrad ? new EmbeddingNode(this, ids, paddingIndex) : null);
    }
}

public abstract partial class Backend
{
    /// <summary>y[i] = W[id_i], widened where W rests in a smaller type.</summary>
    public abstract void Embedding(Tensor weight, Tensor ids, Tensor y);

    /// <summary>dW[r] = Σ dy[i] over the i with id_i = r and r not the padding.</summary>
    public abstract void EmbeddingBackward(Tensor ids, Tensor dy, Tensor dw, int? paddingIndex);
}

file sealed class EmbeddingNode(Tensor weight, Tensor ids, int? paddingIndex) : Node([weight], [ids])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dw)) dy.Backend.EmbeddingBackward(Saved(0), dy, dw, paddingIndex);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Embedding(Tensor weight, Tensor ids, Tensor y) => ForRows(ids.Count, y.Cols, new EmbeddingJob(weight, ids, y));

    /// <inheritdoc/>
    public override void EmbeddingBackward(Tensor ids, Tensor dy, Tensor dw, int? paddingIndex)
    {
        Fill(dw, 0);
        ForRows(Panels(dw.Cols), ids.Count * Math.Min(dw.Cols, Panel), new EmbeddingBackwardJob(ids, dy, dw, paddingIndex));
    }

    private readonly struct EmbeddingJob(Tensor weight, Tensor ids, Tensor y) : IRows
    {
        public void Run(int start, int end)
        {
            var bytes = y.Cols * weight.DType.Bytes();
            var table = weight.Raw();
            for (var i = start; i < end; i++) Widening.Widen(table.Slice(ids.Ints()[i] * bytes, bytes), weight.DType, y.Row(i));
        }
    }

    // A block owns up to 64 columns of all rows, and adds the positions in order.
    private readonly struct EmbeddingBackwardJob(Tensor ids, Tensor dy, Tensor dw, int? paddingIndex) : IRows
    {
        public void Run(int start, int end)
        {
            var all = ids.Ints();
            for (var panel = start; panel < end; panel++)
            {
                var first = panel * Panel;
                var width = Math.Min(Panel, dw.Cols - first);
                for (var i = 0; i < all.Length; i++)
                {
                    if (all[i] != paddingIndex) Simd.AddScaled(1, dy.Row(i).Slice(first, width), dw.Row(all[i]).Slice(first, width));
                }
            }
        }
    }
}
