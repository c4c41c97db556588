using System.Buffers.Binary;

namespace NanoLora.Nn;

/// <summary>What a file is by its first bytes; extensions are not trusted.</summary>
internal static class FileKind
{
    /// <summary>How many bytes are looked at.</summary>
    public const int Bytes = 512;

    /// <summary>The largest safetensors header, as in the reference library.</summary>
    public const long MaxHeader = 100_000_000;

    private static ReadOnlySpan<byte> Hdf5 => [0x89, (byte)'H', (byte)'D', (byte)'F'];
    private static ReadOnlySpan<byte> Numpy => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];
    private static ReadOnlySpan<byte> Gzip => [0x1f, 0x8b];

    /// <summary>
    /// A length that a header can have, and the brace it must begin with: tried first, for lengths may begin with the
    /// bytes of the other kinds.
    /// </summary>
    public static bool IsSafetensors(ReadOnlySpan<byte> head) =>
        head.Length > 8 && head[8] == '{' && BinaryPrimitives.ReadUInt64LittleEndian(head) <= MaxHeader;

    /// <summary>A zip archive: what torch.save writes since PyTorch 1.6.</summary>
    public static bool IsZip(ReadOnlySpan<byte> head) => head.StartsWith("PK\x03\x04"u8);

    /// <summary>A pickle of protocol 2 or later: what torch.save wrote before.</summary>
    public static bool IsPickle(ReadOnlySpan<byte> head) => head.Length >= 2 && head[0] == 0x80 && head[1] is >= 2 and <= 5;

    /// <summary>A JSON object: the index of a sharded checkpoint.</summary>
    public static bool IsJson(ReadOnlySpan<byte> head)
    {
        head = head.TrimStart(" \t\r\n"u8);
        return head.Length > 0 && head[0] == '{';
    }

    /// <summary>Names what is no weight file of a kind read here, and says what to do; null when the bytes tell nothing.</summary>
    public static string? Foreign(ReadOnlySpan<byte> head)
    {
        if (head.Length == 0) return "the file is empty; download or save it again.";
        if (head.StartsWith("version https://git-lfs"u8)) return "this is a Git LFS pointer, not the weights; fetch them with `git lfs pull`.";
        if (head.StartsWith("GGUF"u8)) return "this is a GGUF file; use the safetensors files that it was converted from.";
        if (head.StartsWith(Hdf5)) return "this is an HDF5 file (Keras); convert it to safetensors.";
        if (head.StartsWith(Numpy)) return "this is a NumPy array; convert it to safetensors.";
        if (head.Length >= 262 && head.Slice(257, 5).SequenceEqual("ustar"u8))
            return "this is a tar archive (torch.save before PyTorch 0.1.10, or a package); save it again with a current PyTorch, or unpack it.";
        if (head.StartsWith(Gzip)) return "this is a gzip file; unpack it first.";
        var text = head.TrimStart(" \t\r\n"u8);
        if (text.Length > 0 && text[0] == '<') return "this is a web page or XML, what a failed download leaves; download the weights again.";
        return null;
    }
}
