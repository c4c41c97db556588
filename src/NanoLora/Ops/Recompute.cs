namespace NanoLora;

// Recomputation: y = f(x), where f's activations are not kept but made again when the gradient comes back.
// Gradient: run f on x once more with a tape, then backward through that tape. Costs one more forward pass, saves everything between x and y.
// Random numbers: the streams that f drew are drawn again, so dropout is the same (Chen et al. 2016, "Training deep nets with sublinear memory cost").

public partial class Tensor
{
    /// <summary>Runs a block without keeping its activations; backward runs it again.</summary>
    /// <param name="block">A function of this tensor and of parameters only.</param>
    public Tensor Recompute(Func<Tensor, Tensor> block)
    {
        if (!Workspace.Records) return block(this);
        var streams = Workspace.Streams;
        Tensor y;
        using (Workspace.Scope(grad: false)) y = block(this).Detach().Keep();
        return y.By(new RecomputeNode(this, block, streams));
    }
}

file sealed class RecomputeNode(Tensor x, Func<Tensor, Tensor> block, ulong streams) : Node([x], [x])
{
    protected override void Backward(Tensor dy)
    {
        var workspace = dy.Workspace;
        var (drawn, floor) = (workspace.Streams, workspace.TapeLength);
        workspace.Streams = streams;
        var leaf = new Leaf(Saved(0).Shape);
        try
        {
            using (workspace.Open(records: true))
            {
                var x = Saved(0).Detach();
                if (Wants(0)) x.Node = leaf;
                var y = block(x);
                if (y.Node is not null) y.Backward(dy, floor);
            }
            if (leaf.Gradient is { } dx) Give(0, dx);
        }
        finally
        {
            workspace.Streams = drawn;
            leaf.Clear();
        }
    }
}
