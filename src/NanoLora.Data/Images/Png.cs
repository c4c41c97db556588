using System.IO.Compression;

namespace NanoLora.Data;

/// <summary>
/// Reads PNG images of every colour type and depth, plain and interlaced. Written here because it must be exact and safe on any input (the folder's README
/// compares); the zlib stream inside is the platform's.
/// </summary>
internal static class Png
{
    // Adam7: seven passes over the image, each of the pixels (x0 + i dx, y0 + j dy); a plain image is one pass of all pixels.
    private static readonly Pass[] Adam7 =
        [new(0, 0, 8, 8), new(4, 0, 8, 8), new(0, 4, 4, 8), new(2, 0, 4, 4), new(0, 2, 2, 4), new(1, 0, 2, 2), new(0, 1, 1, 2)];
    private static readonly Pass[] Plain = [new(0, 0, 1, 1)];

    private readonly record struct Pass(int X0, int Y0, int Dx, int Dy);

    /// <summary>Decodes an image, if asked turned upright as its eXIf chunk says. Of 16 bits the upper 8 are kept, as Pillow does.</summary>
    /// <exception cref="InvalidDataException">Not a PNG, or damaged.</exception>
    public static Picture Decode(ReadOnlySpan<byte> file, string name, bool upright)
    {
        var chunks = PngChunks.Read(file, name);
        return Exif.Upright(ToPicture(chunks, Unpack(chunks, name), name), upright ? chunks.Orientation : 1);
    }

    /// <summary>The values as they are in the file: [height, width, values of a pixel], palette indices for a palette image. Not turned.</summary>
    /// <exception cref="InvalidDataException">Not a PNG, or damaged.</exception>
    public static (PngHeader Header, ushort[] Values) Samples(ReadOnlySpan<byte> file, string name)
    {
        var chunks = PngChunks.Read(file, name);
        var raw = Unpack(chunks, name);
        if (chunks.Header.Depth < 16) return (chunks.Header, Array.ConvertAll(raw, static v => (ushort)v));
        var values = new ushort[raw.Length / 2];
        for (var i = 0; i < values.Length; i++) values[i] = (ushort)(raw[2 * i] << 8 | raw[2 * i + 1]);
        return (chunks.Header, values);
    }

    /// <summary>Unpacks the scan lines of all passes: [height, width, values], a byte a value, or two (the upper first) for 16 bits.</summary>
    private static byte[] Unpack(PngChunks chunks, string name)
    {
        var header = chunks.Header;
        var cell = header.Values * (header.Depth == 16 ? 2 : 1);
        var raw = new byte[header.Width * header.Height * cell];
        using var stream = new ZLibStream(chunks.Packed, CompressionMode.Decompress);
        foreach (var pass in header.Interlaced ? Adam7 : Plain)
        {
            int width = (header.Width - pass.X0 + pass.Dx - 1) / pass.Dx, height = (header.Height - pass.Y0 + pass.Dy - 1) / pass.Dy;
            if (width <= 0 || height <= 0) continue;
            byte[] line = new byte[header.Stride(width) + 1], above = new byte[line.Length];
            for (var y = 0; y < height; y++)
            {
                ReadLine(stream, line, name, $"{(header.Interlaced ? $"pass {Array.IndexOf(Adam7, pass) + 1}, " : "")}line {y} of {height}");
                Unfilter(line, above, Math.Max(1, header.Depth * header.Values / 8), name, y);
                Spread(header, line.AsSpan(1), width, raw.AsSpan((pass.Y0 + y * pass.Dy) * header.Width * cell), pass.X0 * cell, pass.Dx * cell);
                (line, above) = (above, line);
            }
        }
        ReadEnd(stream, name);
        return raw;
    }

    private static void ReadLine(ZLibStream stream, byte[] line, string name, string where)
    {
        try
        {
            stream.ReadExactly(line);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            throw new InvalidDataException($"{name}: the pixels (IDAT) are damaged or end in {where}; save the picture again.", e);
        }
    }

    // Reading on makes the platform check the sum at the end. Whole lines too many change no pixel and are let pass.
    private static void ReadEnd(ZLibStream stream, string name)
    {
        try
        {
            _ = stream.ReadByte();
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{name}: the checksum of the pixels (IDAT) is wrong; save the picture again.", e);
        }
    }

    /// <summary>Undoes a line's filter, which predicts a byte from a (left), b (above) and c (above left).</summary>
    private static void Unfilter(byte[] line, byte[] above, int step, string name, int y)
    {
        switch (line[0])
        {
            case 0: break;
            case 1:
                for (var i = step + 1; i < line.Length; i++) line[i] += line[i - step];
                break;
            case 2:
                for (var i = 1; i < line.Length; i++) line[i] += above[i];
                break;
            case 3:
                for (var i = 1; i < line.Length; i++) line[i] += (byte)(((i > step ? line[i - step] : 0) + above[i]) / 2);
                break;
            case 4:
                for (var i = 1; i < line.Length; i++) line[i] += i > step ? Paeth(line[i - step], above[i], above[i - step]) : above[i];
                break;
            default: throw new InvalidDataException($"{name}: line {y} has the unknown filter {line[0]}; save the picture again.");
        }
    }

    /// <summary>Of left, above and above left, the one nearest to a + b - c.</summary>
    private static byte Paeth(byte a, byte b, byte c)
    {
        int toA = Math.Abs(b - c), toB = Math.Abs(a - c), toC = Math.Abs(a + b - 2 * c);
        return toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
    }

    /// <summary>Writes the values of one line to every <paramref name="step"/>-th byte of a row, a pixel at a time.</summary>
    private static void Spread(PngHeader header, ReadOnlySpan<byte> line, int width, Span<byte> row, int start, int step)
    {
        if (header.Depth >= 8)
        {
            var cell = header.Values * (header.Depth / 8);
            if (step == cell) line.CopyTo(row);
            else for (var x = 0; x < width; x++) line.Slice(x * cell, cell).CopyTo(row[(start + x * step)..]);
            return;
        }
        var most = (1 << header.Depth) - 1;                     // below 8 bits a pixel is one value
        for (var x = 0; x < width; x++)
        {
            var bit = x * header.Depth;
            row[start + x * step] = (byte)((line[bit / 8] >> (8 - header.Depth - bit % 8)) & most);
        }
    }

    /// <summary>Values to 8-bit pixels: gray scaled to 0 to 255, palettes looked up, one transparent value (tRNS) made alpha.</summary>
    private static Picture ToPicture(PngChunks chunks, byte[] raw, string name)
    {
        var header = chunks.Header;
        if (header.Colour == 3) return OfPalette(chunks, raw, name);
        byte[]? key = header.Colour is 0 or 2 && chunks.Transparency.Length > 0 ? chunks.Transparency : null;
        if (header.Depth == 8 && key is null) return new(header.Width, header.Height, header.Values, raw);
        int values = header.Values, channels = values + (key is null ? 0 : 1), wide = header.Depth == 16 ? 2 : 1, most = (1 << Math.Min(header.Depth, 8)) - 1;
        var pixels = new byte[header.Width * header.Height * channels];
        for (int from = 0, to = 0; to < pixels.Length; from += values * wide, to += channels)
        {
            for (var v = 0; v < values; v++) pixels[to + v] = (byte)(raw[from + v * wide] * 255 / most);
            if (key is not null) pixels[to + values] = Matches(raw.AsSpan(from, values * wide), key, wide) ? (byte)0 : (byte)255;
        }
        return new(header.Width, header.Height, channels, pixels);
    }

    // The key holds two bytes a value, whatever the depth.
    private static bool Matches(ReadOnlySpan<byte> pixel, ReadOnlySpan<byte> key, int wide)
    {
        if (wide == 2) return pixel.SequenceEqual(key);
        for (var v = 0; v < pixel.Length; v++) if (key[2 * v] != 0 || pixel[v] != key[2 * v + 1]) return false;
        return true;
    }

    private static Picture OfPalette(PngChunks chunks, byte[] raw, string name)
    {
        byte[] palette = chunks.Palette, alpha = chunks.Transparency;
        var channels = alpha.Length > 0 ? 4 : 3;
        var pixels = new byte[raw.Length * channels];
        for (var p = 0; p < raw.Length; p++)
        {
            int colour = raw[p], to = p * channels;
            if (3 * colour + 3 > palette.Length)
                throw new InvalidDataException(
                    $"{name}: a pixel has the colour {colour}; the palette (PLTE) has {palette.Length / 3}. Save the picture again.");
            palette.AsSpan(3 * colour, 3).CopyTo(pixels.AsSpan(to));
            if (channels == 4) pixels[to + 3] = colour < alpha.Length ? alpha[colour] : (byte)255;
        }
        return new(chunks.Header.Width, chunks.Header.Height, channels, pixels);
    }
}
