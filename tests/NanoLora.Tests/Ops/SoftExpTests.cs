using System.Numerics;
using NanoLora;

namespace NanoLora.Tests.Ops;

public class SoftExpTests
{
    [Fact]
    public void ItIsTheExponentialToAFewUnitsInTheLastPlace()
    {
        for (var x = -87f; x <= 0; x += 0.0037f)
        {
            var exact = Math.Exp(x);
            Assert.InRange(SoftExp.Of(new Vector<float>(x))[0] / exact, 1 - 2.4e-7, 1 + 2.4e-7);
        }
        Assert.Equal(1, SoftExp.Of(default)[0]);
        Assert.Equal(0, SoftExp.Of(new Vector<float>(-100))[0]);
        Assert.Equal(0, SoftExp.Of(new Vector<float>(float.NegativeInfinity))[0]);
        Assert.True(float.IsNaN(SoftExp.Of(new Vector<float>(float.NaN))[0]));
    }

    [Fact]
    public void ANaNInARowOfScoresReachesTheSum()
    {
        var row = new float[4 * Vector<float>.Count];
        for (var place = 0; place < row.Length; place++)
        {
            row.AsSpan().Fill(float.NegativeInfinity);
            row[place] = float.NaN;
            var max = SoftExp.Max(row);
            Assert.True(float.IsNaN(SoftExp.OfDifference(row, 1, max == float.NegativeInfinity ? 0 : max, 1, row)));
            row.AsSpan().Fill(-3);
            row[place] = 2;
            Assert.Equal(2, SoftExp.Max(row));
        }
    }
}
