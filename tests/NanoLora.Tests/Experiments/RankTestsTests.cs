using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

// The numbers beside SciPy's are in Golden/composition/statistics; here is what must hold for any sample.
public class RankTestsTests
{
    private static readonly Philox Numbers = new(3, 5);

    [Fact]
    public void Exact_signed_rank_is_the_count_over_all_signs()
    {
        for (var n = 1; n <= 9; n++)
        {
            double[] x = [.. Enumerable.Range(0, n).Select(i => (double)Numbers.Normal((ulong)(100 * n + i)) + 0.5)];
            var found = SignedRank.Of(x);
            var far = 0;
            for (var signs = 0; signs < 1 << n; signs++)
            {
                var plus = Enumerable.Range(0, n).Where(i => (signs >> i & 1) == 1).Sum(i => i + 1.0);
                if (Math.Min(plus, n * (n + 1) / 2.0 - plus) <= Math.Min(found.Plus, found.Minus)) far++;
            }
            Assert.Equal((double)far / (1 << n), found.Exact!.Value, 1e-14);
        }
    }

    [Fact]
    public void Sign_test_is_the_count_over_all_coins()
    {
        for (var n = 0; n <= 10; n++)
        {
            for (var wins = 0; wins <= n; wins++)
            {
                var far = Enumerable.Range(0, 1 << n).Count(coins => Math.Abs(2 * int.PopCount(coins) - n) >= Math.Abs(2 * wins - n));
                double[] x = [.. Enumerable.Repeat(1.0, wins), .. Enumerable.Repeat(-2.0, n - wins), 0];
                var found = SignTest.Of(x);
                Assert.Equal((wins, n - wins, 1), (found.Wins, found.Losses, found.Ties));
                Assert.Equal((double)far / (1 << n), found.P, 1e-12);
                Assert.Equal((wins + 0.5) / (n + 1), found.WinRate, 1e-15);
            }
        }
    }

    [Fact]
    public void Many_differences_do_not_overflow()
    {
        var x = new double[5000];
        for (var i = 0; i < x.Length; i++) x[i] = i < 2600 ? 1 + i : -1 - i;
        Assert.Equal(0.0049, SignTest.Of(x).P, 1e-4);                                              // normal: 2 Φ(-(2600 - 2500.5) / √1250)
    }

    [Fact]
    public void Differences_of_zero_show_nothing()
    {
        Assert.Equal(new SignedRank(0, 0, 0, 1, 1, 1), SignedRank.Of([0, 0]));
        Assert.Equal(1, SignTest.Of([0, 0]).P);
        Assert.Null(SignedRank.Of([1, -1, 2]).Exact);
    }

    // Printed to ten digits: Φ(-1.96), Φ(-3), Φ(-6), and 1/2.
    [Theory]
    [InlineData(0, 0.5)]
    [InlineData(1.96, 0.02499789515)]
    [InlineData(3, 0.001349898032)]
    [InlineData(6, 9.865876450e-10)]
    [InlineData(-1.96, 0.97500210485)]
    public void Normal_tail_is_the_tabulated_one(double z, double p) => Assert.Equal(1, Statistics.NormalTail(z) / p, 1e-9);

    [Fact]
    public void Normal_tail_has_no_seam()
    {
        var seam = 2 * Math.Sqrt(2);                                                               // where one series takes over from the other
        Assert.Equal(1, Statistics.NormalTail(seam - 1e-12) / Statistics.NormalTail(seam + 1e-12), 1e-10);
    }

    [Fact]
    public void Spearman_sees_order_only()
    {
        double[] x = [1, 2, 3, 4, 5, 6], y = [1, 8, 27, 64, 125, 216];
        var found = Spearman.Of(x, y);
        Assert.Equal(1, found.Rho, 1e-12);
        Assert.Equal(2.0 / 720, found.PermutationP, 2e-3);                                         // the order itself and its reverse
        Assert.Equal(-1, Spearman.Of(x, [.. y.Reverse()]).Rho, 1e-12);
        Assert.True(double.IsNaN(Spearman.Of(x, [2, 2, 2, 2, 2, 2]).PermutationP));
        Assert.Throws<ArgumentException>(() => Spearman.Of(x, [1, 2]));
    }
}

public class BootstrapTests
{
    private static readonly double[] Values = [0.1, 0.3, 0.2, -0.4, 0.5, 0.6, 0.7, 0.0, 0.2];
    private static readonly int[] Layout = [3, 2, 4];

    [Fact]
    public void The_mean_is_over_tasks_and_the_same_seed_gives_the_same_interval()
    {
        var found = new Bootstrap(Layout, seed: 5).Estimate(Values);
        Assert.Equal((0.2 + 0.05 + 0.375) / 3, found.Mean, 1e-12);
        Assert.Equal(found, new Bootstrap(Layout, seed: 5).Estimate(Values));
        Assert.NotEqual(found, new Bootstrap(Layout, seed: 6).Estimate(Values));
        Assert.True(found.Low < found.Mean && found.Mean < found.High);
    }

    // Var of a resampled mean = (1/T) Σ_t [ (m_t - m)² + Σ_d (x_td - m_t)² / n_t² ] / T: tasks with replacement, then draws within.
    [Fact]
    public void Tasks_and_draws_are_both_resampled()
    {
        var bootstrap = new Bootstrap(Layout, seed: 1, resamples: 100_000);
        var (means, tasks) = (bootstrap.Means(Values), bootstrap.TaskMeans(Values));
        double expected = 0, start = 0, mean = tasks.Average();
        for (var t = 0; t < Layout.Length; t++)
        {
            expected += (tasks[t] - mean) * (tasks[t] - mean);
            for (var d = 0; d < Layout[t]; d++) expected += Math.Pow(Values[(int)start + d] - tasks[t], 2) / Layout[t] / Layout[t];
            start += Layout[t];
        }
        expected /= Layout.Length * Layout.Length;
        Assert.Equal(mean, means.Average(), 2e-3);
        Assert.Equal(1, means.Sum(m => (m - mean) * (m - mean)) / means.Length / expected, 0.02);
    }

    [Fact]
    public void A_value_that_never_changes_has_an_interval_of_no_width()
    {
        var found = new Bootstrap([4, 4, 4]).Estimate([.. Enumerable.Repeat(0.25, 12)]);
        Assert.Equal((0.25, 0.25), (found.Low, found.High));
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        Assert.Throws<ArgumentException>(() => new Bootstrap([]));
        Assert.Throws<ArgumentException>(() => new Bootstrap([2, 0]));
        Assert.Throws<ArgumentException>(() => new Bootstrap([2, 2]).Means([1, 2, 3]));
        Assert.Throws<ArgumentException>(() => new Bootstrap((ReadOnlySpan<int>)[0, 3, 1], 3));
        Assert.False(new Bootstrap([3]).Estimate([1, 2, 3]).HasInterval);
    }
}

public class CkaTests
{
    [Fact]
    public void Unbiased_needs_no_kernel_matrix()
    {
        // Against the definition, with the n x n matrices written out.
        const int N = 9, P = 4, Q = 3;
        var numbers = new Philox(1, 2);
        double[] x = [.. Enumerable.Range(0, N * P).Select(i => (double)numbers.Normal((ulong)i) + 2)];
        double[] y = [.. Enumerable.Range(0, N * Q).Select(i => (double)numbers.Normal((ulong)(500 + i)) + x[i % (N * P)])];
        double[,] k = Kernel(x, P), l = Kernel(y, Q);
        Assert.Equal(Hsic(k, l) / Math.Sqrt(Hsic(k, k) * Hsic(l, l)), Cka.Unbiased(x, y, N), 1e-12);

        static double[,] Kernel(double[] x, int columns)
        {
            var k = new double[N, N];
            for (var i = 0; i < N; i++)
                for (var j = 0; j < N; j++)
                    for (var c = 0; c < columns && i != j; c++) k[i, j] += x[i * columns + c] * x[j * columns + c];
            return k;
        }

        static double Hsic(double[,] k, double[,] l)
        {
            double product = 0, ks = 0, ls = 0, chain = 0;
            for (var i = 0; i < N; i++)
                for (var j = 0; j < N; j++)
                {
                    (product, ks, ls) = (product + k[i, j] * l[i, j], ks + k[i, j], ls + l[i, j]);
                    for (var m = 0; m < N; m++) chain += k[i, j] * l[j, m];
                }
            return (product + ks * ls / ((N - 1) * (N - 2)) - 2.0 / (N - 2) * chain) / (N * (N - 3));
        }
    }

    [Fact]
    public void Floats_and_doubles_agree_and_nonsense_is_refused()
    {
        float[] x = [1, 2, 3, 5, 8, 13], y = [1, 0, 2, 1, 1, 3];
        Assert.Equal(Cka.Linear([1.0, 2, 3, 5, 8, 13], [1.0, 0, 2, 1, 1, 3], 3), Cka.Linear(x, y, 3));
        Assert.True(double.IsNaN(Cka.Linear(x, [1f, 1, 1, 1, 1, 1], 3)));
        Assert.Throws<ArgumentException>(() => Cka.Linear(x, y, 4));
        Assert.Throws<ArgumentException>(() => Cka.Linear(x, y, 1));
    }
}
