using NanoLora.Data;

namespace NanoLora.Tests.Data;

public class FewShotTests
{
    private static readonly ImageTask ByPerson = new(
        "Alphabet", DataFiles.Set("a", 6, 12, seed: 1, groups: true), DataFiles.Set("b", 6, 8, seed: 2, groups: true, firstGroup: 13), Pool.HeldOut);
    private static readonly ImageTask ByImage = new("Shapes", DataFiles.Set("a", 4, 9, seed: 3), DataFiles.Set("b", 4, 5, seed: 4), Pool.HeldOut);

    private static UInt128[] Hashes(ImageSet set) => [.. Enumerable.Range(0, set.Count).Select(set.ContentHash)];

    public static TheoryData<bool> Both => [true, false];

    [Theory, MemberData(nameof(Both))]
    public void Supports_are_nested_and_the_test_set_stays(bool people)
    {
        var task = people ? ByPerson : ByImage;
        for (var draw = 0; draw < 5; draw++)
        {
            FewShotDraw<ImageSet> one = FewShot.Draw(task, 1, 42, draw), five = FewShot.Draw(task, 5, 42, draw);
            Assert.Equal(Enumerable.Repeat(1, task.Classes.Length), one.Support.ClassCounts());
            Assert.Equal(Enumerable.Repeat(5, task.Classes.Length), five.Support.ClassCounts());
            for (var c = 0; c < task.Classes.Length; c++) Assert.Equal(one.Support.ContentHash(c), five.Support.ContentHash(5 * c));
            Assert.Equal(25 * task.Classes.Length / 5, Hashes(five.Support).Distinct().Count());
            Assert.Equal(Hashes(one.Test), Hashes(five.Test));
            Assert.Empty(Hashes(five.Support).Intersect(Hashes(five.Test)));
        }
    }

    [Theory, MemberData(nameof(Both))]
    public void A_draw_is_a_function_of_seed_name_and_number(bool people)
    {
        var task = people ? ByPerson : ByImage;
        var first = Hashes(FewShot.Draw(task, 2, 42, 3).Support);
        Assert.Equal(first, Hashes(FewShot.Draw(task, 2, 42, 3).Support));
        Assert.NotEqual(first, Hashes(FewShot.Draw(task, 2, 42, 4).Support));
        Assert.NotEqual(first, Hashes(FewShot.Draw(task, 2, 43, 3).Support));
        Assert.NotEqual(first, Hashes(FewShot.Draw(new ImageTask("Other", task.Train, task.Test, task.Pool), 2, 42, 3).Support));
    }

    [Fact]
    public void The_last_ten_people_of_a_draw_are_its_test_set_and_the_first_give_the_support()
    {
        for (var draw = 0; draw < 5; draw++)
        {
            var order = FewShot.GroupOrder(ByPerson, 42, draw);
            Assert.Equal(Enumerable.Range(1, 20), order.Order());
            var few = FewShot.Draw(ByPerson, 3, 42, draw);
            Assert.Equal(order[10..].Order(), few.Test.Groups!.Distinct().Order());
            Assert.Equal(60, few.Test.Count);
            for (var c = 0; c < 6; c++) Assert.Equal(order[..3], few.Support.Groups![(3 * c)..(3 * c + 3)]);
        }
    }

    [Fact]
    public void Without_people_each_class_is_drawn_for_itself()
    {
        var places = new HashSet<int>();
        var few = FewShot.Draw(ByImage, 1, 42, 0);
        for (var c = 0; c < 4; c++) places.Add(Array.IndexOf(Hashes(ByImage.Train), few.Support.ContentHash(c)) - 9 * c);
        Assert.All(places, p => Assert.InRange(p, 0, 8));
        Assert.True(places.Count > 1, "all four classes gave the image at the same place");
    }

    [Fact]
    public void Every_person_is_tested_in_some_draw()
    {
        var tested = Enumerable.Range(0, 20).SelectMany(draw => FewShot.Draw(ByPerson, 1, 42, draw).Test.Groups!).Distinct();
        Assert.Equal(20, tested.Count());
    }

    [Fact]
    public void Without_people_the_test_set_is_the_tasks_own_and_can_be_shortened_for_all_draws_alike()
    {
        Assert.Same(ByImage.Test, FewShot.Draw(ByImage, 1, 42, 0).Test);
        var some = FewShot.Draw(ByImage, 1, 42, 0, testPerClass: 2).Test;
        Assert.Equal([2, 2, 2, 2], some.ClassCounts());
        Assert.Equal(Hashes(some), Hashes(FewShot.Draw(ByImage, 5, 42, 7, testPerClass: 2).Test));
        Assert.Subset(Hashes(ByImage.Test).ToHashSet(), Hashes(some).ToHashSet());
    }

    [Fact]
    public void Too_few_examples_is_an_error_with_names_and_numbers()
    {
        static string Message(ImageTask task, int shots) => Assert.Throws<ArgumentException>(() => FewShot.Draw(task, shots, 1, 0)).Message;
        Assert.Equal("Few-shot: Shapes: class class 0 has 9 images to learn from; 10 shots need 10.", Message(ByImage, 10));
        Assert.Equal("Few-shot: Alphabet: class class 0 has 10 images by people outside the 10 of the test set; 11 shots need 11.", Message(ByPerson, 11));
        var lone = new ImageTask("Lone", DataFiles.Set("a", 2, 6, 1, groups: true), DataFiles.Set("b", 2, 4, 2, groups: true, firstGroup: 7), Pool.HeldOut);
        Assert.Contains("images by 10 people", Message(lone, 1));
        Assert.Contains("-1 shots", Message(ByImage, -1));
    }

    [Fact]
    public void All_shots_are_all_images_that_the_draw_leaves()
    {
        var few = FewShot.Draw(ByPerson, 3, 1, 4);
        var all = FewShot.Draw(ByPerson, FewShot.AllShots, 1, 4);
        Assert.Equal(FewShot.MostShots(ByPerson, 1, 4) * ByPerson.Classes.Length, all.Support.Count);
        Assert.Equal(ByPerson.All().Count, all.Support.Count + all.Test.Count);
        Assert.Equal(few.Test.Pixels, all.Test.Pixels);
        Assert.Equal(ByImage.Train.Count, FewShot.Draw(ByImage, FewShot.AllShots, 1, 0).Support.Count);
    }

    [Fact]
    public void Several_images_by_one_person_are_taken_in_a_drawn_order()
    {
        // Fifteen people, four images of each class by each.
        var set = DataFiles.Set("a", 2, 60, seed: 8);
        var people = new ImageSet("a", set.Size, set.Pixels, set.Labels, set.Classes, [.. Enumerable.Range(0, 120).Select(i => i % 15)]);
        var task = new ImageTask("Several", people, people.Subset([]), Pool.Upstream);
        var order = FewShot.GroupOrder(task, 1, 0);
        var few = FewShot.Draw(task, 6, 1, 0);
        Assert.Equal([order[0], order[0], order[0], order[0], order[1], order[1]], few.Support.Groups![..6]);
        Assert.Equal(12, Hashes(few.Support).Distinct().Count());
    }
}
