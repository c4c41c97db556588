using System.Globalization;

namespace NanoLora.Data;

/// <summary>Reads picture files: PNG, JPEG, and binary PGM and PPM. A file's kind is told by its first bytes, never by its name.</summary>
public static class Pictures
{
    /// <summary>The most pixels of one picture: a file of a few bytes can claim any number.</summary>
    public const int MaxPixels = 1 << 26;

    /// <summary>How many bytes at the beginning of a file tell its kind.</summary>
    public const int HeadBytes = 12;

    /// <summary>Whether a file that begins like this is read as a picture.</summary>
    /// <param name="head">The first <see cref="HeadBytes"/> of the file, or all that there are.</param>
    public static bool IsPicture(ReadOnlySpan<byte> head) => head.StartsWith(PngChunks.Signature[..4]) || Jpeg.Is(head) || Pnm.Is(head);

    /// <summary>Reads a picture file, turned upright as its EXIF orientation says.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or not a picture that is read; the message names the file.</exception>
    public static Picture Read(string path) => Decode(File.ReadAllBytes(path), path);

    /// <summary>Decodes a picture file, turned upright as its EXIF orientation says.</summary>
    /// <param name="file">The bytes of the file.</param>
    /// <param name="name">Names the file in errors.</param>
    /// <exception cref="InvalidDataException">It is damaged, or not a picture that is read; the message names the file.</exception>
    public static Picture Decode(ReadOnlySpan<byte> file, string name) => Decode(file, name, upright: true);

    /// <summary>The picture upright, or as it is stored.</summary>
    internal static Picture Decode(ReadOnlySpan<byte> file, string name, bool upright)
    {
        if (file.IsEmpty) throw new InvalidDataException($"{name}: the file is empty.");
        if (file.StartsWith(PngChunks.Signature[..4])) return Png.Decode(file, name, upright);
        if (Jpeg.Is(file)) return Jpeg.Decode(file, name, upright);
        if (Pnm.Is(file)) return Pnm.Decode(file, name);
        throw new InvalidDataException(Other(file) is { } kind
            ? $"{name}: this is a {kind} file, which is not read; convert it to PNG or JPEG."
            : $"{name}: this is no picture; PNG, JPEG, PGM and PPM files are read.");
    }

    /// <summary>Refuses pictures of no pixels, and of more than any would have.</summary>
    internal static void CheckSize(uint width, uint height, string name)
    {
        if (width > 0 && height > 0 && (ulong)width * height <= MaxPixels) return;
        throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture,
            $"{name}: the picture claims {width} x {height} pixels; 1 to {MaxPixels} are read."));
    }

    private static string? Other(ReadOnlySpan<byte> head)
    {
        if (head.StartsWith("GIF8"u8)) return "GIF";
        if (head.StartsWith("BM"u8)) return "BMP";
        if (head.StartsWith("II*\0"u8) || head.StartsWith("MM\0*"u8)) return "TIFF";
        if (head.Length >= 12 && head.StartsWith("RIFF"u8) && head[8..].StartsWith("WEBP"u8)) return "WebP";
        if (head.Length >= 12 && head[4..].StartsWith("ftyp"u8))
            return head[8..].StartsWith("avif"u8) ? "AVIF" : head[8..].StartsWith("hei"u8) ? "HEIC" : "video";
        return head.StartsWith("P"u8) && head.Length > 1 && head[1] is >= (byte)'1' and <= (byte)'7' ? "text or alpha PNM" : null;
    }
}
