using NanoLora;
using static NanoLora.Tests.Ops.FiniteDifferences;

namespace NanoLora.Tests.Ops;

public class RopeTests
{
    [Theory]
    [InlineData(RopeStyle.Half, 34, 34)]
    [InlineData(RopeStyle.Half, 7, 4)]
    [InlineData(RopeStyle.Interleaved, 34, 22)]
    public void PairsTurnAndTheRestStays(RopeStyle style, int size, int rotary)
    {
        int[] positions = [0, 5, 100000, 3, 3, 77];
        var x = Normals(2 * 3 * 2 * size, 1);
        var expected = new double[x.Length];
        for (var row = 0; row < 12; row++)
        {
            for (var d = 0; d < size; d++) expected[row * size + d] = x[row * size + d];
            for (var j = 0; j < rotary / 2; j++)
            {
                var angle = positions[row / 2] * (double)(float)Math.Pow(5e5, -2.0 * j / rotary);
                var (one, two) = style == RopeStyle.Half ? (row * size + j, row * size + j + rotary / 2) : (row * size + 2 * j, row * size + 2 * j + 1);
                expected[one] = x[one] * Math.Cos(angle) - x[two] * Math.Sin(angle);
                expected[two] = x[two] * Math.Cos(angle) + x[one] * Math.Sin(angle);
            }
        }
        using var backend = new CpuBackend(3);
        using var scope = backend.Scope();
        var y = backend.Main.From(x, new Shape(2, 3, 2, size)).Rope(backend.Main.From(positions, new Shape(2, 3)), RopeFrequencies.Default(rotary, 5e5), style);
        Close(expected, y.ToArray(), 1e-6);
    }

    [Theory]
    [InlineData(RopeStyle.Half)]
    [InlineData(RopeStyle.Interleaved)]
    public void GradientsAreSlopes(RopeStyle style) =>
        Check(x => x[0].Rope(x[0].Workspace.From([1, 4], new Shape(2)), new RopeFrequencies([1f, 0.3f], factor: 1.5f), style),
            (Normals(2 * 2 * 2 * 5, 2), new Shape(2, 2, 2, 5)));

    [Fact]
    public void StretchedFrequenciesKeepTheirEnds()
    {
        const int rotary = 64, trained = 8192;
        var plain = RopeFrequencies.Default(rotary, 5e5).Inverse;
        foreach (var stretched in new[] { RopeFrequencies.Llama3(rotary, 5e5, 8, trained), RopeFrequencies.Yarn(rotary, 5e5, 8, trained) })
        {
            Assert.Equal(plain[0], stretched.Inverse[0]);
            Assert.Equal(plain[^1] / 8, stretched.Inverse[^1], 1e-12f);
            for (var j = 0; j < rotary / 2; j++) Assert.InRange(stretched.Inverse[j], plain[j] / 8 * 0.999999f, plain[j] * 1.000001f);
        }
        Assert.Equal(plain, RopeFrequencies.Dynamic(rotary, 5e5, 4, trained, 100).Inverse);
        Assert.True(RopeFrequencies.Dynamic(rotary, 5e5, 4, trained, 2 * trained).Inverse[^1] < plain[^1]);
        Assert.Throws<ArgumentException>(() => RopeFrequencies.Default(7));
    }
}
