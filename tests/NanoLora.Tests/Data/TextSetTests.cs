using NanoLora.Data;

namespace NanoLora.Tests.Data;

public class TextSetTests
{
    private static readonly LabelledTextTask Task = TopicTexts.Task("Intents", 4, 9, 5);

    private static UInt128[] Hashes(LabelledSet set) => [.. Enumerable.Range(0, set.Count).Select(set.ContentHash)];

    private static UInt128 Hash(string text) => new TextSet("t", [text], [0], ["c"]).ContentHash(0);

    [Fact]
    public void The_content_of_a_text_is_its_words()
    {
        Assert.Equal(Hash("What's my balance?"), Hash("  whats MY\tbalance"));
        Assert.NotEqual(Hash("what is my balance"), Hash("what is your balance"));
        Assert.NotEqual(Hash("what is my"), Hash("whatis my"));
        Assert.NotEqual(Hash("?!"), Hash("!?"));
        Assert.Equal(["don", "t"], Words.Of("don-t"));
        Assert.Equal(["it", "s2", "späte", "日本"], Words.Of("IT: S2... späte 日本"));
        Assert.Equal("whats my balance", Words.Joined(" ¿What’s my -- balance? "));
    }

    [Fact]
    public void Arrays_that_do_not_belong_together_are_refused()
    {
        Assert.Contains("2 labels, but 1 texts", Assert.Throws<ArgumentException>(() => new TextSet("t", ["a"], [0, 0], ["c"])).Message);
        Assert.Contains("text 0 has the label 1; there are 1 classes", Assert.Throws<ArgumentException>(() => new TextSet("t", ["a"], [1], ["c"])).Message);
    }

    [Fact]
    public void Sets_are_chosen_from_and_joined()
    {
        var one = new TextSet("one", ["a", "b", "c"], [0, 1, 0], ["x", "y"]) { Licence = "CC0", Source = "here" };
        var two = new TextSet("two", ["d"], [0], ["y"]) { Licence = "MIT", Source = "here" };
        var both = TextSet.Concat("both", one.Where(i => i != 1), two);
        Assert.Equal(["a", "c", "d"], both.Texts);
        Assert.Equal([0, 0, 1], both.Labels);
        Assert.Equal(["x", "y"], both.Classes);
        Assert.Equal(("CC0; MIT", "here"), (both.Licence, both.Source));
    }

    [Fact]
    public void Draws_are_as_those_of_images()
    {
        FewShotDraw<LabelledSet> one = FewShot.Draw(Task, 1, 42, 3), five = FewShot.Draw(Task, 5, 42, 3);
        Assert.Equal([5, 5, 5, 5], five.Support.ClassCounts());
        for (var c = 0; c < 4; c++) Assert.Equal(one.Support.ContentHash(c), five.Support.ContentHash(5 * c));
        Assert.Same(Task.Test, five.Test);
        Assert.Equal(Hashes(five.Support), Hashes(FewShot.Draw(Task, 5, 42, 3).Support));
        Assert.NotEqual(Hashes(five.Support), Hashes(FewShot.Draw(Task, 5, 42, 4).Support));
        Assert.Equal(9, FewShot.MostShots(Task, 42, 0));
        Assert.Equal("Few-shot: Intents: class class 0 has 9 texts to learn from; 10 shots need 10.",
            Assert.Throws<ArgumentException>(() => FewShot.Draw(Task, 10, 42, 0)).Message);

        // The very draws of images of the same name and counts.
        var images = new ImageTask("Intents", DataFiles.Set("a", 4, 9, 1), DataFiles.Set("b", 4, 5, 2), Pool.Upstream);
        var drawn = FewShot.Draw(images, 5, 42, 3).Support;
        Assert.Equal(Places(images.Train, drawn), Places(Task.Train, five.Support));

        static IEnumerable<int> Places(LabelledSet all, LabelledSet chosen) => Hashes(chosen).Select(h => Array.IndexOf(Hashes(all), h));
    }

    [Fact]
    public void Pools_compare_texts_by_their_words()
    {
        var loud = new TextSet("Loud", [Task.Test.Texts[3].ToUpperInvariant() + "!"], [0], ["c"]);
        var thief = new LabelledTextTask("Loud", loud, loud.Subset([]), Pool.Pretraining);
        var message = Assert.Throws<InvalidDataException>(() => Pools.Check([thief, Task])).Message;
        Assert.Contains("training text 0 (class c) of Loud (Pretraining) is the same text as test text 3 (class class 0) of Intents (Upstream)", message);
        var separate = Pools.Separate<LabelledTask>([thief, Task]);
        Assert.Equal((Task.Train.Count, Task.Test.Count - 1), (separate[1].Train.Count, separate[1].Test.Count));

        using var files = new DataFiles();
        var path = Path.Combine(files.Folder, "pools.safetensors");
        PoolHashes.Write(path, [thief], []);
        var seen = Assert.Throws<InvalidDataException>(() => PoolHashes.Check(path, Task)).Message;
        Assert.Contains("is among the pretraining texts; texts of this kind: 1", seen);
        Assert.Equal((Task.Train.Count + Task.Test.Count - 1, 1, 0), PoolHashes.Check(path, PoolHashes.Without(path, Task)));
    }

    [Fact]
    public void A_bag_of_words_is_tf_idf_at_length_1()
    {
        // Rarities over two texts: a ln(3/3) + 1 = 1, b and c ln(3/2) + 1, d of no text ln 3 + 1.
        var (support, test) = BagOfWords.Of(new("s", ["a a b"], [0], ["x"]), new("t", ["B d", "e"], [0, 0], ["x"]), ["a b", "A c"]);
        using var backend = new CpuBackend(threads: 1);
        using var scope = backend.Scope(grad: false);
        double rare = Math.Log(1.5) + 1, unseen = Math.Log(3) + 1;
        var length = Math.Sqrt(4 + rare * rare);
        Equal([2 / length, rare / length], support.Read(backend.Main, [0]).Inputs.ToArray());
        Equal([0, 0, 0, rare / Math.Sqrt(rare * rare + unseen * unseen)], test.Read(backend.Main, [1, 0]).Inputs.ToArray());

        static void Equal(double[] expected, float[] actual)
        {
            Assert.Equal(expected.Length, actual.Length);
            for (var i = 0; i < actual.Length; i++) Assert.Equal(expected[i], actual[i], 1e-6);
        }
    }

    [Fact]
    public void A_task_file_keeps_texts_labels_and_where_they_come_from()
    {
        using var files = new DataFiles();
        var path = Path.Combine(files.Folder, "task.safetensors");
        var set = new TextSet("Früh", ["", "naïve 🙂", "line\nbreak"], [0, 1, 0], ["ā", "b\"\\"]) { Licence = "CC BY 3.0", Source = "here" };
        TextTaskFile.Write(path, new("Früh", set, set.Subset([1]), Pool.HeldOut));
        var read = TextTaskFile.Read(path);
        Assert.Equal(("Früh", Pool.HeldOut, "CC BY 3.0", "here"), (read.Name, read.Pool, read.Licence, read.Test.Source));
        Assert.Equal(set.Texts, read.Train.Texts);
        Assert.Equal(["naïve 🙂"], read.Test.Texts);
        Assert.Equal([0, 1, 0], read.Train.Labels);
        Assert.Equal(set.Classes, read.Test.Classes);
        var message = Assert.Throws<InvalidDataException>(() => TaskFile.Read(path)).Message;
        Assert.Contains("images: there is no such tensor; a task has images and labels", message);
    }

    [Fact]
    public void A_task_file_that_does_not_fit_is_refused_by_field()
    {
        Assert.Contains("ends: number 1 is 1; 2 to 3 are possible", Message([2, 1], "abc"u8));
        Assert.Contains("ends: number 1 is 4; 2 to 3 are possible", Message([2, 4], "abc"u8));
        Assert.Contains("texts: number 0 is not UTF-8", Message([1, 2], [0xFF, 0x41]));
        Assert.Contains("ends: number 0 is -1", Message([-1, 2], "ab"u8));
    }

    private static string Message(int[] ends, ReadOnlySpan<byte> texts)
    {
        using var files = new DataFiles();
        var path = Path.Combine(files.Folder, "bad.safetensors");
        byte[] raw = [.. ends.SelectMany(BitConverter.GetBytes)];
        NanoLora.Nn.SafetensorsWriter.Write(path,
            [new("texts", NanoLora.Nn.FileDType.U8, [texts.Length], texts.ToArray()), new("ends", NanoLora.Nn.FileDType.I32, [ends.Length], raw),
             new("labels", NanoLora.Nn.FileDType.I32, [ends.Length], new byte[4 * ends.Length])],
            new Dictionary<string, string> { ["name"] = "x", ["classes"] = "[\"c\"]" });
        return Assert.Throws<InvalidDataException>(() => TextTaskFile.Read(path)).Message;
    }
}

/// <summary>Texts of a few words each, the first of which tells the class.</summary>
public static class TopicTexts
{
    private const int Rare = 300;

    private static readonly string[] Common = ["please", "now", "tell", "me", "the", "my", "of", "and", "a", "today"];

    /// <summary>The words of all texts of up to eight classes.</summary>
    public static IEnumerable<string> Vocabulary =>
        [.. Common, .. Enumerable.Range(0, 8).Select(c => $"topic{c}"), .. Enumerable.Range(0, Rare).Select(n => $"word{n}")];

    public static LabelledTextTask Task(string name, int classes, int train, int test, ulong seed = 1) =>
        new(name, Set(name, classes, train, seed), Set(name, classes, test, seed + 1000), Pool.Upstream);

    public static TextSet Set(string name, int classes, int each, ulong seed)
    {
        var random = new Philox(seed, Philox.StreamOf(name));
        var (texts, labels) = (new string[classes * each], new int[classes * each]);
        for (var i = 0; i < texts.Length; i++)
        {
            labels[i] = i / each;
            var at = 4 * (ulong)i;
            var (common, one, two) = (Common[random.Below(at, Common.Length)], random.Below(at + 1, Rare), random.Below(at + 2, Rare));
            texts[i] = $"topic{labels[i]} {common} word{one} word{two}";
        }
        return new(name, texts, labels, [.. Enumerable.Range(0, classes).Select(c => $"class {c}")]);
    }
}
