using System.Numerics;

namespace NanoLora;

// Sums over axes:            y[o, i] = Σ_r x[o, r, i]         — every group of neighbouring axes is the r of some [o, r, i]
// Gradient:                  dx[o, r, i] = dy[o, i]           — nothing is kept
// Largest over an axis:      y[o, i] = max_r x[o, r, i]       — its gradient goes to the first r that has it (Max), or is shared by all of them (AMax)

public partial class Tensor
{
    /// <summary>The sum over all axes: a scalar.</summary>
    public Tensor Sum() => SumTo(new Shape()).Reshape([]);

    /// <summary>The sum over an axis; the axis goes, or stays with size 1.</summary>
    public Tensor Sum(int axis, bool keep = false)
    {
        var y = SumTo(Shape.With(axis, 1));
        return keep ? y : y.Reshape(Shape.Without(axis));
    }

    /// <summary>The sum over several axes; they go, or stay with size 1.</summary>
    public Tensor Sum(ReadOnlySpan<int> axes, bool keep = false) => Over(axes, keep, mean: false);

    /// <summary>The mean over all axes: a scalar.</summary>
    public Tensor Mean() => Sum().Scale(1f / Count);

    /// <summary>The mean over an axis; the axis goes, or stays with size 1.</summary>
    public Tensor Mean(int axis, bool keep = false) => Sum(axis, keep).Scale(1f / Shape[axis]);

    /// <summary>The mean over several axes; they go, or stay with size 1.</summary>
    public Tensor Mean(ReadOnlySpan<int> axes, bool keep = false) => Over(axes, keep, mean: true);

    private Tensor Over(ReadOnlySpan<int> axes, bool keep, bool mean)
    {
        var (kept, gone) = (Shape, 0u);
        foreach (var axis in axes)
        {
            kept = kept.With(axis, 1);
            gone |= 1u << Shape.Axis(axis);
        }
        var y = SumTo(kept);
        if (mean) y = y.Scale((float)kept.Count / Count);
        if (keep) return y;
        Span<int> left = stackalloc int[Shape.MaxRank];
        var n = 0;
        for (var axis = 0; axis < Shape.Rank; axis++) if ((gone >> axis & 1) == 0) left[n++] = Shape[axis];
        return y.Reshape(new Shape(left[..n]));
    }

    /// <summary>Sums over the axes along which <paramref name="shape"/> would be stretched to this tensor's shape: the reverse of broadcasting.</summary>
    /// <exception cref="ArgumentException">The shape does not stretch to this tensor's.</exception>
    public Tensor SumTo(Shape shape)
    {
        if (shape == Shape) return this;
        if (shape.Rank > Shape.Rank || Shape.Broadcast(shape, Shape, "SumTo") != Shape)
            throw new ArgumentException($"SumTo: {shape} does not stretch to {Shape}.");
        var x = this;
        for (var axis = 0; axis < Shape.Rank;)
        {
            // A run of neighbouring axes that all go is summed at once.
            var (end, n) = (axis, 1);
            while (end < Shape.Rank && (Shape[end] != 1 && SizeIn(shape, end) == 1)) n *= Shape[end++];
            if (end > axis) x = x.SumMiddle(Outer(x.Shape, axis), n, axis, end);
            axis = Math.Max(end, axis + 1);
        }
        return x.Reshape(shape);
    }

    private int SizeIn(Shape shape, int axis)
    {
        var a = axis - (Shape.Rank - shape.Rank);
        return a < 0 ? 1 : shape[a];
    }

    private static int Outer(Shape shape, int axis)
    {
        var n = 1;
        for (var i = 0; i < axis; i++) n *= shape[i];
        return n;
    }

    private Tensor SumMiddle(int outer, int reduced, int from, int to)
    {
        var shape = Shape;
        for (var axis = from; axis < to; axis++) shape = shape.With(axis, 1);
        var y = New(shape);
        Backend.SumMiddle(this, y, outer, reduced);
        return y.By(NeedsGrad ? new SumNode(this, outer, reduced) : null, nameof(Sum));
    }

    /// <summary>The largest element along an axis, which goes; ties give the gradient to the first.</summary>
    public Tensor Max(int axis) => Max(axis, out _);

    /// <summary>The largest element along an axis and its index (I32); ties give the first, a NaN is the largest.</summary>
    public Tensor Max(int axis, out Tensor index)
    {
        var (a, shape) = (Shape.Axis(axis), Shape.Without(axis));
        if (Shape[a] == 0) throw new ArgumentException($"Max: axis {a} of {Shape} is empty.");
        var y = New(shape);
        index = New(shape, DType.I32);
        Backend.Max(this, y, index, Outer(Shape, a), Shape[a]);
        return y.By(NeedsGrad ? new MaxNode(this, index, Outer(Shape, a), Shape[a]) : null);
    }

    /// <summary>The largest element along an axis, which goes; ties share the gradient.</summary>
    public Tensor AMax(int axis)
    {
        using var scope = Workspace.Scope();
        var y = Max(axis).Detach().Reshape(Shape.With(axis, 1));
        var ties = Apply<IsEqual>(y);                                                  // 1 where it is the largest
        var share = ties / ties.Sum(axis, keep: true);
        return (this * share).Sum(axis).Keep();
    }

    /// <summary>The index of the largest element along an axis (I32); ties give the first, a NaN is the largest. No gradient.</summary>
    public Tensor ArgMax(int axis)
    {
        using var scope = Workspace.Scope(grad: false);
        Max(axis, out var index);
        return index.Keep();
    }
}

public abstract partial class Backend
{
    /// <summary>y[o, i] = Σ_r x[o, r, i]</summary>
    public abstract void SumMiddle(Tensor x, Tensor y, int outer, int reduced);

    /// <summary>dx[o, r, i] = dy[o, i]</summary>
    public abstract void SumMiddleBackward(Tensor dy, Tensor dx, int outer, int reduced);

    /// <summary>y[o, i] = max_r x[o, r, i], index[o, i] = the first such r.</summary>
    public abstract void Max(Tensor x, Tensor y, Tensor index, int outer, int reduced);

    /// <summary>dx[o, r, i] = dy[o, i] where r = index[o, i], else 0.</summary>
    public abstract void MaxBackward(Tensor dy, Tensor index, Tensor dx, int outer, int reduced);
}

file sealed class SumNode(Tensor x, int outer, int reduced) : Node([x])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.SumMiddleBackward(dy, dx, outer, reduced);
    }
}

file sealed class MaxNode(Tensor x, Tensor index, int outer, int reduced) : Node([x], [index])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.MaxBackward(dy, Saved(0), dx, outer, reduced);
    }
}

#pragma warning disable CS1591
/// <summary>1 where a = b, else 0; flat, so without slopes.</summary>
public readonly struct IsEqual : IBinary
{
    public static (bool, bool) SlopeANeeds => (false, false);
    public static (bool, bool) SlopeBNeeds => (false, false);
    public static float Forward(float a, float b) => a == b ? 1f : 0f;
    public static float SlopeA(float a, float b) => 0;
    public static float SlopeB(float a, float b) => 0;
    public static Vector<float> Forward(Vector<float> a, Vector<float> b) => Vector.ConditionalSelect(Vector.Equals(a, b), Vector<float>.One, default);
    public static Vector<float> SlopeA(Vector<float> a, Vector<float> b) => default;
    public static Vector<float> SlopeB(Vector<float> a, Vector<float> b) => default;
}
#pragma warning restore CS1591

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void SumMiddle(Tensor x, Tensor y, int outer, int reduced)
    {
        var inner = y.Count / Math.Max(1, outer);
        if (inner == 1) ForRows(outer, reduced, new RowSums(x, y, reduced));
        else ForRows(outer * Panels(inner), reduced * Math.Min(inner, Panel), new ColumnSums(x, y, reduced, inner));
    }

    /// <inheritdoc/>
    public override void SumMiddleBackward(Tensor dy, Tensor dx, int outer, int reduced) =>
        ForRows(outer * reduced, dx.Count / Math.Max(1, outer * reduced), new Spread(dy, dx, reduced, dx.Count / Math.Max(1, outer * reduced)));

    /// <inheritdoc/>
    public override void Max(Tensor x, Tensor y, Tensor index, int outer, int reduced) =>
        ForRows(outer, x.Count / Math.Max(1, outer), new MaxJob(x, y, index, reduced, y.Count / Math.Max(1, outer)));

    /// <inheritdoc/>
    public override void MaxBackward(Tensor dy, Tensor index, Tensor dx, int outer, int reduced)
    {
        Fill(dx, 0);
        var d = dx.Floats();
        var g = dy.Floats();
        var at = index.Ints();
        var inner = dy.Count / Math.Max(1, outer);
        for (var i = 0; i < g.Length; i++) d[(i / inner * reduced + at[i]) * inner + i % inner] = g[i];
    }

    private const int Panel = 64;   // columns that one block of a column sum owns

    private static int Panels(int inner) => (inner + Panel - 1) / Panel;

    private readonly struct RowSums(Tensor x, Tensor y, int reduced) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++) y.Floats()[row] = Simd.Sum(x.Floats().Slice(row * reduced, reduced));
        }
    }

    // A block owns up to 64 columns of one o; rows are added in runs of 64, so that a long column loses no precision.
    private readonly struct ColumnSums(Tensor x, Tensor y, int reduced, int inner) : IRows
    {
        public void Run(int start, int end)
        {
            Span<float> run = stackalloc float[Panel];
            for (var block = start; block < end; block++)
            {
                var (o, first) = (block / Panels(inner), block % Panels(inner) * Panel);
                var width = Math.Min(Panel, inner - first);
                var sum = y.Floats().Slice(o * inner + first, width);
                var part = run[..width];
                sum.Clear();
                for (var r = 0; r < reduced; r += 64)
                {
                    part.Clear();
                    for (var i = r; i < Math.Min(reduced, r + 64); i++) Simd.AddScaled(1, x.Floats().Slice((o * reduced + i) * inner + first, width), part);
                    Simd.AddScaled(1, part, sum);
                }
            }
        }
    }

    private readonly struct Spread(Tensor dy, Tensor dx, int reduced, int inner) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++) dy.Floats().Slice(row / reduced * inner, inner).CopyTo(dx.Floats().Slice(row * inner, inner));
        }
    }

    private readonly struct MaxJob(Tensor x, Tensor y, Tensor index, int reduced, int inner) : IRows
    {
        public void Run(int start, int end)
        {
            for (var o = start; o < end; o++)
            {
                var best = y.Floats().Slice(o * inner, inner);
                var at = index.Ints().Slice(o * inner, inner);
                var rows = x.Floats().Slice(o * reduced * inner, reduced * inner);
                rows[..inner].CopyTo(best);
                at.Clear();
                for (var r = 1; r < reduced; r++)
                {
                    for (var i = 0; i < inner; i++)
                    {
                        var z = rows[r * inner + i];
                        if (z <= best[i] || float.IsNaN(best[i])) continue;
                        best[i] = z;
                        at[i] = r;
                    }
                }
            }
        }
    }
}
