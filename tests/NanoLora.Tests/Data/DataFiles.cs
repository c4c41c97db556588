using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using NanoLora.Data;

namespace NanoLora.Tests.Data;

/// <summary>Small files and sets for the tests of this folder, in a folder of their own that goes with them.</summary>
public sealed class DataFiles : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nanolora-data-");

    public string Folder => _folder.FullName;

    public string Write(string name, byte[] bytes)
    {
        var path = Path.Combine(Folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    public void Dispose() => _folder.Delete(recursive: true);

    public static byte[] Idx(int[] sizes, ReadOnlySpan<byte> values, byte type = 8)
    {
        var bytes = new byte[4 + 4 * sizes.Length + values.Length];
        (bytes[2], bytes[3]) = (type, (byte)sizes.Length);
        for (var i = 0; i < sizes.Length; i++) BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(4 + 4 * i), sizes[i]);
        values.CopyTo(bytes.AsSpan(4 + 4 * sizes.Length));
        return bytes;
    }

    public static byte[] Npy(string header, ReadOnlySpan<byte> values)
    {
        var padded = header.PadRight((header.Length + 11 + 63) / 64 * 64 - 11) + "\n";
        return [0x93, .. "NUMPY"u8, 1, 0, (byte)padded.Length, (byte)(padded.Length >> 8), .. Encoding.ASCII.GetBytes(padded), .. values];
    }

    public static byte[] Npy(int[] sizes, ReadOnlySpan<byte> values) =>
        Npy($"{{'descr': '|u1', 'fortran_order': False, 'shape': ({string.Join(", ", sizes)},), }}", values);

    public static byte[] GZip(byte[] bytes)
    {
        using var target = new MemoryStream();
        using (var gzip = new GZipStream(target, CompressionLevel.Fastest)) gzip.Write(bytes);
        return target.ToArray();
    }

    public static byte[] Zip(params (string Name, byte[] Bytes)[] files)
    {
        using var target = new MemoryStream();
        using (var zip = new ZipArchive(target, ZipArchiveMode.Create))
        {
            foreach (var (name, bytes) in files)
            {
                using var entry = zip.CreateEntry(name).Open();
                entry.Write(bytes);
            }
        }
        return target.ToArray();
    }

    /// <summary>A PNG from packed scan lines; line y is written with filter <c>filter(y)</c>.</summary>
    public static byte[] Png(int width, int height, int depth, int colour, byte[] lines, Func<int, int> filter, byte[]? palette = null, int interlace = 0)
    {
        int values = colour switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 }, stride = (width * values * depth + 7) / 8, step = Math.Max(1, values * depth / 8);
        using var raw = new MemoryStream();
        for (var y = 0; y < height; y++)
        {
            raw.WriteByte((byte)filter(y));
            for (var i = 0; i < stride; i++)
            {
                int a = i >= step ? lines[y * stride + i - step] : 0, b = y > 0 ? lines[(y - 1) * stride + i] : 0;
                var c = i >= step && y > 0 ? lines[(y - 1) * stride + i - step] : 0;
                var nearest = new[] { a, b, c }.MinBy(v => Math.Abs(v - (a + b - c)));           // the first of equals, as the format asks
                raw.WriteByte((byte)(lines[y * stride + i] - filter(y) switch { 0 => 0, 1 => a, 2 => b, 3 => (a + b) / 2, _ => nearest }));
            }
        }
        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionLevel.Fastest, leaveOpen: true)) zlib.Write(raw.ToArray());
        var idat = packed.ToArray();

        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9], header[12]) = ((byte)depth, (byte)colour, (byte)interlace);
        byte[] signature = [0x89, .. "PNG"u8, 0x0D, 0x0A, 0x1A, 0x0A];
        byte[] colours = palette is null ? [] : Chunk("PLTE", palette);
        byte[] pixels = [.. Chunk("IDAT", idat[..(idat.Length / 2)]), .. Chunk("IDAT", idat[(idat.Length / 2)..])];
        return [.. signature, .. Chunk("IHDR", header), .. colours, .. pixels, .. Chunk("IEND", [])];
    }

    /// <summary>A black and white PNG of one bit a pixel: true is white.</summary>
    public static byte[] Png(int width, int height, Func<int, int, bool> white)
    {
        var stride = (width + 7) / 8;
        var lines = new byte[stride * height];
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++) if (white(x, y)) lines[y * stride + x / 8] |= (byte)(0x80 >> (x % 8));
        }
        return Png(width, height, 1, 0, lines, y => y % 5);
    }

    /// <summary>Random images, so that no two are the same: [classes x perClass], class by class; with groups, image j of a class is by person j + 1.</summary>
    public static ImageSet Set(string name, int classes, int perClass, ulong seed, bool groups = false, int firstGroup = 1, int side = 4)
    {
        var size = new ImageSize(1, side, side);
        var random = new Philox(seed, 0);
        var pixels = new byte[classes * perClass * size.Length];
        for (var i = 0; i < pixels.Length; i++) pixels[i] = (byte)random.Bits((ulong)i);
        int[] labels = [.. Enumerable.Range(0, classes * perClass).Select(i => i / perClass)], people = [.. labels.Select((_, i) => i % perClass + firstGroup)];
        return new(name, size, pixels, labels, [.. Enumerable.Range(0, classes).Select(c => $"class {c}")], groups ? people : null);
    }

    /// <summary>A chunk of a PNG.</summary>
    public static byte[] Chunk(string type, byte[] data)
    {
        byte[] length = new byte[4], sum = new byte[4], named = [.. Encoding.ASCII.GetBytes(type), .. data];
        BinaryPrimitives.WriteInt32BigEndian(length, data.Length);
        BinaryPrimitives.WriteUInt32BigEndian(sum, PngChunks.Crc(named));
        return [.. length, .. named, .. sum];
    }
}
