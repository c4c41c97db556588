using NanoLora.Data;

namespace NanoLora.Tests.Data;

public class ImageSetTests
{
    private static ImageSet Small(string name, byte[] pixels, int[] labels, string[] classes, int[]? groups = null) =>
        new(name, new(1, 1, 2), pixels, labels, classes, groups) { Licence = name + "'s" };

    [Fact]
    public void A_subset_keeps_the_order_asked_for()
    {
        var set = Small("set", [1, 2, 3, 4, 5, 6], [0, 1, 0], ["a", "b"], [7, 8, 9]).Subset([2, 0, 2]);
        Assert.Equal([5, 6, 1, 2, 5, 6], set.Pixels);
        Assert.Equal([0, 0, 0], set.Labels);
        Assert.Equal([9, 7, 9], set.Groups!);
        Assert.Equal("set's", set.Licence);
    }

    [Fact]
    public void Concatenating_joins_classes_by_name()
    {
        var all = ImageSet.Concat("all", Small("x", [1, 2, 3, 4], [1, 0], ["a", "b"], [1, 2]), Small("y", [5, 6, 7, 8], [0, 1], ["b", "c"]));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], all.Pixels);
        Assert.Equal(["a", "b", "c"], all.Classes);
        Assert.Equal([1, 0, 1, 2], all.Labels);
        Assert.Null(all.Groups);
        Assert.Equal("x's; y's", all.Licence);
        Assert.Equal([1, 2, 1], all.ClassCounts());
        Assert.Contains("1x1x1", Assert.Throws<ArgumentException>(() => ImageSet.Concat("bad", all, new ImageSet("z", new(1, 1, 1), [1], [0], ["a"]))).Message);
    }

    [Fact]
    public void Equal_images_and_only_these_have_equal_hashes()
    {
        var set = Small("set", [1, 2, 2, 1, 1, 2], [0, 0, 0], ["a"]);
        Assert.Equal(set.ContentHash(0), set.ContentHash(2));
        Assert.NotEqual(set.ContentHash(0), set.ContentHash(1));
    }

    [Fact]
    public void Normalised_rows_have_mean_zero_and_deviation_one()
    {
        var set = DataFiles.Set("set", classes: 3, perClass: 5, seed: 1);
        var (mean, deviation) = set.Statistics();
        var rows = set.ToFloats(new(mean, deviation));
        Assert.InRange(rows.Average(), -1e-5, 1e-5);
        Assert.InRange(rows.Average(v => (double)v * v), 1 - 1e-5, 1 + 1e-5);
        Assert.InRange(Math.Abs(rows[17] - (set.Pixels[17] / 255.0 - mean) / deviation), 0, 1e-5);
        Assert.Equal((1f, 1f), Small("white", [255, 255], [0], ["a"]).Statistics());
    }

    [Fact]
    public void Arrays_that_do_not_belong_together_are_refused()
    {
        static string Message(Func<ImageSet> make) => Assert.Throws<ArgumentException>(make).Message;
        Assert.Contains("need 4 bytes of pixels; there are 3", Message(() => Small("set", [1, 2, 3], [0, 0], ["a"])));
        Assert.Contains("image 1 has the label 2; there are 2 classes", Message(() => Small("set", [1, 2, 3, 4], [0, 2], ["a", "b"])));
        Assert.Contains("2 labels, but 1 groups", Message(() => Small("set", [1, 2, 3, 4], [0, 0], ["a"], [1])));
    }
}
