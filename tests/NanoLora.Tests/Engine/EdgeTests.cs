namespace NanoLora.Tests.Engine;

/// <summary>Where shapes, types and values are at their limits: empty axes, NaN, 16-bit operands, views that reach too far, a pass that fails.</summary>
public class EdgeTests : EngineTest
{
    [Fact]
    public void An_empty_batch_has_a_sum_and_gradients_of_zero()
    {
        using var w = Trained([1, 2, 3], 3);
        using var scope = Backend.Scope();
        var x = Workspace.Zeros(new Shape(0, 3));
        Assert.Equal([0f, 0, 0], x.Sum(0).ToArray());
        (x + w).Sum().Backward();
        Assert.Equal([0f, 0, 0], w.Gradient!.ToArray());
    }

    [Fact]
    public void SumTo_refuses_what_does_not_stretch()
    {
        using var scope = Backend.Scope();
        var x = Workspace.Zeros(new Shape(2, 3));
        Assert.Contains("SumTo: [3, 2]", Assert.Throws<ArgumentException>(() => x.SumTo(new Shape(3, 2))).Message);
        Assert.Contains("SumTo", Assert.Throws<ArgumentException>(() => x.SumTo(new Shape(1, 2, 3))).Message);
    }

    [Fact]
    public void A_NaN_is_the_largest_wherever_it_stands()
    {
        using var scope = Backend.Scope();
        var x = Workspace.From([float.NaN, 1, 0, 1, float.NaN, 2, 1, 3, 2], new Shape(3, 3));
        Assert.Equal([float.NaN, float.NaN, 3], x.Max(1, out var index).ToArray());
        Assert.Equal([0, 1, 1], index.ToInts());
    }

    [Fact]
    public void The_gradient_past_a_transposed_left_operand_reads_16_bit_weights()
    {
        using var x = Trained(Normal(15, 1), 3, 5);
        using var scope = Backend.Scope();
        var narrow = Workspace.From(Normal(12, 2), new Shape(3, 4)).Cast(DType.BF16);
        var wide = narrow.Cast(DType.F32);
        var dy = Workspace.From(Normal(20, 3), new Shape(5, 4));
        x.Value.MatMul(narrow, transposeA: true).Backward(dy);
        var gradient = x.Gradient!.ToArray();
        x.ClearGradient();
        x.Value.MatMul(wide, transposeA: true).Backward(dy);
        Assert.Equal(x.Gradient!.ToArray(), gradient);
    }

    [Fact]
    public void Operands_that_are_read_as_floats_are_floats()
    {
        using var scope = Backend.Scope();
        Tensor x = Workspace.Zeros(new Shape(2, 2)), narrow = x.Cast(DType.BF16);
        Assert.Contains("MatMul: [2, 2] is BF16", Assert.Throws<ArgumentException>(() => narrow.MatMul(x)).Message);
        Assert.Contains("Linear: [2, 2] is BF16", Assert.Throws<ArgumentException>(() => narrow.Linear(x)).Message);
        Assert.Contains("LoraStack: x [2, 2] is BF16", Assert.Throws<ArgumentException>(() => narrow.LoraStack(x, x, x)).Message);
        Assert.Contains("Concat: [2, 2] is BF16", Assert.Throws<ArgumentException>(() => Tensor.Concat(0, x, narrow)).Message);
    }

    [Fact]
    public void A_lora_stack_does_not_write_over_what_the_tape_keeps_or_a_weight()
    {
        using var w = Trained([1, 2, 3, 4], 2, 2);
        using var scope = Backend.Scope();
        Tensor x = Workspace.Zeros(new Shape(2, 2)), y = w.Value.Sigmoid();
        Assert.Contains("kept by the tape", Assert.Throws<InvalidOperationException>(() => x.LoraStack(y, x, x)).Message);
        Assert.Contains("a weight", Assert.Throws<InvalidOperationException>(() => x.LoraStack(w.Value, x, x)).Message);
    }

    [Fact]
    public void A_view_of_heads_beyond_its_tensor_is_refused()
    {
        using var scope = Backend.Scope();
        var x = Workspace.Zeros(new Shape(1, 4, 2, 3));
        HeadView good = HeadView.Of(x), far = good with { Layout = good.Layout with { RowStride = 7 } },
            before = good with { Layout = good.Layout with { Offset = -1 } };
        Assert.Contains("beyond", Assert.Throws<ArgumentException>(() => Tensor.Attention(good, far, good)).Message);
        Assert.Contains("beyond", Assert.Throws<ArgumentException>(() => Tensor.Attention(before, good, good)).Message);
    }

    [Fact]
    public void A_scalar_has_one_order_of_axes()
    {
        using var scope = Backend.Scope();
        Assert.Equal([5f], Workspace.From([5f], new Shape()).Permute().ToArray());
    }

    [Fact]
    public void A_pass_that_fails_leaves_nothing_to_the_next_one()
    {
        using var w = Trained([0, 1], 2);
        using var scope = Backend.Scope();
        Workspace.CheckFinite = true;
        try
        {
            var scaled = ((Tensor)w).Scale(2);
            var split = scaled.Scale(1);                       // has its gradient when the root's turns out to be infinite
            var root = scaled.Sqrt();
            var other = scaled.Square().Sum();
            Assert.Throws<NonFiniteException>((root + split).Sum().Backward);
            Assert.Equal(0, Workspace.SavedBytes);
            Assert.Contains("Run the forward pass again", Assert.Throws<InvalidOperationException>(other.Backward).Message);
            Assert.Null(w.Gradient);
        }
        finally
        {
            Workspace.CheckFinite = false;
        }
    }
}
