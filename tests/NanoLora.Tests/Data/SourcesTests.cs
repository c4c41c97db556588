using NanoLora.Data;

namespace NanoLora.Tests.Data;

public sealed class SourcesTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    private void WritePair(string folder, string part, int count, int[] size, int classes, Func<int, byte> pixel)
    {
        var length = size.Aggregate(1, (a, b) => a * b);
        byte[] pixels = [.. Enumerable.Range(0, count * length).Select(i => pixel(i % length))];
        byte[] labels = [.. Enumerable.Range(0, count).Select(i => (byte)(i % classes))];
        _files.Write($"{folder}/{part}-images-idx{size.Length + 1}-ubyte.gz", DataFiles.GZip(DataFiles.Idx([count, .. size], pixels)));
        _files.Write($"{folder}/{part}-labels-idx1-ubyte.gz", DataFiles.GZip(DataFiles.Idx([count], labels)));
    }

    private string WriteAll()
    {
        foreach (var part in new[] { "train", "t10k" })
        {
            WritePair("img-fashion-mnist", part, 20, [28, 28], 10, i => (byte)i);
            WritePair("img-mnist", part, 20, [28, 28], 10, i => (byte)(i / 2));
        }
        WritePair("img-notmnist", "t10k", 120, [28, 28], 10, i => (byte)(i / 3));
        foreach (var name in new[] { "apple", "bicycle", "cat", "diamond", "eye", "fish" })
            _files.Write($"img-quickdraw6/{name}.npy.gz", DataFiles.GZip(DataFiles.Npy([12, 1, 784], new byte[12 * 784])));

        // One character of one white-on-black dot pattern by twenty drawers; black ink at the left.
        var drawings = Enumerable.Range(1, 20).Select(d => ($"x/Tibetan/character01/0001_{d:00}.png", DataFiles.Png(105, 105, (x, y) => x > d))).ToArray();
        _files.Write("img-omniglot/images_background_small1.zip", DataFiles.Zip(drawings));
        var renamed = drawings.Select(d => (d.Item1.Replace("Tibetan", "Angelic", StringComparison.Ordinal), d.Item2)).ToArray();
        _files.Write("img-omniglot/images_background_small2.zip", DataFiles.Zip(renamed));
        foreach (var part in new[] { "train", "test" })
        {
            WritePair("img-hand-drawn-shapes", "hds-" + part, 8, [70, 70], 4, i => (byte)(i % 70 < 35 ? 0 : 255));         // black ink in the left half
            WritePair("img-sign-language-digits", "signdigits-" + part, 20, [32, 32, 3], 10, i => (byte)(i % 3 == 1 ? 100 : 0));
        }
        return _files.Folder;
    }

    [Fact]
    public void All_sources_become_tasks_of_one_size()
    {
        var sources = Sources.Load(WriteAll());
        Assert.Equal(["Fashion-MNIST", "MNIST", "Quick Draw", "notMNIST"], sources.Pretraining.Select(t => t.Name));
        Assert.Equal(["Angelic", "Tibetan", "Hand-drawn shapes", "Sign-language digits"], sources.Tasks.Select(t => t.Name));
        Assert.Equal([Pool.HeldOut, Pool.Upstream, Pool.Upstream, Pool.Upstream], sources.Tasks.Select(t => t.Pool));
        Assert.All(sources.Pretraining, t => Assert.Equal(Pool.Pretraining, t.Pool));
        Assert.All(sources.Pretraining.Concat(sources.Tasks), t =>
        {
            Assert.Equal(new ImageSize(1, 28, 28), t.Train.Size);
            Assert.NotEqual("", t.Licence);
            Assert.NotEqual("", t.Train.Source);
        });
        Assert.Equal((60, 12), (sources.Pretraining[2].Train.Count, sources.Pretraining[2].Test.Count));
        Assert.All(sources.Pretraining[3].Test.ClassCounts(), n => Assert.Equal(2, n));
        Assert.Equal(Enumerable.Range(1, 10), sources.Tasks[0].Train.Groups!);
        Assert.Equal(Enumerable.Range(11, 10), sources.Tasks[0].Test.Groups!);

        Assert.Equal((255, 0), (sources.Tasks[0].Test.Pixels[0], sources.Tasks[0].Test.Pixels[27]));                      // ink is bright
        Assert.Equal((255, 0), (sources.Tasks[2].Test.Pixels[0], sources.Tasks[2].Test.Pixels[27]));
        Assert.Equal(59, sources.Tasks[3].Test.Pixels[5]);                                                               // 0.587 x 100: green stands second
        Assert.Equal(72, sources.PretrainingMixture().ClassCount);
        Assert.Equal(36, sources.PretrainingMixture(quarterTurns: false).ClassCount);
    }

    [Fact]
    public void A_missing_folder_is_named() =>
        Assert.Contains("img-fashion-mnist", Assert.Throws<DirectoryNotFoundException>(() => Sources.Load(_files.Folder)).Message);
}
