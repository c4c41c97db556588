using NanoLora.Data;

namespace NanoLora.Tests.Data;

public sealed class PngTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Theory]
    [InlineData(1, 0), InlineData(2, 0), InlineData(4, 0), InlineData(8, 0), InlineData(8, 2), InlineData(8, 4), InlineData(8, 6)]
    [InlineData(16, 0), InlineData(16, 2), InlineData(16, 4), InlineData(16, 6)]
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
            var at = i / (width * values) * stride + bit / 8;
            if (depth == 16) (lines[at], lines[at + 1]) = ((byte)(codes[i] >> 8), (byte)codes[i]);
            else lines[at] |= (byte)(codes[i] << (8 - depth - bit % 8));
        }

        var png = DataFiles.Png(width, height, depth, colour, lines, y => y % 5, colour == 3 ? palette : null);
        var picture = Pictures.Decode(png, "test");
        Assert.Equal((width, height, colour == 3 ? 3 : values), (picture.Width, picture.Height, picture.Channels));
        for (var i = 0; i < picture.Pixels.Length; i++)
        {
            var expected = colour == 3 ? palette[3 * codes[i / 3] + i % 3] : depth == 16 ? codes[i] >> 8 : codes[i] * 255 / most;
            Assert.Equal(expected, picture.Pixels[i]);
        }
        Assert.Equal(codes, Array.ConvertAll(Png.Samples(png, "test").Values, static v => (int)v));
    }

    [Fact]
    public void The_checksum_is_that_of_the_format() => Assert.Equal(0xAE426082, PngChunks.Crc("IEND"u8));

    [Fact]
    public void Refuses_what_is_damaged_and_says_where()
    {
        static string Message(byte[] png) => Assert.Throws<InvalidDataException>(() => Pictures.Decode(png, "picture")).Message;
        var gray = DataFiles.Png(8, 1, 8, 0, new byte[8], _ => 0);
        Assert.Equal("picture: the file is empty.", Message([]));
        Assert.Contains("picture: this is no picture", Message([1, 2, 3]));
        Assert.Contains("unknown filter 7", Message(DataFiles.Png(1, 1, 8, 0, [0], _ => 7)));
        Assert.Contains("the palette (PLTE) has 1", Message(DataFiles.Png(1, 1, 8, 3, [1], _ => 0, palette: [1, 2, 3])));
        Assert.Contains("end in line 1 of 9", Message(With(gray, 23, 9)));
        Assert.Contains("checksum of the chunk IHDR", Message([.. gray.Select((b, i) => i == 23 ? (byte)9 : b)]));
        Assert.Contains("3 bits a value", Message(With(gray, 24, 3)));
        Assert.Contains("claims 0 x 1", Message(With(gray, 19, 0)));
        Assert.Contains("cannot be in", Message(With(With(gray, 18, 0x10), 22, 0x10)));
        Assert.Contains("4294967295", Message([.. gray.Select((b, i) => i is >= 33 and < 37 ? (byte)255 : b)]));
        Assert.Contains("critical chunk ABCD", Message([.. gray[..33], .. DataFiles.Chunk("ABCD", [1]), .. gray[33..]]));
        Assert.Contains("two headers", Message([.. gray[..33], .. gray[8..]]));
        Assert.Contains("first chunk must be the header", Message([.. gray[..8], .. gray[33..]]));
    }

    [Fact]
    public void One_transparent_value_becomes_alpha()
    {
        var gray = DataFiles.Png(3, 1, 8, 0, [7, 8, 7], _ => 0);
        var picture = Pictures.Decode([.. gray[..33], .. DataFiles.Chunk("tRNS", [0, 7]), .. gray[33..]], "key");
        Assert.Equal(2, picture.Channels);
        Assert.Equal([7, 0, 8, 255, 7, 0], picture.Pixels);
    }

    [Fact]
    public void A_claim_is_refused_before_memory_is_taken()
    {
        var gray = DataFiles.Png(8, 1, 8, 0, new byte[8], _ => 0);
        // 8200 x 7937, 2 130 706 440 x 2 130 706 433
        byte[] large = With(With(gray, 18, 0x20), 22, 0x1F), absurd = With(With(gray, 16, 0x7F), 20, 0x7F);
        foreach (var png in new[] { large, absurd })
        {
            Assert.Throws<InvalidDataException>(() => Pictures.Decode(png, "warm"));
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Throws<InvalidDataException>(() => Pictures.Decode(png, "bomb"));
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
        }
    }

    [Fact]
    public void A_png_cut_anywhere_is_refused()
    {
        var whole = DataFiles.Png(9, 9, (x, y) => (x + y) % 3 == 0);
        for (var length = 0; length < whole.Length; length++) Assert.Throws<InvalidDataException>(() => Pictures.Decode(whole.AsSpan(0, length), "cut"));
    }

    // Another byte in the header, with the checksum that then is right.
    private static byte[] With(byte[] png, int at, byte value)
    {
        byte[] other = [.. png];
        other[at] = value;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(other.AsSpan(29), PngChunks.Crc(other.AsSpan(12, 17)));
        return other;
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
        Assert.Contains("is no picture", Message("a/b/0001_02.png", [1, 2]));
        Assert.Contains("more than 65536 bytes", Message("a/b/0001_02.png", new byte[70000]));
        Assert.Contains("no PNG", Message("a/b/0001_02.txt", []));
    }
}
