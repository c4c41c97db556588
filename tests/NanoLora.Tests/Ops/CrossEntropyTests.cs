using NanoLora;
using static NanoLora.Tests.Ops.FiniteDifferences;

namespace NanoLora.Tests.Ops;

public class CrossEntropyTests
{
    [Theory]
    [InlineData(Reduction.Mean, 0, false)]
    [InlineData(Reduction.Mean, 0.1, true)]
    [InlineData(Reduction.Sum, 0.3, true)]
    [InlineData(Reduction.None, 0.3, false)]
    public void ValuesAndGradientsAreThoseOfTheFormula(Reduction reduction, double smoothing, bool weighted)
    {
        const int rows = 37, classes = 19;
        var x = Normals(rows * classes, 1, 4);
        var t = Enumerable.Range(0, rows).Select(r => r % 5 == 3 ? -100 : r * 7 % classes).ToArray();
        var w = Normals(classes, 2).Select(v => weighted ? MathF.Abs(v) + 0.1f : 1).ToArray();
        var up = Normals(rows, 3);

        double[] losses = new double[rows], dx = new double[rows * classes];
        var divisor = reduction == Reduction.Mean ? t.Where(c => c >= 0).Sum(c => (double)w[c]) : 1;
        var share = smoothing / classes;
        for (var r = 0; r < rows; r++)
        {
            if (t[r] < 0) continue;
            var row = x.AsSpan(r * classes, classes).ToArray();
            var log = Math.Log(row.Sum(v => Math.Exp(v)));
            losses[r] = ((1 - smoothing) * w[t[r]] * (log - row[t[r]]) + share * row.Select((v, c) => w[c] * (log - v)).Sum()) / divisor;
            var g = (reduction == Reduction.None ? up[r] : up[0]) / divisor;
            for (var c = 0; c < classes; c++)
            {
                var p = Math.Exp(row[c] - log);
                dx[r * classes + c] = g * ((1 - smoothing) * w[t[r]] * (p - (c == t[r] ? 1 : 0)) + share * (p * w.Sum(v => (double)v) - w[c]));
            }
        }

        using var backend = new CpuBackend(3);
        using var logits = new Parameter(backend.Main.From(x, new Shape(rows, classes))) { Trains = true };
        using var scope = backend.Scope();
        var y = logits.Value.CrossEntropy(backend.Main.From(t, new Shape(rows)), reduction, smoothing: (float)smoothing,
            weight: weighted ? backend.Main.From(w, new Shape(classes)) : null);
        Close(reduction == Reduction.None ? losses : [losses.Sum()], y.ToArray(), 2e-6);
        y.Backward(backend.Main.From(up.AsSpan(0, y.Count), y.Shape));
        Close(dx, logits.Gradient!.ToArray(), 2e-6);
    }

    [Fact]
    public void GradientsAreSlopes() =>
        Check(x => x[0].CrossEntropy(x[0].Workspace.From([2, -100, 0], new Shape(3)), Reduction.None, smoothing: 0.2f), (Normals(15, 4), new Shape(3, 5)));

    [Fact]
    public void AWrongTargetIsNamedWithItsRow()
    {
        using var backend = new CpuBackend(1);
        using var scope = backend.Scope();
        var x = backend.Main.Zeros(new Shape(3, 4));
        var error = Assert.Throws<ArgumentException>(() => x.CrossEntropy(backend.Main.From([0, 4, 1], new Shape(3))));
        Assert.Contains("row 1 is 4", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => x.CrossEntropy(backend.Main.From([0, -1, 1], new Shape(3))));
        Assert.Throws<ArgumentException>(() => x.CrossEntropy(backend.Main.From([0, 1], new Shape(2))));
    }
}
