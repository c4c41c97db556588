using System.Numerics;
using System.Runtime.CompilerServices;

namespace NanoLora;

// Cross entropy of logits x [rows, C] with targets t:   p = softmax x,   ℓ = -ln p,   loss = (1 - s) w_t ℓ_t + (s / C) Σ_c w_c ℓ_c
//     s is the label smoothing, w the class weights (1 without). Rows whose target is the ignored index lose 0.
//     Mean divides the sum by Σ w_t over the rows that count; over no rows at all it is NaN, with a gradient of 0.
// Gradient:   dx_c = g ((p_c ((1 - s) w_t + (s / C) Σ w)) - (s / C) w_c - (1 - s) w_t [c = t]),   g = dy, over Σ w_t for the mean
//
// Kept: x, the targets, and of each row its maximum and 1 / Σ exp(x - max); p is made again. ℓ_c = (max - x_c) + ln Σ: the two
// large numbers meet first, so logits far from 0 lose nothing. A row's two statistics are all that one block of classes would have to
// know of the others.

/// <summary>What becomes of the losses of the rows.</summary>
public enum Reduction
{
    /// <summary>Their sum over the (weighted) number of rows that count.</summary>
    Mean,
    /// <summary>Their sum.</summary>
    Sum,
    /// <summary>One loss a row.</summary>
    None,
}

public partial class Tensor
{
    /// <summary>Cross entropy of these logits with class numbers, as <c>torch.nn.functional.cross_entropy</c> has it.</summary>
    /// <param name="targets">I32, a class for each row of the logits [.., classes].</param>
    /// <param name="reduction">Mean and Sum give a scalar, None the targets' shape.</param>
    /// <param name="ignoreIndex">Rows with this target take no part.</param>
    /// <param name="smoothing">The share of each target that is spread over all classes, from 0 to 1.</param>
    /// <param name="weight">[classes], how much each class counts; or null.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, or a target is neither a class nor the ignored index.</exception>
    public Tensor CrossEntropy(Tensor targets, Reduction reduction = Reduction.Mean, int ignoreIndex = -100, float smoothing = 0, Tensor? weight = null)
    {
        if (Shape.Rank == 0 || targets.DType != DType.I32 || targets.Count != Rows)
            throw new ArgumentException($"CrossEntropy: logits {Shape} want {Rows} targets in I32, one a row, not {targets.DType} {targets.Shape}.");
        if (weight is not null && weight.Count != Cols) throw new ArgumentException($"CrossEntropy: class weights {weight.Shape} for {Cols} classes.");
        RequireClasses(targets, ignoreIndex, 0);
        var kind = CrossEntropyKind.Of(reduction, ignoreIndex, smoothing, targets, weight);
        var losses = New(targets.Shape);
        var statistics = New(new Shape(Rows, 2));                                                  // max, 1 / Σ exp(x - max)
        Backend.CrossEntropy(this, targets, weight, losses, statistics, kind);
        var y = losses;
        if (reduction != Reduction.None) Backend.SumMiddle(losses, y = New(new Shape()), 1, losses.Count);
        return y.By(NeedsGrad ? new CrossEntropyNode(this, targets, weight, statistics, kind) : null);
    }

    /// <summary>Refuses targets that are no classes of these logits.</summary>
    /// <param name="targets">I32, one a row.</param>
    /// <param name="ignoreIndex">What is none and may stand there.</param>
    /// <param name="first">The row that the first target is of, for the message.</param>
    private void RequireClasses(Tensor targets, int ignoreIndex, int first)
    {
        var row = Backend.FirstOutside(targets, Cols, ignoreIndex, out var target);
        if (row < 0) return;
        throw new ArgumentException(
            $"CrossEntropy: the target of row {first + row} is {target}; it must lie in [0, {Cols}), or be {ignoreIndex} to be ignored.");
    }
}

/// <summary>How rows are counted: <paramref name="Factor"/> multiplies each loss (1, or one over the number of rows that count).</summary>
public readonly record struct CrossEntropyKind(int IgnoreIndex, float Smoothing, float Factor)
{
    internal static CrossEntropyKind Of(Reduction reduction, int ignoreIndex, float smoothing, Tensor targets, Tensor? weight)
    {
        if (!(smoothing is >= 0 and <= 1)) throw new ArgumentException($"CrossEntropy: a label smoothing of {smoothing} does not lie in [0, 1].");
        return new(ignoreIndex, smoothing, reduction == Reduction.Mean ? 1 / targets.Backend.TargetWeight(targets, weight, ignoreIndex) : 1);
    }
}

public abstract partial class Backend
{
    /// <summary>The first place where ids hold something outside 0..size that is not <paramref name="except"/>, and what; -1 if there is none.</summary>
    public abstract int FirstOutside(Tensor ids, int size, int? except, out int id);

    /// <summary>Σ w_t over the targets that are not ignored; their number where there are no weights.</summary>
    public abstract float TargetWeight(Tensor targets, Tensor? weight, int ignoreIndex);

    /// <summary>The loss of each row times the factor, and of each row its maximum and 1 / Σ exp(x - max).</summary>
    public abstract void CrossEntropy(Tensor x, Tensor targets, Tensor? weight, Tensor losses, Tensor statistics, CrossEntropyKind kind);

    /// <summary>dx from dy, which has one element or one for each row; dx may be x itself.</summary>
    public abstract void CrossEntropyBackward(Tensor x, Tensor targets, Tensor? weight, Tensor statistics, Tensor dy, Tensor dx, CrossEntropyKind kind);
}

file sealed class CrossEntropyNode(Tensor x, Tensor targets, Tensor? weight, Tensor statistics, CrossEntropyKind kind)
    : Node([x], [x, targets, weight, statistics])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.CrossEntropyBackward(Saved(0), Saved(1), SavedOrNull(2), Saved(3), dy, dx, kind);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override int FirstOutside(Tensor ids, int size, int? except, out int id)
    {
        var all = ids.Ints();
        for (var i = 0; i < all.Length; i++)
        {
            id = all[i];
            if ((uint)id >= (uint)size && id != except) return i;
        }
        id = 0;
        return -1;
    }

    /// <inheritdoc/>
    public override float TargetWeight(Tensor targets, Tensor? weight, int ignoreIndex)
    {
        var w = weight is null ? default : weight.Floats();
        var sum = 0.0;
        foreach (var t in targets.Ints()) if (t != ignoreIndex) sum += w.IsEmpty ? 1 : w[t];
        return (float)sum;
    }

    /// <inheritdoc/>
    public override void CrossEntropy(Tensor x, Tensor targets, Tensor? weight, Tensor losses, Tensor statistics, CrossEntropyKind kind) =>
        ForRows(x.Rows, 4 * x.Cols, new CrossEntropyJob(x, targets, weight, losses, statistics, kind));

    /// <inheritdoc/>
    public override void CrossEntropyBackward(Tensor x, Tensor targets, Tensor? weight, Tensor statistics, Tensor dy, Tensor dx, CrossEntropyKind kind) =>
        ForRows(x.Rows, 4 * x.Cols, new CrossEntropyBackwardJob(x, targets, weight, statistics, dy, dx, kind));

    private readonly struct CrossEntropyJob(Tensor x, Tensor targets, Tensor? weight, Tensor losses, Tensor statistics, CrossEntropyKind kind) : IRows
    {
        public void Run(int start, int end)
        {
            ReadOnlySpan<float> w = weight is null ? default : weight.Floats();
            var weights = w.IsEmpty ? x.Cols : Simd.Sum(w);
            for (var row = start; row < end; row++)
            {
                var u = x.Row(row);
                var t = targets.Ints()[row];
                var max = SoftExp.Max(u);
                var sum = SumOfExp(u, max);
                var log = MathF.Log(sum);
                (statistics.Floats()[2 * row], statistics.Floats()[2 * row + 1]) = (max, 1 / sum);
                var loss = 0f;
                if (t != kind.IgnoreIndex)
                {
                    var own = (max - u[t] + log) * (w.IsEmpty ? 1 : w[t]);
                    loss = kind.Smoothing == 0 ? own : (1 - kind.Smoothing) * own + kind.Smoothing / x.Cols * (DistanceTo(max, u, w) + weights * log);
                }
                losses.Floats()[row] = kind.Factor * loss;
            }
        }

        // Σ exp(x - max)
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static float SumOfExp(ReadOnlySpan<float> u, float max)
        {
            var whole = Simd.Whole(u.Length);
            var rest = whole < u.Length ? SoftExp.Of(Simd.LoadPart(u, whole, float.NegativeInfinity) - new Vector<float>(max)) : default;
            Vector<float> sum = default, m = new(max);
            for (var i = 0; i < whole; i += Simd.Width) sum += SoftExp.Of(Simd.Load(u, i) - m);
            return Vector.Sum(sum + rest);
        }

        // Σ w (max - x)
        private static float DistanceTo(float max, ReadOnlySpan<float> u, ReadOnlySpan<float> w)
        {
            var whole = Simd.Whole(u.Length);
            Vector<float> rest = default;
            if (whole < u.Length) rest = (new Vector<float>(max) - Simd.LoadPart(u, whole, max)) * (w.IsEmpty ? Vector<float>.One : Simd.LoadPart(w, whole));
            Vector<float> sum = default, m = new(max);
            for (var i = 0; i < whole; i += Simd.Width) sum += (m - Simd.Load(u, i)) * (w.IsEmpty ? Vector<float>.One : Simd.Load(w, i));
            return Vector.Sum(sum + rest);
        }
    }

    private readonly struct CrossEntropyBackwardJob(Tensor x, Tensor targets, Tensor? weight, Tensor statistics, Tensor dy, Tensor dx, CrossEntropyKind kind)
        : IRows
    {
        public void Run(int start, int end)
        {
            ReadOnlySpan<float> w = weight is null ? default : weight.Floats();
            var share = kind.Smoothing / x.Cols;
            var spread = share * (w.IsEmpty ? x.Cols : Simd.Sum(w));
            for (var row = start; row < end; row++)
            {
                var u = x.Row(row);
                var d = dx.Row(row);
                var t = targets.Ints()[row];
                if (t == kind.IgnoreIndex) { d.Clear(); continue; }
                var g = kind.Factor * dy.Floats()[dy.Count == 1 ? 0 : row];
                var own = g * (1 - kind.Smoothing) * (w.IsEmpty ? 1 : w[t]);
                var kept = statistics.Floats().Slice(2 * row, 2);
                Slopes(u, kept[0], (own + g * spread) * kept[1], g * share, w, d);
                d[t] -= own;
            }
        }

        // d = scale exp(x - max) - flat w
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Slopes(ReadOnlySpan<float> u, float max, float scale, float flat, ReadOnlySpan<float> w, Span<float> d)
        {
            var whole = Simd.Whole(d.Length);
            if (whole < d.Length)
            {
                var e = SoftExp.Of(Simd.LoadPart(u, whole) - new Vector<float>(max));
                Simd.StorePart(scale * e - flat * (w.IsEmpty ? Vector<float>.One : Simd.LoadPart(w, whole)), d, whole);
            }
            Vector<float> m = new(max), s = new(scale), f = new(flat);
            if (w.IsEmpty) for (var i = 0; i < whole; i += Simd.Width) Simd.Store(s * SoftExp.Of(Simd.Load(u, i) - m) - f, d, i);
            else for (var i = 0; i < whole; i += Simd.Width) Simd.Store(s * SoftExp.Of(Simd.Load(u, i) - m) - f * Simd.Load(w, i), d, i);
        }
    }
}
