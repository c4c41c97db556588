using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Tests.Data;

public sealed class PoolHashesTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    private static ImageTask Task(string name, Pool pool, ulong seed) =>
        new(name, DataFiles.Set(name, 2, 3, seed), DataFiles.Set(name, 2, 2, seed + 1000), pool);

    private string Write(params ImageTask[] tasks)
    {
        var path = Path.Combine(_files.Folder, "pools.safetensors");
        PoolHashes.Write(path, tasks.Where(t => t.Pool == Pool.Pretraining), tasks.Where(t => t.Pool == Pool.Upstream));
        return path;
    }

    [Fact]
    public void A_new_task_passes_and_all_images_are_counted()
    {
        var path = Write(Task("Base", Pool.Pretraining, 1), Task("More", Pool.Pretraining, 2), Task("Up", Pool.Upstream, 3));
        Assert.Equal((10, 20, 10), PoolHashes.Check(path, Task("Held", Pool.HeldOut, 4)));
    }

    [Theory, InlineData(Pool.Pretraining, "pretraining"), InlineData(Pool.Upstream, "upstream")]
    public void An_image_that_was_seen_is_found_in_training_and_test(Pool pool, string name)
    {
        var held = Task("Held", Pool.HeldOut, 4);
        foreach (var seen in (ReadOnlySpan<ImageSet>)[held.Train.Subset([5]), held.Test.Subset([0])])
        {
            var path = Write(Task("Base", Pool.Pretraining, 1), Task("Up", Pool.Upstream, 3), new("Thief", seen, seen.Subset([]), pool));
            var message = Assert.Throws<InvalidDataException>(() => PoolHashes.Check(path, held)).Message;
            Assert.Contains($"of Held (HeldOut) is among the {name} images; images of this kind: 1", message);
        }
    }

    [Fact]
    public void Rows_are_the_first_bytes_of_the_content_hashes_and_ascend()
    {
        var task = Task("Base", Pool.Pretraining, 1);
        using var file = new SafetensorsFile(Write(task));
        var bytes = file.Bytes(file["pretraining"]);
        var rows = new List<string>();
        for (var i = 0; i < 10; i++) rows.Add(Convert.ToHexString(bytes.Slice(8 * i, 8)));
        var all = task.All();
        Assert.Equal(Enumerable.Range(0, 10).Select(i => all.ContentHash(i).ToString("X32")[..16]).Order(StringComparer.Ordinal), rows);
        Assert.Equal([0, 8], file["upstream"].Shape.AsEnumerable());
    }

    [Fact]
    public void A_file_whose_rows_do_not_ascend_is_refused()
    {
        var path = Path.Combine(_files.Folder, "bad.safetensors");
        byte[] rows = [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        SafetensorsWriter.Write(path, [new("pretraining", FileDType.U8, [2, 8], rows), new("upstream", FileDType.U8, [0, 8], Array.Empty<byte>())],
            new Dictionary<string, string> { ["format"] = "nanolora.pools.1" });
        Assert.Contains("row 1 is smaller", Assert.Throws<CheckpointException>(() => PoolHashes.Check(path, Task("Held", Pool.HeldOut, 4))).Message);
        TaskFile.Write(path, Task("Held", Pool.HeldOut, 4));
        Assert.Contains("format", Assert.Throws<CheckpointException>(() => PoolHashes.Check(path, Task("Held", Pool.HeldOut, 4))).Message);
    }
}
