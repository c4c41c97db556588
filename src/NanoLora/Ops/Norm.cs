using System.Numerics;
using System.Runtime.CompilerServices;

namespace NanoLora;

// LayerNorm over the last axis:   x̂ = (x - μ) r,   r = 1 / √(σ² + ε),   y = x̂ ∘ w + b            (Ba, Kiros, Hinton 2016)
// Gradient:                       dx = r (g - mean g - x̂ mean(g ∘ x̂)),   g = dy ∘ w
//                                 dw = Σ rows dy ∘ x̂,   db = Σ rows dy
// RMSNorm:                        x̂ = x r,   r = 1 / √(mean x² + ε),   y = x̂ ∘ w                  (Zhang and Sennrich 2019)
// Gradient:                       dx = r (g - x̂ mean(g ∘ x̂)),   dw alike
//
// Kept: x, and μ and r of each row, two numbers a row; x̂ is made again. The variance is taken around the mean, in a second pass:
// E[x²] - E[x]² loses everything where the mean is large. With ShiftedWeight the factor is 1 + w, as Gemma stores it.

public partial class Tensor
{
    /// <summary>Brings each row to mean 0 and variance 1, then scales and shifts.</summary>
    /// <param name="weight">[cols], or null.</param>
    /// <param name="bias">[cols], or null.</param>
    /// <param name="eps">Added to the variance.</param>
    public Tensor LayerNorm(Tensor? weight, Tensor? bias, float eps = 1e-5f) => Normalise(weight, bias, new NormKind(eps, Centred: true));

    /// <summary>Brings each row to mean square 1, then scales.</summary>
    /// <param name="weight">[cols], or null.</param>
    /// <param name="eps">Added to the mean square.</param>
    /// <param name="shiftedWeight">Scale by 1 + weight.</param>
    public Tensor RmsNorm(Tensor? weight, float eps = 1e-6f, bool shiftedWeight = false) =>
        Normalise(weight, null, new NormKind(eps, Centred: false, shiftedWeight));

    private Tensor Normalise(Tensor? weight, Tensor? bias, NormKind kind)
    {
        if (weight is not null && weight.Count != Cols || bias is not null && bias.Count != Cols)
            throw new ArgumentException($"{kind.Op}: weight {weight?.Shape} and bias {bias?.Shape} do not fit the last axis of {Shape}.");
        var y = New(Shape);
        var statistics = New(new Shape(Rows, 2));                                                  // μ, r
        Backend.Norm(this, weight, bias, y, statistics, kind);
        return y.By(Workspace.Records && (NeedsGrad || weight?.Node is not null || bias?.Node is not null)
            ? new NormNode(this, weight, bias, statistics, kind)
            : null, kind.Op);
    }
}

/// <summary>Which norm: LayerNorm is centred, RMSNorm is not.</summary>
public readonly record struct NormKind(float Eps, bool Centred, bool ShiftedWeight = false)
{
    internal string Op => Centred ? "LayerNorm" : "RmsNorm";
}

public abstract partial class Backend
{
    /// <summary>y = the norm of each row of x; statistics [rows, 2] = μ and r of each.</summary>
    public abstract void Norm(Tensor x, Tensor? weight, Tensor? bias, Tensor y, Tensor statistics, NormKind kind);

    /// <summary>Gradients of x, weight and bias; those that are null are not wanted.</summary>
    public abstract void NormBackward(Tensor x, Tensor? weight, Tensor statistics, Tensor dy, Tensor? dx, Tensor? dw, Tensor? db, NormKind kind);
}

file sealed class NormNode(Tensor x, Tensor? weight, Tensor? bias, Tensor statistics, NormKind kind)
    : Node([x, weight, bias],
        [x.Node is null && weight?.Node is null ? null : x, x.Node is null ? null : weight, x.Node is null && weight?.Node is null ? null : statistics])
{
    protected override void Backward(Tensor dy)
    {
        if (!Wants(0, out var dx) & !Wants(1, out var dw))
        {
            if (Wants(2, out var only)) dy.Backend.SumMiddle(dy, only, 1, dy.Rows);
            return;
        }
        Wants(2, out var db);
        dy.Backend.NormBackward(Saved(0), SavedOrNull(1), Saved(2), dy, dx, dw, db, kind);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Norm(Tensor x, Tensor? weight, Tensor? bias, Tensor y, Tensor statistics, NormKind kind) =>
        ForRows(x.Rows, 3 * x.Cols, new NormJob(x, weight, bias, y, statistics, kind));

    /// <inheritdoc/>
    public override void NormBackward(Tensor x, Tensor? weight, Tensor statistics, Tensor dy, Tensor? dx, Tensor? dw, Tensor? db, NormKind kind)
    {
        if (dx is not null) ForRows(x.Rows, 4 * x.Cols, new NormBackwardJob(x, weight, statistics, dy, dx, kind));
        if (dw is null && db is null) return;
        // Each block of rows sums into rows of its own, which are then added in order: the same bits for any number of threads.
        const int run = 64;
        var blocks = Math.Max(1, (x.Rows + run - 1) / run);
        using var scope = x.Workspace.Scope(grad: false);
        var parts = x.New(new Shape(2, blocks, x.Cols));
        ForRows(blocks, run * x.Cols, new NormWeightJob(x, statistics, dy, parts, run));
        if (dw is not null) SumMiddle(parts.Slice(0, 0, 1), dw, 1, blocks);
        if (db is not null) SumMiddle(parts.Slice(0, 1, 2), db, 1, blocks);
    }

    private readonly struct NormJob(Tensor x, Tensor? weight, Tensor? bias, Tensor y, Tensor statistics, NormKind kind) : IRows
    {
        public void Run(int start, int end)
        {
            ReadOnlySpan<float> w = weight is null ? default : weight.Floats(), b = bias is null ? default : bias.Floats();
            for (var row = start; row < end; row++)
            {
                var u = x.Row(row);
                var v = y.Row(row);
                var mean = kind.Centred ? Simd.Mean(u) : 0;
                var r = 1 / MathF.Sqrt(Simd.SquaredDistance(u, mean) / u.Length + kind.Eps);
                (statistics.Floats()[2 * row], statistics.Floats()[2 * row + 1]) = (mean, r);
                Affine(u, mean, r, w, kind.ShiftedWeight ? 1 : 0, b, v);
            }
        }

        // v = (u - mean) r ∘ (w + shift) + b
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Affine(ReadOnlySpan<float> u, float mean, float r, ReadOnlySpan<float> w, float shift, ReadOnlySpan<float> b, Span<float> v)
        {
            var whole = Simd.Whole(v.Length);
            if (whole < v.Length)
            {
                var rest = (Simd.LoadPart(u, whole) - new Vector<float>(mean)) * r;
                if (!w.IsEmpty) rest *= Simd.LoadPart(w, whole) + new Vector<float>(shift);
                if (!b.IsEmpty) rest += Simd.LoadPart(b, whole);
                Simd.StorePart(rest, v, whole);
            }
            Vector<float> m = new(mean), s = new(r), one = new(shift);
            for (var i = 0; i < whole; i += Simd.Width)
            {
                var t = (Simd.Load(u, i) - m) * s;
                if (!w.IsEmpty) t *= Simd.Load(w, i) + one;
                if (!b.IsEmpty) t += Simd.Load(b, i);
                Simd.Store(t, v, i);
            }
        }
    }

    private readonly struct NormBackwardJob(Tensor x, Tensor? weight, Tensor statistics, Tensor dy, Tensor dx, NormKind kind) : IRows
    {
        public void Run(int start, int end)
        {
            ReadOnlySpan<float> w = weight is null ? default : weight.Floats();
            for (var row = start; row < end; row++)
            {
                var u = x.Row(row);
                var g = dy.Row(row);
                var d = dx.Row(row);
                var (m, r) = (statistics.Floats()[2 * row], statistics.Floats()[2 * row + 1]);
                var (sum, sumX) = Weigh(u, m, r, g, w, kind.ShiftedWeight ? 1 : 0, d);
                Centre(u, m, r, kind.Centred ? sum / d.Length : 0, sumX / d.Length, d);
            }
        }

        // d = g ∘ (w + shift); Σ d and Σ d ∘ x̂
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static (float Sum, float SumX) Weigh(ReadOnlySpan<float> u, float mean, float scale, ReadOnlySpan<float> g, ReadOnlySpan<float> w, float shift,
            Span<float> d)
        {
            var whole = Simd.Whole(d.Length);
            Vector<float> rest = default, restX = default;
            if (whole < d.Length)
            {
                rest = Simd.LoadPart(g, whole);
                if (!w.IsEmpty) rest *= Simd.LoadPart(w, whole) + new Vector<float>(shift);
                Simd.StorePart(rest, d, whole);
                restX = rest * ((Simd.LoadPart(u, whole) - new Vector<float>(mean)) * scale);
            }
            Vector<float> sum = default, sumX = default, m = new(mean), r = new(scale), one = new(shift);
            for (var i = 0; i < whole; i += Simd.Width)
            {
                var t = Simd.Load(g, i);
                if (!w.IsEmpty) t *= Simd.Load(w, i) + one;
                Simd.Store(t, d, i);
                sum += t;
                sumX += t * ((Simd.Load(u, i) - m) * r);
            }
            return (Vector.Sum(sum + rest), Vector.Sum(sumX + restX));
        }

        // d = r (d - mean d - x̂ mean(d ∘ x̂))
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Centre(ReadOnlySpan<float> u, float mean, float scale, float meanD, float meanX, Span<float> d)
        {
            var whole = Simd.Whole(d.Length);
            if (whole < d.Length)
            {
                var part = (Simd.LoadPart(u, whole) - new Vector<float>(mean)) * scale * meanX;
                Simd.StorePart(scale * (Simd.LoadPart(d, whole) - new Vector<float>(meanD) - part), d, whole);
            }
            Vector<float> m = new(mean), r = new(scale), ofD = new(meanD), ofX = new(meanX);
            for (var i = 0; i < whole; i += Simd.Width) Simd.Store(r * (Simd.Load(d, i) - ofD - (Simd.Load(u, i) - m) * r * ofX), d, i);
        }
    }

    private readonly struct NormWeightJob(Tensor x, Tensor statistics, Tensor dy, Tensor parts, int run) : IRows
    {
        public void Run(int start, int end)
        {
            var blocks = parts.Shape[1];
            for (var block = start; block < end; block++)
            {
                var dw = parts.Row(block);
                var db = parts.Row(blocks + block);
                dw.Clear();
                db.Clear();
                for (var row = block * run; row < Math.Min(x.Rows, (block + 1) * run); row++)
                    Add(x.Row(row), statistics.Floats()[2 * row], statistics.Floats()[2 * row + 1], dy.Row(row), dw, db);
            }
        }

        // dw += g ∘ x̂, db += g
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Add(ReadOnlySpan<float> u, float mean, float scale, ReadOnlySpan<float> g, Span<float> dw, Span<float> db)
        {
            var whole = Simd.Whole(dw.Length);
            if (whole < dw.Length)
            {
                var rest = (Simd.LoadPart(u, whole) - new Vector<float>(mean)) * scale;
                Simd.StorePart(Simd.LoadPart(dw, whole) + Simd.LoadPart(g, whole) * rest, dw, whole);
                Simd.StorePart(Simd.LoadPart(db, whole) + Simd.LoadPart(g, whole), db, whole);
            }
            Vector<float> m = new(mean), r = new(scale);
            for (var i = 0; i < whole; i += Simd.Width)
            {
                Simd.Store(Simd.Load(dw, i) + Simd.Load(g, i) * ((Simd.Load(u, i) - m) * r), dw, i);
                Simd.Store(Simd.Load(db, i) + Simd.Load(g, i), db, i);
            }
        }
    }
}
