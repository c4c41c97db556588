using System.Buffers.Binary;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.Formats.Jpeg;
using SixLabors.ImageSharp.PixelFormats;

namespace NanoLora.Data;

/// <summary>
/// Reads JPEG images: ImageSharp decodes them, after a walk over the markers has made sure that the file is whole and of a kind that comes out right.
/// The folder's README says what the walk keeps away.
/// </summary>
internal static class Jpeg
{
    // The least that a block of 8 x 8 pixels takes is one bit, in a progressive image of one component: 512 pixels a byte.
    private const int MostPixelsPerByte = 512;

    // Each scan of a progressive image goes over the whole image, however few bytes it has. Encoders make about ten.
    private const int MaxScans = 256;

    private static readonly Configuration JpegOnly = new(new JpegConfigurationModule());

    /// <summary>Whether the file begins as one.</summary>
    public static bool Is(ReadOnlySpan<byte> head) => head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8]);

    /// <summary>Decodes an image, if asked turned upright as its EXIF data says: one channel or RGB.</summary>
    /// <exception cref="InvalidDataException">Damaged, or of a kind that is not read.</exception>
    public static Picture Decode(ReadOnlySpan<byte> file, string name, bool upright)
    {
        var header = Header.Read(file, name);
        try
        {
            return Exif.Upright(header.Components == 1 ? Pixels<L8>(file, 1) : Pixels<Rgb24>(file, 3), upright ? header.Orientation : 1);
        }
        // Whatever a damaged file makes the decoder do, it is the file that is wrong.
        catch (Exception e) when (e is not (OutOfMemoryException or InvalidDataException))
        {
            throw new InvalidDataException(
                $"{name}: the JPEG is damaged, or of a kind that is not read ({e.Message.Split('\n')[0].TrimEnd('.', ' ')}); save it again.", e);
        }
    }

    private static Picture Pixels<TPixel>(ReadOnlySpan<byte> file, int channels) where TPixel : unmanaged, IPixel<TPixel>
    {
        using var image = Image.Load<TPixel>(JpegOnly, file, new JpegDecoder { IgnoreMetadata = true });
        var pixels = new byte[image.Width * image.Height * channels];
        image.CopyPixelDataTo(pixels);
        return new(image.Width, image.Height, channels, pixels);
    }

    /// <summary>What the markers say.</summary>
    private readonly record struct Header(int Components, int Orientation)
    {
        /// <summary>Walks over the markers from the start of the image (D8) to its end (D9).</summary>
        public static Header Read(ReadOnlySpan<byte> file, string name)
        {
            int components = 0, orientation = 1, scans = 0;
            for (var at = 2; ;)
            {
                var marker = Marker(file, ref at, name);
                if (marker == 0xD9) break;
                if (marker is 0x01 or (>= 0xD0 and <= 0xD7)) continue;               // these stand alone
                var part = Part(file, ref at, marker, name);
                if (marker is >= 0xC0 and <= 0xCF and not (0xC4 or 0xC8 or 0xCC))
                {
                    if (components > 0) throw Error("there are two frames (SOF)");
                    components = Frame(part, marker, file.Length, name);
                }
                else if (marker == 0xE1 && part.StartsWith("Exif\0\0"u8)) orientation = Exif.Orientation(part);
                else if (marker == 0xDA)
                {
                    if (components == 0) throw Error("a scan (SOS) stands before the frame (SOF)");
                    if (++scans > MaxScans) throw Error($"there are more than {MaxScans} scans (SOS)");
                    SkipScan(file, ref at, name);
                }
            }
            if (scans == 0) throw Error("there are no pixels (SOS)");
            return new(components, orientation);

            InvalidDataException Error(string what) => new($"{name}: damaged JPEG: {what}; save the picture again.");
        }

        /// <summary>Checks the frame: precision, height, width, number of components, then three bytes for each.</summary>
        private static int Frame(ReadOnlySpan<byte> part, int marker, int length, string name)
        {
            if (marker > 0xC2) throw new InvalidDataException($"{name}: the JPEG is {Kind(marker)}, which is not read; save it as an ordinary JPEG or as PNG.");
            if (part.Length < 6 || part.Length != 6 + 3 * part[5])
                throw new InvalidDataException($"{name}: damaged JPEG: a frame (SOF) of {part.Length} bytes; save the picture again.");
            if (part[0] != 8)
                throw new InvalidDataException($"{name}: the JPEG has {part[0]} bits a value; 8 are read. Save it as an ordinary JPEG or as PNG.");
            uint height = BinaryPrimitives.ReadUInt16BigEndian(part[1..]), width = BinaryPrimitives.ReadUInt16BigEndian(part[3..]);
            Pictures.CheckSize(width, height, name);
            if (part[5] is not (1 or 3))
            {
                var kind = part[5] == 4 ? " (CMYK)" : "";
                throw new InvalidDataException($"{name}: the JPEG has {part[5]} components{kind}; gray (1) and colour (3) are read. Convert it to RGB.");
            }
            if ((long)width * height > (long)MostPixelsPerByte * length)
                throw new InvalidDataException($"{name}: {width} x {height} pixels cannot be in a JPEG of {length} bytes; the file is cut or damaged.");
            return part[5];
        }

        /// <summary>The next marker: FF, any number of times, then its number.</summary>
        private static int Marker(ReadOnlySpan<byte> file, ref int at, string name)
        {
            if (at < file.Length && file[at] != 0xFF)
                throw new InvalidDataException($"{name}: damaged JPEG: byte {at} is {file[at]:X2} where a marker (FF) is expected; save the picture again.");
            while (at < file.Length && file[at] == 0xFF) at++;
            return at < file.Length ? file[at++] : throw Cut(name);
        }

        /// <summary>A marker's data; its length, two bytes that count themselves, stands before it.</summary>
        private static ReadOnlySpan<byte> Part(ReadOnlySpan<byte> file, ref int at, int marker, string name)
        {
            if (file.Length - at < 2) throw Cut(name);
            int length = BinaryPrimitives.ReadUInt16BigEndian(file[at..]), start = at + 2;
            if (length < 2) throw new InvalidDataException($"{name}: damaged JPEG: the part {marker:X2} claims the length {length}; save the picture again.");
            if (length > file.Length - at) throw Cut(name);
            at += length;
            return file[start..at];
        }

        /// <summary>Goes to the marker after a scan; in the scan, FF is followed by 00 or stands in a restart marker (D0 to D7).</summary>
        private static void SkipScan(ReadOnlySpan<byte> file, ref int at, string name)
        {
            for (; ; at += 2)
            {
                var next = file[at..].IndexOf((byte)0xFF);
                if (next < 0 || at + next + 1 >= file.Length) throw Cut(name);
                at += next;
                if (file[at + 1] is 0 or (>= 0xD0 and <= 0xD7)) continue;
                if (file[at + 1] != 0xFF) return;
                at--;                                                                // a filling FF: look again from the next
            }
        }

        private static InvalidDataException Cut(string name) => new($"{name}: the JPEG ends before its end marker (D9); the file is cut.");

        private static string Kind(int marker) => marker switch
        {
            0xC3 or 0xC7 or 0xCB or 0xCF => "lossless",
            >= 0xC9 => "coded arithmetically",
            _ => "hierarchical",
        };
    }
}
