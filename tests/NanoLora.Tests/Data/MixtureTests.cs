using NanoLora.Data;

namespace NanoLora.Tests.Data;

public class MixtureTests
{
    // An image of class c of task t has the upper left corner 100 t + 10 c + 5 and is dark elsewhere; turned, the corner is at the lower left.
    private static ImageTask Task(int t, int classes, int count)
    {
        var labels = Enumerable.Range(0, count).Select(i => i % classes).ToArray();
        var pixels = new byte[count * 9];
        for (var i = 0; i < count; i++) pixels[9 * i] = (byte)(100 * t + 10 * labels[i] + 5);
        var set = new ImageSet($"task {t}", new(1, 3, 3), pixels, labels, [.. Enumerable.Range(0, classes).Select(c => $"{c}")]);
        return new($"task {t}", set, set.Subset([.. Enumerable.Range(0, classes)]), Pool.Pretraining);
    }

    private static readonly ImageTask[] Tasks = [Task(0, 3, 30), Task(1, 2, 200)];

    [Theory, InlineData(false), InlineData(true)]
    public void An_image_and_its_label_belong_together_and_tasks_come_by_weight(bool turns)
    {
        var mixture = new ImageMixture(Tasks, [3, 1], turns);
        var random = new Philox(1, 1);
        var counts = new int[mixture.ClassCount];
        var target = new float[9];
        for (var i = 0ul; i < 8000; i++)
        {
            var label = mixture.Draw(random, i, Augment.None, target, Normalisation.None);
            counts[label]++;
            Assert.Equal(label, Seen(target));
        }
        Assert.Equal(turns ? 10 : 5, counts.Length);
        Assert.InRange(counts.Where((_, c) => c % 5 < 3).Sum(), 5850, 6150);                  // 6000, deviation 39
        Assert.InRange(counts[..5].Sum(), turns ? 3850 : 8000, turns ? 4150 : 8000);
        Assert.InRange(counts[3], turns ? 420 : 900, turns ? 580 : 1100);
    }

    private static int Seen(float[] image)
    {
        float plain = image[0] * 255, turned = image[6] * 255;
        var value = (int)MathF.Round(Math.Max(plain, turned));
        return (value >= 100 ? 3 + (value - 105) / 10 : (value - 5) / 10) + (turned > plain ? 5 : 0);
    }

    [Fact]
    public void Draws_do_not_depend_on_their_order_and_allocate_nothing()
    {
        var mixture = new ImageMixture(Tasks, [1, 1], quarterTurns: true);
        var light = new Augment(0.3f, 0.2f, 1);
        var random = new Philox(5, 6);
        var first = Enumerable.Range(0, 50).Select(Drawn).ToArray();
        var last = Enumerable.Range(0, 50).Reverse().Select(Drawn).Reverse().ToArray();
        for (var i = 0; i < 50; i++)
        {
            Assert.Equal(first[i].Label, last[i].Label);
            Assert.Equal(first[i].Image, last[i].Image);
        }
        var target = new float[9];
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0ul; i < 100; i++) mixture.Draw(random, i, light, target, Normalisation.None);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        (int Label, float[] Image) Drawn(int i)
        {
            var image = new float[9];
            return (mixture.Draw(random, (ulong)i, light, image, new(0.1f, 0.5f)), image);
        }
    }

    [Fact]
    public void Test_images_come_plain_then_turned()
    {
        var mixture = new ImageMixture(Tasks, [1, 1], quarterTurns: true);
        Assert.Equal(10, mixture.TestCount);
        var target = new float[9];
        for (var i = 0; i < 10; i++)
        {
            Assert.Equal(i, mixture.Test(i, target, Normalisation.None));
            Assert.Equal(i, Seen(target));
        }
        Assert.Throws<ArgumentException>(() => mixture.Test(10, target, Normalisation.None));
        Assert.Equal(["task 0/0", "task 0/1", "task 0/2", "task 1/0", "task 1/1"], mixture.ClassNames()[..5]);
        Assert.Equal("task 1/1, turned", mixture.ClassNames()[9]);
    }

    [Fact]
    public void Statistics_weigh_the_tasks()
    {
        var mixture = new ImageMixture(Tasks, [3, 1], quarterTurns: true);
        double[] one = [.. Tasks[0].Train.Pixels.Select(p => p / 255.0)], two = [.. Tasks[1].Train.Pixels.Select(p => p / 255.0)];
        double mean = 0.75 * one.Average() + 0.25 * two.Average(), square = 0.75 * one.Average(v => v * v) + 0.25 * two.Average(v => v * v);
        var (m, d) = mixture.Statistics();
        Assert.Equal(mean, m, 1e-6);
        Assert.Equal(Math.Sqrt(square - mean * mean), d, 1e-6);
    }

    [Fact]
    public void What_does_not_mix_is_refused()
    {
        Assert.Contains("weight 0", Assert.Throws<ArgumentException>(() => new ImageMixture(Tasks, [1, 0], false)).Message);
        Assert.Throws<ArgumentException>(() => new ImageMixture(Tasks, [1], false));
        var wide = new ImageSet("wide", new(1, 1, 2), [1, 2], [0], ["a"]);
        Assert.Contains("1x1x2", Assert.Throws<ArgumentException>(() => new ImageMixture([new("wide", wide, wide, Pool.Pretraining)], [1], true)).Message);
    }
}
