using System.Buffers.Binary;
using System.IO.Compression;

namespace NanoLora.Data;

/// <summary>
/// A file of data, plain or gzip (by its first two bytes), read front to back. What a header claims is believed only once the bytes are there: buffers grow
/// with what has been read.
/// </summary>
internal sealed class DataFile : IDisposable
{
    /// <summary>The most bytes one file may unpack to: a short gzip file can claim to be anything.</summary>
    public const int MaxBytes = 1 << 30;

    private readonly Stream _stream;
    private readonly uint? _gzipLength;                     // the length before packing, modulo 2^32: the last four bytes of a gzip file
    private long _read;

    public DataFile(string path)
    {
        Path = path;
        var file = File.OpenRead(path);
        Span<byte> magic = stackalloc byte[2];
        var zipped = file.ReadAtLeast(magic, 2, throwOnEndOfStream: false) == 2 && magic[0] == 0x1F && magic[1] == 0x8B;
        if (zipped)
        {
            Span<byte> length = stackalloc byte[4];
            file.Position = Math.Max(0, file.Length - 4);
            file.ReadAtLeast(length, 4, throwOnEndOfStream: false);
            _gzipLength = BinaryPrimitives.ReadUInt32LittleEndian(length);
        }
        file.Position = 0;
        _stream = zipped ? new GZipStream(file, CompressionMode.Decompress) : file;
    }

    public string Path { get; }

    public InvalidDataException Error(string message) => new($"{Path}: {message}");

    /// <summary>Fills the target, or says which field ends early.</summary>
    public void Read(Span<byte> target, string field)
    {
        var read = Fill(target);
        if (read < target.Length) throw Error($"the file ends in the {field}: {target.Length} bytes expected, {read} are there.");
    }

    /// <summary>Reads the rest of the file, which has to be as long as the header says.</summary>
    /// <param name="claimed">The number of bytes that the header promises.</param>
    /// <param name="field">Names the field, with its sizes, in errors.</param>
    public byte[] ReadToEnd(long claimed, string field)
    {
        if (claimed > MaxBytes) throw Error($"the {field} would take {claimed} bytes; at most {MaxBytes} are read from one file.");
        var bytes = new byte[Math.Min(claimed, 1 << 20)];
        for (var read = 0; ;)
        {
            var now = Fill(bytes.AsSpan(read));
            read += now;
            if (read < bytes.Length) throw Error($"the file ends in the {field}: {claimed} bytes expected, {read} are there.");
            if (read == claimed) break;
            Array.Resize(ref bytes, (int)Math.Min(claimed, 2L * bytes.Length));
        }
        Span<byte> more = stackalloc byte[1];
        if (Fill(more) != 0) throw Error($"bytes are left over after the {field} of {claimed} bytes.");
        // The checksum at the end is verified by the platform, but only if it is there.
        if (_gzipLength is { } length && length != (uint)_read)
            throw Error("the gzip data is cut short in its last bytes, or made of several parts; pack it again as one.");
        return bytes;
    }

    public void Dispose() => _stream.Dispose();

    private int Fill(Span<byte> target)
    {
        try
        {
            var read = _stream.ReadAtLeast(target, target.Length, throwOnEndOfStream: false);
            _read += read;
            return read;
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            throw new InvalidDataException($"{Path}: the gzip data is damaged or cut short.", e);
        }
    }
}
