using System.Buffers.Binary;
using System.Text;

namespace NanoLora.Data;

/// <summary>What the chunks of a PNG file say. Nothing is allocated for what a header only claims.</summary>
internal sealed class PngChunks
{
    // A deflate stream grows by less than this when it is unpacked: more pixels than that cannot be in the file.
    private const int MostPerByte = 1032;

    private static readonly uint[] CrcOfByte = CrcTable();

    private PngChunks(PngHeader header, MemoryStream packed) => (Header, Packed) = (header, packed);

    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>IHDR.</summary>
    public PngHeader Header { get; }

    /// <summary>All IDAT chunks as one zlib stream.</summary>
    public MemoryStream Packed { get; }

    /// <summary>PLTE: three bytes a colour; empty if there is none.</summary>
    public byte[] Palette { get; private set; } = [];

    /// <summary>tRNS: an alpha per colour of the palette, or the one transparent value; empty if there is none.</summary>
    public byte[] Transparency { get; private set; } = [];

    /// <summary>What eXIf says of the orientation; 1 is upright.</summary>
    public int Orientation { get; private set; } = 1;

    /// <summary>Reads all chunks and checks what must hold before pixels are unpacked.</summary>
    /// <exception cref="InvalidDataException">Not a PNG, or damaged.</exception>
    public static PngChunks Read(ReadOnlySpan<byte> file, string name)
    {
        if (!file.StartsWith(Signature)) throw new InvalidDataException($"{name}: not a PNG file.");
        file = file[Signature.Length..];
        PngChunks? chunks = null;
        string previous = "", type;
        while ((type = Next(ref file, name, out var data)) != "IEND")
        {
            if (chunks is null)
            {
                if (type != "IHDR") throw Error("the first chunk must be the header (IHDR)");
                chunks = new(PngHeader.Read(data, name), new MemoryStream());
            }
            else if (type == "IHDR") throw Error("there are two headers (IHDR)");
            else if (type == "IDAT")
            {
                if (chunks.Packed.Length > 0 && previous != "IDAT") throw Error("the chunks of pixels (IDAT) do not stand together");
                chunks.Packed.Write(data);
            }
            else if (type == "PLTE")
            {
                if (data.Length % 3 != 0 || data.Length is 0 or > 768 || chunks.Palette.Length > 0)
                    throw Error($"a palette (PLTE) of {data.Length} bytes; there is one, of three bytes for each of 1 to 256 colours");
                chunks.Palette = data.ToArray();
            }
            else if (type == "tRNS") chunks.Transparency = data.ToArray();
            else if (type == "eXIf") chunks.Orientation = Exif.Orientation(data);
            else if (char.IsAsciiLetterUpper(type[0])) throw Error($"the critical chunk {type} is not known");
            previous = type;
        }
        if (chunks is null) throw Error("there is no header (IHDR)");
        chunks.Check(name);
        chunks.Packed.Position = 0;
        return chunks;

        InvalidDataException Error(string what) => new($"{name}: damaged PNG: {what}; save the picture again.");
    }

    private void Check(string name)
    {
        if (Packed.Length == 0) throw new InvalidDataException($"{name}: damaged PNG: there are no pixels (IDAT); save the picture again.");
        if (Header.Colour == 3 && Palette.Length == 0)
            throw new InvalidDataException($"{name}: damaged PNG: there is no palette (PLTE); save the picture again.");
        if (Header.Colour is 0 or 2 && Transparency.Length > 0 && Transparency.Length != 2 * Header.Values)
            throw new InvalidDataException($"{name}: damaged PNG: a transparent value (tRNS) of {Transparency.Length} bytes; save the picture again.");
        if (Header.PackedLines > MostPerByte * (Packed.Length + 1))
            throw new InvalidDataException(
                $"{name}: {Header.Width} x {Header.Height} pixels cannot be in {Packed.Length} bytes of them (IDAT); the file is cut or damaged.");
    }

    /// <summary>Cuts the next chunk from the file: length, type of four letters, data, checksum, which must be right in what is read.</summary>
    private static string Next(ref ReadOnlySpan<byte> file, string name, out ReadOnlySpan<byte> data)
    {
        if (file.Length < 12) throw new InvalidDataException($"{name}: the PNG ends before its end chunk (IEND); the file is cut.");
        var length = BinaryPrimitives.ReadUInt32BigEndian(file);
        var type = Encoding.Latin1.GetString(file.Slice(4, 4));
        if (length > file.Length - 12)
            throw new InvalidDataException(
                $"{name}: the chunk {Printable(type)} claims {length} bytes; {file.Length - 12} are left. The file is cut or damaged.");
        data = file.Slice(8, (int)length);
        var read = char.IsAsciiLetterUpper(type[0]) || type is "tRNS" or "eXIf";
        if (read && Crc(file.Slice(4, 4 + (int)length)) != BinaryPrimitives.ReadUInt32BigEndian(file[(8 + (int)length)..]))
            throw new InvalidDataException($"{name}: the checksum of the chunk {Printable(type)} is wrong; the file is damaged.");
        file = file[(12 + (int)length)..];
        return type;
    }

    private static string Printable(string type) => string.Concat(type.Select(static c => char.IsAsciiLetter(c) ? c : '?'));

    /// <summary>CRC-32 as of ISO 3309: the polynomial 0xEDB88320, lowest bit first.</summary>
    public static uint Crc(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var b in data) crc = CrcOfByte[(byte)(crc ^ b)] ^ crc >> 8;
        return ~crc;
    }

    private static uint[] CrcTable()
    {
        var table = new uint[256];
        for (var i = 0u; i < 256; i++)
        {
            var crc = i;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? 0xEDB88320 ^ crc >> 1 : crc >> 1;
            table[i] = crc;
        }
        return table;
    }
}

/// <summary>The header of a PNG (IHDR): size, bits a value, and colour type: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGBA.</summary>
internal readonly record struct PngHeader(int Width, int Height, int Depth, int Colour, bool Interlaced)
{
    /// <summary>Values of one pixel.</summary>
    public int Values => Colour switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };

    /// <summary>Bytes of a line of so many pixels.</summary>
    public int Stride(int pixels) => (int)(((long)pixels * Values * Depth + 7) / 8);

    /// <summary>The fewest bytes that all lines take before they are packed.</summary>
    public long PackedLines => (long)Width * Height * Values * Depth / 8;

    public static PngHeader Read(ReadOnlySpan<byte> data, string name)
    {
        if (data.Length != 13) throw new InvalidDataException($"{name}: the header (IHDR) has {data.Length} bytes; 13 were expected. The file is damaged.");
        uint width = BinaryPrimitives.ReadUInt32BigEndian(data), height = BinaryPrimitives.ReadUInt32BigEndian(data[4..]);
        Pictures.CheckSize(width, height, name);
        int depth = data[8], colour = data[9];
        var known = colour switch { 0 => depth is 1 or 2 or 4 or 8 or 16, 3 => depth is 1 or 2 or 4 or 8, 2 or 4 or 6 => depth is 8 or 16, _ => false };
        if (!known)
            throw new InvalidDataException(
                $"{name}: the header (IHDR) has {depth} bits a value and the colour type {colour}, which PNG does not have; the file is damaged.");
        if (data[10] != 0 || data[11] != 0 || data[12] > 1)
            throw new InvalidDataException(
                $"{name}: the header (IHDR) names compression {data[10]}, filter method {data[11]} and interlacing {data[12]}; 0, 0 and 0 or 1 are known.");
        return new((int)width, (int)height, depth, colour, data[12] == 1);
    }
}
