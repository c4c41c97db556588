using System.Runtime.InteropServices;

namespace NanoLora.Nn;

/// <summary>What an optimiser needs to know of one parameter.</summary>
/// <param name="Parameter">The parameter.</param>
/// <param name="Path">Its path, for messages and files.</param>
/// <param name="Rate">Its full learning rate; the schedule multiplies it.</param>
/// <param name="Decay">Its weight decay.</param>
public sealed record Trained(Parameter Parameter, string Path, double Rate, double Decay);

/// <summary>
/// AdamW (Loshchilov and Hutter 2019) over parameters that each have a rate and a decay: p -= lr wd p, then p -= lr m̂ / (√v̂ + ε).
/// Parameters without a gradient are left alone.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly IReadOnlyList<Trained> _parameters;
    private readonly Tensor[] _m, _v;
    private readonly List<Tensor> _gradients = [];
    private readonly double _beta1, _beta2, _eps;

    /// <summary>An optimiser whose moments start at zero.</summary>
    public AdamW(IReadOnlyList<Trained> parameters, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8)
    {
        (_parameters, _beta1, _beta2, _eps) = (parameters, beta1, beta2, eps);
        _m = [.. parameters.Select(Zeros)];
        _v = [.. parameters.Select(Zeros)];

        static Tensor Zeros(Trained trained)
        {
            using var zeros = trained.Parameter.Value.Workspace.Zeros(trained.Parameter.Shape);
            return new Parameter(zeros).Value;
        }
    }

    /// <summary>Steps taken so far.</summary>
    public int Steps { get; set; }

    /// <summary>The trained parameters.</summary>
    public IReadOnlyList<Trained> Parameters => _parameters;

    /// <summary>The first and second moments of parameter <paramref name="i"/>.</summary>
    public (Tensor First, Tensor Second) Moments(int i) => (_m[i], _v[i]);

    /// <summary>The norm of all gradients together.</summary>
    public double GradientNorm()
    {
        _gradients.Clear();
        foreach (var trained in _parameters) if (trained.Parameter.Gradient is { } gradient) _gradients.Add(gradient);
        return _gradients.Count == 0 ? 0 : Math.Sqrt(_gradients[0].Backend.SquaredNorm(CollectionsMarshal.AsSpan(_gradients)));
    }

    /// <summary>Moves every parameter that has a gradient.</summary>
    /// <param name="share">The schedule's share of the full rates.</param>
    /// <param name="gradientScale">What the gradients are multiplied with first: clipping.</param>
    public void Step(double share, double gradientScale = 1)
    {
        Steps++;
        for (var i = 0; i < _parameters.Count; i++)
        {
            var (parameter, rate, decay) = (_parameters[i].Parameter, _parameters[i].Rate, _parameters[i].Decay);
            if (parameter.Gradient is not { } gradient) continue;
            parameter.Value.Backend.AdamW(parameter, gradient, _m[i], _v[i], null,
                new AdamWStep(Steps, rate * share, _beta1, _beta2, _eps, decay, (float)gradientScale));
        }
    }

    /// <summary>Gives all gradients back to the pool.</summary>
    public void ClearGradients()
    {
        foreach (var trained in _parameters) trained.Parameter.ClearGradient();
    }

    /// <summary>Lets the moments go.</summary>
    public void Dispose()
    {
        foreach (var moment in _m) moment.Dispose();
        foreach (var moment in _v) moment.Dispose();
    }
}
