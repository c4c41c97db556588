using NanoLora.Data;

namespace NanoLora.Tests.Data;

public sealed class IdxTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    private string Message(byte[] bytes, Action<string> read)
    {
        var path = _files.Write("bad", bytes);
        var message = Assert.Throws<InvalidDataException>(() => read(path)).Message;
        Assert.StartsWith(path, message, StringComparison.Ordinal);
        return message;
    }

    private string Message(byte[] bytes) => Message(bytes, p => Idx.Read(p));

    [Theory, InlineData(false), InlineData(true)]
    public void Reads_gray_images_and_their_labels(bool zipped)
    {
        byte[] pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], images = DataFiles.Idx([2, 2, 3], pixels), labels = DataFiles.Idx([2], [1, 0]);
        var imagesPath = _files.Write("i", zipped ? DataFiles.GZip(images) : images);
        var labelsPath = _files.Write("l", zipped ? DataFiles.GZip(labels) : labels);
        var set = Idx.ReadImages("set", imagesPath, labelsPath, ["a", "b"]);
        Assert.Equal(new ImageSize(1, 2, 3), set.Size);
        Assert.Equal(pixels, set.Pixels);
        Assert.Equal([1, 0], set.Labels);
        Assert.Equal([7, 8, 9, 10, 11, 12], set.Image(1).ToArray());
    }

    [Fact]
    public void Colours_come_last_in_the_file_and_first_in_the_set()
    {
        var images = _files.Write("i", DataFiles.Idx([1, 1, 2, 3], [1, 2, 3, 11, 12, 13]));
        var set = Idx.ReadImages("set", images, _files.Write("l", DataFiles.Idx([1], [0])), ["a"]);
        Assert.Equal(new ImageSize(3, 1, 2), set.Size);
        Assert.Equal([1, 11, 2, 12, 3, 13], set.Pixels);
    }

    [Fact]
    public void Errors_name_the_field()
    {
        Assert.Contains("magic number", Message([0, 0, 8]));
        Assert.Contains("89504E47", Message([0x89, 0x50, 0x4E, 0x47, 0]));
        Assert.Contains("element type 0D", Message(DataFiles.Idx([1], [0, 0, 0, 0], type: 0x0D)));
        Assert.Contains("0 axes", Message([0, 0, 8, 0]));
        Assert.Contains("5 axes", Message(DataFiles.Idx([1, 1, 1, 1, 1], [0])));
        Assert.Contains("size of axis 1", Message(DataFiles.Idx([1, 1], [])[..10]));
        Assert.Contains("[2, 3]: 6 bytes expected, 5 are there", Message(DataFiles.Idx([2, 3], [1, 2, 3, 4, 5])));
        Assert.Contains("left over", Message(DataFiles.Idx([2], [1, 2, 3])));
        Assert.Contains("labels have one axis", Message(DataFiles.Idx([1, 1], [1]), p => Idx.ReadLabels(p)));
    }

    [Fact]
    public void Labels_and_images_must_agree()
    {
        var images = _files.Write("i", DataFiles.Idx([2, 1, 1], [1, 2]));
        Assert.Contains("3 labels, but", Message(DataFiles.Idx([3], [0, 0, 0]), l => Idx.ReadImages("set", images, l, ["a"])));
        Assert.Contains("label 1 is 1; set has 1 classes", Message(DataFiles.Idx([2], [0, 1]), l => Idx.ReadImages("set", images, l, ["a"])));
    }

    [Theory]
    [InlineData(new[] { 60000, 128, 128 }, "983040000 bytes expected, 10 are there")]
    [InlineData(new[] { int.MaxValue, int.MaxValue, int.MaxValue, int.MaxValue }, "at most 1073741824")]
    [InlineData(new[] { -1, 1 }, "axis 0 claims the size 4294967295")]
    public void A_lying_header_costs_no_memory(int[] sizes, string expected)
    {
        var bytes = DataFiles.Idx(sizes, new byte[10]);
        Assert.Contains(expected, Message(bytes));
        var zipped = _files.Write("z", DataFiles.GZip(bytes));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidDataException>(() => Idx.Read(zipped));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    [Fact]
    public void A_short_file_that_unpacks_to_much_is_left_early()
    {
        var path = _files.Write("bomb", DataFiles.GZip(DataFiles.Idx([16], new byte[64 << 20])));
        Assert.InRange(new FileInfo(path).Length, 0, 1 << 20);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("left over", Assert.Throws<InvalidDataException>(() => Idx.Read(path)).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    [Fact]
    public void A_gzip_file_cut_anywhere_is_refused()
    {
        var values = new byte[600];
        for (var i = 0; i < values.Length; i++) values[i] = (byte)new Philox(1, 1).Bits((ulong)i);
        var whole = DataFiles.GZip(DataFiles.Idx([600], values));
        for (var length = 0; length < whole.Length; length++) Message(whole[..length]);
    }

    [Fact]
    public void A_damaged_gzip_file_is_refused_or_harmless()
    {
        var values = Enumerable.Range(0, 600).Select(i => (byte)(i * i / 7)).ToArray();
        var whole = DataFiles.GZip(DataFiles.Idx([600], values));
        var refused = 0;
        for (var at = 0; at < whole.Length; at++)
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 0x10;
            try
            {
                Assert.Equal(values, Idx.Read(_files.Write("d", damaged)).Values);               // a bit that means nothing, such as the time in the header
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }
        Assert.InRange(refused, whole.Length - 10, whole.Length);
    }

    [Fact]
    public void Npy_reads_bytes_in_c_order_and_refuses_the_rest()
    {
        var (values, sizes) = Npy.Read(_files.Write("n", DataFiles.GZip(DataFiles.Npy([2, 1, 3], [1, 2, 3, 4, 5, 6]))));
        Assert.Equal([1, 2, 3, 4, 5, 6], values);
        Assert.Equal([2, 1, 3], sizes);
        string Bad(string header) => Message(DataFiles.Npy(header, [1, 2]), p => Npy.Read(p));
        Assert.Contains("'<f4'", Bad("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"));
        Assert.Contains("fortran_order", Bad("{'descr': '|u1', 'fortran_order': True, 'shape': (2,), }"));
        Assert.Contains("no shape", Bad("{'descr': '|u1', 'fortran_order': False }"));
        Assert.Contains("'-2'", Bad("{'descr': '|u1', 'fortran_order': False, 'shape': (-2,), }"));
        Assert.Contains("at most", Bad("{'descr': '|u1', 'fortran_order': False, 'shape': (2000000000, 2000000000, 2000000000), }"));
        Assert.Contains("3 bytes expected, 2 are there", Bad("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }"));
        Assert.Contains("not an .npy file", Message([0x93, .. "NUMPI"u8, 1, 0, 0, 0], p => Npy.Read(p)));
        Assert.Contains("ends in the header", Message([0x93, .. "NUMPY"u8, 1, 0, 200, 0, .. "{'descr'"u8], p => Npy.Read(p)));
        Assert.Contains("claims 4294967295 bytes", Message([0x93, .. "NUMPY"u8, 2, 0, 255, 255, 255, 255], p => Npy.Read(p)));
    }
}
