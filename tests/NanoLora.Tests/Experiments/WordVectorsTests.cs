using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public class WordVectorsTests
{
    [Fact]
    public void Tokens_in_the_same_company_have_like_vectors()
    {
        // Tokens 0 and 1 stand between 2 and 3, tokens 4 and 5 between 6 and 7.
        int[][] rows = [.. Enumerable.Range(0, 40).Select(i => i % 2 == 0 ? new[] { 2, i / 2 % 2, 3 } : [6, 4 + i / 2 % 2, 7])];
        var y = WordVectors.Of(rows, 9, 2, 1);
        Assert.True(Cosine(y, 0, 1, 2) > 0.999);
        Assert.True(Cosine(y, 4, 5, 2) > 0.999);
        Assert.True(Math.Abs(Cosine(y, 0, 4, 2)) < 1e-3);
        Assert.Equal([0f, 0f], y[16..]);                                                // token 8 does not occur
    }

    [Fact]
    public void All_vectors_together_are_the_information_again()
    {
        // Ten neighbours, 0 0 once and 0 1 twice: n = [[2, 2], [2, 0]] counted from both sides. p = n_i^¾ / Σ n_i^¾.
        var y = WordVectors.Of([[0, 0], [0, 1], [0, 1]], 2, 2, 3);
        double[] n = [4, 2];
        var p = Array.ConvertAll(n, static x => Math.Pow(x, 0.75));
        double First(int i, int j, double times) => Math.Max(0, Math.Log(times / 6) - Math.Log(p[i] / p.Sum()) - Math.Log(p[j] / p.Sum()));
        // U |Λ| Uᵀ of a symmetric matrix is its absolute value √(M²).
        double a = First(0, 0, 2), b = First(0, 1, 2);
        double aa = a * a + b * b, ab = a * b, bb = b * b;
        var root = Math.Sqrt(aa * bb - ab * ab);                                        // √ of a 2 x 2 matrix: (X + √det I) / √(tr + 2 √det)
        var scale = 1 / Math.Sqrt(aa + bb + 2 * root);
        Assert.Equal((aa + root) * scale, y[0] * y[0] + y[1] * y[1], 1e-5);
        Assert.Equal(ab * scale, y[0] * y[2] + y[1] * y[3], 1e-5);
        Assert.Equal((bb + root) * scale, y[2] * y[2] + y[3] * y[3], 1e-5);
    }

    [Fact]
    public void The_seed_of_the_start_does_not_show()
    {
        var random = new Philox(5, 5);
        int[][] rows = [.. Enumerable.Range(0, 200).Select(r => Enumerable.Range(0, 8).Select(i => random.Below((ulong)(8 * r + i), 12 + r % 12)).ToArray())];
        var (once, again, other) = (WordVectors.Of(rows, 24, 8, 1), WordVectors.Of(rows, 24, 8, 1), WordVectors.Of(rows, 24, 8, 2));
        Assert.Equal(once, again);
        for (var i = 0; i < 24; i++) Assert.Equal(Dot(once, 0, i, 8), Dot(other, 0, i, 8), 1e-3);
    }

    [Fact]
    public void Vectors_beyond_the_tokens_are_refused() => Assert.Throws<ArgumentException>(() => WordVectors.Of([[0, 1]], 2, 3, 1));

    private static double Cosine(float[] y, int a, int b, int width) => Dot(y, a, b, width) / Math.Sqrt(Dot(y, a, a, width) * Dot(y, b, b, width));

    private static double Dot(float[] y, int a, int b, int width) => Enumerable.Range(0, width).Sum(d => (double)y[a * width + d] * y[b * width + d]);
}
