using NanoLora.Data;

namespace NanoLora.Tests.Data;

public class NormalisationTests
{
    private static readonly byte[] Every = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];

    // The numbers that trained the bundled model: x * (1 / (255 d)) - m / d, each step rounded to a float.
    [Theory]
    [InlineData(0.1307f, 0.3081f)]
    [InlineData(0.17333f, 0.31234f)]
    [InlineData(0f, 1f)]
    public void One_mean_and_deviation_give_the_same_bits_for_every_byte(float mean, float deviation)
    {
        var y = new float[256];
        new Normalisation(mean, deviation).Apply(Every, new(1, 16, 16), y);
        float gain = 1 / (255 * deviation), offset = mean / deviation;
        for (var i = 0; i < 256; i++)
        {
            var product = i * gain;
            Assert.Equal(product - offset, y[i]);
        }
    }

    [Fact]
    public void Each_channel_has_its_own_numbers_and_one_serves_all()
    {
        byte[] image = [10, 20, 30, 40, 50, 60];
        var y = new float[6];
        new Normalisation([0.5f, 0.25f, 0], [0.5f, 1, 2]).Apply(image, new(3, 1, 2), y);
        for (var i = 0; i < 6; i++) Assert.Equal((image[i] / 255.0 - (0.5, 0.25, 0.0).At(i / 2)) / (0.5, 1.0, 2.0).At(i / 2), y[i], 1e-6);
        new Normalisation([0.5f], [0.5f, 1, 2]).Apply(image, new(3, 1, 2), y);
        Assert.Equal((60 / 255.0 - 0.5) / 2, y[5], 1e-6);
        new Normalisation(null, null, rescale: 1).Apply(image, new(3, 1, 2), y);
        Assert.Equal([10, 20, 30, 40, 50, 60], y);
        new Normalisation([1], [0.25f], rescale: 1 / 127.5).Apply(image, new(3, 1, 2), y);
        Assert.Equal((40 / 127.5 - 1) / 0.25, y[3], 1e-6);
    }

    [Fact]
    public void A_set_and_its_augmented_images_are_normalised_by_channel()
    {
        var set = new ImageSet("set", new(2, 1, 1), [100, 200], [0], ["a"]);
        var pixels = new Normalisation([0.1f, 0.2f], [0.3f, 0.4f]);
        var moved = new float[2];
        Augment.None.Apply(set.Image(0), set.Size, new Philox(1, 1), 0, moved, pixels);
        Assert.Equal(set.ToFloats(pixels), moved);
        Assert.Equal((200 / 255.0 - 0.2) / 0.4, moved[1], 1e-6);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        static string Refused(Action make) => Assert.Throws<ArgumentException>(make).Message;
        Assert.Contains("2 means, but 3 deviations", Refused(() => _ = new Normalisation([0, 0], [1, 1, 1])));
        Assert.Contains("channel 1 has the mean 0 and the deviation 0", Refused(() => _ = new Normalisation([0, 0], [1, 0])));
        Assert.Contains("channel 0 has the mean NaN", Refused(() => _ = new Normalisation(float.NaN, 1)));
        Assert.Contains("the rescale factor is 0", Refused(() => _ = new Normalisation(null, null, 0)));
        Assert.Contains("does not fit means and deviations of 3 channels", Refused(() =>
            new Normalisation([0, 0, 0], null).Apply(new byte[1], new(1, 1, 1), new float[1])));
        Assert.Contains("the target 0", Refused(() => Normalisation.None.Apply(new byte[1], new(1, 1, 1), [])));
    }
}

file static class Triple
{
    public static double At(this (double, double, double) of, int index) => index == 0 ? of.Item1 : index == 1 ? of.Item2 : of.Item3;
}
