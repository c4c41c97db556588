using System.Numerics;
using System.Runtime.InteropServices;

namespace NanoLora;

// One step of an optimiser, in one pass over the parameter θ. Nothing here is on the tape. The gradient is read as scale · g, so that clipping
// (scale = most / norm) never writes it.
//
// AdamW:   θ ← θ (1 - lr λ)                                        (Loshchilov and Hutter 2019; Adam instead adds λ θ to g)
//          m ← m + (1 - β1) (g - m),   v ← β2 v + (1 - β2) g²
//          θ ← θ - lr / (1 - β1^t) · m / (√v / √(1 - β2^t) + ε)     (AMSGrad: the largest v so far in place of v)
// SGD:     g ← g + λ θ,   b ← μ b + (1 - δ) g, at the first step b ← g,   θ ← θ - lr b     (Nesterov: g + μ b in place of b)

/// <summary>The numbers of one step of AdamW or Adam.</summary>
/// <param name="Step">Counts from 1; corrects the moments' start at 0.</param>
/// <param name="LearningRate">lr</param>
/// <param name="Beta1">How much of the first moment stays.</param>
/// <param name="Beta2">How much of the second moment stays.</param>
/// <param name="Epsilon">Added to the root of the second moment.</param>
/// <param name="WeightDecay">λ</param>
/// <param name="GradientScale">Multiplies the gradient first.</param>
/// <param name="Decoupled">AdamW: decay shrinks the parameter. False is Adam: decay is part of the gradient.</param>
public readonly record struct AdamWStep(int Step, double LearningRate, double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8,
    double WeightDecay = 0.01, float GradientScale = 1, bool Decoupled = true)
{
    internal static void Check(Tensor parameter, Tensor gradient, Tensor m, Tensor v, Tensor? largest)
    {
        var count = parameter.Count;
        if (gradient.Count != count || m.Count != count || v.Count != count || (largest is not null && largest.Count != count))
            throw new ArgumentException($"AdamW: a gradient {gradient.Shape} and moments {m.Shape} and {v.Shape} for a parameter {parameter.Shape}.");
    }
}

/// <summary>The numbers of one step of stochastic gradient descent.</summary>
/// <param name="First">Whether it is the buffer's first step: it then becomes the gradient.</param>
/// <param name="LearningRate">lr</param>
/// <param name="Momentum">μ, how much of the buffer stays.</param>
/// <param name="Dampening">δ, how much of the gradient is kept out of the buffer.</param>
/// <param name="Nesterov">Looks one step ahead.</param>
/// <param name="WeightDecay">λ, added to the gradient as λ θ.</param>
/// <param name="GradientScale">Multiplies the gradient first.</param>
public readonly record struct SgdStep(bool First, double LearningRate, double Momentum = 0, double Dampening = 0, bool Nesterov = false,
    double WeightDecay = 0, float GradientScale = 1)
{
    internal static void Check(Tensor parameter, Tensor gradient, Tensor? buffer, in SgdStep step)
    {
        if (gradient.Count != parameter.Count || (buffer is not null && buffer.Count != parameter.Count) || (buffer is null && step.Momentum != 0))
            throw new ArgumentException($"Sgd: gradient {gradient.Shape} and buffer {buffer?.Shape} for {parameter.Shape}; momentum wants a buffer.");
    }
}

public abstract partial class Backend
{
    /// <summary>One step of AdamW or Adam: writes the parameter, both moments and, for AMSGrad, the largest second moment.</summary>
    public abstract void AdamW(Tensor parameter, Tensor gradient, Tensor m, Tensor v, Tensor? largest, in AdamWStep step);

    /// <summary>One step of SGD: writes the parameter and the buffer, which is null where there is no momentum.</summary>
    public abstract void Sgd(Tensor parameter, Tensor gradient, Tensor? buffer, in SgdStep step);

    /// <summary>Σ x², in double precision and a fixed order.</summary>
    public abstract double SquaredNorm(Tensor x);

    /// <summary>Σ x² over all of several tensors, read back at once.</summary>
    public virtual double SquaredNorm(ReadOnlySpan<Tensor> tensors)
    {
        var sum = 0.0;
        foreach (var x in tensors) sum += SquaredNorm(x);
        return sum;
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void AdamW(Tensor parameter, Tensor gradient, Tensor m, Tensor v, Tensor? largest, in AdamWStep step)
    {
        AdamWStep.Check(parameter, gradient, m, v, largest);
        Chunks(parameter.Count, new AdamWJob(parameter, gradient, m, v, largest, step));
    }

    /// <inheritdoc/>
    public override void Sgd(Tensor parameter, Tensor gradient, Tensor? buffer, in SgdStep step)
    {
        SgdStep.Check(parameter, gradient, buffer, step);
        Chunks(parameter.Count, new SgdJob(parameter, gradient, buffer, step));
    }

    /// <inheritdoc/>
    public override double SquaredNorm(Tensor x)
    {
        using var scope = x.Workspace.Scope(grad: false);
        var blocks = (x.Count + Grain - 1) / Grain;
        var parts = x.New(new Shape(2 * blocks), DType.I32);                                       // a double is two of them
        ForRows(blocks, Grain, new SquaresJob(x, parts));
        var sum = 0.0;
        foreach (var part in MemoryMarshal.Cast<byte, double>(parts.Raw())) sum += part;
        return sum;
    }

    private readonly struct AdamWJob(Tensor parameter, Tensor gradient, Tensor m, Tensor v, Tensor? largest, AdamWStep step) : IRows
    {
        public void Run(int start, int end)
        {
            var t = parameter.Floats()[start..end];
            var g = gradient.Floats()[start..end];
            var first = m.Floats()[start..end];
            var second = v.Floats()[start..end];
            var top = largest is null ? default : largest.Floats()[start..end];
            var rates = new AdamWRates(step);
            var whole = Simd.Whole(t.Length);
            for (var i = 0; i < whole; i += Simd.Width)
            {
                Vector<float> a = Simd.Load(first, i), b = Simd.Load(second, i), c = top.IsEmpty ? default : Simd.Load(top, i);
                Simd.Store(rates.Next(Simd.Load(t, i), Simd.Load(g, i), ref a, ref b, ref c, !top.IsEmpty), t, i);
                Simd.Store(a, first, i);
                Simd.Store(b, second, i);
                if (!top.IsEmpty) Simd.Store(c, top, i);
            }
            if (whole == t.Length) return;
            Vector<float> x = Simd.LoadPart(first, whole), y = Simd.LoadPart(second, whole), z = top.IsEmpty ? default : Simd.LoadPart(top, whole);
            Simd.StorePart(rates.Next(Simd.LoadPart(t, whole), Simd.LoadPart(g, whole), ref x, ref y, ref z, !top.IsEmpty), t, whole);
            Simd.StorePart(x, first, whole);
            Simd.StorePart(y, second, whole);
            if (!top.IsEmpty) Simd.StorePart(z, top, whole);
        }
    }

    // The step's numbers, worked out in double precision once for all lanes.
    private readonly struct AdamWRates(AdamWStep step)
    {
        private readonly Vector<float> _scale = new(step.GradientScale);
        private readonly Vector<float> _shrink = new((float)(step.Decoupled ? 1 - step.LearningRate * step.WeightDecay : 1));
        private readonly Vector<float> _decay = new((float)(step.Decoupled ? 0 : step.WeightDecay));
        private readonly Vector<float> _share1 = new((float)(1 - step.Beta1)), _share2 = new((float)(1 - step.Beta2)), _beta2 = new((float)step.Beta2);
        private readonly Vector<float> _rate = new((float)(step.LearningRate / (1 - Math.Pow(step.Beta1, step.Step))));
        private readonly Vector<float> _root = new((float)Math.Sqrt(1 - Math.Pow(step.Beta2, step.Step))), _epsilon = new((float)step.Epsilon);

        public Vector<float> Next(Vector<float> t, Vector<float> g, ref Vector<float> m, ref Vector<float> v, ref Vector<float> largest, bool amsgrad)
        {
            g = _scale * g + _decay * t;
            m += _share1 * (g - m);
            v = _beta2 * v + _share2 * g * g;
            if (amsgrad) largest = Vector.Max(largest, v);
            return _shrink * t - _rate * m / (Vector.SquareRoot(amsgrad ? largest : v) / _root + _epsilon);
        }
    }

    private readonly struct SgdJob(Tensor parameter, Tensor gradient, Tensor? buffer, SgdStep step) : IRows
    {
        public void Run(int start, int end)
        {
            var t = parameter.Floats()[start..end];
            var g = gradient.Floats()[start..end];
            var b = buffer is null ? default : buffer.Floats()[start..end];
            var whole = Simd.Whole(t.Length);
            for (var i = 0; i < whole; i += Simd.Width)
            {
                var kept = b.IsEmpty ? default : Simd.Load(b, i);
                Simd.Store(Next(Simd.Load(t, i), Simd.Load(g, i), ref kept), t, i);
                if (!b.IsEmpty) Simd.Store(kept, b, i);
            }
            if (whole == t.Length) return;
            var last = b.IsEmpty ? default : Simd.LoadPart(b, whole);
            Simd.StorePart(Next(Simd.LoadPart(t, whole), Simd.LoadPart(g, whole), ref last), t, whole);
            if (!b.IsEmpty) Simd.StorePart(last, b, whole);
        }

        private Vector<float> Next(Vector<float> t, Vector<float> g, ref Vector<float> kept)
        {
            g = step.GradientScale * g + (float)step.WeightDecay * t;
            if (buffer is not null)
            {
                kept = step.First ? g : (float)step.Momentum * kept + (float)(1 - step.Dampening) * g;
                g = step.Nesterov ? g + (float)step.Momentum * kept : kept;
            }
            return t - (float)step.LearningRate * g;
        }
    }

    private readonly struct SquaresJob(Tensor x, Tensor parts) : IRows
    {
        public void Run(int start, int end)
        {
            for (var block = start; block < end; block++)
            {
                var u = x.Floats()[(block * Grain)..Math.Min(x.Count, (block + 1) * Grain)];
                Vector<double> low = default, high = default;
                var whole = Simd.Whole(u.Length);
                for (var i = 0; i < whole; i += Simd.Width) Add(Simd.Load(u, i), ref low, ref high);
                if (whole < u.Length) Add(Simd.LoadPart(u, whole), ref low, ref high);
                MemoryMarshal.Cast<byte, double>(parts.Raw())[block] = Vector.Sum(low + high);
            }
        }

        private static void Add(Vector<float> x, ref Vector<double> low, ref Vector<double> high)
        {
            Vector.Widen(x, out var a, out var b);
            low += a * a;
            high += b * b;
        }
    }
}
