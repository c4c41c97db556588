using NanoLora.Data;
using static NanoLora.Tests.Data.UserTasks.PictureTree;

namespace NanoLora.Tests.Data.UserTasks;

public sealed class UserTaskTests : IDisposable
{
    private static readonly UserTaskOptions Undivided = new() { TestShare = 0 };
    private readonly PictureTree _tree = new();

    public void Dispose() => _tree.Dispose();

    private ImageTask Read(string spec, UserTaskOptions? options = null, string? name = null) =>
        UserTask.Read(spec, name, _tree.Processor(), options ?? _tree.Options);

    private string WriteIdx(string name, int[] sizes, byte[] values) => _tree.AddBytes(name, DataFiles.GZip(DataFiles.Idx(sizes, values))).At(name);

    /// <summary>Images and labels of contents, with a comma between.</summary>
    private string WritePair(string name, int[] contents, params byte[] labels) =>
        $"{WriteIdx($"{name}-images", [contents.Length, Side, Side], [.. contents.SelectMany(Pixels)])},{WriteIdx($"{name}-labels", [labels.Length], labels)}";

    [Fact]
    public void The_same_images_give_the_same_task_in_every_form()
    {
        _tree.AddClass("folder/train/0", 3, 0).AddClass("folder/train/1", 2, 10).AddClass("folder/test/0", 1, 20).AddClass("folder/test/1", 2, 30);
        var folder = Read(_tree.At("folder"), name: "mine");
        Assert.Equal(("mine", Pool.Upstream), (folder.Name, folder.Pool));
        var rows = new[] { "train", "test" }.SelectMany(part => "01".SelectMany(c =>
            Directory.GetFiles(_tree.At($"folder/{part}/{c}")).Order(StringComparer.Ordinal).Select(f => $"{f},{c},{part}")));
        _tree.AddText("index.csv", $"path,label,split\n{string.Join('\n', rows)}\n");
        TaskFile.Write(_tree.At("task.safetensors"), folder);
        var idx = $"{WritePair("train", [0, 1, 2, 10, 11], 0, 0, 0, 1, 1)},{WritePair("t10k", [20, 30, 31], 0, 1, 1)}";
        foreach (var spec in new[] { _tree.At("index.csv"), _tree.At("task.safetensors"), idx })
        {
            var task = Read(spec, name: "mine");
            Assert.Equal("mine", task.Name);
            Assert.Equal(folder.Classes, task.Classes);
            Assert.Equal(folder.Train.Pixels, task.Train.Pixels);
            Assert.Equal(folder.Train.Labels, task.Train.Labels);
            Assert.Equal(folder.Test.Pixels, task.Test.Pixels);
            Assert.Equal(folder.Test.Labels, task.Test.Labels);
            Assert.Equal(
                FewShot.Draw(folder, 1, seed: 1, draw: 3).Support.Pixels, FewShot.Draw(task, 1, seed: 1, draw: 3).Support.Pixels);
        }
        Assert.Equal("train-images", Read(idx).Name);
        Assert.Equal("index", Read(_tree.At("index.csv")).Name);
        Assert.Equal("folder", Read(_tree.At("folder") + Path.DirectorySeparatorChar).Name);
        Assert.Empty(_tree.Notes);
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(3, 1)]
    [InlineData(3, 3)]
    [InlineData(1, 1)]
    public void Idx_images_of_another_size_are_shaped_as_pictures_are(int channels, int wanted)
    {
        const int height = 7, width = 9;
        var values = DataFiles.Set("x", 1, 2, 5, side: 20).Pixels[..(2 * height * width * channels)];
        int[] sizes = channels == 1 ? [2, height, width] : [2, height, width, channels];
        var spec = $"{WriteIdx("images", sizes, values)},{WriteIdx("labels", [2], [0, 1])}";
        for (var i = 0; i < 2; i++)
        {
            var lines = values[(i * height * width * channels)..((i + 1) * height * width * channels)];
            _tree.AddBytes($"folder/{i}/x.png", DataFiles.Png(width, height, 8, channels == 1 ? 0 : 2, lines, y => y % 5));
        }
        var processor = _tree.Processor(wanted, side: 5);
        var (idx, folder) = (UserTask.Read(spec, null, processor, Undivided), UserTask.Read(_tree.At("folder"), null, processor, Undivided));
        Assert.Equal(new ImageSize(wanted, 5, 5), idx.Train.Size);
        Assert.Equal(folder.Train.Pixels, idx.Train.Pixels);
        Assert.True(idx.Train.Pixels.Distinct().Count() > 10);
        var inverted = UserTask.Read(spec, null, processor, Undivided with { Invert = true });
        Assert.Equal(UserTask.Read(_tree.At("folder"), null, processor, Undivided with { Invert = true }).Train.Pixels, inverted.Train.Pixels);
        Assert.NotEqual(idx.Train.Pixels, inverted.Train.Pixels);
    }

    [Fact]
    public void Gray_images_become_three_equal_channels()
    {
        _tree.AddClass("d/a", 2, 0);
        var set = UserTask.Read(_tree.At("d"), null, _tree.Processor(channels: 3), Undivided).Train;
        Assert.Equal([.. Pixels(0), .. Pixels(0), .. Pixels(0)], set.Image(0).ToArray());
    }

    [Fact]
    public void A_pair_of_idx_files_is_for_training_unless_a_share_is_asked_for()
    {
        var spec = WritePair("x", [.. Enumerable.Range(0, 24)], [.. Enumerable.Range(0, 24).Select(i => (byte)(i % 2))]);
        Assert.Equal((24, 0), (Read(spec).Train.Count, Read(spec).Test.Count));
        var divided = Read(spec, new() { TestShare = 0.25 });
        Assert.Equal([3, 3], divided.Test.ClassCounts());
        Assert.Equal(Enumerable.Range(0, 24), Contents(divided.Train).Concat(Contents(divided.Test)).Order());
    }

    [Fact]
    public void Numbers_of_an_idx_file_get_the_names_of_a_head_where_they_can()
    {
        var spec = WritePair("x", [0, 1, 2], 1, 3, 1);
        string[] Classes(params string[] labels) => Named(labels).Classes;
        ImageSet Named(params string[] labels) => Read(spec, new() { Labels = labels }).Train;
        Assert.Equal(["1", "3"], Read(spec).Classes);                                        // those that occur
        Assert.Equal([0, 1, 0], Read(spec).Train.Labels);
        Assert.Equal(["a", "b", "c", "d"], Classes("a", "b", "c", "d"));                       // by place
        Assert.Equal([1, 3, 1], Named("a", "b", "c", "d").Labels);
        Assert.Equal(["3", "2", "1"], Classes("3", "2", "1"));                                 // by name
        Assert.Equal([2, 0, 2], Named("3", "2", "1").Labels);
        Assert.Equal(["1", "3"], Classes("a", "b", "c"));                                      // too few
        Assert.Equal(["1", "3"], Classes("1", "2", "4", "5"));                                 // numbers, but others
    }

    [Fact]
    public void A_copy_in_the_test_files_is_left_out_and_named()
    {
        var task = Read($"{WritePair("train", [0, 1], 0, 1)},{WritePair("test", [2, 1, 3], 0, 1, 1)}");
        Assert.Equal([2, 3], Contents(task.Test));
        var note = Assert.Single(_tree.Notes);
        Assert.Contains("1 test images are left out as copies of training images; the first: test image 1 is the same as training image 1", note);
    }

    [Fact]
    public void What_is_no_task_is_refused_with_what_one_is()
    {
        _tree.Add("p.png", 0);
        var (images, labels) = (WriteIdx("images", [2, Side, Side], [.. Pixels(0), .. Pixels(1)]), WriteIdx("labels", [2], [0, 1]));
        string Refused(string spec, string? data = null) => Assert.Throws<ArgumentException>(() => Read(spec, new() { DataFolder = data })).Message;
        Assert.Contains("\"Latin\" is neither a file nor a folder; a task is a folder with", Refused("Latin"));
        Assert.Contains("is not a folder; name the folder of raw image sets", Refused("Latin", _tree.At("nowhere")));
        Assert.Contains("is one IDX file; a task is images and labels", Refused(images));
        Assert.Contains("is one picture", Refused(_tree.At("p.png")));
        Assert.Contains("there is no such file", Refused($"{images},{_tree.At("none")}"));

        string Malformed(string spec) => Assert.Throws<InvalidDataException>(() => Read(spec)).Message;
        Assert.Contains("labels: label 1 is 3; ", Malformed($"{images},{labels},{images},{WriteIdx("t/labels", [2], [0, 3])}"));
        Assert.Contains("has no training image of this class", Malformed($"{images},{labels},{images},{WriteIdx("t/labels", [2], [0, 3])}"));
        Assert.Contains("there are no images in it", Malformed($"{WriteIdx("e", [0, Side, Side], [])},{WriteIdx("f", [0], [])}"));
        Assert.Contains("3 labels, but", Malformed($"{images},{WriteIdx("three", [3], [0, 1, 1])}"));
    }

    [Fact]
    public void Classes_are_put_in_the_order_of_a_head_that_has_them_all()
    {
        var set = new ImageSet("s", new(1, 1, 1), [1, 2, 3], [0, 1, 1], ["10", "2"]);
        var placed = ModelImages.InOrderOf(["0", "2", "10"], set);
        Assert.Equal([2, 1, 1], placed.Labels);
        Assert.Equal(["0", "2", "10"], placed.Classes);
        Assert.Same(set, ModelImages.InOrderOf(["0", "2"], set));
    }
}
