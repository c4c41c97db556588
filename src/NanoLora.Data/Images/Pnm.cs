namespace NanoLora.Data;

/// <summary>
/// Reads binary PGM (P5, gray) and PPM (P6, RGB) files: a magic number, width, height and the greatest value as text, one blank, then the values.
/// </summary>
internal static class Pnm
{
    /// <summary>Whether the file begins as one: the magic number and a blank or a comment.</summary>
    public static bool Is(ReadOnlySpan<byte> head) =>
        head.Length > 2 && head[0] == 'P' && head[1] is (byte)'5' or (byte)'6' && (IsBlank(head[2]) || head[2] == '#');

    /// <summary>Decodes an image of up to 8 bits a value.</summary>
    /// <exception cref="InvalidDataException">Damaged, or of more bits.</exception>
    public static Picture Decode(ReadOnlySpan<byte> file, string name)
    {
        var channels = file[1] == '5' ? 1 : 3;
        var at = 2;
        uint width = Number(file, ref at, "width", name), height = Number(file, ref at, "height", name), most = Number(file, ref at, "greatest value", name);
        Pictures.CheckSize(width, height, name);
        if (most is 0 or > 255) throw new InvalidDataException($"{name}: the greatest value is {most}; 1 to 255 are read. Convert the picture to PNG.");
        if (at == file.Length || !IsBlank(file[at])) throw new InvalidDataException($"{name}: a blank must follow the greatest value; the file is damaged.");
        var values = file[(at + 1)..];
        var need = (long)width * height * channels;
        if (values.Length < need)
            throw new InvalidDataException($"{name}: {width} x {height} pixels need {need} bytes; {values.Length} are there. The file is cut.");
        var pixels = values[..(int)need].ToArray();
        if (most < 255)
        {
            for (var i = 0; i < pixels.Length; i++) pixels[i] = (byte)Math.Min(255, (pixels[i] * 255 + most / 2) / most);
        }
        return new((int)width, (int)height, channels, pixels);
    }

    /// <summary>The next number, after blanks and comments, which go from # to the end of the line.</summary>
    private static uint Number(ReadOnlySpan<byte> file, ref int at, string field, string name)
    {
        for (var comment = false; at < file.Length && (comment || IsBlank(file[at]) || file[at] == '#'); at++)
        {
            if (file[at] == '#') comment = true;
            else if (file[at] == '\n') comment = false;
        }
        var start = at;
        uint number = 0;
        for (; at < file.Length && at - start < 9 && char.IsAsciiDigit((char)file[at]); at++) number = 10 * number + file[at] - '0';
        return at > start ? number : throw new InvalidDataException($"{name}: there is no number where the {field} is expected; the file is damaged.");
    }

    private static bool IsBlank(byte b) => b is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\r' or 11 or 12;
}
