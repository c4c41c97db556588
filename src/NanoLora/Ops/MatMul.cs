namespace NanoLora;

// Matrix product:   Y = op(A) op(B),   op transposes the last two axes when its flag is set; leading axes are a batch and broadcast
// Gradient:         dA = dY op(B)ᵀ   (or its transpose, where A came transposed)      needs B only
//                   dB = op(A)ᵀ dY   (or its transpose, where B came transposed)      needs A only
//
// Linear:           y = x Wᵀ + b,   W [out, in] as checkpoints store it
// Gradient:         dx = dy W       needs W, in whatever type it rests
//                   dW = dyᵀ x      needs x;   db = Σ rows of dy, needs nothing
//
// Only the right operand may rest in 16 bits: a frozen weight is read as it is.

public partial class Tensor
{
    /// <summary>The matrix product over the last two axes; the others are a batch and broadcast.</summary>
    /// <param name="b">The right operand, [.., K, N], or [.., N, K] with <paramref name="transposeB"/>; F32, BF16 or F16.</param>
    /// <param name="transposeA">Whether this is [.., K, M] instead of [.., M, K].</param>
    /// <param name="transposeB">Whether b is transposed.</param>
    /// <exception cref="ArgumentException">The inner sizes differ, or the batches do not broadcast.</exception>
    public Tensor MatMul(Tensor b, bool transposeA = false, bool transposeB = false)
    {
        if (Shape.Rank < 2 || b.Shape.Rank < 2) throw new ArgumentException($"MatMul: {Shape} and {b.Shape} must have two axes at least.");
        int m = Shape[transposeA ? -1 : -2], k = Shape[transposeA ? -2 : -1], n = b.Shape[transposeB ? -2 : -1];
        if (b.Shape[transposeB ? -1 : -2] != k)
            throw new ArgumentException(
                $"MatMul: {Shape}{(transposeA ? "ᵀ" : "")} and {b.Shape}{(transposeB ? "ᵀ" : "")} do not fit: {k} against {b.Shape[transposeB ? -1 : -2]}.");
        RequireF32("MatMul", this);
        var batch = NanoLora.Shape.Broadcast(Shape.With(-1, 1).With(-2, 1), b.Shape.With(-1, 1).With(-2, 1), "MatMul");
        var y = New(batch.With(-2, m).With(-1, n));
        Backend.MatMul(this, b, y, transposeA, transposeB, accumulate: false);
        return y.By(Workspace.Records && (NeedsGrad || b.Node is not null) ? new MatMulNode(this, b, transposeA, transposeB) : null);
    }

    /// <summary>y = x Wᵀ + bias</summary>
    /// <param name="weight">[out, in]; F32, BF16 or F16.</param>
    /// <param name="bias">[out], or null.</param>
    /// <exception cref="ArgumentException">The last axis of x is not the weight's in.</exception>
    public Tensor Linear(Tensor weight, Tensor? bias = null)
    {
        if (weight.Shape.Rank != 2) throw new ArgumentException($"Linear: W {weight.Shape} for x {Shape} is not [out, in].");
        if (Shape.Rank == 0 || weight.Shape[1] != Cols)
            throw new ArgumentException($"Linear: x {Shape} does not fit W {weight.Shape}; the last axis of x must be {weight.Shape[1]}.");
        if (bias is not null && bias.Count != weight.Shape[0]) throw new ArgumentException($"Linear: a bias {bias.Shape} for W {weight.Shape}.");
        RequireF32("Linear", this);
        var y = New(Shape.With(-1, weight.Shape[0]));
        Backend.Linear(this, weight, bias, y);
        return y.By(Workspace.Records && (NeedsGrad || weight.Node is not null || bias?.Node is not null) ? new LinearNode(this, weight, bias) : null);
    }

    /// <summary>Refuses a left operand that does not lie in memory as floats: the product reads it in place.</summary>
    private static void RequireF32(string op, Tensor x)
    {
        if (x.DType != DType.F32) throw new ArgumentException($"{op}: {x.Shape} is {x.DType} where only F32 is read; widen it with Cast(DType.F32).");
    }
}

public abstract partial class Backend
{
    /// <summary>y = op(a) op(b), or y += it. Batches of a and b broadcast to y's.</summary>
    public abstract void MatMul(Tensor a, Tensor b, Tensor y, bool transposeA, bool transposeB, bool accumulate);

    /// <summary>y = x Wᵀ + bias, rows of x and y taken together.</summary>
    public abstract void Linear(Tensor x, Tensor weight, Tensor? bias, Tensor y);
}

file sealed class MatMulNode(Tensor a, Tensor b, bool transposeA, bool transposeB)
    : Node([a, b], [b.Node is null ? null : a, a.Node is null ? null : b])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0))
        {
            var b = Saved(1);
            var da = transposeA ? b.Cast(DType.F32).MatMul(dy, transposeB, true) : dy.MatMul(b, false, !transposeB);   // on the left, b has to be F32
            Give(0, da.SumTo(InputShape(0)));
        }
        if (Wants(1))
        {
            var a = Saved(0);
            var db = transposeB ? dy.MatMul(a, true, transposeA) : a.MatMul(dy, !transposeA, false);
            Give(1, db.SumTo(InputShape(1)));
        }
    }
}

file sealed class LinearNode(Tensor x, Tensor weight, Tensor? bias) : Node([x, weight, bias], [weight.Node is null ? null : x, x.Node is null ? null : weight])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.MatMul(dy.Flat(), Saved(1), dx.Flat(), false, false, accumulate: false);
        if (Wants(1, out var dw)) dy.Backend.MatMul(dy.Flat(), Saved(0).Flat(), dw, true, false, accumulate: false);
        if (Wants(2, out var db)) dy.Backend.SumMiddle(dy, db, 1, dy.Rows);
    }
}

public partial class Tensor
{
    /// <summary>The rows under one axis: [rows, cols].</summary>
    internal Tensor Flat() => Shape.Rank == 2 ? this : View(new Shape(Rows, Cols));
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override unsafe void MatMul(Tensor a, Tensor b, Tensor y, bool transposeA, bool transposeB, bool accumulate)
    {
        int m = y.Shape[-2], n = y.Shape[-1], k = a.Shape[transposeA ? -2 : -1];
        var batches = y.Count / Math.Max(1, m * n);
        if (batches == 1)
        {
            Gemm.Multiply(Threads, m, n, k, a.Pointer<float>(), a.Cols, transposeA, b.Pointer<byte>(), b.Cols, transposeB, b.DType,
                y.Pointer<float>(), n, accumulate);
            return;
        }
        var (ofA, ofB) = (Batches(a, y), Batches(b, y));
        ForRows(batches, (int)Math.Min(1 << 20, (long)m * n * k / 8), new MatMulJob(a, b, y, ofA, ofB, m, n, k, transposeA, transposeB, accumulate));
    }

    /// <inheritdoc/>
    public override unsafe void Linear(Tensor x, Tensor weight, Tensor? bias, Tensor y)
    {
        int n = weight.Shape[0], k = weight.Shape[1];
        var plus = bias is null ? default : new Gemm.Plus(bias.Pointer<float>(), 0);
        Gemm.Multiply(Threads, y.Rows, n, k, x.Pointer<float>(), k, false, weight.Pointer<byte>(), k, true, weight.DType, y.Pointer<float>(), n, plus);
    }

    // The batch axes of x as a stretched row per matrix of y: element = matrix number.
    private static Stretch Batches(Tensor x, Tensor y)
    {
        Span<int> of = stackalloc int[Shape.MaxRank], to = stackalloc int[Shape.MaxRank];
        x.Shape.Sizes[..^2].CopyTo(of);
        y.Shape.Sizes[..^2].CopyTo(to);
        var (ofRank, toRank) = (x.Shape.Rank - 2, y.Shape.Rank - 2);
        of[ofRank] = to[toRank] = 1;
        return new Stretch(new Shape(of[..(ofRank + 1)]), new Shape(to[..(toRank + 1)]));
    }

    private readonly struct MatMulJob(Tensor a, Tensor b, Tensor y, Stretch ofA, Stretch ofB, int m, int n, int k, bool transposeA,
        bool transposeB, bool accumulate) : IRows
    {
        public unsafe void Run(int start, int end)
        {
            for (var i = start; i < end; i++)
            {
                var pb = b.Pointer<byte>() + (long)ofB.Row(i) * k * n * b.DType.Bytes();
                Gemm.MultiplySerial(m, n, k, a.Pointer<float>() + (long)ofA.Row(i) * m * k, a.Cols, transposeA, pb, b.Cols, transposeB, b.DType,
                    y.Pointer<float>() + (long)i * m * n, n, accumulate);
            }
        }
    }
}
