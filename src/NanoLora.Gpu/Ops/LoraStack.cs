using ILGPU;

namespace NanoLora;

// The gated LoRA stack: two skinny products with the gate between them.   h = x Aᵀ,   y[:, column..] += (h ∘ gate) Bᵀ

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void LoraStack(Tensor x, Tensor a, Tensor b, Tensor y, Tensor h, Gate gate, int column)
    {
        int rows = h.Rows, rank = h.Cols;
        Product(x, 0, a, null, h, 0, new MatMulShape(rows, rank, a.Cols, a.Cols, false, a.Cols, true, rank, accumulate: false));
        using var scope = x.Workspace.Scope(grad: false);
        Product(Gated(h, gate), 0, b, null, y, column, new MatMulShape(rows, b.Shape[0], rank, rank, false, rank, true, y.Cols, accumulate: true));
    }

    /// <inheritdoc/>
    public override void LoraStackBackward(Tensor? x, Tensor? a, Tensor b, Tensor? h, Tensor dy, Gate gate, int column, Tensor? dx,
        Tensor? da, Tensor? db, Tensor? dWeights)
    {
        using var scope = dy.Workspace.Scope(grad: false);
        int rows = dy.Rows, rank = b.Cols, width = b.Shape[0];
        if (db is not null)
            Product(dy, column, Gated(h!, gate), null, db, 0, new MatMulShape(width, rank, rows, dy.Cols, true, rank, false, rank, accumulate: false));
        if (dx is null && da is null && dWeights is null) return;
        var t = dy.New(new Shape(rows, rank));
        Product(dy, column, b, null, t, 0, new MatMulShape(rows, rank, width, dy.Cols, false, rank, false, rank, accumulate: false));
        if (dWeights is not null) GateGradient(t, h!, gate, dWeights);
        if (dx is null && da is null) return;
        var u = Gated(t, gate);
        if (da is not null) Product(u, 0, x!, null, da, 0, new MatMulShape(rank, da.Cols, rows, rank, true, da.Cols, false, da.Cols, accumulate: false));
        if (dx is not null) Product(u, 0, a!, null, dx, 0, new MatMulShape(rows, dx.Cols, rank, rank, false, dx.Cols, false, dx.Cols, accumulate: false));
    }

    /// <summary>h ∘ gate, or h itself where the gate is 1.</summary>
    private Tensor Gated(Tensor h, Gate gate)
    {
        if (gate is { Weights: null, Scale: 1 } || h.Count == 0) return h;
        var y = h.New(h.Shape);
        if (gate.Weights is not { } weights) Scale(h, y, gate.Scale);
        else
            _launch.Run(GateKernel, _launch.Elements(y.Count), In(h), In(weights), InInts(gate.Owner!), Out(y), gate.Scale, h.Cols,
                h.Rows / weights.Rows, weights.Cols);
        return y;
    }

    /// <summary>dWeights[g, n] = s Σ (rows of g, r of n) t ∘ h: one column sum a group of rows, then the columns of a module are added in order.</summary>
    private void GateGradient(Tensor t, Tensor h, Gate gate, Tensor dWeights)
    {
        var (groups, rank) = (dWeights.Rows, h.Cols);
        var product = h.New(h.Shape);
        Binary<Multiply>(t, h, product);
        var sums = h.New(new Shape(groups, rank));
        SumMiddle(product, sums, groups, h.Rows / groups);
        if (dWeights.Count > 0)
            _launch.Run(GateGradientKernel, _launch.Elements(dWeights.Count), In(sums), InInts(gate.Owner!), Out(dWeights), gate.Scale, rank, dWeights.Cols);
    }

    /// <summary>A thread owns every so many-th element of y; its column says which module's weight it takes, its row which group's.</summary>
    public static void GateKernel(ArrayView<float> h, ArrayView<float> weights, ArrayView<int> owner, ArrayView<float> y, float scale,
        int rank, int rowsOfGroup, int modules)
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride) y[i] = h[i] * (scale * weights[i / rank / rowsOfGroup * modules + owner[i % rank]]);
    }

    /// <summary>A thread owns the weight of one module in one group of rows.</summary>
    public static void GateGradientKernel(ArrayView<float> sums, ArrayView<int> owner, ArrayView<float> dWeights, float scale, int rank, int modules)
    {
        for (var i = Each.First; Each.Within(i, dWeights); i += Each.Stride)
        {
            var sum = 0f;
            for (var r = 0; r < rank; r++) if (owner[r] == i % modules) sum += scale * sums[i / modules * rank + r];
            dWeights[i] = sum;
        }
    }
}
