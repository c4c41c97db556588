namespace NanoLora;

// The gated LoRA stack: N low-rank updates of one linear, computed as one.
//
//   A = [A_1; …; A_N]  [R, in],   B = [B_1 … B_N]  [out, R],   R = Σ r_n,   g = each module's weight repeated r_n times
//   h = x Aᵀ                          [rows, R]
//   y += s (h ∘ g) Bᵀ                 added in place: another pass over y would cost as much as the two skinny products
//
// Weights are [N], or [G, N] with one row of weights per rows / G rows of x: a request, a token. Without weights g = 1: a plain LoRA.
//
// Gradient:  t = dY B,   dg = s Σ rows t ∘ h,   dB = s dYᵀ (h ∘ g),   u = s t ∘ g,   dA = uᵀ x,   dx = u A,   y's is dY itself
// Kept:      h only if weights or B train; x only if A trains. N frozen modules under a mixer cost the tape [rows, R] numbers.
//
// A stack may own a range of y's columns (the q of a fused qkv): B then is [range, R] and starts at a column.

public partial class Tensor
{
    /// <summary>Adds N low-rank updates of this input to <paramref name="y"/>, in place, and gives y.</summary>
    /// <param name="y">What the base linear made of this: [.., out]. Nothing else may hold on to its values.</param>
    /// <param name="a">The stacked A, [R, in].</param>
    /// <param name="b">The stacked B, [columns, R].</param>
    /// <param name="scale">s; 1 where the modules' scales are part of B.</param>
    /// <param name="weights">[N] or [G, N], or null for 1.</param>
    /// <param name="owner">I32 [R]: which module owns each row of A. Given with weights.</param>
    /// <param name="column">The first column of y that B's rows go to.</param>
    /// <exception cref="ArgumentException">Shapes that do not fit.</exception>
    public Tensor LoraStack(Tensor y, Tensor a, Tensor b, float scale = 1, Tensor? weights = null, Tensor? owner = null, int column = 0)
    {
        int rank = a.Rows, groups = weights is null ? 1 : weights.Rows;
        if (a.Shape.Rank != 2 || b.Shape.Rank != 2 || a.Cols != Cols || b.Cols != rank || column < 0 || column + b.Shape[0] > y.Cols || y.Rows != Rows)
            throw new ArgumentException($"LoraStack: x {Shape}, A {a.Shape} and B {b.Shape} do not fit y {y.Shape} from column {column} on.");
        if (weights is not null && (owner is null || owner.Count != rank || groups == 0 || Rows % groups != 0))
            throw new ArgumentException($"LoraStack: weights {weights.Shape} over {Rows} rows need one row for all or for each group of rows, "
                + $"and an owner for each of the {rank} rows of A.");
        if (DType != DType.F32 || y.DType != DType.F32)
            throw new ArgumentException($"LoraStack: x {Shape} is {DType} and y {y.Shape} {y.DType} where only F32 is read; widen them with Cast(DType.F32).");
        if (y.Storage.Saves > 0 || y.Storage.IsWeight)
            throw new InvalidOperationException(
                $"LoraStack: y {y.Shape} is {(y.Storage.IsWeight ? "a weight" : "kept by the tape")}, and would be written over; give it a copy.");
        var records = Workspace.Records && (NeedsGrad || y.Node is not null || a.Node is not null || b.Node is not null || weights?.Node is not null);
        var h = New(new Shape(Rows, rank));
        Backend.LoraStack(this, a, b, y, h, new Gate(weights, owner, scale), column);
        var sum = y.View(y.Shape);
        return sum.By(records ? new LoraStackNode(this, y, a, b, weights, owner, h, scale, column) : null);
    }
}

/// <summary>What a stack's rows are multiplied with: s, times the weight of the module that owns each.</summary>
public readonly record struct Gate(Tensor? Weights, Tensor? Owner, float Scale);

public abstract partial class Backend
{
    /// <summary>h = x Aᵀ; y[:, column..] += (h ∘ gate) Bᵀ</summary>
    public abstract void LoraStack(Tensor x, Tensor a, Tensor b, Tensor y, Tensor h, Gate gate, int column);

    /// <summary>The gradients that are not null, from dy. x, h or A may be null where they are not needed.</summary>
    public abstract void LoraStackBackward(Tensor? x, Tensor? a, Tensor b, Tensor? h, Tensor dy, Gate gate, int column, Tensor? dx, Tensor? da,
        Tensor? db, Tensor? dWeights);
}

file sealed class LoraStackNode(Tensor x, Tensor y, Tensor a, Tensor b, Tensor? weights, Tensor? owner, Tensor h, float scale, int column)
    : Node([x, y, a, b, weights], [a.Node is null ? null : x, x.Node is null ? null : a, b, weights?.Node is null && b.Node is null ? null : h, weights, owner])
{
    protected override void Backward(Tensor dy)
    {
        Give(1, dy);
        Tensor? dx = Wants(0, out var d0) ? d0 : null, da = Wants(2, out var d2) ? d2 : null, db = Wants(3, out var d3) ? d3 : null,
            dw = Wants(4, out var d4) ? d4 : null;
        if (dx is null && da is null && db is null && dw is null) return;
        dy.Backend.LoraStackBackward(SavedOrNull(0), SavedOrNull(1), Saved(2), SavedOrNull(3), dy,
            new Gate(SavedOrNull(4), SavedOrNull(5), scale), column, dx, da, db, dw);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override unsafe void LoraStack(Tensor x, Tensor a, Tensor b, Tensor y, Tensor h, Gate gate, int column)
    {
        int rows = h.Rows, rank = h.Cols;
        Gemm.Multiply(Threads, rows, rank, a.Cols, x.Pointer<float>(), a.Cols, false, a.Pointer<byte>(), a.Cols, true, a.DType,
            h.Pointer<float>(), rank, accumulate: false);
        using var scope = x.Workspace.Scope(grad: false);
        var gated = Gated(h, gate);
        Gemm.Multiply(Threads, rows, b.Shape[0], rank, gated.Pointer<float>(), rank, false, b.Pointer<byte>(), rank, true, b.DType,
            y.Pointer<float>() + column, y.Cols, accumulate: true);
    }

    /// <inheritdoc/>
    public override unsafe void LoraStackBackward(Tensor? x, Tensor? a, Tensor b, Tensor? h, Tensor dy, Gate gate, int column, Tensor? dx,
        Tensor? da, Tensor? db, Tensor? dWeights)
    {
        using var scope = dy.Workspace.Scope(grad: false);
        int rows = dy.Rows, rank = b.Cols, width = b.Shape[0];
        if (db is not null)
        {
            var gated = Gated(h!, gate);
            Gemm.Multiply(Threads, width, rank, rows, dy.Pointer<float>() + column, dy.Cols, true, gated.Pointer<byte>(), rank, false, DType.F32,
                db.Pointer<float>(), rank, accumulate: false);
        }
        if (dx is null && da is null && dWeights is null) return;
        var t = dy.New(new Shape(rows, rank));
        Gemm.Multiply(Threads, rows, rank, width, dy.Pointer<float>() + column, dy.Cols, false, b.Pointer<byte>(), rank, false, b.DType,
            t.Pointer<float>(), rank, accumulate: false);
        if (dWeights is not null) GateGradient(t, h!, gate, dWeights);
        if (dx is null && da is null) return;
        var u = Gated(t, gate);
        if (da is not null)
            Gemm.Multiply(Threads, rank, da.Cols, rows, u.Pointer<float>(), rank, true, x!.Pointer<byte>(), da.Cols, false, DType.F32,
                da.Pointer<float>(), da.Cols, accumulate: false);
        if (dx is not null)
            Gemm.Multiply(Threads, rows, dx.Cols, rank, u.Pointer<float>(), rank, false, a!.Pointer<byte>(), dx.Cols, false, a!.DType,
                dx.Pointer<float>(), dx.Cols, accumulate: false);
    }

    /// <summary>h ∘ gate, or h itself where the gate is 1.</summary>
    private Tensor Gated(Tensor h, Gate gate)
    {
        if (gate is { Weights: null, Scale: 1 }) return h;
        var y = h.New(h.Shape);
        if (gate.Weights is not { } weights)
        {
            Scale(h, y, gate.Scale);
            return y;
        }
        // The weights spread over the R columns, one row a group; then a product stretched over the group's rows.
        int groups = weights.Rows, rank = h.Cols;
        var spread = h.New(new Shape(groups, 1, rank));
        var owner = gate.Owner!.Ints();
        for (var group = 0; group < groups; group++)
        {
            var from = weights.Row(group);
            var to = spread.Row(group);
            for (var r = 0; r < rank; r++) to[r] = gate.Scale * from[owner[r]];
        }
        var grouped = new Shape(groups, h.Rows / groups, rank);
        Binary<Multiply>(h.View(grouped), spread, y.View(grouped));
        return y;
    }

    /// <summary>dWeights[g, n] = s Σ (rows of g, r of n) t ∘ h</summary>
    private void GateGradient(Tensor t, Tensor h, Gate gate, Tensor dWeights)
    {
        // One column sum per group, then the columns of a module are added in order.
        var (groups, rank) = (dWeights.Rows, h.Cols);
        var product = h.New(h.Shape);
        Binary<Multiply>(t, h, product);
        var sums = h.New(new Shape(groups, rank));
        SumMiddle(product, sums, groups, h.Rows / groups);
        Fill(dWeights, 0);
        var owner = gate.Owner!.Ints();
        for (var group = 0; group < groups; group++)
        {
            var from = sums.Row(group);
            var to = dWeights.Row(group);
            for (var r = 0; r < rank; r++) to[owner[r]] += gate.Scale * from[r];
        }
    }
}
