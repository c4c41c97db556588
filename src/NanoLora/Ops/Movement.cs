namespace NanoLora;

// Operations that only move elements. Reshape and a slice of the leading axis share storage; permute, concat and the other slices copy.
// Gradients move back: reshape to the old shape, permute by the inverse, slice into zeros, concat by slices, expand by a sum.

public partial class Tensor
{
    /// <summary>The same elements under another shape; one size may be -1 and is worked out. Shares storage.</summary>
    /// <exception cref="ArgumentException">The numbers of elements differ.</exception>
    public Tensor Reshape(params ReadOnlySpan<int> sizes)
    {
        var (open, known) = (-1, 1L);
        for (var i = 0; i < sizes.Length; i++)
        {
            if (sizes[i] == -1 && open < 0) open = i;
            else known *= sizes[i];
        }
        if (open < 0) return Reshape(new Shape(sizes));
        Span<int> all = stackalloc int[sizes.Length];
        sizes.CopyTo(all);
        all[open] = known == 0 ? 0 : (int)(Count / known);
        return Reshape(new Shape(all));
    }

    /// <summary>The same elements under another shape. Shares storage.</summary>
    /// <exception cref="ArgumentException">The numbers of elements differ.</exception>
    public Tensor Reshape(Shape shape)
    {
        if (shape.LongCount != Count) throw new ArgumentException($"Reshape: {Shape} has {Count} elements, {shape} has {shape.LongCount}.");
        return shape == Shape ? this : View(shape).By(NeedsGrad ? new ReshapeNode(this) : null);
    }

    /// <summary>Swaps the last two axes. Copies; matmul takes flags instead.</summary>
    public Tensor Transpose()
    {
        if (Shape.Rank < 2) throw new ArgumentException($"Transpose: {Shape} has fewer than two axes.");
        Span<int> order = stackalloc int[Shape.Rank];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        (order[^1], order[^2]) = (order[^2], order[^1]);
        return Permute(order);
    }

    /// <summary>Reorders the axes: axis i of the result is axis order[i] of this. Copies.</summary>
    /// <exception cref="ArgumentException">The order is not one of all axes.</exception>
    public Tensor Permute(params ReadOnlySpan<int> order)
    {
        Span<int> sizes = stackalloc int[Shape.MaxRank];
        var seen = 0u;
        if (order.Length == Shape.Rank)
        {
            for (var i = 0; i < order.Length; i++)
            {
                sizes[i] = Shape[order[i]];
                seen |= 1u << order[i];
            }
        }
        if (order.Length != Shape.Rank || seen != (1u << Shape.Rank) - 1)
            throw new ArgumentException($"Permute: [{string.Join(", ", order.ToArray())}] is not an order of the axes of {Shape}.");
        var y = New(new Shape(sizes[..Shape.Rank]));
        var axes = new Shape(order);
        Backend.Permute(this, y, axes);
        return y.By(NeedsGrad ? new PermuteNode(this, axes) : null);
    }

    /// <summary>Elements <paramref name="start"/> to <paramref name="stop"/> (excluded) of an axis. Along the leading axis it shares storage.</summary>
    /// <exception cref="ArgumentException">The range does not lie within the axis.</exception>
    public Tensor Slice(int axis, int start, int stop)
    {
        var a = Shape.Axis(axis);
        if (start < 0 || stop < start || stop > Shape[a]) throw new ArgumentException($"Slice: {start}..{stop} does not lie within axis {a} of {Shape}.");
        var shape = Shape.With(a, stop - start);
        if (start == 0 && stop == Shape[a]) return this;
        var inner = Inner(a);
        Tensor y;
        if (Outer(Shape, a) == 1) y = View(shape, start * inner);
        else
        {
            y = New(shape, DType);
            Backend.CopyMiddle(this, y, Outer(Shape, a), Shape[a], start, stop - start, 0, stop - start, inner);
        }
        return y.By(NeedsGrad ? new SliceNode(this, a, start) : null);
    }

    /// <summary>Puts tensors one behind the other along an axis; all other axes agree.</summary>
    /// <exception cref="ArgumentException">No tensor, or shapes that differ elsewhere, or different types.</exception>
    public static Tensor Concat(int axis, params ReadOnlySpan<Tensor> parts)
    {
        if (parts.Length == 0) throw new ArgumentException("Concat: no tensors.");
        // The tape's nodes take few inputs; more are put together in groups.
        if (parts.Length > 6)
        {
            var left = Concat(axis, parts[..6]);
            return Concat(axis, [left, .. parts[6..]]);
        }
        var first = parts[0];
        var a = first.Shape.Axis(axis);
        var (total, records) = (0, false);
        foreach (var part in parts)
        {
            if (part.Shape.Rank != first.Shape.Rank || part.Shape.With(a, 1) != first.Shape.With(a, 1))
                throw new ArgumentException($"Concat: {part.Shape} and {first.Shape} differ beside axis {a}.");
            if (part.DType != first.DType)
                throw new ArgumentException($"Concat: {part.Shape} is {part.DType}, {first.Shape} is {first.DType}; cast them to one type.");
            total += part.Shape[a];
            records |= part.Node is not null;
        }
        var y = first.New(first.Shape.With(a, total), first.DType);
        var at = 0;
        foreach (var part in parts)
        {
            first.Backend.CopyMiddle(part, y, Outer(first.Shape, a), part.Shape[a], 0, total, at, part.Shape[a], first.Inner(a));
            at += part.Shape[a];
        }
        return y.By(records && first.Workspace.Records ? new ConcatNode(parts, a) : null);
    }

    /// <summary>Stretches axes of size 1 (and adds leading axes) to a shape. Copies.</summary>
    public Tensor Expand(Shape shape)
    {
        if (shape == Shape) return this;
        if (Shape.Broadcast(Shape, shape, "Expand") != shape) throw new ArgumentException($"Expand: {Shape} does not stretch to {shape}.");
        var y = New(shape);
        Backend.Fill(y, 0);
        Backend.Binary<Add>(this, y, y);
        return y.By(NeedsGrad ? new ExpandNode(this) : null);
    }

    private int Inner(int axis)
    {
        var n = 1;
        for (var i = axis + 1; i < Shape.Rank; i++) n *= Shape[i];
        return n;
    }
}

public abstract partial class Backend
{
    /// <summary>y = x with axis i of y being axis order[i] of x.</summary>
    public abstract void Permute(Tensor x, Tensor y, Shape order);

    /// <summary>y[o, yStart + r, i] = x[o, xStart + r, i] for r &lt; count, with xSize and ySize the sizes of the middle axes. Any element type.</summary>
    public abstract void CopyMiddle(Tensor x, Tensor y, int outer, int xSize, int xStart, int ySize, int yStart, int count, int inner);
}

file sealed class ReshapeNode(Tensor x) : Node([x])
{
    protected override void Backward(Tensor dy) => Give(0, dy);
}

file sealed class PermuteNode(Tensor x, Shape order) : Node([x])
{
    protected override void Backward(Tensor dy)
    {
        if (!Wants(0, out var dx)) return;
        Span<int> inverse = stackalloc int[order.Rank];
        for (var i = 0; i < order.Rank; i++) inverse[order[i]] = i;
        dy.Backend.Permute(dy, dx, new Shape(inverse));
    }
}

file sealed class SliceNode(Tensor x, int axis, int start) : Node([x])
{
    protected override void Backward(Tensor dy)
    {
        if (!Wants(0, out var dx)) return;
        var (outer, inner) = (1, 1);
        for (var i = 0; i < axis; i++) outer *= dx.Shape[i];
        for (var i = axis + 1; i < dx.Shape.Rank; i++) inner *= dx.Shape[i];
        dy.Backend.Fill(dx, 0);
        dy.Backend.CopyMiddle(dy, dx, outer, dy.Shape[axis], 0, dx.Shape[axis], start, dy.Shape[axis], inner);
    }
}

file sealed class ConcatNode(ReadOnlySpan<Tensor> parts, int axis) : Node(parts)
{
    private readonly int _count = parts.Length;
    private readonly Shape _sizes = Sizes(parts, axis);

    private static Shape Sizes(ReadOnlySpan<Tensor> parts, int axis)
    {
        Span<int> sizes = stackalloc int[parts.Length];
        for (var i = 0; i < parts.Length; i++) sizes[i] = parts[i].Shape[axis];
        return new Shape(sizes);
    }

    protected override void Backward(Tensor dy)
    {
        var at = 0;
        for (var i = 0; i < _count; i++)
        {
            if (Wants(i)) Give(i, dy.Slice(axis, at, at + _sizes[i]));
            at += _sizes[i];
        }
    }
}

file sealed class ExpandNode(Tensor x) : Node([x])
{
    protected override void Backward(Tensor dy) => Give(0, dy.SumTo(InputShape(0)));
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Permute(Tensor x, Tensor y, Shape order)
    {
        Span<int> strides = stackalloc int[x.Shape.Rank], step = stackalloc int[x.Shape.Rank];
        for (int axis = x.Shape.Rank - 1, stride = 1; axis >= 0; stride *= x.Shape[axis--]) strides[axis] = stride;
        for (var i = 0; i < order.Rank; i++) step[i] = strides[order[i]];
        ForRows(y.Rows, y.Cols, new PermuteJob(x, y, new Shape(step)));
    }

    /// <inheritdoc/>
    public override void CopyMiddle(Tensor x, Tensor y, int outer, int xSize, int xStart, int ySize, int yStart, int count, int inner)
    {
        var bytes = inner * x.DType.Bytes();
        ForRows(outer, count * inner, new CopyJob(x, y, xSize * bytes, xStart * bytes, ySize * bytes, yStart * bytes, count * bytes));
    }

    private readonly struct PermuteJob(Tensor x, Tensor y, Shape step) : IRows
    {
        public void Run(int start, int end)
        {
            var source = x.Floats();
            var last = step.Rank == 0 ? 1 : step[-1];
            for (var row = start; row < end; row++)
            {
                var (at, rest) = (0, row);
                for (var axis = step.Rank - 2; axis >= 0; axis--)
                {
                    at += rest % y.Shape[axis] * step[axis];
                    rest /= y.Shape[axis];
                }
                var target = y.Row(row);
                if (last == 1) source.Slice(at, target.Length).CopyTo(target);
                else for (var i = 0; i < target.Length; i++, at += last) target[i] = source[at];
            }
        }
    }

    private readonly struct CopyJob(Tensor x, Tensor y, int xStride, int xStart, int yStride, int yStart, int length) : IRows
    {
        public void Run(int start, int end)
        {
            for (var o = start; o < end; o++) x.Raw().Slice(o * xStride + xStart, length).CopyTo(y.Raw()[(o * yStride + yStart)..]);
        }
    }
}
