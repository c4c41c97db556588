using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace NanoLora.Nn;

/// <summary>A tensor to be written: its bytes are asked for when their turn comes, so a model is never in memory twice.</summary>
/// <param name="Name">The name in the file; not <c>__metadata__</c>.</param>
/// <param name="DType">What the elements are.</param>
/// <param name="Shape">Lengths of the axes, slowest first; empty for a scalar.</param>
/// <param name="WriteTo">Writes all elements, contiguous, row-major and little-endian, and no byte more.</param>
public sealed record TensorSource(string Name, FileDType DType, IReadOnlyList<long> Shape, Action<Stream> WriteTo)
{
    /// <summary>A tensor of bytes that are in memory already.</summary>
    public TensorSource(string name, FileDType dtype, IReadOnlyList<long> shape, ReadOnlyMemory<byte> bytes)
        : this(name, dtype, shape, stream => stream.Write(bytes.Span)) { }

    /// <summary>A float32 tensor.</summary>
    public TensorSource(string name, IReadOnlyList<long> shape, ReadOnlyMemory<float> values)
        : this(name, FileDType.F32, shape, stream => stream.Write(MemoryMarshal.AsBytes(values.Span))) { }
}

/// <summary>
/// Writes safetensors files as the reference library does, byte for byte: wide types first, then by name, so that every tensor is aligned to its element;
/// the header is padded with spaces to a multiple of 8.
/// </summary>
public static class SafetensorsWriter
{
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>
    /// Writes <paramref name="tensors"/> and <paramref name="metadata"/> to <paramref name="path"/>: under a temporary name,
    /// flushed to disk, then renamed.
    /// </summary>
    /// <exception cref="CheckpointException">
    /// A tensor is not what it says, a name is there twice, or the file cannot be written; a file that was there stays as it was.
    /// </exception>
    public static void Write(string path, IReadOnlyList<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        AtomicFile.Write(path, Content(path, tensors, metadata));
    }

    /// <summary>The content of a file as <see cref="Write"/> writes it: checked now, written when it is asked for.</summary>
    internal static Action<Stream> Content(string path, IReadOnlyList<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var planned = Plan(path, tensors);
        var header = Header(path, planned, metadata);
        return stream =>
        {
            stream.Write(header);
            foreach (var (source, _, length) in planned)
            {
                var begin = stream.Position;
                source.WriteTo(stream);
                if (stream.Position - begin != length)
                    throw new CheckpointException(path, source.Name,
                        $"{Describe(source)} has {length} bytes, {stream.Position - begin} were written; write exactly its elements.");
            }
        };
    }

    private static List<(TensorSource Source, byte[] Name, long Length)> Plan(string path, IReadOnlyList<TensorSource> tensors)
    {
        var planned = new List<(TensorSource Source, byte[] Name, long Length)>(tensors.Count);
        var names = new HashSet<string>(StringComparer.Ordinal);
        var total = 0L;
        foreach (var source in tensors)
        {
            if (!names.Add(source.Name)) throw new CheckpointException(path, source.Name, "two tensors have this name; rename one.");
            if (source.Name == "__metadata__") throw new CheckpointException(path, source.Name, "the format keeps this name for itself; rename the tensor.");
            var count = FileDTypes.Count([.. source.Shape]);
            var length = count < 0 ? -1 : source.DType.Bytes(count);
            if (length < 0 || length > long.MaxValue - total)
                throw new CheckpointException(path, source.Name, $"{Describe(source)} has no size in whole bytes below 2^63; check the shape.");
            total += length;
            planned.Add((source, Encode(path, source.Name, source.Name), length));
        }
        planned.Sort(static (a, b) => a.Source.DType != b.Source.DType ? b.Source.DType.CompareTo(a.Source.DType) : a.Name.AsSpan().SequenceCompareTo(b.Name));
        return planned;
    }

    private static byte[] Header(string path, List<(TensorSource Source, byte[] Name, long Length)> planned, IReadOnlyDictionary<string, string>? metadata)
    {
        var json = new StringBuilder("{");
        if (metadata is { Count: > 0 })
        {
            json.Append("\"__metadata__\":{");
            foreach (var (key, value) in metadata.OrderBy(static p => p.Key, StringComparer.Ordinal)) Quote(Quote(json, key).Append(':'), value).Append(',');
            json[^1] = '}';
            json.Append(',');
        }
        var at = 0L;
        foreach (var (source, _, length) in planned)
        {
            Quote(json, source.Name).Append($":{{\"dtype\":\"{source.DType.FileName()}\",\"shape\":[").AppendJoin(',', source.Shape);
            json.Append($"],\"data_offsets\":[{at},");
            json.Append($"{at += length}]}},");
        }
        if (json.Length > 1) json.Length--;   // the last comma
        json.Append('}');
        return Framed(path, Encode(path, "metadata", json.ToString()));
    }

    // length, JSON, spaces to a multiple of 8
    private static byte[] Framed(string path, byte[] json)
    {
        var length = (json.Length + 7) & ~7;
        if (length > FileKind.MaxHeader)
            throw new CheckpointException(path,
                "header", $"{length} bytes are above the format's limit of {FileKind.MaxHeader}; write fewer tensors or less metadata.");
        var header = new byte[8 + length];
        BinaryPrimitives.WriteInt64LittleEndian(header, length);
        json.CopyTo(header, 8);
        header.AsSpan(8 + json.Length).Fill((byte)' ');
        return header;
    }

    // Only what JSON demands is escaped, as in the reference library.
    private static StringBuilder Quote(StringBuilder json, string text)
    {
        json.Append('"');
        foreach (var c in text)
            _ = c switch
            {
                '"' or '\\' => json.Append('\\').Append(c),
                '\b' => json.Append("\\b"),
                '\f' => json.Append("\\f"),
                '\n' => json.Append("\\n"),
                '\r' => json.Append("\\r"),
                '\t' => json.Append("\\t"),
                < ' ' => json.Append($"\\u{(int)c:x4}"),
                _ => json.Append(c),
            };
        return json.Append('"');
    }

    private static byte[] Encode(string path, string field, string text)
    {
        try { return Utf8.GetBytes(text); }
        catch (EncoderFallbackException e) { throw new CheckpointException(path, field, "is no valid Unicode; write another text.", e); }
    }

    private static string Describe(TensorSource source) => $"{source.DType.FileName()} [{string.Join(", ", source.Shape)}]";
}
