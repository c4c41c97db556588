using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// An object within a config.json, which nobody vouches for: every field is asked for by name, kind and range, and an error names the file and the field.
/// </summary>
internal readonly struct ConfigNode
{
    private const int MaxBytes = 1 << 24;

    private readonly JsonElement _object;
    private readonly string _prefix;

    private ConfigNode(string path, string prefix, JsonElement element) => (Path, _prefix, _object) = (path, prefix, element);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The object as it stands.</summary>
    public JsonElement Json => _object;

    /// <summary>Reads a config.json.</summary>
    /// <exception cref="CheckpointException">It is missing, too large, or no JSON object.</exception>
    public static ConfigNode Read(string path)
    {
        if (!File.Exists(path)) throw new CheckpointException(path, "file", "there is no such file; the config must stand beside the weights.");
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
                throw new CheckpointException(path, "file", $"a config of more than {MaxBytes} bytes is none; check the file.");
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return Of(path, document.RootElement.Clone());
        }
        catch (Exception e) when (e is JsonException or UnauthorizedAccessException || (e is IOException and not CheckpointException))
        {
            throw new CheckpointException(path, "file", $"it cannot be read as JSON: {e.Message}", e);
        }
    }

    /// <summary>An object that was read already.</summary>
    public static ConfigNode Of(string path, JsonElement element) =>
        element.ValueKind == JsonValueKind.Object ? new(path, "", element) : throw new CheckpointException(path, "file", "it is no JSON object.");

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>Whether the field is there and says null.</summary>
    public bool IsNull(string name) => _object.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Null;

    /// <summary>An object within this one; an empty one if it is not there.</summary>
    public ConfigNode Sub(string name)
    {
        if (Find(name) is not { } value) return new(Path, $"{_prefix}{name}.", EmptyObject);
        return value.ValueKind == JsonValueKind.Object ? new(Path, $"{_prefix}{name}.", value)
            : throw Error(name, $"it is {value.ValueKind} where an object is expected.");
    }

    /// <summary>A whole number within a range.</summary>
    public int Int(string name, int? fallback = null, int min = 1, int max = 1 << 24)
    {
        if (Find(name) is not { } value) return fallback ?? throw Missing(name);
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out var number) || number < min || number > max)
            throw Error(name, $"it is {Quote(value)}; a whole number from {min} to {max} is expected.");
        return number;
    }

    /// <summary>A number.</summary>
    public float Float(string name, float? fallback = null)
    {
        if (Find(name) is not { } value) return fallback ?? throw Missing(name);
        return value.ValueKind == JsonValueKind.Number && value.TryGetSingle(out var number) && float.IsFinite(number) ? number
            : throw Error(name, $"it is {Quote(value)}; a number is expected.");
    }

    /// <summary>True or false.</summary>
    public bool Bool(string name, bool fallback) => Find(name) is not { } value ? fallback
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
            : throw Error(name, $"it is {Quote(value)}; true or false is expected.");

    /// <summary>A text.</summary>
    public string Text(string name, string? fallback = null)
    {
        if (Find(name) is not { } value) return fallback ?? throw Missing(name);
        return value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Error(name, $"it is {Quote(value)}; a text is expected.");
    }

    /// <summary>One size for both axes, or [rows, columns].</summary>
    public (int Rows, int Columns) Size(string name, int? fallback = null)
    {
        if (Find(name) is not { ValueKind: JsonValueKind.Array } value) return Int(name, fallback, max: 1 << 16) is var side ? (side, side) : default;
        if (value.GetArrayLength() == 2 && Side(value[0]) is { } rows && Side(value[1]) is { } columns) return (rows, columns);
        throw Error(name, $"it is {Quote(value)}; a size or two are expected.");

        static int? Side(JsonElement e) => e.ValueKind == JsonValueKind.Number && e.TryGetInt32(out var n) && n is > 0 and <= 1 << 16 ? n : null;
    }

    /// <summary>A list of numbers, or null.</summary>
    public float[]? Floats(string name)
    {
        if (Find(name) is not { } value) return null;
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > 64) throw Error(name, $"it is {Quote(value)}; a list of numbers is expected.");
        var numbers = new float[value.GetArrayLength()];
        for (var i = 0; i < numbers.Length; i++)
        {
            if (value[i].ValueKind != JsonValueKind.Number || !value[i].TryGetSingle(out numbers[i]))
                throw Error(name, $"it is {Quote(value)}; a list of numbers is expected.");
        }
        return numbers;
    }

    /// <summary>A list of whole numbers from 0 on, or null.</summary>
    public int[]? Ints(string name, int most)
    {
        if (Find(name) is not { } value) return null;
        var numbers = List(name, value, most, static e => e.ValueKind == JsonValueKind.Number && e.TryGetInt32(out var n) && n >= 0 ? n : -1);
        return Array.TrueForAll(numbers, static n => n >= 0) ? numbers : throw Error(name, $"it is {Quote(value)}; a list of whole numbers is expected.");
    }

    /// <summary>A list of texts, or null.</summary>
    public string[]? Texts(string name, int most)
    {
        if (Find(name) is not { } value) return null;
        var texts = List(name, value, most, static e => e.ValueKind == JsonValueKind.String ? e.GetString()! : "");
        return Array.TrueForAll(texts, static t => t.Length > 0) ? texts : throw Error(name, $"it is {Quote(value)}; a list of texts is expected.");
    }

    private T[] List<T>(string name, JsonElement value, int most, Func<JsonElement, T> item) =>
        value.ValueKind == JsonValueKind.Array && value.GetArrayLength() <= most ? [.. value.EnumerateArray().Select(item)]
            : throw Error(name, $"it is {Quote(value)}; a list of {most} at most is expected.");

    /// <summary>The names in id2label, in the order of their numbers; none if there are none.</summary>
    /// <exception cref="CheckpointException">The numbers are not those from 0 on.</exception>
    public string[] Labels()
    {
        var given = Sub("id2label")._object;
        var labels = new string?[given.EnumerateObject().Count()];
        foreach (var pair in given.EnumerateObject())
        {
            if (!int.TryParse(pair.Name, out var id) || id < 0 || id >= labels.Length || labels[id] is not null || pair.Value.ValueKind != JsonValueKind.String)
                throw Error("id2label", $"its entry \"{pair.Name}\" is not one text for each of the numbers from 0 to {labels.Length - 1}.");
            labels[id] = pair.Value.GetString();
        }
        return labels!;
    }

    /// <summary>The names of all fields that are not null.</summary>
    public IEnumerable<string> Fields() => _object.EnumerateObject().Where(static p => p.Value.ValueKind != JsonValueKind.Null).Select(static p => p.Name);

    /// <summary>An error about a field of this object.</summary>
    public CheckpointException Error(string name, string message, Exception? inner = null) => new(Path, _prefix + name, message, inner);

    private static JsonElement EmptyObject { get; } = JsonDocument.Parse("{}").RootElement.Clone();

    private JsonElement? Find(string name) => _object.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private CheckpointException Missing(string name) => Error(name, "it is missing; give the config that belongs to the weights.");

    private static string Quote(JsonElement value) => value.GetRawText() is { Length: > 60 } long_ ? long_[..60] + "…" : value.GetRawText();
}
