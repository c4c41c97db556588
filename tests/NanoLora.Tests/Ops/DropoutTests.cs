using NanoLora;
using static NanoLora.Tests.Ops.FiniteDifferences;

namespace NanoLora.Tests.Ops;

public class DropoutTests
{
    [Fact]
    public void ElementsStayWhereTheStreamSaysSoAndTheGradientToo()
    {
        const float p = 0.3f;
        var x = Normals(40007, 1);
        using var backend = new CpuBackend(3);
        var main = backend.Main;
        (main.Seed, main.Training) = (7, true);
        using var input = new Parameter(main.From(x, new Shape(x.Length))) { Trains = true };
        using var scope = backend.Scope();
        var y = input.Value.Dropout(p);
        var second = input.Value.Dropout(p).ToArray();
        y.Backward(main.From(x, y.Shape));
        var stream = new Philox(7, 0);
        var (values, gradient, kept) = (y.ToArray(), input.Gradient!.ToArray(), 0);
        for (var i = 0; i < x.Length; i++)
        {
            var keeps = stream.Uniform((ulong)i) >= p;
            Assert.Equal(keeps ? x[i] * (1 / (1 - p)) : 0, values[i]);
            Assert.Equal(values[i], gradient[i]);
            kept += keeps ? 1 : 0;
        }
        Assert.InRange(kept / (double)x.Length, 0.69, 0.71);
        Assert.NotEqual(values, second);
        Assert.Equal(0, main.SavedBytes);
    }

    [Fact]
    public void OutsideOfTrainingItIsTheIdentityAndDrawsNothing()
    {
        using var backend = new CpuBackend(1);
        using var scope = backend.Scope();
        var x = backend.Main.Zeros(new Shape(3));
        Assert.Same(x, x.Dropout(0.5f));
        backend.Main.Training = true;
        Assert.Same(x, x.Dropout(0));
        Assert.Equal(0ul, backend.Main.Streams);
        Assert.Throws<ArgumentException>(() => x.Dropout(1));
        Assert.Throws<ArgumentException>(() => x.Dropout(float.NaN));
    }
}
