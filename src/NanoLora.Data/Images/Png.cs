using System.Buffers.Binary;
using System.IO.Compression;

namespace NanoLora.Data;

/// <summary>
/// Reads PNG images of up to 8 bits a value: gray, gray with alpha, palette, RGB, RGBA; alpha is dropped. Interlaced and 16-bit images are refused by name.
/// Written here because it must be safe on any input and read 1-bit gray; the zlib stream inside is the platform's.
/// </summary>
public static class Png
{
    private const int MaxSide = 1 << 13;

    private static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>Decodes an image: [channels, height, width], one channel for gray and three for colour.</summary>
    /// <param name="file">The bytes of the file.</param>
    /// <param name="name">Names the file in errors.</param>
    /// <exception cref="InvalidDataException">Not a PNG, damaged, or of a kind that is not read.</exception>
    public static (ImageSize Size, byte[] Pixels) Read(ReadOnlySpan<byte> file, string name)
    {
        if (!file.StartsWith(Signature)) throw new InvalidDataException($"{name}: not a PNG file.");
        file = file[Signature.Length..];
        Header header = default;
        var seen = false;
        byte[] palette = [];
        using var packed = new MemoryStream();
        while (NextChunk(ref file, name, out var data) is var type && type != "IEND")
        {
            if (type == "IHDR") (header, seen) = (Header.Read(data, name), true);
            else if (type == "PLTE") palette = data.ToArray();
            else if (type == "IDAT") packed.Write(data);
        }
        if (!seen) throw new InvalidDataException($"{name}: the PNG has no header (IHDR).");
        packed.Position = 0;
        return Unpack(header, Unfilter(header, packed, name), palette, name);
    }

    /// <summary>Cuts the next chunk from the file: length, type of four letters, data, checksum.</summary>
    private static string NextChunk(ref ReadOnlySpan<byte> file, string name, out ReadOnlySpan<byte> data)
    {
        if (file.Length < 12) throw new InvalidDataException($"{name}: the PNG ends before its end chunk (IEND).");
        var length = BinaryPrimitives.ReadUInt32BigEndian(file);
        var type = System.Text.Encoding.ASCII.GetString(file.Slice(4, 4));
        if (length > file.Length - 12) throw new InvalidDataException($"{name}: the chunk {type} claims {length} bytes; {file.Length - 12} are left.");
        data = file.Slice(8, (int)length);
        file = file[(12 + (int)length)..];
        return type;
    }

    /// <summary>Unpacks the scan lines and undoes their filters, which predict a byte from a (left), b (above) and c (above left).</summary>
    private static byte[] Unfilter(Header header, Stream packed, string name)
    {
        int stride = header.Stride, step = Math.Max(1, header.Depth * header.Values / 8);
        using var stream = new ZLibStream(packed, CompressionMode.Decompress);
        byte[] line = new byte[stride + 1], above = new byte[stride + 1];
        using var lines = new MemoryStream();
        for (var y = 0; y < header.Height; y++)
        {
            try
            {
                stream.ReadExactly(line);
            }
            catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
            {
                throw new InvalidDataException($"{name}: the pixels (IDAT) are damaged or end in line {y} of {header.Height}.", e);
            }
            if (line[0] > 4) throw new InvalidDataException($"{name}: line {y} has the unknown filter {line[0]}.");
            for (var i = 1; i <= stride; i++)
            {
                int a = i > step ? line[i - step] : 0, b = above[i], c = i > step ? above[i - step] : 0;
                line[i] += (byte)(line[0] switch { 0 => 0, 1 => a, 2 => b, 3 => (a + b) / 2, _ => Paeth(a, b, c) });
            }
            lines.Write(line, 1, stride);
            (line, above) = (above, line);
        }
        return lines.ToArray();
    }

    /// <summary>Of left, above and above left, the one nearest to a + b - c.</summary>
    private static int Paeth(int a, int b, int c)
    {
        int toA = Math.Abs(b - c), toB = Math.Abs(a - c), toC = Math.Abs(a + b - 2 * c);
        return toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
    }

    /// <summary>Scan lines of 1 to 8 bits a value to planes of bytes.</summary>
    private static (ImageSize, byte[]) Unpack(Header header, byte[] lines, byte[] palette, string name)
    {
        int plane = header.Width * header.Height, most = (1 << header.Depth) - 1;
        var size = new ImageSize(header.Colour is 2 or 3 or 6 ? 3 : 1, header.Height, header.Width);
        var pixels = new byte[size.Length];
        for (var p = 0; p < plane; p++)
        {
            int row = p / header.Width * header.Stride, first = p % header.Width * header.Values * header.Depth;
            if (header.Colour == 3)
            {
                var entry = 3 * ((lines[row + first / 8] >> (8 - header.Depth - first % 8)) & most);
                if (entry + 3 > palette.Length)
                    throw new InvalidDataException($"{name}: a pixel has the colour {entry / 3}; the palette (PLTE) has {palette.Length / 3}.");
                for (var c = 0; c < 3; c++) pixels[c * plane + p] = palette[entry + c];
                continue;
            }
            for (var c = 0; c < size.Channels; c++)
            {
                var bit = first + c * header.Depth;
                pixels[c * plane + p] = (byte)(((lines[row + bit / 8] >> (8 - header.Depth - bit % 8)) & most) * 255 / most);
            }
        }
        return (size, pixels);
    }

    /// <summary>Size, bits a value, and colour type: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGBA.</summary>
    private readonly record struct Header(int Width, int Height, int Depth, int Colour)
    {
        /// <summary>Values of one pixel.</summary>
        public int Values => Colour switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };

        /// <summary>Bytes of one scan line.</summary>
        public int Stride => (Width * Values * Depth + 7) / 8;

        public static Header Read(ReadOnlySpan<byte> data, string name)
        {
            if (data.Length != 13) throw new InvalidDataException($"{name}: the header (IHDR) has {data.Length} bytes; 13 were expected.");
            uint width = BinaryPrimitives.ReadUInt32BigEndian(data), height = BinaryPrimitives.ReadUInt32BigEndian(data[4..]);
            if (width is 0 or > MaxSide || height is 0 or > MaxSide)
                throw new InvalidDataException($"{name}: {width} x {height} pixels; sides of 1 to {MaxSide} are read.");
            int depth = data[8], colour = data[9];
            if (!(colour is 0 or 3 ? depth is 1 or 2 or 4 or 8 : colour is 2 or 4 or 6 && depth == 8))
                throw new InvalidDataException($"{name}: {depth} bits and colour type {colour} are not read; at most 8 bits a value are.");
            if (data[12] != 0) throw new InvalidDataException($"{name}: interlaced PNGs are not read; save it without interlacing.");
            return new((int)width, (int)height, depth, colour);
        }
    }
}
