namespace NanoLora.Tests.Engine;

/// <summary>Errors name the operation and the shapes, and say what to do.</summary>
public class ErrorTests : EngineTest
{
    public static TheoryData<string, string[]> Misfits => new()
    {
        { "add", ["Add", "[2, 3]", "[4]"] },
        { "matmul", ["MatMul", "[2, 3]", "[4, 5]"] },
        { "linear", ["Linear", "[2, 3]", "[5, 4]"] },
        { "bias", ["Linear", "[7]", "[5, 3]"] },
        { "layernorm", ["LayerNorm", "[4]", "[2, 3]"] },
        { "reshape", ["Reshape", "[2, 3]", "[4]"] },
        { "permute", ["Permute", "[0, 0]", "[2, 3]"] },
        { "slice", ["Slice", "1..9", "[2, 3]"] },
        { "concat", ["Concat", "[2, 3]", "[4, 5]"] },
        { "expand", ["Expand", "[2, 3]", "[2, 4]"] },
        { "axis", ["[2, 3]", "axis 5"] },
        { "backward", ["Backward", "[2, 3]", "scalar"] },
        { "item", ["Item", "[2, 3]"] },
        { "from", ["From", "5", "[2, 3]"] },
    };

    [Theory]
    [MemberData(nameof(Misfits))]
    public void A_misfit_names_the_operation_and_the_shapes(string what, string[] words)
    {
        using var scope = Backend.Scope();
        Tensor x = Workspace.Zeros(new Shape(2, 3)), four = Workspace.Zeros(new Shape(4)), big = Workspace.Zeros(new Shape(4, 5));
        var error = Assert.ThrowsAny<Exception>(() => _ = what switch
        {
            "add" => x + four,
            "matmul" => x.MatMul(big),
            "linear" => x.Linear(Workspace.Zeros(new Shape(5, 4))),
            "bias" => x.Linear(Workspace.Zeros(new Shape(5, 3)), Workspace.Zeros(new Shape(7))),
            "layernorm" => x.LayerNorm(four, null),
            "reshape" => x.Reshape(new Shape(4)),
            "permute" => x.Permute(0, 0),
            "slice" => x.Slice(1, 1, 9),
            "concat" => Tensor.Concat(0, x, big),
            "expand" => x.Expand(new Shape(2, 4)),
            "axis" => x.Sum(5),
            "backward" => Backward(x),
            "item" => Workspace.From([x.Item()], new Shape(1)),
            "from" => Workspace.From(new float[5], new Shape(2, 3)),
            _ => x,
        });
        Assert.True(error is ArgumentException or InvalidOperationException, error.ToString());
        Assert.All(words, word => Assert.Contains(word, error.Message));
    }

    [Fact]
    public void An_upstream_gradient_of_another_shape_is_refused()
    {
        using var w = Trained([1, 2], 2);
        using var scope = Backend.Scope();
        Tensor x = w;
        var error = Assert.Throws<ArgumentException>(() => x.Square().Backward(Workspace.Zeros(new Shape(3))));
        Assert.Contains("[3]", error.Message);
        Assert.Contains("[2]", error.Message);
    }

    [Fact]
    public void The_operation_that_made_a_NaN_is_named()
    {
        using var scope = Backend.Scope();
        var x = Workspace.From([1f, -1, 0], new Shape(3));
        Workspace.CheckFinite = true;
        try
        {
            Assert.Equal("Log", Assert.Throws<NonFiniteException>(() => x.Scale(2).Slice(0, 0, 2).Tanh().Log()).Op);
            Assert.Equal("Divide", Assert.Throws<NonFiniteException>(() => x / x).Op);
        }
        finally
        {
            Workspace.CheckFinite = false;
        }
    }

    [Fact]
    public void The_gradient_that_is_a_NaN_is_named()
    {
        using var w = Trained([0, 1], 2);
        using var scope = Backend.Scope();
        Workspace.CheckFinite = true;
        try
        {
            var y = ((Tensor)w).Sqrt();                        // finite, with the slope 1 / 0
            Assert.Contains("Sqrt", Assert.Throws<NonFiniteException>(y.Sum().Backward).Op);
        }
        finally
        {
            Workspace.CheckFinite = false;
        }
    }

    [Fact]
    public void Sixteen_bit_weights_do_not_train()
    {
        using var scope = Backend.Scope();
        using var w = new Parameter(Workspace.New(new Shape(2), DType.BF16));
        Assert.Contains("Cast", Assert.Throws<InvalidOperationException>(() => w.Trains = true).Message);
    }

    [Fact]
    public void Tensors_of_two_backends_do_not_mix()
    {
        using var other = new CpuBackend(1);
        using var scope = Backend.Scope();
        var x = Workspace.Zeros(new Shape(2));
        Assert.Contains("Tensor.In", Assert.Throws<InvalidOperationException>(() => x.In(other.Main)).Message);
    }

    private static Tensor Backward(Tensor x)
    {
        x.Backward();
        return x;
    }
}
