namespace NanoLora;

// Recomputation: y = f(x, ..), where f's activations are not kept but made again when the gradient comes back.
// Gradient: run f on the inputs once more with a tape, then backward through that tape. Costs f's forward pass once more, keeps the inputs alone.
// Random numbers: the streams that f drew are drawn again, so dropout is the same (Chen et al. 2016, "Training deep nets with sublinear memory cost").
//
// Where f takes each row alone, nothing of it trains, and a frozen linear follows, y = f(x) Wᵀ + b (the MLP of a block), rows go through in slices, both ways:
// what f makes of a slice is gone before the next one begins. No sum runs over rows, so slices change no bit.
// Gradient of a slice: f runs again with a tape, which takes dy W; of the linear only this is run twice, not its product.

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

    /// <summary>
    /// <c>block(x).Linear(weight, bias)</c> without keeping what the block makes: backward makes it again, a slice of rows at a time. Where something of the
    /// block or the linear trains, or the block draws random numbers, it is made again as a whole.
    /// </summary>
    /// <param name="block">A function of this tensor and of parameters only, of each row alone; it may be given some rows, as [rows, D].</param>
    /// <param name="weight">[out, in]</param>
    /// <param name="bias">[out], or null.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, or the block makes another number of rows.</exception>
    public Tensor RecomputeRows(Func<Tensor, Tensor> block, Tensor weight, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(block);
        Tensor Whole(Tensor x) => block(x).Linear(weight, bias);
        if (weight.Node is not null) return Recompute(Whole);
        if (Rows <= RecomputeRowsNode.MostRows || !IsFixed(Whole)) return Recompute(block).Linear(weight, bias);
        var y = New(Shape.With(-1, weight.Shape[0]));
        foreach (var (start, end) in RowSlice.Bounds(Rows, RecomputeRowsNode.MostRows))
        {
            using var scope = Workspace.Scope(grad: false);
            var h = block(Flat().Slice(0, start, end));
            if (h.Rows != end - start)
                throw new ArgumentException($"RecomputeRows: the block makes {h.Shape} of {end - start} rows; it must make a row of each.");
            Backend.Linear(h, weight, bias, y.Flat().Slice(0, start, end));
        }
        return y.By(NeedsGrad ? new RecomputeRowsNode(block, this, weight) : null);
    }

    // Whether nothing trains in a function of rows, and it draws no random numbers.
    private bool IsFixed(Func<Tensor, Tensor> f)
    {
        var streams = Workspace.Streams;
        var trains = TrainsInside(f);
        var draws = Workspace.Streams != streams;
        Workspace.Streams = streams;
        return !trains && !draws;
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

file sealed class RecomputeRowsNode(Func<Tensor, Tensor> block, Tensor x, Tensor weight) : Node([x], [x, weight])
{
    public const int MostRows = 512;                                                  // of a slice: enough for products to pack a weight in vain but little

    protected override void Backward(Tensor dy)
    {
        if (!Wants(0, out var dx)) return;
        foreach (var (start, end) in RowSlice.Bounds(dy.Rows, MostRows))
        {
            using var slice = new RowSlice(Saved(0), start, end);
            var h = block(slice.X);
            var last = h.Node;
            var dh = dy.Workspace.Loose(h.Shape);
            h.Dispose();                                                              // run for its tape alone
            dy.Backend.MatMul(dy.Flat().Slice(0, start, end), Saved(1), dh, false, false, accumulate: false);
            slice.Backward(last, dh, dx);
        }
    }
}
