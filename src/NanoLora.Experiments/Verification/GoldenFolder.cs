using System.Globalization;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>A folder of golden vectors: golden.json says what they are, golden.safetensors holds the tensors.</summary>
public sealed class GoldenFolder : IDisposable
{
    private readonly JsonDocument _json;
    private Checkpoint? _tensors;

    /// <summary>Reads golden.json; the tensors are opened when the first is asked for.</summary>
    /// <exception cref="GoldenException">No folder, no golden.json, or no valid JSON object in it.</exception>
    public GoldenFolder(string path)
    {
        (Path, Name) = (path, System.IO.Path.GetFileName(System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(path))));
        if (!Directory.Exists(path)) throw new GoldenException(path, "folder", "does not exist; give the path of a folder of golden vectors.");
        if (!File.Exists(JsonPath)) throw new GoldenException(JsonPath, "file", "is missing; give a folder that has a golden.json, or one of such folders.");
        try
        {
            _json = JsonDocument.Parse(File.ReadAllBytes(JsonPath));
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new GoldenException(JsonPath, "file", $"cannot be read as JSON; copy it again. ({e.Message})", e);
        }
        if (Root.ValueKind == JsonValueKind.Object) return;
        _json.Dispose();
        throw new GoldenException(JsonPath, "file", "is no JSON object; copy it again.");
    }

    /// <summary>Where it is.</summary>
    public string Path { get; }

    /// <summary>The folder's own name.</summary>
    public string Name { get; }

    /// <summary>What golden.json says.</summary>
    public JsonElement Root => _json.RootElement;

    /// <summary>golden.safetensors.</summary>
    /// <exception cref="GoldenException">It is missing or damaged.</exception>
    public Checkpoint Tensors
    {
        get
        {
            if (_tensors is not null) return _tensors;
            if (!File.Exists(TensorPath)) throw new GoldenException(TensorPath, "file", "is missing; copy it to its golden.json.");
            try { return _tensors = Checkpoint.Open(TensorPath); }
            catch (CheckpointException e)
            {
                throw new GoldenException(TensorPath, e.Field, e.Message.Replace($"{e.Path}: {e.Field}: ", "", StringComparison.Ordinal), e);
            }
        }
    }

    private string JsonPath => System.IO.Path.Combine(Path, "golden.json");

    private string TensorPath => System.IO.Path.Combine(Path, "golden.safetensors");

    /// <summary>Whether golden.json has this field at the top, of this kind.</summary>
    public bool Has(string name, JsonValueKind kind) => Root.TryGetProperty(name, out var value) && value.ValueKind == kind;

    /// <summary>A field of golden.json that must be there, of the given kind; <paramref name="where"/> is how an error names its parent.</summary>
    public JsonElement Field(JsonElement parent, string name, JsonValueKind kind, string where = "")
    {
        if (parent.ValueKind != JsonValueKind.Object || !parent.TryGetProperty(name, out var value)) throw Error($"{where}{name}", "is missing.");
        return value.ValueKind == kind ? value : throw Error($"{where}{name}", $"is {value.ValueKind} where {kind} is expected.");
    }

    /// <summary>Whether golden.safetensors has a tensor of this name.</summary>
    public bool Holds(string tensor) => Tensors.TryGet(tensor, out _);

    /// <summary>The shape of a tensor in golden.safetensors.</summary>
    public Shape ShapeOf(string tensor)
    {
        var axes = Entry(tensor).Shape;
        Span<int> sizes = stackalloc int[axes.Length];
        for (var i = 0; i < sizes.Length; i++) sizes[i] = checked((int)axes[i]);
        return new Shape(sizes);
    }

    /// <summary>A tensor's values, widened to floats.</summary>
    public float[] Floats(string tensor)
    {
        var entry = Entry(tensor);
        var values = new float[entry.Count];
        Tensors.CopyTo(entry, values);
        return values;
    }

    /// <summary>A tensor of integers.</summary>
    public int[] Ints(string tensor) => Array.ConvertAll(Tensors.ReadInt64(Entry(tensor)), static i => checked((int)i));

    /// <summary>A tensor's bytes as they are in the file.</summary>
    public byte[] Bytes(string tensor) => Tensors.Bytes(Entry(tensor)).ToArray();

    /// <summary>Whether a tensor holds floats; otherwise integers or truth values.</summary>
    public bool IsFloat(string tensor) =>
        Entry(tensor).DType is FileDType.F64 or FileDType.F32 or FileDType.F16 or FileDType.BF16 or FileDType.F8E4M3 or FileDType.F8E5M2;

    /// <summary>A tensor of golden.safetensors in a workspace: floats as F32, integers as I32.</summary>
    public Tensor Load(Workspace workspace, string tensor) => IsFloat(tensor)
        ? workspace.From(Floats(tensor), ShapeOf(tensor))
        : workspace.From(Ints(tensor), ShapeOf(tensor));

    /// <summary>An error in golden.json.</summary>
    public GoldenException Error(string field, string message) => new(JsonPath, field, message);

    /// <inheritdoc/>
    public void Dispose()
    {
        _tensors?.Dispose();
        _json.Dispose();
    }

    private TensorEntry Entry(string tensor) =>
        Tensors.TryGet(tensor, out var entry)
            ? entry
            : throw new GoldenException(TensorPath, tensor, "no such tensor in the file, though golden.json speaks of it; copy both files again.");
}

/// <summary>Golden vectors that cannot be used: the message names the file, the field and what to do.</summary>
public sealed class GoldenException(string path, string field, string message, Exception? inner = null)
    : Exception(string.Create(CultureInfo.InvariantCulture, $"{path}: {field}: {message}"), inner)
{
    /// <summary>The file or folder.</summary>
    public string Path { get; } = path;

    /// <summary>The field or tensor.</summary>
    public string Field { get; } = field;
}
