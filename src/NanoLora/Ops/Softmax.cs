using System.Numerics;
using System.Runtime.CompilerServices;

namespace NanoLora;

// Softmax over an axis:      y = exp(x - max x) / Σ exp(x - max x)
// Gradient:                  dx = y ∘ (dy - ⟨y, dy⟩)                 — needs y only, x may go
// Log-softmax:               y = x - max x - ln Σ exp(x - max x)
// Gradient:                  dx = dy - exp(y) Σ dy                   — needs y only
// Sparsemax:                 y = max(x - τ, 0) with τ such that Σ y = 1: the nearest point of the simplex (Martins and Astudillo 2016)
// Gradient:                  dx = dy - mean of dy over y > 0, where y > 0; else 0
// A row of nothing but -∞ has no softmax: it gives NaN, in that row alone.

public partial class Tensor
{
    /// <summary>Turns each row along an axis into probabilities.</summary>
    public Tensor Softmax(int axis = -1) => Along(axis, static x =>
    {
        var y = x.New(x.Shape);
        x.Backend.Softmax(x, y);
        return y.By(x.NeedsGrad ? new SoftmaxNode(x, y) : null, nameof(Softmax));
    });

    /// <summary>The logarithm of <see cref="Softmax"/>, without the overflow of taking it in two steps.</summary>
    public Tensor LogSoftmax(int axis = -1) => Along(axis, static x =>
    {
        var y = x.New(x.Shape);
        x.Backend.LogSoftmax(x, y);
        return y.By(x.NeedsGrad ? new LogSoftmaxNode(x, y) : null, nameof(LogSoftmax));
    });

    /// <summary>The nearest probabilities to each row, many of them 0.</summary>
    public Tensor Sparsemax()
    {
        var y = New(Shape);
        Backend.Sparsemax(this, y);
        return y.By(NeedsGrad ? new SparsemaxNode(this, y) : null);
    }

    private Tensor Along(int axis, Func<Tensor, Tensor> rows)
    {
        var a = Shape.Axis(axis);
        if (a == Shape.Rank - 1) return rows(this);
        Span<int> order = stackalloc int[Shape.Rank];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        (order[a], order[^1]) = (order[^1], order[a]);
        return rows(Permute(order)).Permute(order);
    }
}

public abstract partial class Backend
{
    /// <summary>y = softmax of each row of x.</summary>
    public abstract void Softmax(Tensor x, Tensor y);

    /// <summary>dx = y ∘ (dy - ⟨y, dy⟩)</summary>
    public abstract void SoftmaxBackward(Tensor y, Tensor dy, Tensor dx);

    /// <summary>y = log-softmax of each row of x.</summary>
    public abstract void LogSoftmax(Tensor x, Tensor y);

    /// <summary>dx = dy - exp(y) Σ dy</summary>
    public abstract void LogSoftmaxBackward(Tensor y, Tensor dy, Tensor dx);

    /// <summary>y = sparsemax of each row of x; rows are short.</summary>
    public abstract void Sparsemax(Tensor x, Tensor y);

    /// <summary>dx = dy - mean of dy over the support of y, there; else 0.</summary>
    public abstract void SparsemaxBackward(Tensor y, Tensor dy, Tensor dx);
}

file sealed class SoftmaxNode(Tensor x, Tensor y) : Node([x], [y])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.SoftmaxBackward(Saved(0), dy, dx);
    }
}

file sealed class LogSoftmaxNode(Tensor x, Tensor y) : Node([x], [y])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.LogSoftmaxBackward(Saved(0), dy, dx);
    }
}

file sealed class SparsemaxNode(Tensor x, Tensor y) : Node([x], [y])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.SparsemaxBackward(Saved(0), dy, dx);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Softmax(Tensor x, Tensor y) => ForRows(x.Rows, 4 * x.Cols, new SoftmaxJob(x, y));

    /// <inheritdoc/>
    public override void SoftmaxBackward(Tensor y, Tensor dy, Tensor dx) => ForRows(y.Rows, 2 * y.Cols, new SoftmaxBackwardJob(y, dy, dx));

    /// <inheritdoc/>
    public override void LogSoftmax(Tensor x, Tensor y) => ForRows(x.Rows, 4 * x.Cols, new LogSoftmaxJob(x, y));

    /// <inheritdoc/>
    public override void LogSoftmaxBackward(Tensor y, Tensor dy, Tensor dx) => ForRows(y.Rows, 4 * y.Cols, new LogSoftmaxBackwardJob(y, dy, dx));

    /// <inheritdoc/>
    public override void Sparsemax(Tensor x, Tensor y) => ForRows(x.Rows, 4 * x.Cols, new SparsemaxJob(x, y));

    /// <inheritdoc/>
    public override void SparsemaxBackward(Tensor y, Tensor dy, Tensor dx) => ForRows(y.Rows, 4 * y.Cols, new SparsemaxBackwardJob(y, dy, dx));

    private readonly struct SoftmaxJob(Tensor x, Tensor y) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++)
            {
                var from = x.Row(row);
                var to = y.Row(row);
                var sum = SoftExp.OfDifference(from, 1, SoftExp.Max(from), 1, to);
                Simd.Scale(1 / sum, to);
            }
        }
    }

    private readonly struct SoftmaxBackwardJob(Tensor y, Tensor dy, Tensor dx) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++)
            {
                var p = y.Row(row);
                var g = dy.Row(row);
                var d = dx.Row(row);
                Slopes(p, g, Simd.Dot(p, g), d);
            }
        }

        // d = p ∘ (g - mean)
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Slopes(ReadOnlySpan<float> p, ReadOnlySpan<float> g, float mean, Span<float> d)
        {
            var whole = Simd.Whole(d.Length);
            if (whole < d.Length) Simd.StorePart(Simd.LoadPart(p, whole) * (Simd.LoadPart(g, whole) - new Vector<float>(mean)), d, whole);
            var m = new Vector<float>(mean);
            for (var i = 0; i < whole; i += Simd.Width) Simd.Store(Simd.Load(p, i) * (Simd.Load(g, i) - m), d, i);
        }
    }

    private readonly struct LogSoftmaxJob(Tensor x, Tensor y) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++)
            {
                var from = x.Row(row);
                var to = y.Row(row);
                var max = SoftExp.Max(from);
                var log = MathF.Log(SoftExp.OfDifference(from, 1, max, 1, to));
                var whole = Simd.Whole(to.Length);
                if (whole < to.Length) Simd.StorePart(Simd.LoadPart(from, whole) - new Vector<float>(max) - new Vector<float>(log), to, whole);
                Vector<float> m = new(max), l = new(log);
                for (var i = 0; i < whole; i += Simd.Width) Simd.Store(Simd.Load(from, i) - m - l, to, i);
            }
        }
    }

    private readonly struct LogSoftmaxBackwardJob(Tensor y, Tensor dy, Tensor dx) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++)
            {
                var log = y.Row(row);
                var g = dy.Row(row);
                var d = dx.Row(row);
                var sum = Simd.Sum(g);
                SoftExp.OfDifference(log, 1, 0, 1, d);
                var whole = Simd.Whole(d.Length);
                if (whole < d.Length) Simd.StorePart(Simd.LoadPart(g, whole) - Simd.LoadPart(d, whole) * sum, d, whole);
                var s = new Vector<float>(sum);
                for (var i = 0; i < whole; i += Simd.Width) Simd.Store(Simd.Load(g, i) - Simd.Load(d, i) * s, d, i);
            }
        }
    }

    // With z sorted downwards, the support is the longest prefix with 1 + k z_k > Σ z_1..k, and τ = (Σ - 1) / k.
    private readonly struct SparsemaxJob(Tensor x, Tensor y) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++)
            {
                var from = x.Row(row);
                var to = y.Row(row);
                from.CopyTo(to);
                to.Sort();
                float sum = 0, threshold = 0;
                for (var k = 1; k <= to.Length; k++)
                {
                    var z = to[^k];
                    sum += z;
                    if (1 + k * z > sum) threshold = (sum - 1) / k;
                }
                for (var i = 0; i < to.Length; i++) to[i] = MathF.Max(from[i] - threshold, 0);
            }
        }
    }

    private readonly struct SparsemaxBackwardJob(Tensor y, Tensor dy, Tensor dx) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++)
            {
                var p = y.Row(row);
                var g = dy.Row(row);
                var d = dx.Row(row);
                var (sum, support) = (0f, 0);
                for (var i = 0; i < p.Length; i++)
                {
                    if (p[i] <= 0) continue;
                    sum += g[i];
                    support++;
                }
                for (var i = 0; i < p.Length; i++) d[i] = p[i] > 0 ? g[i] - sum / support : 0;
            }
        }
    }
}
