using NanoLora.Data;
using static NanoLora.Tests.Data.UserTasks.PictureTree;

namespace NanoLora.Tests.Data.UserTasks;

public sealed class ImageFolderTests : IDisposable
{
    private readonly PictureTree _tree = new();

    public void Dispose() => _tree.Dispose();

    private ImageTask Read(string folder = "", UserTaskOptions? options = null) =>
        ImageFolder.Read(_tree.At(folder), null, _tree.Processor(), options ?? _tree.Options);

    private string Refused(string folder) => Assert.Throws<InvalidDataException>(() => Read(folder)).Message;

    [Fact]
    public void Classes_and_files_come_in_ordinal_order_with_the_pixels_of_the_files()
    {
        _tree.Add("photos/zebra/b.png", 3).Add("photos/zebra/a.PNG", 2).Add("photos/Ant/10.png", 0).Add("photos/Ant/2.png", 1);
        var task = Read("photos", _tree.Options with { TestShare = 0 });
        Assert.Equal("photos", task.Name);
        Assert.Equal(["Ant", "zebra"], task.Classes);
        Assert.Equal([0, 0, 1, 1], task.Train.Labels);
        Assert.Equal([0, 1, 2, 3], Contents(task.Train));
        Assert.Equal(0, task.Test.Count);
        Assert.Equal(Pool.Upstream, task.Pool);
        Assert.Empty(_tree.Notes);
    }

    [Fact]
    public void A_sixth_of_each_class_is_for_tests_and_always_the_same()
    {
        _tree.AddClass("one/a", 24, 0).AddClass("one/b", 5, 50).AddClass("one/c", 1, 60).AddClass("copy/other name/a", 24, 0);
        var (first, again) = (Read("one"), Read("one"));
        Assert.Equal([20, 4, 1], first.Train.ClassCounts());
        Assert.Equal([4, 1, 0], first.Test.ClassCounts());
        Assert.Equal(Contents(first.Test), Contents(again.Test));
        Assert.Contains("the class c has no test images", _tree.Notes[0]);
        Assert.Equal([.. Enumerable.Range(0, 24), .. Enumerable.Range(50, 5), 60], Contents(first.Train).Concat(Contents(first.Test)).Order());

        // The split is that of the class and its files, wherever they lie; another seed gives another one; and it is none of first or last.
        Assert.Equal(Contents(first.Test)[..4], Contents(Read("copy/other name").Test));
        Assert.NotEqual(Contents(first.Test)[..4], Contents(Read("one", _tree.Options with { SplitSeed = 2 }).Test)[..4]);
        Assert.NotEqual([20, 21, 22, 23], Contents(first.Test)[..4]);
        Assert.Equal([12, 2, 0], Read("one", _tree.Options with { TestShare = 0.5 }).Test.ClassCounts());
        Assert.Throws<ArgumentException>(() => Read("one", _tree.Options with { TestShare = 1 }));
    }

    [Fact]
    public void Folders_train_and_test_are_taken_as_they_are()
    {
        _tree.AddClass("d/Train/a", 3, 0).AddClass("d/Train/b", 2, 10).AddClass("d/test/a", 1, 20).AddClass("d/test/b", 2, 30);
        var task = Read("d");
        Assert.Equal([0, 1, 2, 10, 11], Contents(task.Train));
        Assert.Equal([20, 30, 31], Contents(task.Test));

        _tree.AddClass("d/valid/a", 1, 40);
        Assert.Equal([20, 30, 31], Contents(Read("d").Test));
        Assert.Contains("1 images of the validation part are left out", Assert.Single(_tree.Notes));
        Directory.Delete(_tree.At("d/test"), recursive: true);
        Assert.Equal([40], Contents(Read("d").Test));
    }

    [Fact]
    public void A_class_may_be_called_train()
    {
        _tree.AddClass("vehicles/train", 2, 0).AddClass("vehicles/test", 2, 10).AddClass("vehicles/bus", 2, 20);
        Assert.Equal(["bus", "test", "train"], Read("vehicles").Classes);
        Directory.Delete(_tree.At("vehicles/bus"), recursive: true);
        Assert.Equal(["test", "train"], Read("vehicles").Classes);
    }

    [Fact]
    public void What_is_no_picture_by_its_name_is_left_out_and_told()
    {
        _tree.AddClass("d/a", 2, 0).AddClass("d/b", 2, 10).AddText("d/a/notes.txt", "x").AddText("d/a/x.webp", "x").AddText("d/labels.txt", "x");
        _tree.AddText("d/a/.DS_Store", "x").AddText("d/.git/config", "x").AddText("d/b/README", "x");
        Assert.Equal(4, Read("d", _tree.Options with { TestShare = 0 }).Train.Count);
        Assert.EndsWith("d: 4 other files are left out: 2 .txt, 1 .webp, 1 without extension", Assert.Single(_tree.Notes));
    }

    [Fact]
    public void Links_out_of_the_tree_and_any_name_are_followed()
    {
        _tree.AddClass("elsewhere", 2, 0).Add("d/über größe/日本 語.png", 10).Add("d/über größe/two\nlines.png", 11).Add("single.png", 12);
        Directory.CreateSymbolicLink(_tree.At("d/linked"), _tree.At("elsewhere"));
        File.CreateSymbolicLink(_tree.At("d/über größe/z.png"), _tree.At("single.png"));
        var task = Read("d", _tree.Options with { TestShare = 0 });
        Assert.Equal(["linked", "über größe"], task.Classes);
        Assert.Equal([0, 1, 11, 12, 10], Contents(task.Train));
    }

    [Fact]
    public void A_class_without_pictures_is_refused_by_name()
    {
        _tree.AddClass("d/a", 2, 0);
        Directory.CreateDirectory(_tree.At("d/nothing"));
        Assert.EndsWith("nothing: the class has no pictures; add some, or remove the folder.", Refused("d"));
        Directory.Delete(_tree.At("d/nothing"));
        _tree.AddText("d/web/1.webp", "x").AddText("d/web/2.webp", "x");
        Assert.Contains("web: the class has no pictures that can be read (.png, .jpg, .jpeg", Refused("d"));
        Assert.Contains("but 2 .webp", Refused("d"));
        Directory.Delete(_tree.At("d/web"), recursive: true);
        _tree.AddClass("d/cats/siamese", 1, 5);
        Assert.Contains("cats: the class has no pictures, but the folder siamese, and only pictures directly in it are read", Refused("d"));
        Assert.Contains("there are no folders in it; each class is a folder of pictures", Refused("d/a"));
        Assert.Contains("there is no such folder", Refused("nowhere"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("this is a text and no picture at all")]
    public void A_file_that_is_no_picture_is_refused_by_name(string text)
    {
        _tree.AddClass("d/a", 20, 0).AddText("d/a/15b.png", text).AddText("d/a/07b.jpg", text);
        for (var i = 0; i < 5; i++) Assert.Contains("07b.jpg", Refused("d"));               // the first in order, whichever core finds one first
    }

    [Fact]
    public void A_damaged_picture_is_refused_by_name()
    {
        _tree.AddClass("d/a", 3, 0).AddBytes("d/a/cut.png", Png(9)[..60]);
        Assert.Contains("cut.png", Refused("d"));
    }

    [Fact]
    public void A_picture_that_claims_absurd_sizes_is_refused_without_the_memory()
    {
        var png = Png(1);
        (png[16], png[20]) = (0x7F, 0x7F);                                                    // width and height of about two thousand million
        _tree.AddClass("d/a", 3, 0).AddBytes("d/a/huge.png", png);
        Assert.Contains("huge.png", Refused("d"));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidDataException>(() => Pictures.Read(_tree.At("d/a/huge.png")));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void A_class_with_test_images_only_is_refused_by_name()
    {
        _tree.AddClass("d/train/a", 2, 0).AddClass("d/test/a", 1, 10).AddClass("d/test/b", 3, 20);
        Assert.Contains("the class b has no training images, only 3 to test", Refused("d"));
    }

    [Fact]
    public void A_copy_of_a_training_image_is_no_test_image_and_is_named()
    {
        _tree.AddClass("d/train/a", 3, 0).AddClass("d/test/a", 2, 10).Add("d/test/a/copy.png", 1).Add("d/test/a/copy2.png", 2);
        Assert.Equal([10, 11], Contents(Read("d").Test));
        var note = Assert.Single(_tree.Notes);
        Assert.Contains("2 test images are left out as copies of training images; the first: ", note);
        Assert.Contains($"{Path.Combine("test", "a", "copy.png")} is the same as {_tree.At("d")}", note);
        Assert.EndsWith(Path.Combine("train", "a", "01.png"), note);
        Pools.Check([Read("d")]);
    }

    [Fact]
    public void Reading_tells_how_far_it_is_and_can_be_ended()
    {
        _tree.AddClass("d/a", 30, 0);
        var told = new List<(int, int)>();
        Read("d", _tree.Options with { Progress = (done, total) => told.Add((done, total)) });
        Assert.Equal(Enumerable.Range(1, 30).Select(i => (i, 30)), told);
        using var source = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => Read("d", _tree.Options with { Progress = (_, _) => source.Cancel(), Cancellation = source.Token }));
    }

    [Fact]
    public void More_images_than_an_array_holds_are_refused_before_they_are_read()
    {
        _tree.AddClass("d/a", 2, 0);
        var huge = ImageProcessor.Load(_tree.Root, new ImageSize(3, 20000, 20000));
        var message = Assert.Throws<InvalidDataException>(() => ImageFolder.Read(_tree.At("d"), null, huge, new() { TestShare = 0 })).Message;
        Assert.Contains("2 training images of 3x20000x20000 take 2400000000 bytes; at most 2147483591 are held, 1 images", message);
    }

    [Fact]
    public void Dark_on_bright_is_inverted_only_when_asked()
    {
        _tree.AddClass("d/a", 2, 0);
        var (plain, inverted) = (Read("d", new() { TestShare = 0 }), Read("d", new() { TestShare = 0, Invert = true }));
        Assert.Equal(plain.Train.Pixels.Select(p => (byte)(255 - p)), inverted.Train.Pixels);
        var transparent = ModelImages.Inverted(new Picture(1, 1, 4, [10, 20, 30, 40]));
        Assert.Equal([245, 235, 225, 40], transparent.Pixels);
    }

    [Fact]
    public void A_few_shot_draw_and_the_pools_work_on_a_users_folder()
    {
        _tree.AddClass("d/a", 12, 0).AddClass("d/b", 12, 50);
        var task = Read("d");
        var draw = FewShot.Draw(task, shots: 3, seed: 1, draw: 0);
        Pools.Check(draw);
        Assert.Equal([3, 3], draw.Support.ClassCounts());
        Assert.Equal([2, 2], draw.Test.ClassCounts());
        Assert.Throws<ArgumentException>(() => FewShot.Draw(task, shots: 11, seed: 1, draw: 0));

        var seen = Read("d", new() { Pool = Pool.Pretraining });
        PoolHashes.Write(_tree.At("pools.safetensors"), [seen], []);
        _tree.AddClass("new/a", 3, 100).AddClass("new/b", 3, 110);
        PoolHashes.Check(_tree.At("pools.safetensors"), Read("new", new() { Pool = Pool.HeldOut }));
        _tree.Add("new/a/known.png", 55);
        var error = Assert.Throws<InvalidDataException>(() => PoolHashes.Check(_tree.At("pools.safetensors"), Read("new", new() { Pool = Pool.HeldOut })));
        Assert.Contains("of new (HeldOut) is among the pretraining images", error.Message);
    }
}
