using NanoLora.Tests.Data;

namespace NanoLora.Tests.Cli;

/// <summary>A folder of raw image sets with a few random images each, as <c>pretrain</c> reads them: no two images are the same.</summary>
public sealed class MadeUpSources : IDisposable
{
    private readonly DataFiles _files = new();
    private ulong _stream;

    public MadeUpSources()
    {
        foreach (var part in (string[])["train", "t10k"])
        {
            Pair("img-fashion-mnist", part, 20, [28, 28], 10);
            Pair("img-mnist", part, 20, [28, 28], 10);
        }
        Pair("img-notmnist", "t10k", 120, [28, 28], 10);
        foreach (var name in (string[])["apple", "bicycle", "cat", "diamond", "eye", "fish"])
            _files.Write($"img-quickdraw6/{name}.npy.gz", DataFiles.GZip(DataFiles.Npy([12, 1, 784], Bytes(12 * 784))));
        Alphabet("img-omniglot/images_background_small1.zip", "Tibetan");
        Alphabet("img-omniglot/images_background_small2.zip", "Angelic");
        foreach (var part in (string[])["train", "test"])
        {
            Pair("img-hand-drawn-shapes", "hds-" + part, 8, [70, 70], 4);
            Pair("img-sign-language-digits", "signdigits-" + part, 20, [32, 32, 3], 10);
        }
    }

    public string Folder => _files.Folder;

    public void Dispose() => _files.Dispose();

    private void Pair(string folder, string part, int count, int[] size, int classes)
    {
        byte[] pixels = Bytes(size.Aggregate(count, (a, b) => a * b)), labels = [.. Enumerable.Range(0, count).Select(i => (byte)(i % classes))];
        _files.Write($"{folder}/{part}-images-idx{size.Length + 1}-ubyte.gz", DataFiles.GZip(DataFiles.Idx([count, .. size], pixels)));
        _files.Write($"{folder}/{part}-labels-idx1-ubyte.gz", DataFiles.GZip(DataFiles.Idx([count], labels)));
    }

    // One character by twenty drawers: dots of 7 x 7 pixels, which are not lost when the drawing is made small.
    private void Alphabet(string path, string name) => _files.Write(path, DataFiles.Zip([.. Enumerable.Range(1, 20).Select(drawer =>
    {
        var dots = Bytes(15 * 15);
        return ($"x/{name}/character01/0001_{drawer:00}.png", DataFiles.Png(105, 105, (x, y) => dots[y / 7 * 15 + x / 7] > 99));
    })]));

    private byte[] Bytes(int count)
    {
        var (random, bytes) = (new Philox(5, _stream++), new byte[count]);
        for (var i = 0; i < count; i++) bytes[i] = (byte)random.Bits((ulong)i);
        return bytes;
    }
}
