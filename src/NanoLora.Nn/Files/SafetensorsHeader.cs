using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Unicode;

namespace NanoLora.Nn;

// length (8 bytes, little-endian) | header: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...} | data
//
// What holds when Parse returns: the header is UTF-8 and one JSON object without double names; every shape times its dtype is exactly end - begin;
// sorted by begin, the tensors cover the data from its first byte to the last byte of the file, without hole or overlap.

/// <summary>The checked header of a safetensors file.</summary>
internal readonly record struct SafetensorsHeader(List<TensorEntry> Entries, Dictionary<string, string> Metadata)
{
    private const int MaxDepth = 8;   // 3 are needed; what lies in unknown fields may go a little deeper

    /// <summary>Reads and checks the header; any fault is a <see cref="CheckpointException"/>.</summary>
    public static SafetensorsHeader Parse(MappedFile file)
    {
        var length = HeaderLength(file);
        var json = file.Span(8, (int)length);
        if (!Utf8.IsValid(json)) throw new CheckpointException(file.Path, "header", "is not UTF-8; the file is damaged, download or save it again.");
        var parser = new Parser(file.Path, 8 + length, file.Length);
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
            return parser.Header(ref reader);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)   // InvalidOperation: an escaped lone surrogate
        {
            throw new CheckpointException(file.Path, parser.Field, $"is no valid JSON; the file is damaged, download or save it again. ({e.Message})", e);
        }
    }

    private static long HeaderLength(MappedFile file)
    {
        var head = file.Head(FileKind.Bytes);
        var foreign = FileKind.IsSafetensors(head) ? null
            : FileKind.IsZip(head) ? "this is a zip archive (torch.save, or NumPy's npz), not safetensors; open it with Checkpoint.Open."
            : FileKind.Foreign(head);
        if (foreign is not null) throw new CheckpointException(file.Path, "file", foreign);
        if (head.Length < 8)
            throw Wrong($"the file has {head.Length} bytes, fewer than the 8 of the length; download or save it again.");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(head);
        if (length > FileKind.MaxHeader)
            throw Wrong($"{length} is above the limit of {FileKind.MaxHeader}; this is neither safetensors nor PyTorch, or its beginning is damaged.");
        if ((long)length > file.Length - 8)
            throw Wrong($"{length} bytes are said, {file.Length - 8} follow; the file is cut short, download or save it again.");
        if (length < 2 || head[8] != '{')
            throw new CheckpointException(file.Path, "header", "does not begin with '{'; this is no safetensors file, or its beginning is damaged.");
        return (long)length;

        CheckpointException Wrong(string message) => new(file.Path, "header length", message);
    }

    // Reads the JSON token by token; Field is where it is, for errors.
    private sealed class Parser(string path, long dataStart, long fileLength)
    {
        public string Field { get; private set; } = "header";

        public SafetensorsHeader Header(ref Utf8JsonReader json)
        {
            var entries = new List<TensorEntry>();
            var names = new HashSet<string>(StringComparer.Ordinal);
            Dictionary<string, string>? metadata = null;
            json.Read();   // the brace, seen by HeaderLength
            while (NextName(ref json, out var name))
            {
                Field = name;
                if (!names.Add(name)) throw Error("the header has this name twice; save the file again with one of them.");
                if (name == "__metadata__") metadata = Metadata(ref json);
                else entries.Add(Entry(ref json, name));
            }
            Field = "header";
            json.Read();   // nothing but white space may follow; Read throws at anything else
            CheckCover(entries);
            return new(entries, metadata ?? []);
        }

        private Dictionary<string, string> Metadata(ref Utf8JsonReader json)
        {
            var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
            Expect(ref json, JsonTokenType.StartObject, "must be an object of texts");
            while (NextName(ref json, out var key))
            {
                Expect(ref json, JsonTokenType.String, $"the value of \"{key}\" must be a text");
                if (!metadata.TryAdd(key, json.GetString()!)) throw Error($"has \"{key}\" twice; save the file again with one of them.");
            }
            return metadata;
        }

        private TensorEntry Entry(ref Utf8JsonReader json, string name)
        {
            FileDType? dtype = null;
            ImmutableArray<long>? shape = null, offsets = null;
            Expect(ref json, JsonTokenType.StartObject, "must be an object with dtype, shape and data_offsets");
            while (NextName(ref json, out var field))
            {
                switch (field)
                {
                    case "dtype" when dtype is null:
                        Expect(ref json, JsonTokenType.String, "dtype must be a text");
                        var text = json.GetString()!;
                        if (!FileDTypes.TryParse(text, out var type))
                            throw Error($"dtype \"{text[..Math.Min(text.Length, 40)]}\" is not one of safetensors; save the tensor as F32, F16 or BF16.");
                        dtype = type;
                        break;
                    case "shape" when shape is null: shape = Integers(ref json, "shape"); break;
                    case "data_offsets" when offsets is null: offsets = Integers(ref json, "data_offsets"); break;
                    case "dtype" or "shape" or "data_offsets": throw Error($"has {field} twice; the file is damaged.");
                    default: json.Skip(); break;   // as the reference library does
                }
            }
            if (dtype is null || shape is null || offsets is null)
                throw Error($"lacks {(dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets")}; the file is damaged.");
            return Checked(name, dtype.Value, shape.Value, offsets.Value.AsSpan());
        }

        private TensorEntry Checked(string name, FileDType dtype, ImmutableArray<long> shape, ReadOnlySpan<long> offsets)
        {
            var what = $"{dtype.FileName()} [{string.Join(", ", shape)}]";
            if (offsets.Length != 2) throw Error($"data_offsets has {offsets.Length} numbers, not 2; the file is damaged.");
            var (begin, end) = (offsets[0], offsets[1]);
            if (begin > end || end > fileLength - dataStart)
                throw Error($"data_offsets [{begin}, {end}] leave the {fileLength - dataStart} bytes of data; the file is cut short, download it again.");
            var count = FileDTypes.Count(shape.AsSpan());
            if (count < 0) throw Error($"{what} has more elements than 63 bits count; the file is damaged.");
            var bytes = dtype.Bytes(count);
            if (bytes != end - begin) throw Error($"{what} does not fit data_offsets [{begin}, {end}] of {end - begin} bytes; the file is damaged.");
            return new(name, dtype, shape, dataStart + begin, bytes);
        }

        private ImmutableArray<long> Integers(ref Utf8JsonReader json, string field)
        {
            var values = ImmutableArray.CreateBuilder<long>();
            Expect(ref json, JsonTokenType.StartArray, $"{field} must be a list of integers");
            while (json.Read() && json.TokenType != JsonTokenType.EndArray)
            {
                if (json.TokenType != JsonTokenType.Number || !json.TryGetInt64(out var value) || value < 0)
                    throw Error($"{field} must hold integers from 0 to 2^63 - 1; the file is damaged.");
                values.Add(value);
            }
            return values.DrainToImmutable();
        }

        private void CheckCover(List<TensorEntry> entries)
        {
            var at = dataStart;
            foreach (var entry in entries.OrderBy(static e => e.Offset).ThenBy(static e => e.Length))
            {
                Field = entry.Name;
                if (entry.Offset < at) throw Error("its bytes belong to another tensor too; the file is damaged.");
                if (entry.Offset > at) throw Error($"{entry.Offset - at} bytes before it belong to no tensor; the file is damaged.");
                at += entry.Length;
            }
            Field = "data";
            if (at != fileLength) throw Error($"{fileLength - at} bytes at the end belong to no tensor; the file is damaged or was appended to.");
        }

        private static bool NextName(ref Utf8JsonReader json, out string name)
        {
            name = json.Read() && json.TokenType == JsonTokenType.PropertyName ? json.GetString()! : "";
            return json.TokenType == JsonTokenType.PropertyName;
        }

        private void Expect(ref Utf8JsonReader json, JsonTokenType token, string message)
        {
            json.Read();
            if (json.TokenType != token) throw Error($"{message}; the file is damaged.");
        }

        private CheckpointException Error(string message) => new(path, Field, message);
    }
}
