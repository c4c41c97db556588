using NanoLora.Data;

namespace NanoLora.Tests.Data;

public sealed class PngTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Theory]
    [InlineData(1, 0), InlineData(2, 0), InlineData(4, 0), InlineData(8, 0), InlineData(8, 2), InlineData(8, 4), InlineData(8, 6)]
    [InlineData(1, 3), InlineData(2, 3), InlineData(4, 3), InlineData(8, 3)]
    public void Reads_every_kind_through_every_filter(int depth, int colour)
    {
        const int width = 13, height = 10;
        int values = colour switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 }, stride = (width * values * depth + 7) / 8, most = (1 << depth) - 1;
        var random = new Philox(5, (ulong)(depth * 10 + colour));
        var palette = Enumerable.Range(0, 3 * (most + 1)).Select(i => (byte)(i * 37)).ToArray();
        int[] codes = [.. Enumerable.Range(0, width * height * values).Select(i => (int)(random.Bits((ulong)i) & (uint)most))];
        var lines = new byte[stride * height];
        for (var i = 0; i < codes.Length; i++)
        {
            var bit = i % (width * values) * depth;
            lines[i / (width * values) * stride + bit / 8] |= (byte)(codes[i] << (8 - depth - bit % 8));
        }

        var (size, pixels) = Png.Read(DataFiles.Png(width, height, depth, colour, lines, y => y % 5, colour == 3 ? palette : null), "test");
        Assert.Equal(new ImageSize(colour is 2 or 3 or 6 ? 3 : 1, height, width), size);
        for (var p = 0; p < width * height; p++)
        {
            for (var c = 0; c < size.Channels; c++)
            {
                var expected = colour == 3 ? palette[3 * codes[p] + c] : codes[p * values + c] * 255 / most;
                Assert.Equal(expected, pixels[c * width * height + p]);
            }
        }
    }

    [Fact]
    public void Refuses_what_it_does_not_read()
    {
        static string Message(byte[] png) => Assert.Throws<InvalidDataException>(() => Png.Read(png, "picture")).Message;
        Assert.Equal("picture: not a PNG file.", Message([1, 2, 3]));
        Assert.Contains("interlaced", Message(DataFiles.Png(1, 1, 8, 0, [0], _ => 0, interlace: 1)));
        Assert.Contains("16 bits", Message(DataFiles.Png(1, 1, 16, 0, [0, 0], _ => 0)));
        Assert.Contains("unknown filter 7", Message(DataFiles.Png(1, 1, 8, 0, [0], _ => 7)));
        Assert.Contains("the palette (PLTE) has 1", Message(DataFiles.Png(1, 1, 8, 3, [1], _ => 0, palette: [1, 2, 3])));
        Assert.Contains("end in line 1 of 9", Message([.. DataFiles.Png(8, 1, 8, 0, new byte[8], _ => 0).Select((b, i) => i == 8 + 8 + 7 ? (byte)9 : b)]));
        Assert.Contains("4294967295", Message([.. DataFiles.Png(8, 1, 8, 0, new byte[8], _ => 0).Select((b, i) => i is >= 16 and < 20 ? (byte)255 : b)]));
    }

    [Fact]
    public void A_png_cut_anywhere_is_refused()
    {
        var whole = DataFiles.Png(9, 9, (x, y) => (x + y) % 3 == 0);
        for (var length = 0; length < whole.Length; length++) Assert.Throws<InvalidDataException>(() => Png.Read(whole.AsSpan(0, length), "cut"));
    }

    [Fact]
    public void Omniglot_gives_a_set_for_each_alphabet_with_ink_bright()
    {
        static byte[] Character(int x0) => DataFiles.Png(105, 105, (x, y) => !(x == x0 && y == 3));       // one black dot on white
        (string, byte[]) beta = ("set/Greek/character02/0002_01.png", Character(2));
        (string, byte[])[] alpha = [("set/Greek/character01/0001_20.png", Character(1)), ("set/Greek/character01/0001_03.png", Character(0))];
        (string, byte[])[] others = [("set/Greek/character01/0001_03.png", Character(50)), ("set/Runes/character01/0001_01.png", Character(9)), ("a.txt", [])];
        var sets = Omniglot.Read(_files.Write("1.zip", DataFiles.Zip([beta, .. alpha])), _files.Write("2.zip", DataFiles.Zip(others)));

        Assert.Equal(["Greek", "Runes"], sets.Select(s => s.Name));
        var greek = sets[0];
        Assert.Equal(["character01", "character02"], greek.Classes);
        Assert.Equal([0, 0, 1], greek.Labels);
        Assert.Equal([3, 20, 1], greek.Groups!);
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(255, greek.Image(i)[3 * 105 + i]);
            Assert.Equal(255, greek.Image(i).ToArray().Sum(p => p));
        }
    }

    [Fact]
    public void Omniglot_names_what_does_not_fit()
    {
        string Message(string name, byte[] png) =>
            Assert.Throws<InvalidDataException>(() => Omniglot.Read(_files.Write("z.zip", DataFiles.Zip((name, png))))).Message;
        Assert.Contains("a/b/c.png", Message("a/b/c.png", DataFiles.Png(105, 105, (_, _) => true)));
        Assert.Contains("1x9x9", Message("a/b/0001_02.png", DataFiles.Png(9, 9, (_, _) => true)));
        Assert.Contains("not a PNG", Message("a/b/0001_02.png", [1, 2]));
        Assert.Contains("more than 65536 bytes", Message("a/b/0001_02.png", new byte[70000]));
        Assert.Contains("no PNG", Message("a/b/0001_02.txt", []));
    }
}
