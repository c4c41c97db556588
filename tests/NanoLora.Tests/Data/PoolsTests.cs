using NanoLora.Data;

namespace NanoLora.Tests.Data;

public class PoolsTests
{
    private static ImageTask Task(string name, Pool pool, ulong seed, ImageSet? more = null, ImageSet? moreTest = null)
    {
        ImageSet train = DataFiles.Set(name, 2, 3, seed), test = DataFiles.Set(name, 2, 2, seed + 1000);
        return new(name, more is null ? train : ImageSet.Concat(name, train, more), moreTest is null ? test : ImageSet.Concat(name, test, moreTest), pool);
    }

    private static readonly ImageTask Base = Task("Base", Pool.Pretraining, 1), Up = Task("Up", Pool.Upstream, 2), Held = Task("Held", Pool.HeldOut, 3);

    [Fact]
    public void Disjoint_pools_pass() => Pools.Check([Base, Up, Held]);

    [Theory]
    [InlineData(Pool.Pretraining, Pool.Upstream), InlineData(Pool.Pretraining, Pool.HeldOut), InlineData(Pool.Upstream, Pool.HeldOut)]
    public void An_image_in_two_pools_is_refused_and_both_places_are_named(Pool a, Pool b)
    {
        ImageTask first = Base with { Pool = a }, second = Task("Thief", b, 4, moreTest: Base.Train.Subset([4]));
        var message = Assert.Throws<InvalidDataException>(() => Pools.Check([first, second])).Message;
        Assert.Contains($"training image 4 (class class 1) of Base ({a}) is the same image as test image 4 (class class 1) of Thief ({b})", message);
        Assert.Contains("copies of this kind: 1", message);
    }

    [Fact]
    public void Copies_within_one_pool_pass()
    {
        Pools.Check([Base, Task("Twin", Pool.Pretraining, 5, more: Base.Train.Subset([0, 0])), Up]);
        Pools.Check([Up, Task("Twin", Pool.Upstream, 5, more: Up.Train.Subset([0, 1]))]);
        Pools.Check([Task("Copies", Pool.Pretraining, 5, more: DataFiles.Set("", 2, 2, 1005).Subset([1]))]);       // its own test image
    }

    [Fact]
    public void A_few_shot_task_must_not_learn_from_a_test_image()
    {
        var leaky = Task("Leaky", Pool.Upstream, 6, more: DataFiles.Set("", 2, 2, 1006).Subset([1]));
        Assert.Contains("training image 6", Assert.Throws<InvalidDataException>(() => Pools.Check([leaky])).Message);
        var few = new FewShotDraw<ImageSet>(leaky, 1, 0, leaky.Train, leaky.Test);
        Assert.Contains("support image 6 is the same as test image 1", Assert.Throws<InvalidDataException>(() => Pools.Check(few)).Message);
        Pools.Check(new FewShotDraw<ImageSet>(Up, 1, 0, Up.Train, Up.Test));
    }

    [Fact]
    public void Separating_leaves_out_the_later_copies_and_nothing_else()
    {
        var thief = Task("Thief", Pool.Upstream, 7, more: Base.Train.Subset([2, 3]), moreTest: Held.Test.Subset([0]));
        Assert.Equal(3, Pools.Overlaps([Held, Base, thief]).Count);
        var separate = Pools.Separate([Held, Base, thief]);
        Pools.Check(separate);
        Assert.Equal([Held.Train.Count, Base.Train.Count, 6], separate.Select(t => t.Train.Count));
        Assert.Equal([Held.Test.Count, Base.Test.Count, 4], separate.Select(t => t.Test.Count));
    }
}
