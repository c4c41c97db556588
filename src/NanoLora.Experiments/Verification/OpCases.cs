namespace NanoLora.Experiments.Verification;

/// <summary>How each operation of the golden vectors is run on the engine: one line an operation. A line returns the output y, and notes further outputs.</summary>
internal static class OpCases
{
    private static readonly Dictionary<string, Func<OpCase, Tensor?>> Table = new(StringComparer.Ordinal)
    {
        ["matmul"] = static c => c.In("a").MatMul(c.In("b"), c.Bool("transpose_a"), c.Bool("transpose_b")),
        ["linear"] = static c => c.In("x").Linear(c.In("w"), c.Maybe("bias")),

        ["layernorm"] = static c => c.In("x").LayerNorm(c.Maybe("w"), c.Maybe("bias"), c.Float("eps")),
        ["rmsnorm"] = static c => c.In("x").RmsNorm(c.Maybe("w"), c.HasParam("eps") ? c.Float("eps") : 1e-6f, shiftedWeight: c.HasParam("weight")),

        ["softmax"] = static c => (c.Has("mask") ? c.In("x") + c.In("mask") : c.In("x")).Softmax(c.Int("axis")),
        ["log_softmax"] = static c => c.In("x").LogSoftmax(c.Int("axis")),

        ["gelu"] = static c => c.In("x").Gelu(),
        ["gelu_tanh"] = static c => c.In("x").GeluTanh(),
        ["quick_gelu"] = static c => c.In("x").QuickGelu(),
        ["silu"] = static c => c.In("x").Silu(),
        ["relu"] = static c => c.In("x").Relu(),
        ["sigmoid"] = static c => c.In("x").Sigmoid(),
        ["tanh"] = static c => c.In("x").Tanh(),
        ["exp"] = static c => c.In("x").Exp(),
        ["log"] = static c => c.In("x").Log(),
        ["sqrt"] = static c => c.In("x").Sqrt(),
        ["rsqrt"] = static c => c.In("x").Rsqrt(),
        ["square"] = static c => c.In("x").Square(),
        ["neg"] = static c => -c.In("x"),
        ["abs"] = static c => c.In("x").Abs(),
        ["softplus"] = static c => c.In("x").Softplus(),
        ["erf"] = static c => c.In("x").Erf(),
        ["swiglu"] = static c => c.In("gate").Swiglu(c.In("up")),
        ["geglu"] = static c => c.In("gate").Geglu(c.In("up")),
        ["geglu_tanh"] = static c => c.In("gate").GegluTanh(c.In("up")),
        ["reglu"] = static c => c.In("gate").Reglu(c.In("up")),
        ["add"] = static c => c.In("a") + c.In("b"),
        ["sub"] = static c => c.In("a") - c.In("b"),
        ["mul"] = static c => c.Has("b") ? c.In("a") * c.In("b") : c.In("a") * c.In("a") + c.In("a"),
        ["div"] = static c => c.In("a") / c.In("b"),
        ["dropout"] = static c => (c.In("x") * c.In("keep")).Scale(1 / (1 - c.Float("p"))),   // with the mask given, as the formula has it

        ["sum"] = static c => c.In("x").Sum(c.IntList("axes"), c.Bool("keepdim")),
        ["mean"] = static c => c.In("x").Mean(c.IntList("axes"), c.Bool("keepdim")),
        ["max"] = Max,
        ["amax"] = static c => c.In("x").AMax(c.Int("axis")),
        ["argmax"] = ArgMax,
        ["concat"] = Concat,
        ["slice"] = static c => c.In("x").Slice(c.Int("axis"), c.Int("start"), c.Int("stop")),
        ["permute"] = static c => c.In("x").Permute(c.IntList("permutation")),
        ["transpose"] = static c => c.In("x").Transpose(),
        ["reshape"] = Reshape,
    };

    /// <summary>How an operation is run.</summary>
    /// <exception cref="NotBuiltException">The engine has no such operation.</exception>
    internal static Func<OpCase, Tensor?> Find(string op) => Table.TryGetValue(op, out var run) ? run : throw new NotBuiltException(op);

    private static Tensor Max(OpCase c)
    {
        var y = c.In("x").Max(c.Int("axis"), out var index);
        c.Output("index", index);
        return y;
    }

    private static Tensor? ArgMax(OpCase c)
    {
        c.Output("index", c.In("x").ArgMax(c.Int("axis")));
        return null;
    }

    private static Tensor Concat(OpCase c)
    {
        if (c.HasParam("formula")) return Formula(c, "cat(x, 2x, x)") ? Tensor.Concat(c.Int("axis"), c.In("x0"), c.In("x0") * 2, c.In("x0")) : throw Unknown(c);
        var parts = new List<Tensor>();
        while (c.Has($"x{parts.Count}")) parts.Add(c.In($"x{parts.Count}"));
        return Tensor.Concat(c.Int("axis"), [.. parts]);
    }

    private static Tensor Reshape(OpCase c)
    {
        var x = c.In("x");
        if (c.HasParam("to")) return x.Reshape(c.IntList("to"));
        if (Formula(c, "reshape(transpose(x, 0, 1), [15, 4])")) return x.Permute(1, 0, 2).Reshape(15, 4);
        if (Formula(c, "[B, T, H D] to [B, H, T, D]")) return x.Reshape(x.Shape[0], x.Shape[1], c.ShapeOf("y")[1], -1).Permute(0, 2, 1, 3);
        throw Unknown(c);
    }

    private static bool Formula(OpCase c, string formula) => c.Text("formula") == formula;

    private static NotBuiltException Unknown(OpCase c) => new($"{c.Op} by the formula \"{c.Text("formula")}\"");
}
