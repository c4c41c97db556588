using NanoLora.Models;

namespace NanoLora.Benchmarks;

/// <summary>
/// The floating-point operations that a work cannot do without: its products, a multiplication and an addition each. The rest is small.
/// A step on frozen weights is the forward pass; then the same linears again for dx, except that nothing goes back through what reads the input of the first
/// block; attention twice; and the updates, per adapted matrix 2 r (in + out) forward, as much back, and as much again where the factors train.
/// </summary>
internal static class QuickFlops
{
    /// <summary>A product, y = x Wᵀ.</summary>
    public static double Product(int m, int k, int n) => 2.0 * m * k * n;

    /// <summary>A low-rank update, y + (x Aᵀ) Bᵀ.</summary>
    public static double Update(double rows, int k, int n, int rank) => 2 * rows * rank * (k + n);

    /// <summary>A forward pass: patches, linears and attention of the blocks.</summary>
    public static double Forward(VitConfig c, int batch) => Patches(c, batch) + c.Layers * (batch * Tokens(c) * Block(c.HiddenSize, c.IntermediateSize)
        + Attention(batch, Tokens(c), c.HiddenSize));

    /// <summary>A step with updates of q and v, of rank r in all.</summary>
    public static double Step(VitConfig c, int batch, int r, bool factors)
    {
        double tokens = batch * Tokens(c), d = c.HiddenSize;
        var back = tokens * (c.Layers * Block(c.HiddenSize, c.IntermediateSize) - 6 * d * d) + 2 * c.Layers * Attention(batch, Tokens(c), c.HiddenSize);
        return Forward(c, batch) + back + (factors ? 3 : 2) * 2 * c.Layers * Update(tokens, c.HiddenSize, c.HiddenSize, r);
    }

    /// <summary>A step with updates of the fused q, k and v whose factors train. Of causal attention half the scores are needed.</summary>
    public static double Step(QuickGpt2 c, int r)
    {
        double tokens = c.Batch * c.Tokens, d = c.Width;
        var linears = tokens * (c.Layers * Block(c.Width, 4 * c.Width) + 2 * d * c.Vocabulary);
        return 2 * linears - tokens * 6 * d * d + 3 * c.Layers * Attention(c.Batch, c.Tokens, c.Width) / 2
            + 3 * c.Layers * Update(tokens, c.Width, 3 * c.Width, r);
    }

    private static double Tokens(VitConfig c) => c.ImageRows / c.PatchSize * (c.ImageColumns / c.PatchSize) + 1;

    // The linears of a block, for one token.
    private static double Block(int width, int between) => 2.0 * (4.0 * width * width + 2.0 * width * between);

    private static double Attention(int batch, double tokens, int width) => 4.0 * batch * tokens * tokens * width;

    private static double Patches(VitConfig c, int batch) => 2.0 * batch * (Tokens(c) - 1) * c.Channels * c.PatchSize * c.PatchSize * c.HiddenSize;
}
