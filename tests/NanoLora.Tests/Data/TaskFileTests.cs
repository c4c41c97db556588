using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Tests.Data;

public sealed class TaskFileTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    private string Path(string name = "task.safetensors") => System.IO.Path.Combine(_files.Folder, name);

    [Theory, InlineData(false), InlineData(true)]
    public void A_task_survives_the_round_trip(bool groups)
    {
        var a = DataFiles.Set("Früh \"A\"", 3, 4, 1, groups);
        var train = new ImageSet(a.Name, a.Size, a.Pixels, a.Labels, ["ā", "b\"\\", "c,d"], a.Groups) { Licence = "CC BY 4.0", Source = "here" };
        var task = new ImageTask(train.Name, train, train.Subset([5, 0]), Pool.HeldOut);
        TaskFile.Write(Path(), task);
        var read = TaskFile.Read(Path());

        Assert.Equal((task.Name, task.Pool, task.Licence), (read.Name, read.Pool, read.Licence));
        Assert.Equal("here", read.Test.Source);
        Assert.Equal(task.Classes, read.Classes);
        foreach (var (x, y) in new[] { (task.Train, read.Train), (task.Test, read.Test) })
        {
            Assert.Equal(x.Size, y.Size);
            Assert.Equal(x.Pixels, y.Pixels);
            Assert.Equal(x.Labels, y.Labels);
            Assert.Equal(x.Groups, y.Groups);
        }
    }

    [Fact]
    public void Long_labels_without_a_training_count_are_read()
    {
        Write([Images, new("labels", FileDType.I64, [2], new byte[] { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 })], Metadata);
        var task = TaskFile.Read(Path());
        Assert.Equal([1, 0], task.Train.Labels);
        Assert.Equal([1, 2, 3, 4], task.Train.Pixels);
        Assert.Equal((0, Pool.Upstream), (task.Test.Count, task.Pool));
    }

    [Fact]
    public void Errors_name_the_field()
    {
        Assert.Contains("images: there is no such tensor", Message([Labels(0, 0)], Metadata));
        Assert.Contains("labels: there is no such tensor", Message([Images], Metadata));
        Assert.Contains("labels: labels U8 [3] does not belong to 2 images", Message([Images, Labels(0, 0, 0)], Metadata));
        Assert.Contains("labels: number 1 is 2; 0 to 1", Message([Images, Labels(0, 2)], Metadata));
        Assert.Contains("should have 4 axes", Message([new("images", FileDType.U8, [2, 2], new byte[4]), Labels(0, 0)], Metadata));
        Assert.Contains("not of unsigned bytes", Message([new("images", FileDType.I8, [2, 1, 1, 2], new byte[4]), Labels(0, 0)], Metadata));
        Assert.Contains("has no pixels", Message([new("images", FileDType.U8, [2, 1, 0, 2], Array.Empty<byte>()), Labels(0, 0)], Metadata));
        Assert.Contains("classes: the metadata has no such entry", Message([Images, Labels(0, 0)], new() { ["name"] = "x" }));
        Assert.Contains("JSON list", Message([Images, Labels(0, 0)], new() { ["name"] = "x", ["classes"] = "[1]" }));
        Assert.Contains("JSON list", Message([Images, Labels(0, 0)], new() { ["name"] = "x", ["classes"] = "{" }));
        Assert.Contains("train_images: '3' is no number of the 2", Message([Images, Labels(0, 0)], new(Metadata) { ["train_images"] = "3" }));
        Assert.Contains("pool: 'Swimming'", Message([Images, Labels(0, 0)], new(Metadata) { ["pool"] = "Swimming" }));
        Assert.Contains("pool: '7'", Message([Images, Labels(0, 0)], new(Metadata) { ["pool"] = "7" }));
        Assert.Contains("groups", Message([Images, Labels(0, 0), new("groups", FileDType.I8, [2], new byte[] { 1, 255 })], Metadata));
    }

    private static TensorSource Images => new("images", FileDType.U8, [2, 1, 1, 2], new byte[] { 1, 2, 3, 4 });

    private static TensorSource Labels(params byte[] labels) => new("labels", FileDType.U8, [labels.Length], labels);

    private static Dictionary<string, string> Metadata => new() { ["name"] = "x", ["classes"] = "[\"a\",\"b\"]" };

    private void Write(TensorSource[] tensors, Dictionary<string, string> metadata) => SafetensorsWriter.Write(Path(), tensors, metadata);

    private string Message(TensorSource[] tensors, Dictionary<string, string> metadata)
    {
        Write(tensors, metadata);
        var message = Assert.Throws<InvalidDataException>(() => TaskFile.Read(Path())).Message;
        Assert.StartsWith(Path(), message, StringComparison.Ordinal);
        return message;
    }
}
