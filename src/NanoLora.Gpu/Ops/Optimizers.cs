using ILGPU;
using ILGPU.Algorithms;

namespace NanoLora;

// A step of an optimiser, in one pass. The step's numbers are worked out in double precision on the host.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void AdamW(Tensor parameter, Tensor gradient, Tensor m, Tensor v, Tensor? largest, in AdamWStep step)
    {
        AdamWStep.Check(parameter, gradient, m, v, largest);
        if (parameter.Count == 0) return;
        if (largest is null) _launch.Run(AdamWKernel, _launch.Elements(parameter.Count), Out(parameter), In(gradient), Out(m), Out(v), new AdamWRates(step));
        else _launch.Run(AmsGradKernel, _launch.Elements(parameter.Count), Out(parameter), In(gradient), Out(m), Out(v), Out(largest), new AdamWRates(step));
    }

    /// <inheritdoc/>
    public override void Sgd(Tensor parameter, Tensor gradient, Tensor? buffer, in SgdStep step)
    {
        SgdStep.Check(parameter, gradient, buffer, step);
        if (parameter.Count == 0) return;
        var rates = new SgdRates(step);
        if (buffer is null) _launch.Run(SgdKernel, _launch.Elements(parameter.Count), Out(parameter), In(gradient), rates);
        else _launch.Run(MomentumKernel, _launch.Elements(parameter.Count), Out(parameter), In(gradient), Out(buffer), rates);
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void AdamWKernel(ArrayView<float> t, ArrayView<float> g, ArrayView<float> m, ArrayView<float> v, AdamWRates rates)
    {
        for (var i = Each.First; Each.Within(i, t); i += Each.Stride)
        {
            var second = rates.Moments(t[i], g[i], ref m[i], ref v[i]);
            t[i] = rates.Next(t[i], m[i], second);
        }
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void AmsGradKernel(ArrayView<float> t, ArrayView<float> g, ArrayView<float> m, ArrayView<float> v, ArrayView<float> largest, AdamWRates rates)
    {
        for (var i = Each.First; Each.Within(i, t); i += Each.Stride)
        {
            var second = rates.Moments(t[i], g[i], ref m[i], ref v[i]);
            if (second > largest[i]) largest[i] = second;
            t[i] = rates.Next(t[i], m[i], largest[i]);
        }
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void SgdKernel(ArrayView<float> t, ArrayView<float> g, SgdRates rates)
    {
        for (var i = Each.First; Each.Within(i, t); i += Each.Stride) t[i] -= rates.Rate * rates.Gradient(g[i], t[i]);
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void MomentumKernel(ArrayView<float> t, ArrayView<float> g, ArrayView<float> b, SgdRates rates)
    {
        for (var i = Each.First; Each.Within(i, t); i += Each.Stride)
        {
            var step = rates.Gradient(g[i], t[i]);
            var kept = rates.First ? step : rates.Momentum * b[i] + rates.Share * step;
            b[i] = kept;
            t[i] -= rates.Rate * (rates.Nesterov ? step + rates.Momentum * kept : kept);
        }
    }
}

/// <summary>The numbers of a step of AdamW, in single precision.</summary>
public readonly struct AdamWRates
{
    private readonly float _scale, _shrink, _decay, _share1, _share2, _beta2, _rate, _root, _epsilon;

    internal AdamWRates(in AdamWStep step)
    {
        _scale = step.GradientScale;
        _shrink = (float)(step.Decoupled ? 1 - step.LearningRate * step.WeightDecay : 1);
        _decay = (float)(step.Decoupled ? 0 : step.WeightDecay);
        (_share1, _share2, _beta2) = ((float)(1 - step.Beta1), (float)(1 - step.Beta2), (float)step.Beta2);
        _rate = (float)(step.LearningRate / (1 - Math.Pow(step.Beta1, step.Step)));
        (_root, _epsilon) = ((float)Math.Sqrt(1 - Math.Pow(step.Beta2, step.Step)), (float)step.Epsilon);
    }

    /// <summary>Brings both moments up to date, and gives the second.</summary>
    public float Moments(float t, float g, ref float m, ref float v)
    {
        g = _scale * g + _decay * t;
        m += _share1 * (g - m);
        v = _beta2 * v + _share2 * g * g;
        return v;
    }

    /// <summary>The parameter after the step.</summary>
    public float Next(float t, float m, float v) => _shrink * t - _rate * m / (XMath.Sqrt(v) / _root + _epsilon);
}

/// <summary>The numbers of a step of SGD, in single precision.</summary>
public readonly struct SgdRates
{
    private readonly float _scale, _decay;
    private readonly int _flags;

    internal SgdRates(in SgdStep step)
    {
        (_scale, _decay, Rate, Momentum, Share) = (step.GradientScale, (float)step.WeightDecay, (float)step.LearningRate,
            (float)step.Momentum, (float)(1 - step.Dampening));
        _flags = (step.First ? 1 : 0) | (step.Nesterov ? 2 : 0);
    }

    /// <summary>lr</summary>
    public float Rate { get; }

    /// <summary>μ</summary>
    public float Momentum { get; }

    /// <summary>1 - δ</summary>
    public float Share { get; }

    /// <summary>Whether the buffer becomes the gradient.</summary>
    public bool First => (_flags & 1) != 0;

    /// <summary>Whether the step looks one step ahead.</summary>
    public bool Nesterov => (_flags & 2) != 0;

    /// <summary>The scaled gradient with its decay.</summary>
    public float Gradient(float g, float t) => _scale * g + _decay * t;
}
