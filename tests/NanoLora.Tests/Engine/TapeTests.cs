namespace NanoLora.Tests.Engine;

/// <summary>
/// The tape: frozen leaves record nothing, nodes keep what their gradient needs, backward computes what is asked for, shared gradients add up.
/// </summary>
public class TapeTests : EngineTest
{
    [Fact]
    public void A_frozen_parameter_records_nothing()
    {
        using var w = Frozen([1f, 2, 3, 4], 2, 2);
        using var scope = Backend.Scope();
        var y = Workspace.From([1f, 1], new Shape(1, 2)).Linear(w).Gelu().Softmax();
        Assert.False(y.NeedsGrad);
        Assert.Equal(0, Workspace.TapeLength);
        Assert.Equal(0, Workspace.SavedBytes);
    }

    [Fact]
    public void Nothing_is_kept_of_operands_that_no_gradient_needs()
    {
        using var w = Trained(Normal(64 * 64, 1), 64, 64);
        using var frozen = Frozen(Normal(64 * 64, 2), 64, 64);
        using var scope = Backend.Scope();
        var x = Workspace.From(Normal(64 * 64, 3), new Shape(64, 64));
        var y = x.Linear(w);                                        // keeps x for dW
        Assert.Equal(x.Storage.Bytes, Workspace.SavedBytes);
        y = y + x;                                                  // keeps nothing
        y = y.Linear(frozen);                                       // keeps W, a weight: no bytes beyond the model's
        y = y.Scale(2).Reshape(64 * 64).Slice(0, 3, 70);            // moves and scales: nothing
        Assert.Equal(x.Storage.Bytes, Workspace.SavedBytes);
        y.Sum().Backward();
        Assert.Equal(0, Workspace.SavedBytes);
        Assert.Equal(x.Storage.Bytes, Workspace.PeakSavedBytes);
    }

    // y = x W0ᵀ + s (x Aᵀ) Bᵀ with A and B trained keeps x (for dA) and the bottleneck (for dB). The sizes are powers of two, so blocks are exact.
    [Fact]
    public void A_lora_step_keeps_the_input_and_the_bottleneck()
    {
        const int rows = 32, width = 64, rank = 4;
        using var frozen = Frozen(Normal(width * width, 1), width, width);
        using var a = Trained(Normal(rank * width, 2), rank, width);
        using var b = Trained(Normal(width * rank, 3), width, rank);
        using var scope = Backend.Scope();
        var x = Workspace.From(Normal(rows * width, 4), new Shape(rows, width));
        var y = x.LoraStack(x.Linear(frozen), a, b, 2);
        Assert.Equal(4 * (rows * width + rows * rank), Workspace.SavedBytes);
        y.Sum().Backward();
        Assert.NotNull(a.Gradient);
        Assert.NotNull(b.Gradient);
        Assert.Null(frozen.Gradient);
        Assert.Equal(0, Workspace.SavedBytes);
    }

    // N frozen modules under trained weights keep the bottleneck alone, and the weights themselves.
    [Fact]
    public void A_composition_keeps_the_bottleneck_and_not_the_input()
    {
        const int rows = 32, width = 64, rank = 8;
        using var frozen = Frozen(Normal(width * width, 1), width, width);
        using var a = Frozen(Normal(rank * width, 2), rank, width);
        using var b = Frozen(Normal(width * rank, 3), width, rank);
        using var v = Trained([0, 0], 2);
        using var scope = Backend.Scope();
        var x = Workspace.From(Normal(rows * width, 4), new Shape(rows, width));
        var owner = Workspace.From((ReadOnlySpan<int>)[0, 0, 0, 0, 1, 1, 1, 1], new Shape(rank));
        var weights = ((Tensor)v).Softmax();
        var y = x.LoraStack(x.Linear(frozen), a, b, 1, weights, owner);
        Assert.True(Workspace.SavedBytes < x.Storage.Bytes, $"the tape keeps {Workspace.SavedBytes} bytes; x alone has {x.Storage.Bytes}.");
        Assert.Equal(4 * rows * rank + weights.Storage.Bytes + owner.Storage.Bytes, Workspace.SavedBytes);
        y.Sum().Backward();
        Assert.NotNull(v.Gradient);
        Assert.Null(a.Gradient);
    }

    [Fact]
    public void Only_the_sides_that_train_get_a_gradient()
    {
        using var a = Trained([1, 2, 3, 4], 2, 2);
        using var b = Frozen([5f, 6, 7, 8], 2, 2);
        using (Backend.Scope()) ((Tensor)a).MatMul(b).Sum().Backward();
        Assert.Equal([11, 15, 11, 15], a.Gradient!.ToArray());
        Assert.Null(b.Gradient);
    }

    [Fact]
    public void Turning_training_off_lets_the_gradient_go()
    {
        using var a = Trained([1, 2], 2);
        using (Backend.Scope()) ((Tensor)a).Sum().Backward();
        Assert.Equal(2, Backend.LiveBlocks);
        a.Trains = false;
        Assert.Null(a.Gradient);
        Assert.Equal(1, Backend.LiveBlocks);
    }

    [Fact]
    public void A_second_backward_pass_is_refused()
    {
        using var w = Trained([2], 1);
        using var scope = Backend.Scope();
        var y = ((Tensor)w).Square();
        y.Backward();
        Assert.Contains("second backward", Assert.Throws<InvalidOperationException>(y.Backward).Message);
        Assert.Contains("Square", Assert.Throws<InvalidOperationException>(y.Backward).Message);
    }

    [Fact]
    public void Gradients_of_several_steps_add_up_until_they_are_cleared()
    {
        using var w = Trained([2], 1);
        for (var step = 0; step < 3; step++)
        {
            using var scope = Backend.Scope();
            ((Tensor)w).Square().Backward();
        }
        Assert.Equal([12], w.Gradient!.ToArray());
        w.ClearGradient();
        Assert.Null(w.Gradient);
    }

    // Every way in which two gradients meet in one tensor, where one of them is also held elsewhere: a sum in place would spoil the other.
    [Theory]
    [InlineData("x + x", 2)]
    [InlineData("x x", 6)]
    [InlineData("x x + x", 7)]
    [InlineData("residual", 7)]
    [InlineData("y twice", 12)]
    [InlineData("reshape and itself", 2)]
    [InlineData("concat with itself", 2)]
    [InlineData("x - x", 0)]
    [InlineData("view of the sum", 3)]
    [InlineData("three branches", 11)]
    public void Shared_gradients_add_up(string graph, float slope)
    {
        using var w = Trained([3, 3, 3, 3], 4);
        using (Backend.Scope())
        {
            Tensor x = w;
            var y = graph switch
            {
                "x + x" => x + x,
                "x x" => x * x,
                "x x + x" => x * x + x,
                "residual" => Residual(x),
                "y twice" => Twice(x.Square()),
                "reshape and itself" => x.Reshape(2, 2).Reshape(4) + x,
                "concat with itself" => Tensor.Concat(0, x, x),
                "x - x" => x - x,
                "view of the sum" => ViewOfSum(x),
                "three branches" => Branches(x),
                _ => throw new ArgumentException(graph),
            };
            y.Sum().Backward();
        }
        Assert.Equal([slope, slope, slope, slope], w.Gradient!.ToArray());
    }

    // The gradient of y is dy itself on both ways: it is added to only after the others have read it.
    private static Tensor Residual(Tensor x) => x + x.Square();

    private static Tensor Twice(Tensor y) => y + y;

    // z = x + x; the gradient that Add hands on is a view of z's own, and z's reshape another.
    private static Tensor ViewOfSum(Tensor x)
    {
        var z = x + x;
        return z.Reshape(2, 2).Reshape(4) + x;
    }

    private static Tensor Branches(Tensor x)
    {
        var y = x.Scale(1);
        return y + y * y + y.Scale(4) + Tensor.Concat(0, y.Slice(0, 0, 2), y.Slice(0, 2, 4)) * 0;
    }

    [Fact]
    public void A_gradient_that_is_given_is_not_written_to()
    {
        using var w = Trained([1, 1], 2);
        using var scope = Backend.Scope();
        var dy = Workspace.From([1f, 2], new Shape(2));
        Tensor x = w;
        var y = x + x;
        y.Backward(dy);
        Assert.Equal([1, 2], dy.ToArray());
        Assert.Equal([2, 4], w.Gradient!.ToArray());
        (x + x).Backward(dy);
        Assert.Equal([1, 2], dy.ToArray());
        Assert.Equal([4, 8], w.Gradient!.ToArray());
    }

    [Fact]
    public void A_leaf_keeps_a_given_gradient_apart_from_its_source()
    {
        using var w = Trained([1, 1], 2);
        using var scope = Backend.Scope();
        var dy = Workspace.From([1f, 2], new Shape(2));
        ((Tensor)w).Backward(dy);
        ((Tensor)w).Backward(dy);
        Assert.Equal([1, 2], dy.ToArray());
        Assert.Equal([2, 4], w.Gradient!.ToArray());
    }

    [Fact]
    public void Recomputation_gives_the_same_gradients_and_keeps_less()
    {
        using var w = Trained(Normal(64 * 64, 1), 64, 64);
        using var x = Trained(Normal(32 * 64, 2), 32, 64);
        Tensor Block(Tensor t) => t + t.Linear(w).Gelu().Linear(w).Dropout(0.25f);
        Workspace.Training = true;
        var (plain, plainBytes) = Step(t => Block(Block(t)));
        var (again, againBytes) = Step(t => t.Recompute(Block).Recompute(Block));
        Assert.Equal(plain.W, again.W);
        Assert.Equal(plain.X, again.X);
        Assert.True(againBytes < plainBytes / 2, $"recomputation keeps {againBytes} bytes, without it {plainBytes}.");

        ((float[] W, float[] X), long) Step(Func<Tensor, Tensor> model)
        {
            Workspace.Streams = 0;
            using (Backend.Scope())
            {
                var y = model(x).Square().Mean();
                var saved = Workspace.SavedBytes;
                y.Backward();
                var result = ((w.Gradient!.ToArray(), x.Gradient!.ToArray()), saved);
                w.ClearGradient();
                x.ClearGradient();
                return result;
            }
        }
    }
}
