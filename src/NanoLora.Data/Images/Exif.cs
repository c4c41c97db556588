using System.Buffers.Binary;

namespace NanoLora.Data;

/// <summary>The one thing read from a picture's EXIF data: which way is up.</summary>
internal static class Exif
{
    private const int OrientationTag = 0x0112, Short = 3;

    /// <summary>
    /// The orientation, 1 to 8, in a TIFF structure: byte order, 42, where the directory is; there, entries of 12 bytes. 1 if it says none, or makes no sense.
    /// </summary>
    public static int Orientation(ReadOnlySpan<byte> tiff)
    {
        if (tiff.StartsWith("Exif\0\0"u8)) tiff = tiff[6..];
        if (tiff.Length < 8) return 1;
        var little = tiff.StartsWith("II"u8);
        if (!little && !tiff.StartsWith("MM"u8) || Word(tiff[2..], little) != 42) return 1;
        var at = little ? BinaryPrimitives.ReadUInt32LittleEndian(tiff[4..]) : BinaryPrimitives.ReadUInt32BigEndian(tiff[4..]);
        if (at > tiff.Length - 2) return 1;
        var entries = tiff[(int)at..];
        var count = Word(entries, little);
        entries = entries[2..];
        for (var i = 0; i < count && entries.Length >= 12; i++, entries = entries[12..])
        {
            if (Word(entries, little) != OrientationTag) continue;
            var value = Word(entries[8..], little);
            return Word(entries[2..], little) == Short && value is >= 1 and <= 8 ? value : 1;
        }
        return 1;
    }

    /// <summary>
    /// The picture as it should be seen. Orientation o says where the stored picture's first row and column lie: 1 top left, 2 top right, 3 bottom right,
    /// 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
    /// </summary>
    public static Picture Upright(Picture picture, int orientation)
    {
        if (orientation is < 2 or > 8) return picture;
        int width = picture.Width, height = picture.Height, channels = picture.Channels;
        var (newWidth, newHeight) = orientation >= 5 ? (height, width) : (width, height);
        var pixels = new byte[picture.Pixels.Length];
        for (var y = 0; y < newHeight; y++)
        {
            for (var x = 0; x < newWidth; x++)
            {
                var (u, v) = orientation switch
                {
                    2 => (width - 1 - x, y),
                    3 => (width - 1 - x, height - 1 - y),
                    4 => (x, height - 1 - y),
                    5 => (y, x),
                    6 => (y, height - 1 - x),
                    7 => (width - 1 - y, height - 1 - x),
                    _ => (width - 1 - y, x),
                };
                picture.Pixels.AsSpan((v * width + u) * channels, channels).CopyTo(pixels.AsSpan((y * newWidth + x) * channels));
            }
        }
        return new(newWidth, newHeight, channels, pixels);
    }

    private static int Word(ReadOnlySpan<byte> at, bool little) =>
        little ? BinaryPrimitives.ReadUInt16LittleEndian(at) : BinaryPrimitives.ReadUInt16BigEndian(at);
}
