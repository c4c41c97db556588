using NanoLora;

namespace NanoLora.Tests.Ops;

public class SlicedCrossEntropyTests : EngineTest
{
    private const int Rows = 77, Width = 40, Classes = 130;

    [Theory]
    [InlineData(Reduction.Mean, 0, true)]
    [InlineData(Reduction.Mean, 0.2f, false)]
    [InlineData(Reduction.Sum, 0.1f, true)]
    public void Slices_give_the_bits_of_the_whole(Reduction reduction, float smoothing, bool trains)
    {
        using var x = trains ? Trained(Normal(Rows * Width, 1), 7, 11, Width) : Frozen(Normal(Rows * Width, 1), 7, 11, Width);
        using var w = Frozen(Normal(Classes * Width, 2), Classes, Width);
        var whole = Run(x, reduction, (y, t) => Head(y.Reshape(Rows, Width), w).CrossEntropy(t.Reshape(Rows), reduction, 3, smoothing));
        var sliced = Run(x, reduction, (y, t) => y.CrossEntropy(z => Head(z, w), t, reduction, 3, smoothing, rowsOfSlice: 16));
        Assert.Equal(whole.Loss, sliced.Loss);
        Assert.Equal(whole.Gradient, sliced.Gradient);
    }

    [Fact]
    public void A_head_that_trains_gets_its_gradient_of_the_scaled_loss()
    {
        using var x = Trained(Normal(Rows * Width, 1), Rows, Width);
        using var w = Trained(Normal(Classes * Width, 2), Classes, Width);
        var gradients = new List<float[]>();
        foreach (var slices in new[] { false, true })
        {
            using var scope = Backend.Scope();
            var t = Targets();
            var loss = slices ? x.Value.CrossEntropy(z => Head(z, w), t, Reduction.Mean, -100, 0, 16) : Head(x, w).CrossEntropy(t);
            (loss * 3).Backward();
            gradients.Add([.. x.Gradient!.ToArray(), .. w.Gradient!.ToArray()]);
            x.ClearGradient();
            w.ClearGradient();
        }
        Assert.Equal(gradients[0], gradients[1]);
    }

    [Fact]
    public void Never_more_than_one_slice_of_logits_is_there()
    {
        using var x = Trained(Normal(2048 * 8, 1), 2048, 8);
        using var w = Frozen(Normal(1000 * 8, 2), 1000, 8);
        using var scope = Backend.Scope();
        var targets = Workspace.From(new int[2048], new Shape(2048));
        x.Value.CrossEntropy(z => z.Linear(w), targets).Backward();
        const long slice = 4L * 256 * 1000;
        Assert.InRange(Backend.ReservedBytes, slice, 2 * slice - 1);                   // their gradient lies where they were
        x.ClearGradient();
    }

    [Fact]
    public void Wrong_targets_are_named_by_their_row()
    {
        using var x = Frozen(Normal(Rows * Width, 1), Rows, Width);
        using var w = Frozen(Normal(Classes * Width, 2), Classes, Width);
        using var scope = Backend.Scope();
        var ids = new int[Rows];
        ids[70] = Classes;
        var error = Assert.Throws<ArgumentException>(() =>
            x.Value.CrossEntropy(z => Head(z, w), Workspace.From(ids, new Shape(Rows)), Reduction.Mean, -100, 0, 16));
        Assert.Contains($"the target of row 70 is {Classes}", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => x.Value.CrossEntropy(z => Head(z, w), Workspace.From(ids.AsSpan(1), new Shape(Rows - 1))));
        Assert.Throws<ArgumentException>(() => x.Value.CrossEntropy(z => Head(z, w), Targets(), Reduction.None));
        Assert.Throws<ArgumentException>(() => x.Value.CrossEntropy(z => Head(z.Slice(0, 0, 1), w), Targets(), Reduction.Mean, -100, 0, 16));
    }

    private static Tensor Head(Tensor x, Parameter w) => (x.Linear(w) * 0.5f).Tanh() * 2;

    private Tensor Targets() => Workspace.From([.. Enumerable.Range(0, Rows).Select(static r => r % 5 == 1 ? 3 : r * 7 % Classes)], new Shape(Rows));

    private (float Loss, float[]? Gradient) Run(Parameter x, Reduction reduction, Func<Tensor, Tensor, Tensor> loss)
    {
        using var scope = Backend.Scope();
        var y = loss(x.Value, Targets().Reshape(7, 11)) * (reduction == Reduction.Mean ? 1 : 0.25f);
        if (x.Trains) y.Backward();
        var result = (y.Item(), x.Gradient?.ToArray());
        x.ClearGradient();
        return result;
    }
}
