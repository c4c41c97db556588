namespace NanoLora.Tests.Ops;

/// <summary>What a norm must do at the edges of float32.</summary>
public sealed class NormTests : EngineTest
{
    [Theory]
    [InlineData(24)]
    [InlineData(7)]
    [InlineData(193)]
    public void A_row_of_equal_numbers_gives_the_bias_itself(int width)
    {
        var random = new Philox(5, (ulong)width);
        using var scope = Backend.Scope();
        var (values, bias) = (new float[200 * width], new float[width]);
        for (var i = 0; i < values.Length; i++) values[i] = random.Normal((ulong)(i / width));
        for (var i = 0; i < width; i++) bias[i] = random.Normal((ulong)(1000 + i));
        var y = Backend.Main.From(values, new Shape(200, width)).LayerNorm(null, Backend.Main.From(bias, new Shape(width))).ToArray();
        for (var i = 0; i < y.Length; i++) Assert.Equal(bias[i % width], y[i]);
    }
}
