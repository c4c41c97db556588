using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace NanoLora.Nn;

// local header, name, extra, data | ... | central directory | [zip64 end, zip64 locator] | end
//
// The central directory counts; each local header must agree with it. Only stored and deflated entries, nothing is ever extracted to disk.
// Checksums are not compared: that would read every weight at opening. Format: PKWARE APPNOTE 6.3.

/// <summary>One file in a zip archive: where its bytes are, and how many there are packed and unpacked.</summary>
internal sealed record ZipEntry(string Name, long Offset, long Packed, long Length, bool Deflated);

/// <summary>The directory of a zip archive, checked against the file: no entry reaches outside it, and no name is there twice.</summary>
internal sealed unsafe class ZipIndex
{
    private const uint End = 0x06054b50, End64 = 0x06064b50, Locator64 = 0x07064b50, Central = 0x02014b50, Local = 0x04034b50;
    private const int MaxRatio = 1032;   // deflate cannot pack tighter

    private readonly MappedFile _file;
    private readonly Dictionary<string, ZipEntry> _entries = new(StringComparer.Ordinal);

    /// <summary>Reads the directory.</summary>
    public ZipIndex(MappedFile file)
    {
        _file = file;
        var (count, start, stop) = FindDirectory();
        var at = start;
        for (var i = 0L; i < count; i++)
        {
            var entry = ReadEntry(ref at, start, stop);
            First ??= entry.Name;
            if (!_entries.TryAdd(entry.Name, entry)) throw Error(entry.Name, "the archive has this entry twice; save it again with torch.save.");
        }
        if (at != stop) throw Error("zip directory", "has more entries than it says; the file is damaged.");
    }

    /// <summary>Name of the first entry; null for an empty archive.</summary>
    public string? First { get; }

    /// <summary>Names of all entries.</summary>
    public IEnumerable<string> Names => _entries.Keys;

    /// <summary>The entry of exactly that name, or null.</summary>
    public ZipEntry? this[string name] => _entries.GetValueOrDefault(name);

    /// <summary>Unpacks an entry into <paramref name="y"/>, which has room for its <see cref="ZipEntry.Length"/> bytes.</summary>
    public void Unpack(ZipEntry entry, byte* y)
    {
        try
        {
            using var packed = new UnmanagedMemoryStream(_file.At(entry.Offset, entry.Packed), entry.Packed);
            using Stream stream = entry.Deflated ? new DeflateStream(packed, CompressionMode.Decompress) : packed;
            for (var done = 0L; done < entry.Length;)
            {
                var part = (int)Math.Min(entry.Length - done, 1 << 20);
                stream.ReadExactly(new Span<byte>(y + done, part));
                done += part;
            }
            if (stream.ReadByte() >= 0) throw Error(entry.Name, "unpacks to more bytes than the archive says; the file is damaged.");
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            throw Error(entry.Name, "does not unpack to the bytes that the archive says; the file is damaged, download or save it again.", e);
        }
    }

    private (long Count, long Start, long Stop) FindDirectory()
    {
        const int size = 22;
        var tail = (int)Math.Min(_file.Length, size + ushort.MaxValue);   // a comment may follow the end record
        var bytes = _file.Span(_file.Length - tail, tail);
        for (var i = tail - size; i >= 0; i--)
        {
            if (U32(bytes, i) != End || i + size + U16(bytes, i + 20) != tail) continue;
            var end = _file.Length - tail + i;
            var (count, length, start) = ((long)U16(bytes, i + 10), (long)U32(bytes, i + 12), (long)U32(bytes, i + 16));
            if (count == ushort.MaxValue || length == uint.MaxValue || start == uint.MaxValue) (count, length, start, end) = FindDirectory64(end);
            if (count < 0 || start < 0 || length < 0 || start > end || length > end - start)
                throw Error("zip directory", "lies outside the file; the file is damaged, download or save it again.");
            return (count, start, start + length);
        }
        throw Error("zip directory", "is missing; the file is cut short, download or save it again.");
    }

    private (long Count, long Length, long Start, long End) FindDirectory64(long end)
    {
        if (end >= 20 && _file.Span(end - 20, 20) is var locator && U32(locator, 0) == Locator64 && I64(locator, 8) is var at and >= 0 && at <= end - 76
            && _file.Span(at, 56) is var end64 && U32(end64, 0) == End64)
            return (I64(end64, 32), I64(end64, 40), I64(end64, 48), at);
        throw Error("zip directory", "lacks its 64-bit record; the file is damaged, download or save it again.");
    }

    private ZipEntry ReadEntry(ref long at, long start, long stop)
    {
        const int size = 46;
        var x = stop - at < size ? default : _file.Span(at, size);
        if (x.IsEmpty || U32(x, 0) != Central) throw Error("zip directory", "has fewer entries than it says; the file is damaged.");
        var (flags, method, nameLength, extraLength) = (U16(x, 8), U16(x, 10), U16(x, 28), U16(x, 30));
        var (packed, length, local) = ((long)U32(x, 20), (long)U32(x, 24), (long)U32(x, 42));
        if (stop - at - size < nameLength + extraLength + U16(x, 32)) throw Error("zip directory", "is cut short; the file is damaged.");
        var nameBytes = _file.Span(at + size, nameLength);
        var name = Encoding.UTF8.GetString(nameBytes);
        ReadExtra(_file.Span(at + size + nameLength, extraLength), ref length, ref packed, ref local);
        at += size + nameLength + extraLength + U16(x, 32);

        if ((flags & 1) != 0) throw Error(name, "is encrypted; save it again without a password.");
        if (method is not (0 or 8))
            throw Error(name, $"is packed by method {method}; only stored and deflated entries are read, save it again with torch.save.");
        const int localSize = 30;
        var y = local < 0 || local > start - localSize ? default : _file.Span(local, localSize);
        if (y.IsEmpty || U32(y, 0) != Local) throw Error(name, "its header is not where the archive says; the file is damaged.");
        var data = local + localSize + U16(y, 26) + U16(y, 28);
        if (packed < 0 || length < 0 || data > start || packed > start - data) throw Error(name, "reaches outside the file; the file is cut short or damaged.");
        if (!_file.Span(local + localSize, U16(y, 26)).SequenceEqual(nameBytes)) throw Error(name, "has another name in its own header; the file is damaged.");
        if (method == 0 ? packed != length : length / MaxRatio > packed) throw Error(name, $"claims {length} bytes from {packed}; the file is damaged.");
        return new(name, data, packed, length, method == 8);
    }

    // Extra field 1 holds in 64 bits, and in this order, what did not fit 32.
    private static void ReadExtra(ReadOnlySpan<byte> extra, ref long length, ref long packed, ref long local)
    {
        for (; extra.Length >= 4 && 4 + U16(extra, 2) is var size && size <= extra.Length; extra = extra[size..])
        {
            if (U16(extra, 0) != 1) continue;
            var wide = extra[4..size];
            Take(ref wide, ref length);
            Take(ref wide, ref packed);
            Take(ref wide, ref local);
        }

        static void Take(ref ReadOnlySpan<byte> wide, ref long value)
        {
            if (value != uint.MaxValue || wide.Length < 8) return;
            value = I64(wide, 0);
            wide = wide[8..];
        }
    }

    private static int U16(ReadOnlySpan<byte> x, int at) => BinaryPrimitives.ReadUInt16LittleEndian(x[at..]);

    private static uint U32(ReadOnlySpan<byte> x, int at) => BinaryPrimitives.ReadUInt32LittleEndian(x[at..]);

    private static long I64(ReadOnlySpan<byte> x, int at) => BinaryPrimitives.ReadInt64LittleEndian(x[at..]);

    private CheckpointException Error(string field, string message, Exception? inner = null) => new(_file.Path, field, message, inner);
}
