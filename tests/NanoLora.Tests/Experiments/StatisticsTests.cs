using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public class StatisticsTests
{
    // Two-sided 95 %, 99 % and one-sided 90 % points from printed tables, to all their digits.
    [Theory]
    [InlineData(0.975, 1, 12.706204736, 1e-8)]
    [InlineData(0.975, 2, 4.302652730, 1e-9)]
    [InlineData(0.975, 3, 3.182446305, 1e-9)]
    [InlineData(0.975, 4, 2.776445105, 1e-9)]
    [InlineData(0.975, 9, 2.262157163, 1e-9)]
    [InlineData(0.975, 10, 2.228138852, 1e-9)]
    [InlineData(0.975, 30, 2.042272456, 1e-9)]
    [InlineData(0.975, 100, 1.983971519, 1e-9)]
    [InlineData(0.995, 5, 4.032142984, 1e-9)]
    [InlineData(0.9, 7, 1.414923928, 1e-9)]
    [InlineData(0.025, 4, -2.776445105, 1e-9)]
    [InlineData(0.5, 6, 0.0, 1e-15)]
    public void Student_quantile_is_the_tabulated_one(double p, int freedom, double t, double tolerance) =>
        Assert.Equal(t, Statistics.StudentQuantile(p, freedom), tolerance);

    // Closed forms: ν = 1 is Cauchy, tan(π (p - 1/2)); ν = 2 is (2p - 1) / √(2 p (1 - p)).
    [Theory]
    [InlineData(0.6)]
    [InlineData(0.9)]
    [InlineData(0.999)]
    public void Student_quantile_is_the_closed_form_for_one_and_two_degrees(double p)
    {
        var (one, two) = (Math.Tan(Math.PI * (p - 0.5)), (2 * p - 1) / Math.Sqrt(2 * p * (1 - p)));
        Assert.Equal(1, Statistics.StudentQuantile(p, 1) / one, 1e-12);
        Assert.Equal(1, Statistics.StudentQuantile(p, 2) / two, 1e-12);
    }

    [Fact]
    public void Student_quantile_undoes_the_share()
    {
        for (var freedom = 1; freedom <= 60; freedom++)
        {
            foreach (var p in (double[])[0.01, 0.2, 0.5, 0.51, 0.8, 0.975, 0.999])
            {
                Assert.Equal(p, Statistics.StudentShare(Statistics.StudentQuantile(p, freedom), freedom), 1e-13);
            }
        }
    }

    [Fact]
    public void Student_nears_the_normal_distribution() => Assert.Equal(1.959963985, Statistics.StudentQuantile(0.975, 2_000_000), 2e-6);

    [Theory]
    [InlineData(0.0, 3)]
    [InlineData(1.0, 3)]
    [InlineData(double.NaN, 3)]
    [InlineData(0.9, 0)]
    public void Student_quantile_refuses_what_has_no_answer(double p, int freedom) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Statistics.StudentQuantile(p, freedom));

    public static TheoryData<float[], double, double, double, double> Golden => new()
    {
        {
            [-1.44395614f, -2.05652761f, 2.72269154f, -3.11016870f, 0.559492946f, -3.96197963f, 4.08616686f, -0.164085388f,
             -1.00333714f, 4.00523233f, 0.183184922f, 4.87776566f, 2.39844108f, 2.98410010f],
            0.7197872017111097, 2.8340416992621504, -0.9165397585917375, 2.3561141620139567
        },
        {
            [-1.96343672f, -0.939435363f, -0.618472517f, 2.02621174f, -0.150837645f, 0.631029308f, 0.404314071f, 0.970622182f, -1.56878448f],
            -0.1343099359009001, 1.2772492121248014, -1.1160905908495848, 0.8474707190477847
        },
        {
            [0, 0, -1, -1.5f, -1.5f, 0.5f, 1, 1, -0.5f, -1, 2, 0.5f, 2, 0.5f],
            0.14285714285714285, 1.1507283885330302, -0.5215536477930731, 0.8072679335073587
        },
        {
            [0.447904795f, 0.371783167f, 0.461165696f, 0.783870935f, 0.623576403f, 0.896167397f, 0.679918110f, 0.781768918f],
            0.6307694278657436, 0.18838528731322138, 0.47327538634466637, 0.7882634693868209
        },
    };

    // Samples and answers made by SciPy 1.17.1 (mean, std with n - 1, stats.t.interval).
    [Theory]
    [MemberData(nameof(Golden))]
    public void Estimate_agrees_with_SciPy(float[] sample, double mean, double deviation, double low, double high)
    {
        var estimate = Statistics.Estimate(Array.ConvertAll(sample, x => (double)x));
        Assert.Equal(sample.Length, estimate.Count);
        Assert.Equal(mean, estimate.Mean, 1e-10);
        Assert.Equal(deviation, estimate.Deviation, 1e-10);
        Assert.Equal(low, estimate.Low, 1e-10);
        Assert.Equal(high, estimate.High, 1e-10);
        Assert.Equal(low > 0, estimate.ExcludesZero);
    }

    [Fact]
    public void One_value_has_no_interval_and_decides_nothing()
    {
        var estimate = Statistics.Estimate([0.7]);
        Assert.Equal(0.7, estimate.Mean);
        Assert.True(double.IsNaN(estimate.HalfWidth));
        Assert.False(estimate.HasInterval);
        Assert.False(estimate.ExcludesZero);
        Assert.Throws<ArgumentException>(() => Statistics.Estimate([]));
    }
}
