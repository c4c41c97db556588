using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public class WordVectorsTests
{
    [Fact]
    public void Tokens_in_the_same_company_have_like_vectors()
    {
        // Tokens 0 and 1 stand between 2 and 3, tokens 4 and 5 between 6 and 7.
        int[][] rows = [.. Enumerable.Range(0, 40).Select(i => i % 2 == 0 ? new[] { 2, i / 2 % 2, 3 } : [6, 4 + i / 2 % 2, 7])];
        var y = WordVectors.Of(rows, 9, 4, 1);
        Assert.True(Cosine(y, 0, 1, 4) > 0.999);
        Assert.True(Cosine(y, 4, 5, 4) > 0.999);
        Assert.True(Math.Abs(Cosine(y, 0, 4, 4)) < 1e-3);
        Assert.Equal([0f, 0f, 0f, 0f], y[32..]);                                        // token 8 does not occur
    }

    [Fact]
    public void Frequent_tokens_have_short_vectors()
    {
        int[][] rows = [.. Enumerable.Range(0, 100).Select(i => new[] { 0, 1 + i % 4, 0 })];
        var y = WordVectors.Of(rows, 5, 3, 1);
        Assert.Equal(1e-3 / (1e-3 + 200.0 / 300), Math.Sqrt(Dot(y, 0, 0, 3)), 1e-6);
        Assert.Equal(1e-3 / (1e-3 + 25.0 / 300), Math.Sqrt(Dot(y, 1, 1, 3)), 1e-6);
    }

    [Fact]
    public void Information_is_that_of_its_formula()
    {
        // 0 2 1: 0 near 2 and 2 near 1 once, 0 near 1 half; 0 0: once, counted from both sides.
        var m = WordVectors.Information([[0, 2, 1], [0, 0]], 3);
        double[,] n = { { 2, 0.5, 1 }, { 0.5, 0, 1 }, { 1, 1, 0 } };
        double[] p = [Math.Pow(3.5, 0.75), Math.Pow(1.5, 0.75), Math.Pow(2, 0.75)];
        for (var i = 0; i < 3; i++)
        {
            for (var j = 0; j < 3; j++)
            {
                var expected = n[i, j] == 0 ? 0 : Math.Max(0, Math.Log(n[i, j] / 7) - Math.Log(p[i] / p.Sum()) - Math.Log(p[j] / p.Sum()));
                Assert.Equal(expected, m[3 * i + j], 1e-5);
            }
        }
    }

    [Fact]
    public void The_seed_of_the_start_does_not_show()
    {
        var random = new Philox(5, 5);
        int[][] rows = [.. Enumerable.Range(0, 200).Select(r => Enumerable.Range(0, 8).Select(i => random.Below((ulong)(8 * r + i), 12 + r % 12)).ToArray())];
        var (once, again, other) = (WordVectors.Of(rows, 24, 8, 1), WordVectors.Of(rows, 24, 8, 1), WordVectors.Of(rows, 24, 8, 2));
        Assert.Equal(once, again);
        for (var i = 0; i < 24; i++) Assert.Equal(Cosine(once, 0, i, 8), Cosine(other, 0, i, 8), 1e-3);
    }

    [Fact]
    public void Vectors_beyond_the_tokens_are_refused() => Assert.Throws<ArgumentException>(() => WordVectors.Of([[0, 1]], 2, 3, 1));

    private static double Cosine(float[] y, int a, int b, int width) => Dot(y, a, b, width) / Math.Sqrt(Dot(y, a, a, width) * Dot(y, b, b, width));

    private static double Dot(float[] y, int a, int b, int width) => Enumerable.Range(0, width).Sum(d => (double)y[a * width + d] * y[b * width + d]);
}
