namespace NanoLora.Data;

/// <summary>Reads picture files.</summary>
public static class Pictures
{
    /// <summary>Whether a file that begins like this is read as a picture.</summary>
    /// <param name="head">The first eight bytes or more.</param>
    public static bool IsPicture(ReadOnlySpan<byte> head) => head.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G']);

    /// <summary>Reads a picture file, turned upright as its EXIF orientation says.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or not a picture that is read; the message names the file.</exception>
    public static Picture Read(string path) => Decode(File.ReadAllBytes(path), path);

    /// <summary>Decodes a picture file, turned upright as its EXIF orientation says.</summary>
    /// <param name="file">The bytes of the file.</param>
    /// <param name="name">Names the file in errors.</param>
    /// <exception cref="InvalidDataException">It is damaged, or not a picture that is read; the message names the file.</exception>
    public static Picture Decode(ReadOnlySpan<byte> file, string name)
    {
        var (size, planes) = Png.Read(file, name);
        var pixels = new byte[planes.Length];
        var plane = size.Height * size.Width;
        for (var i = 0; i < pixels.Length; i++) pixels[i] = planes[i % size.Channels * plane + i / size.Channels];
        return new(size.Width, size.Height, size.Channels, pixels);
    }
}
