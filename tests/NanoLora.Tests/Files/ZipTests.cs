using System.Buffers.Binary;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>What the golden checkpoints are too small to show: the 64-bit form of a zip, which torch.save writes beyond 4 GiB; and parallel readers.</summary>
public sealed class ZipTests : IDisposable
{
    private const uint Central = 0x02014b50, End = 0x06054b50, End64 = 0x06064b50, Locator64 = 0x07064b50;

    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void SizesAndOffsetsOf64BitsAreRead()
    {
        var plain = Path.Combine(GoldenFormats.Folder("pytorch"), "valid", "hand-plain.pt");
        File.WriteAllBytes(_path, WithWideDirectory(File.ReadAllBytes(plain)));
        using var expected = Checkpoint.Open(plain);
        using var file = Checkpoint.Open(_path);
        Assert.Equal(expected.Bytes(expected["w"]), file.Bytes(file["w"]));
    }

    [Fact]
    public void AWideDirectoryOutsideTheFileIsRefused()
    {
        var wide = WithWideDirectory(File.ReadAllBytes(Path.Combine(GoldenFormats.Folder("pytorch"), "valid", "hand-plain.pt")));
        foreach (var field in (int[])[32, 40, 48])   // count, length and start of the directory
            foreach (var value in (long[])[-1, long.MinValue, long.MaxValue, wide.Length])
            {
                var bytes = wide.ToArray();
                BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(wide.Length - 22 - 20 - 56 + field), value);
                File.WriteAllBytes(_path, bytes);
                GoldenFormats.Refuses("zip directory", () => Checkpoint.Open(_path));
            }
    }

    [Fact]
    public void ViewsAreGatheredOnceForAllThreads()
    {
        using var file = Checkpoint.Open(Path.Combine(GoldenFormats.Folder("pytorch"), "valid", "views.pt"));
        var addresses = new nint[64];
        Parallel.For(0, addresses.Length, i => addresses[i] = file.Address(file["transposed"]));
        Assert.Single(addresses.Distinct());
    }

    // Moves the sizes and the offset of every entry, and the place of the directory, to their 64-bit fields.
    private static byte[] WithWideDirectory(byte[] zip)
    {
        var end = zip.AsSpan().LastIndexOf("PK\x05\x06"u8);
        var (count, start) = (BinaryPrimitives.ReadUInt16LittleEndian(zip.AsSpan(end + 10)), BinaryPrimitives.ReadInt32LittleEndian(zip.AsSpan(end + 16)));
        var y = new MemoryStream();
        using var writer = new BinaryWriter(y);
        writer.Write(zip.AsSpan(0, start));
        for (int i = 0, at = start; i < count; i++)
        {
            var entry = zip.AsSpan(at);
            Assert.Equal(Central, BinaryPrimitives.ReadUInt32LittleEndian(entry));
            var name = BinaryPrimitives.ReadUInt16LittleEndian(entry[28..]);
            writer.Write(entry[..20]);
            writer.Write(uint.MaxValue);         // packed
            writer.Write(uint.MaxValue);         // unpacked
            writer.Write(entry[28..30]);
            writer.Write((ushort)28);            // extra: 4 + 3 * 8
            writer.Write(entry[32..42]);
            writer.Write(uint.MaxValue);         // offset
            writer.Write(entry.Slice(46, name));
            writer.Write((ushort)1);
            writer.Write((ushort)24);
            writer.Write((long)BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]));
            writer.Write((long)BinaryPrimitives.ReadUInt32LittleEndian(entry[20..]));
            writer.Write((long)BinaryPrimitives.ReadUInt32LittleEndian(entry[42..]));
            at += 46 + name;
        }
        var length = y.Length - start;
        writer.Write(End64);
        writer.Write(44L);                       // bytes of this record after here
        writer.Write(new byte[12]);
        writer.Write((long)count);
        writer.Write((long)count);
        writer.Write(length);
        writer.Write((long)start);
        writer.Write(Locator64);
        writer.Write(0);
        writer.Write(start + length);
        writer.Write(1);
        writer.Write(End);
        writer.Write(0);
        writer.Write(ushort.MaxValue);
        writer.Write(ushort.MaxValue);
        writer.Write(uint.MaxValue);
        writer.Write(uint.MaxValue);
        writer.Write((ushort)0);
        return y.ToArray();
    }
}
