namespace NanoLora;

// Cross entropy of logits that never exist as a whole:   loss = CrossEntropy(head(x), t),   x [rows, D], head(x) [rows, C], C far above D
// Gradient:   dx = dlogits through the head, with dlogits as in CrossEntropy.cs
//
// A model of language with 32,000 tokens makes 128 KB of logits, and as much of their gradient, for a token whose state has 3 KB. So the rows are taken in
// slices: the logits of one, their losses, and at once their gradient for a loss of gradient 1, sent back through the head to the rows of dx. What is kept for
// backward is dx alone, which has only to be multiplied by dy; nothing is computed twice. Where dy is 1, every number is the same as without slices, since no
// sum runs over rows before the losses are added, all at once.
//
// That needs a head whose own parameters do not train, for their gradients would be added before dy is known. One that does train is taken as a whole.

public partial class Tensor
{
    // Fewer where memory is dear: the head's weights then pass twice as often.
    private int RowsOfSlice => Workspace.RecomputeBlocks ? 128 : 256;

    /// <summary>
    /// Cross entropy of the logits that a head makes of these rows, a slice of rows at a time: for many classes, whose logits would take more memory
    /// than all else. The same as <c>head(x).CrossEntropy(targets, ..)</c>.
    /// </summary>
    /// <param name="head">Makes logits [rows, classes] of rows [rows, D], each of its own row alone; it is called for each slice.</param>
    /// <param name="targets">I32, a class for each row of this.</param>
    /// <param name="reduction">The mean or the sum of the losses.</param>
    /// <param name="ignoreIndex">Rows with this target take no part.</param>
    /// <param name="smoothing">The share of each target that is spread over all classes, from 0 to 1.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, a target is neither a class nor the ignored index, or each loss is asked for.</exception>
    public Tensor CrossEntropy(Func<Tensor, Tensor> head, Tensor targets, Reduction reduction = Reduction.Mean, int ignoreIndex = -100, float smoothing = 0) =>
        CrossEntropy(head, targets, reduction, ignoreIndex, smoothing, RowsOfSlice);

    internal Tensor CrossEntropy(Func<Tensor, Tensor> head, Tensor targets, Reduction reduction, int ignoreIndex, float smoothing, int rowsOfSlice)
    {
        ArgumentNullException.ThrowIfNull(head);
        if (reduction == Reduction.None) throw new ArgumentException("CrossEntropy: a head in slices gives the mean or the sum of the losses, not each.");
        if (Shape.Rank == 0 || targets.DType != DType.I32 || targets.Count != Rows)
            throw new ArgumentException($"CrossEntropy: rows {Shape} want {Rows} targets in I32, one a row, not {targets.DType} {targets.Shape}.");
        if (Rows <= rowsOfSlice || (Workspace.Records && TrainsInside(head)))
            return head(Reshape(Rows, Cols)).CrossEntropy(targets.Reshape(Rows), reduction, ignoreIndex, smoothing);

        var kind = CrossEntropyKind.Of(reduction, ignoreIndex, smoothing, targets, null);
        var losses = New(new Shape(Rows));
        var dx = NeedsGrad ? New(new Shape(Rows, Cols)) : null;
        foreach (var (start, end) in RowSlice.Bounds(Rows, rowsOfSlice)) Lose(head, targets, start, end, losses, dx, kind);
        var y = New(new Shape());
        Backend.SumMiddle(losses, y, 1, losses.Count);
        return y.By(dx is null ? null : new SlicedCrossEntropyNode(this, dx));
    }

    // The losses of some rows, and their dx.
    private void Lose(Func<Tensor, Tensor> head, Tensor targets, int start, int end, Tensor losses, Tensor? dx, CrossEntropyKind kind)
    {
        using var slice = new RowSlice(this, start, end, records: dx is not null);
        var logits = head(slice.X);
        if (logits.Rows != end - start) throw new ArgumentException($"CrossEntropy: the head makes {logits.Shape} of {slice.X.Shape}, not logits of each row.");
        var t = targets.Reshape(Rows).Slice(0, start, end);
        logits.RequireClasses(t, kind.IgnoreIndex, start);
        var statistics = New(new Shape(end - start, 2));
        Backend.CrossEntropy(logits, t, null, losses.Slice(0, start, end), statistics, kind);
        if (dx is null) return;
        var one = New(new Shape());
        Backend.Fill(one, 1);
        var dlogits = logits.Storage.IsSole ? logits : New(logits.Shape);             // over the logits, where only this slice looks at them
        Backend.CrossEntropyBackward(logits, t, null, statistics, one, dlogits, kind);
        slice.Backward(logits.Node, dlogits.Alias(), dx);
    }
}

file sealed class SlicedCrossEntropyNode(Tensor x, Tensor dx) : Node([x], [dx])
{
    protected override void Backward(Tensor dy) => Give(0, Saved(0) * dy);
}
