namespace NanoLora.Nn;

/// <summary>y = x Wᵀ + b, with a slot for an adapter. It is the checkpoint's matrix: what is fused in the file (a qkv) stays fused.</summary>
public sealed class Linear : Module
{
    private (Parameter Weight, Parameter? Bias, Adapter? Adapter)? _unmerged;

    /// <summary>
    /// A linear over the given weight [out, in] and bias [out]; it holds their storage, the tensors given stay with their scope or the caller.
    /// </summary>
    public Linear(Tensor weight, Tensor? bias = null)
    {
        Weight = Own("weight", weight);
        if (bias is not null) Bias = Own("bias", bias);
    }

    /// <summary>A linear whose weight [out, in] is another module's as well: a head tied to the embedding.</summary>
    internal Linear(Parameter shared) => Weight = Own("weight", shared);

    /// <summary>[out, in]</summary>
    public Parameter Weight { get; private set; }

    /// <summary>[out], or none.</summary>
    public Parameter? Bias { get; private set; }

    /// <summary>The size of the input's last axis.</summary>
    public int In => Weight.Shape[1];

    /// <summary>The size of the output's last axis.</summary>
    public int Out => Weight.Shape[0];

    /// <summary>What is added to the base, or null. Change it only while nobody runs the model.</summary>
    public Adapter? Adapter
    {
        get;
        set
        {
            if (_unmerged is not null) throw new InvalidOperationException("Linear: its adapter is merged into the weight; unmerge first.");
            Replace("adapter", field = value);
        }
    }

    /// <summary>Whether the adapter is in the weight now.</summary>
    public bool IsMerged => _unmerged is not null;

    /// <summary>Applies the linear, and the adapter if there is one.</summary>
    public Tensor Forward(Tensor x)
    {
        var y = x.Linear(Weight, Bias);
        return Adapter is null ? y : Adapter.Apply(this, x, y);
    }

    /// <summary>
    /// This linear of f(inputs): half a block. Where the workspace recomputes blocks, f is run again in backward, and so nothing that f made is kept. The
    /// linear itself is run again only if what enters it must be there for its own gradient; a frozen one keeps nothing.
    /// </summary>
    /// <param name="f">A function of these inputs and of parameters only.</param>
    /// <param name="inputs">One to six, the first not null.</param>
    internal Tensor After(Func<IReadOnlyList<Tensor?>, Tensor> f, params ReadOnlySpan<Tensor?> inputs)
    {
        if (!inputs[0]!.Workspace.RecomputeBlocks) return Forward(f(inputs.ToArray()));
        var keepsInput = Adapter is not null || Weight.Trains;
        return keepsInput ? Tensor.Recompute(x => Forward(f(x)), inputs) : Forward(Tensor.Recompute(f, inputs));
    }

    /// <summary>As <see cref="After(Func{IReadOnlyList{Tensor?}, Tensor}, ReadOnlySpan{Tensor?})"/>, of one input.</summary>
    internal Tensor After(Func<Tensor, Tensor> f, Tensor x) => After(inputs => f(inputs[0]!), x);

    /// <summary>As <see cref="After(Func{Tensor, Tensor}, Tensor)"/>, of an f of each row alone: rows go through in slices where nothing trains.</summary>
    internal Tensor AfterRows(Func<Tensor, Tensor> f, Tensor x) =>
        x.Workspace.RecomputeBlocks && Adapter is null ? x.RecomputeRows(f, Weight, Bias) : After(f, x);

    /// <summary>Puts the adapter into the weight. The old weight is kept, so that <see cref="Unmerge"/> gives it back bit for bit.</summary>
    internal void Merge()
    {
        if (Adapter is not { } adapter) return;
        var (weight, bias) = adapter.Merged(this);
        var before = (Weight, Bias, adapter);
        Adapter = null;
        Weight = Swap("weight", weight);
        if (bias is not null) Bias = Swap("bias", bias);
        _unmerged = before;
    }

    /// <summary>Puts the adapter into the weight for good; the adapter stays the caller's.</summary>
    internal void Fuse()
    {
        if (Adapter is not { } adapter) return;
        var (weight, bias) = adapter.Merged(this);
        Adapter = null;
        var (oldWeight, oldBias) = (Weight, Bias);
        Weight = Swap("weight", weight);
        if (bias is not null) Bias = Swap("bias", bias);
        if (Weight != oldWeight) oldWeight.Dispose();
        if (Bias != oldBias) oldBias?.Dispose();
    }

    /// <summary>Undoes <see cref="Merge"/>.</summary>
    internal void Unmerge()
    {
        if (_unmerged is not { } before) return;
        _unmerged = null;
        if (Weight != before.Weight) Weight.Dispose();
        if (Bias != before.Bias) Bias?.Dispose();
        Replace("weight", Weight = before.Weight);
        if (before.Bias is not null) Replace("bias", Bias = before.Bias);
        Adapter = before.Adapter;
    }

    private Parameter Swap(string name, Tensor value)
    {
        var parameter = new Parameter(value);
        value.Dispose();
        Replace(name, parameter);
        return parameter;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (_unmerged is { } before)
        {
            before.Weight.Dispose();
            before.Bias?.Dispose();
            before.Adapter?.Dispose();
        }
        base.Dispose();
    }
}
