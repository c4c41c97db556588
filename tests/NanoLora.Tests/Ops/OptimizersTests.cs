using NanoLora;
using static NanoLora.Tests.Ops.FiniteDifferences;

namespace NanoLora.Tests.Ops;

public class OptimizersTests
{
    private const int Count = 20011;   // more than one block of work, and a tail

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void AdamWIsTheFormula(bool decoupled, bool amsgrad)
    {
        var theta = Normals(Count, 1).Select(x => (double)x).ToArray();
        double[] m = new double[Count], v = new double[Count], top = new double[Count];
        using var backend = new CpuBackend(3);
        using var scope = backend.Scope();
        var shape = new Shape(Count);
        Tensor p = backend.Main.From(Normals(Count, 1), shape), a = backend.Main.Zeros(shape), b = backend.Main.Zeros(shape), c = backend.Main.Zeros(shape);
        for (var t = 1; t <= 5; t++)
        {
            var gradient = Normals(Count, (ulong)t + 10, scale: 6 - t);
            var step = new AdamWStep(t, 0.01, 0.9, 0.95, 1e-6, 0.1, GradientScale: 0.5f, decoupled);
            backend.AdamW(p, backend.Main.From(gradient, shape), a, b, amsgrad ? c : null, step);
            for (var i = 0; i < Count; i++)
            {
                var g = 0.5 * gradient[i] + (decoupled ? 0 : 0.1 * theta[i]);
                if (decoupled) theta[i] *= 1 - 0.01 * 0.1;
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.95 * v[i] + 0.05 * g * g;
                top[i] = amsgrad ? Math.Max(top[i], v[i]) : v[i];
                theta[i] -= 0.01 * (m[i] / (1 - Math.Pow(0.9, t))) / (Math.Sqrt(top[i] / (1 - Math.Pow(0.95, t))) + 1e-6);
            }
        }
        Close(theta, p.ToArray(), 2e-6);
    }

    [Theory]
    [InlineData(0, 0, false)]
    [InlineData(0.9, 0.3, false)]
    [InlineData(0.9, 0, true)]
    public void SgdIsTheFormula(double momentum, double dampening, bool nesterov)
    {
        var theta = Normals(Count, 1).Select(x => (double)x).ToArray();
        var buffer = new double[Count];
        using var backend = new CpuBackend(3);
        using var scope = backend.Scope();
        var shape = new Shape(Count);
        Tensor p = backend.Main.From(Normals(Count, 1), shape), b = backend.Main.New(shape);
        for (var t = 0; t < 4; t++)
        {
            var gradient = Normals(Count, (ulong)t + 10);
            backend.Sgd(p, backend.Main.From(gradient, shape), momentum == 0 ? null : b, new SgdStep(t == 0, 0.1, momentum, dampening, nesterov, 0.05, 0.5f));
            for (var i = 0; i < Count; i++)
            {
                var g = 0.5 * gradient[i] + 0.05 * theta[i];
                buffer[i] = t == 0 ? g : momentum * buffer[i] + (1 - dampening) * g;
                theta[i] -= 0.1 * (momentum == 0 ? g : nesterov ? g + momentum * buffer[i] : buffer[i]);
            }
        }
        Close(theta, p.ToArray(), 2e-6);
    }

    [Fact]
    public void TheNormIsTheSameForAnyNumberOfThreadsAndDoesNotOverflow()
    {
        var x = Normals(5 * Count, 3, 1e25f);
        var exact = x.Sum(v => (double)v * v);
        var sums = new List<double>();
        foreach (var threads in new[] { 1, 2, 5 })
        {
            using var backend = new CpuBackend(threads);
            using var scope = backend.Scope();
            sums.Add(backend.SquaredNorm(backend.Main.From(x, new Shape(x.Length))));
        }
        Assert.Single(sums.Distinct());
        Assert.Equal(1, sums[0] / exact, 1e-12);
    }
}
