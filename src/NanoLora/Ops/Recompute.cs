namespace NanoLora;

// Recomputation: y = f(x, ..), where f's activations are not kept but made again when the gradient comes back.
// Gradient: run f on the inputs once more with a tape, then backward through that tape. Costs f's forward pass once more, keeps the inputs alone.
// Random numbers: the streams that f drew are drawn again, so dropout is the same (Chen et al. 2016, "Training deep nets with sublinear memory cost").

public partial class Tensor
{
    /// <summary>Runs a block without keeping its activations; backward runs it again.</summary>
    /// <param name="block">A function of this tensor and of parameters only.</param>
    public Tensor Recompute(Func<Tensor, Tensor> block)
    {
        ArgumentNullException.ThrowIfNull(block);
        return Recompute(inputs => block(inputs[0]!), this);
    }

    /// <summary>Runs a block of several inputs without keeping its activations; backward runs it again.</summary>
    /// <param name="block">A function of these inputs and of parameters only: another tensor that it sees would be gone when it runs again.</param>
    /// <param name="inputs">What the block is given, in this order: one to six, the first not null.</param>
    /// <exception cref="ArgumentException">No input, or more than six.</exception>
    public static Tensor Recompute(Func<IReadOnlyList<Tensor?>, Tensor> block, params ReadOnlySpan<Tensor?> inputs)
    {
        ArgumentNullException.ThrowIfNull(block);
        if (inputs.Length is 0 or > Node.Most || inputs[0] is not { } first)
            throw new ArgumentException($"Recompute: {inputs.Length} inputs; one to {Node.Most} are taken, and the first must be there.");
        var workspace = first.Workspace;
        if (!workspace.Records) return block(inputs.ToArray());
        var streams = workspace.Streams;
        Tensor y;
        bool needsGrad;
        using (workspace.Scope())
        {
            var recorded = block(inputs.ToArray());                                   // with a tape, which tells whether anything here trains; it ends here
            needsGrad = recorded.NeedsGrad;
            y = recorded.Detach().Keep();
        }
        return y.By(needsGrad ? new RecomputeNode(block, inputs, streams) : null);
    }
}

file sealed class RecomputeNode(Func<IReadOnlyList<Tensor?>, Tensor> block, ReadOnlySpan<Tensor?> inputs, ulong streams) : Node(inputs, inputs)
{
    private readonly int _count = inputs.Length;

    // The second tape ends in the nodes of the inputs themselves: their gradients add up in the order, and so to the bits, of a block that was kept.
    protected override void Backward(Tensor dy)
    {
        var workspace = dy.Workspace;
        var (drawn, floor) = (workspace.Streams, workspace.TapeLength);
        workspace.Streams = streams;
        try
        {
            Tensor y;
            using (workspace.Open(records: true))
            {
                var again = new Tensor?[_count];
                for (var i = 0; i < _count; i++)
                {
                    again[i] = SavedOrNull(i)?.Detach();
                    if (again[i] is { } x) x.Node = Input(i);
                }
                y = block(again).Keep();                                              // its tape outlives the scope, as nothing else does
            }
            var last = y.Node!;
            y.Dispose();
            last.Accumulate(dy.Alias());
            workspace.Rewind(floor);
        }
        finally
        {
            workspace.Streams = drawn;
        }
    }
}
