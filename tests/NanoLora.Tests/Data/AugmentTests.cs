using NanoLora.Data;

namespace NanoLora.Tests.Data;

public class AugmentTests
{
    private static readonly ImageSize Size = new(2, 28, 28);
    private static readonly byte[] Image = [.. Enumerable.Range(0, Size.Length).Select(i => (byte)new Philox(4, 4).Bits((ulong)i))];
    private static readonly Augment Light = new(0.2f, 0.15f, 2.5f);

    private static float[] Apply(Augment augment, ulong index)
    {
        var target = new float[Size.Length];
        augment.Apply(Image, Size, new Philox(7, 9), index, target, new(0.25f, 0.5f));
        return target;
    }

    [Fact]
    public void No_strength_leaves_the_image_as_it_is()
    {
        var set = new ImageSet("set", Size, Image, [0], ["a"]);
        var target = new float[Size.Length];
        Augment.None.Apply(Image, Size, new Philox(1, 2), 3, target, Normalisation.None);
        for (var i = 0; i < target.Length; i++) Assert.Equal(Image[i] * (1f / 255), target[i]);
        Assert.Equal(set.ToFloats(new(0.25f, 0.5f)), Apply(Augment.None, 3));
    }

    [Fact]
    public void The_same_index_gives_the_same_image_for_any_number_of_threads()
    {
        const int count = 64;
        var one = Enumerable.Range(0, count).Select(i => Apply(Light, (ulong)i)).ToArray();
        foreach (var threads in new[] { 2, 5 })
        {
            var many = new float[count][];
            Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads }, i => many[count - 1 - i] = Apply(Light, (ulong)(count - 1 - i)));
            for (var i = 0; i < count; i++) Assert.Equal(one[i], many[i]);
        }
        Assert.Equal(count, one.Select(v => v.Sum()).Distinct().Count());
    }

    [Fact]
    public void Agrees_with_a_rotation_written_in_double()
    {
        var random = new Philox(7, 9);
        double Signed(ulong i) => 2.0 * random.Uniform(i) - 1;
        for (var index = 0ul; index < 20; index++)
        {
            double angle = Light.Rotation * Signed(4 * index), zoom = 1 + Light.Scale * Signed(4 * index + 1);
            double tx = Light.Shift * Signed(4 * index + 2), ty = Light.Shift * Signed(4 * index + 3);
            var actual = Apply(Light, index);
            for (var i = 0; i < actual.Length; i++)
            {
                int c = i / 784, y = i / 28 % 28, x = i % 28;
                double dx = (x - 13.5) / zoom, dy = (y - 13.5) / zoom, sum = 0;
                double u = 13.5 + dx * Math.Cos(angle) + dy * Math.Sin(angle) - tx, v = 13.5 - dx * Math.Sin(angle) + dy * Math.Cos(angle) - ty;
                for (var q = 0; q < 28; q++)
                {
                    for (var p = 0; p < 28; p++) sum += Math.Max(0, 1 - Math.Abs(u - p)) * Math.Max(0, 1 - Math.Abs(v - q)) * Image[c * 784 + q * 28 + p];
                }
                Assert.InRange(Math.Abs(actual[i] - (sum / 255 - 0.25) / 0.5), 0, 2e-5);
            }
        }
    }

    [Fact]
    public void Allocates_nothing()
    {
        var target = new float[Size.Length];
        var random = new Philox(1, 1);
        Light.Apply(Image, Size, random, 0, target, Normalisation.None);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0ul; i < 100; i++) Light.Apply(Image, Size, random, i, target, Normalisation.None);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void What_cannot_be_is_refused()
    {
        Assert.Contains("the target 10",
            Assert.Throws<ArgumentException>(() => Light.Apply(Image, Size, new Philox(1, 1), 0, new float[10], Normalisation.None)).Message);
        Assert.Contains("scale 1 ", Assert.Throws<ArgumentException>(() => Apply(Light with { Scale = 1 }, 0)).Message);
    }
}
