namespace NanoLora.Benchmarks;

/// <summary>One operation at the size that a step of ViT-B/16 at a batch of 8, or of the language model, has it. Part of both programs.</summary>
/// <param name="Name">How it is asked for.</param>
/// <param name="Title">What it is.</param>
/// <param name="Shape">Rows and columns; of attention batch, tokens, heads and their size.</param>
/// <param name="Inputs">How many tensors of that shape go in.</param>
/// <param name="Backward">Whether gradients of all inputs are asked for.</param>
/// <param name="Passes">How many tensors of that shape must be read or written at least, each operand and each result once.</param>
internal sealed record QuickOp(string Name, string Title, int[] Shape, int Inputs, bool Backward, int Passes)
{
    /// <summary>Elements of a tensor.</summary>
    public int Count => Shape.Aggregate(1, (product, size) => product * size);

    /// <summary>Bytes that one run must move at least.</summary>
    public double Bytes => 4.0 * Passes * Count;
}

/// <summary>The operations that `quick` compares, and what goes into them.</summary>
internal static class QuickOps
{
    private const float Spread = 6;                                                             // inputs lie in [-3, 3)

    // What is counted, forward + backward. Numbers a row or a column (statistics, weights of a norm, targets) are small beside it.
    public static readonly QuickOp[] All =
    [
        new("add", "x + y, 1576 x 768, forward only", [1576, 768], 2, false, 3),                // x y → z; backward hands dz on
        new("gelu", "GELU, 1576 x 3072", [1576, 3072], 1, true, 5),                             // x → y + x dy → dx
        new("gelu_tanh", "GELU by tanh, 1024 x 3072", [1024, 3072], 1, true, 5),                // x → y + x dy → dx
        new("layer_norm", "layer norm, 1576 x 768", [1576, 768], 1, true, 5),                   // x → y + x dy → dx; its weights are frozen
        new("softmax", "softmax, 1576 x 768", [1576, 768], 1, true, 5),                         // x → y + y dy → dx
        new("attention", "attention, 8 x 12 heads x 197 x 64", [8, 197, 12, 64], 3, true, 12),  // q k v → y + q k v y dy → dq dk dv
        new("causal", "causal attention, 4 x 12 heads x 256 x 64", [4, 256, 12, 64], 3, true, 12),
        new("cross_entropy", "cross entropy, 1024 x 32000", [1024, 32000], 1, true, 3),         // x → one number + x → dx
        new("adamw", "AdamW, 2^20 parameters", [1024, 1024], 2, false, 7),                      // p g m v → p m v
    ];

    /// <summary>The operation of a name.</summary>
    public static QuickOp Of(string name) => Array.Find(All, op => op.Name == name)
        ?? throw new ArgumentException($"op: \"{name}\" is not known; there are {string.Join(", ", All.Select(op => op.Name))}.");

    /// <summary>Input number <paramref name="n"/>.</summary>
    public static float[] Input(QuickOp op, int n) => Array.ConvertAll(QuickProtocol.Fill(op.Count, (uint)n + 1), value => Spread * value);

    /// <summary>The gradient of a result that is no scalar.</summary>
    public static float[] Gradient(QuickOp op) => QuickProtocol.Fill(op.Count, 9);

    /// <summary>Weight and bias of a norm.</summary>
    public static (float[] Weight, float[] Bias) Norm(QuickOp op) => (QuickProtocol.Fill(op.Shape[^1], 7), QuickProtocol.Fill(op.Shape[^1], 8));

    /// <summary>A class for each row.</summary>
    public static int[] Targets(QuickOp op) => [.. Enumerable.Range(0, op.Shape[0]).Select(row => row * 7919 % op.Shape[1])];

    /// <summary>One number of all that came out: the logarithms of the mean squares, added, so that no small gradient hides behind a large result.</summary>
    public static double Result(IEnumerable<float[]> values) => values.Sum(v => Math.Log(QuickProtocol.MeanSquare(v)));
}
