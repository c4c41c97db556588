using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace NanoLora.Data;

/// <summary>
/// Reads NumPy's .npy files of unsigned bytes, plain or gzip: magic, version, the length of a header, the header (a Python dictionary), the elements in C
/// order.
/// </summary>
public static partial class Npy
{
    private const int MaxHeader = 1 << 16;

    /// <summary>Reads the bytes of a file and the sizes of its axes.</summary>
    /// <exception cref="InvalidDataException">Not an .npy file of unsigned bytes in C order, or its length is not what the header says.</exception>
    public static (byte[] Values, int[] Sizes) Read(string path)
    {
        using var file = new DataFile(path);
        Span<byte> head = stackalloc byte[8];
        file.Read(head, "magic number");
        if (head[0] != 0x93 || !head[1..6].SequenceEqual("NUMPY"u8))
            throw file.Error($"not an .npy file: it starts with {Convert.ToHexString(head[..6])}, 934E554D5059 was expected.");
        if (head[6] is < 1 or > 3) throw file.Error($"version {head[6]}.{head[7]} of the format; 1 to 3 are read.");

        Span<byte> word = stackalloc byte[4];
        word.Clear();
        file.Read(head[6] == 1 ? word[..2] : word, "length of the header");
        var length = BinaryPrimitives.ReadUInt32LittleEndian(word);
        if (length > MaxHeader) throw file.Error($"the header claims {length} bytes; at most {MaxHeader} are read.");
        var bytes = new byte[length];
        file.Read(bytes, "header");
        var header = Encoding.UTF8.GetString(bytes);

        var type = TypeField().Match(header);
        if (!type.Success || type.Groups[1].Value is not ("|u1" or "u1" or "<u1"))
            throw file.Error($"descr '{type.Groups[1].Value}' in the header; only '|u1', unsigned bytes, is read.");
        if (!header.Contains("'fortran_order': False", StringComparison.Ordinal))
            throw file.Error("fortran_order is not False in the header; only C order is read.");
        var shape = ShapeField().Match(header);
        if (!shape.Success) throw file.Error("the header has no shape.");

        var sizes = new List<int>();
        long count = 1;
        foreach (var text in shape.Groups[1].Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var size))
                throw file.Error($"the size '{text}' in shape ({shape.Groups[1].Value}) is no size.");
            sizes.Add(size);
            count = size == 0 ? 0 : count > DataFile.MaxBytes ? count : count * size;
        }
        return (file.ReadToEnd(count, $"elements [{string.Join(", ", sizes)}]"), [.. sizes]);
    }

    [GeneratedRegex("'descr':\\s*'([^']*)'")]
    private static partial Regex TypeField();

    [GeneratedRegex("'shape':\\s*\\(([^)]*)\\)")]
    private static partial Regex ShapeField();
}
