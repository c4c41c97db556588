using NanoLora.Data;

namespace NanoLora.Tests.Data;

public class ResizeTests
{
    private static byte[] Noise(int count, ulong stream) => [.. Enumerable.Range(0, count).Select(i => (byte)new Philox(3, stream).Bits((ulong)i))];

    // The reference integrates over both axes at once, in double; a rounded byte may be off by half a gray level.
    private static double Area(byte[] plane, int h, int w, int newH, int newW, int row, int col)
    {
        double top = (double)row * h / newH, bottom = (double)(row + 1) * h / newH, sum = 0;
        double left = (double)col * w / newW, right = (double)(col + 1) * w / newW;
        for (var y = 0; y < h; y++)
        {
            for (var x = 0; x < w; x++)
                sum += Math.Max(0, Math.Min(bottom, y + 1) - Math.Max(top, y)) * Math.Max(0, Math.Min(right, x + 1) - Math.Max(left, x)) * plane[y * w + x];
        }
        return sum / ((bottom - top) * (right - left));
    }

    private static double Bilinear(byte[] plane, int h, int w, int newH, int newW, int row, int col)
    {
        double v = (row + 0.5) * h / newH - 0.5, u = (col + 0.5) * w / newW - 0.5, sum = 0;
        for (var y = (int)Math.Floor(v); y <= Math.Floor(v) + 1; y++)
        {
            for (var x = (int)Math.Floor(u); x <= Math.Floor(u) + 1; x++)
                sum += (1 - Math.Abs(v - y)) * (1 - Math.Abs(u - x)) * plane[Math.Clamp(y, 0, h - 1) * w + Math.Clamp(x, 0, w - 1)];
        }
        return sum;
    }

    [Theory]
    [InlineData(105, 105, 28, 28), InlineData(70, 70, 28, 28), InlineData(32, 32, 28, 28)]
    [InlineData(7, 13, 5, 4), InlineData(5, 4, 7, 13), InlineData(1, 1, 3, 2), InlineData(9, 6, 1, 1)]
    public void Both_ways_agree_with_a_reference_in_double(int h, int w, int newH, int newW)
    {
        var plane = Noise(h * w, (ulong)h);
        byte[] area = Resize.Area(plane, h, w, newH, newW), bilinear = Resize.Bilinear(plane, h, w, newH, newW);
        Assert.Equal(newH * newW, area.Length);
        Assert.Equal(newH * newW, bilinear.Length);
        for (var y = 0; y < newH; y++)
        {
            for (var x = 0; x < newW; x++)
            {
                Assert.InRange(Math.Abs(area[y * newW + x] - Area(plane, h, w, newH, newW, y, x)), 0, 0.5001);
                Assert.InRange(Math.Abs(bilinear[y * newW + x] - Bilinear(plane, h, w, newH, newW, y, x)), 0, 0.5001);
            }
        }
    }

    [Fact]
    public void The_same_size_is_the_same_image()
    {
        var plane = Noise(11 * 6, 1);
        Assert.Equal(plane, Resize.Area(plane, 11, 6, 11, 6));
        Assert.Equal(plane, Resize.Bilinear(plane, 11, 6, 11, 6));
    }

    [Fact]
    public void A_set_keeps_labels_and_channels_apart()
    {
        var set = new ImageSet("set", new(3, 2, 2), [.. Enumerable.Range(0, 24).Select(i => (byte)(i / 4 * 10))], [1, 0], ["a", "b"], [7, 8]);
        var small = Resize.Area(set, 1, 1);
        Assert.Equal([0, 10, 20, 30, 40, 50], small.Pixels);
        Assert.Equal([1, 0], small.Labels);
        Assert.Equal([7, 8], small.Groups!);
    }

    [Fact]
    public void Gray_weighs_the_colours_as_the_eye_does()
    {
        var set = new ImageSet("set", new(3, 1, 4), [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255], [0], ["a"]);
        Assert.Equal([76, 150, 29, 255], Resize.Gray(set).Pixels);
        Assert.Throws<ArgumentException>(() => Resize.Gray(new ImageSet("two", new(2, 1, 1), [1, 2], [0], ["a"])));
    }

    [Fact]
    public void Padding_centres_and_inverting_swaps_black_and_white()
    {
        Assert.Equal([9, 9, 9, 1, 2, 3, 9, 9, 9], Resize.PadSquare([1, 2, 3], 1, 3, fill: 9));
        Assert.Equal([0, 1, 0, 0, 2, 0, 0, 3, 0], Resize.PadSquare([1, 2, 3], 3, 1));
        Assert.Equal([5, 6, 0, 0], Resize.PadSquare(new ImageSet("set", new(1, 1, 2), [5, 6], [0], ["a"]), 0).Pixels);
        Assert.Equal([255, 0, 245], Resize.Invert(new ImageSet("set", new(1, 1, 3), [0, 255, 10], [0], ["a"])).Pixels);
    }

    [Fact]
    public void Wrong_sizes_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Resize.Area(new byte[5], 2, 3, 1, 1));
        Assert.Throws<ArgumentException>(() => Resize.Bilinear(new byte[6], 2, 3, 0, 1));
    }
}
