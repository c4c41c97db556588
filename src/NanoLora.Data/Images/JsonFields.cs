using System.Text.Json;

namespace NanoLora.Data;

/// <summary>An object in a JSON file that nobody vouches for: each field is asked for by name, kind and range, and an error names file and field.</summary>
internal readonly struct JsonFields
{
    private const int MaxBytes = 1 << 24;

    private readonly string _path, _prefix;
    private readonly JsonElement _object;

    private JsonFields(string path, string prefix, JsonElement element) => (_path, _prefix, _object) = (path, prefix, element);

    /// <summary>Reads a file.</summary>
    /// <exception cref="InvalidDataException">It is too large, or no JSON object.</exception>
    public static JsonFields Read(string path)
    {
        if (new FileInfo(path).Length > MaxBytes) throw new InvalidDataException($"{path}: a config of more than {MaxBytes} bytes is none; check the file.");
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind == JsonValueKind.Object) return new(path, "", document.RootElement.Clone());
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: it cannot be read as JSON; copy it again. ({e.Message})", e);
        }
        throw new InvalidDataException($"{path}: it is no JSON object; copy it again.");
    }

    /// <summary>The names of the fields that are neither null nor false.</summary>
    public IEnumerable<string> Names() =>
        _object.EnumerateObject().Where(static p => p.Value.ValueKind is not (JsonValueKind.Null or JsonValueKind.False)).Select(static p => p.Name);

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>Whether the field is an object.</summary>
    public bool HasObject(string name) => Find(name) is { ValueKind: JsonValueKind.Object };

    /// <summary>An object within this one.</summary>
    public JsonFields Sub(string name) =>
        Find(name) is { ValueKind: JsonValueKind.Object } value ? new(_path, $"{_prefix}{name}.", value) : throw Error(name, "an object is expected.");

    /// <summary>A whole number within a range.</summary>
    public int Int(string name, int min, int max)
    {
        if (Find(name) is { ValueKind: JsonValueKind.Number } value && value.TryGetDouble(out var number) && number >= min && number <= max
            && number == Math.Floor(number))
            return (int)number;
        throw Error(name, $"{Quote(name)}; a whole number from {min} to {max} is expected.");
    }

    /// <summary>A number.</summary>
    public double Number(string name, double fallback)
    {
        if (Find(name) is not { } value) return fallback;
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number) ? number
            : throw Error(name, $"{Quote(name)}; a number is expected.");
    }

    /// <summary>True or false.</summary>
    public bool Bool(string name, bool fallback) => Find(name) is not { } value ? fallback
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Error(name, $"{Quote(name)}; true or false is expected.");

    /// <summary>A text.</summary>
    public string? Text(string name) => Find(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Error(name, $"{Quote(name)}; a text is expected.");

    /// <summary>A list of at most so many numbers, or one that stands for a list of one; null if there is none.</summary>
    public float[]? Floats(string name, int most)
    {
        if (Find(name) is not { } value) return null;
        JsonElement[] list = value.ValueKind == JsonValueKind.Array && value.GetArrayLength() <= most ? [.. value.EnumerateArray()] : [value];
        var numbers = new float[list.Length];
        for (var i = 0; i < numbers.Length; i++)
        {
            if (list[i].ValueKind != JsonValueKind.Number || !list[i].TryGetSingle(out numbers[i]) || !float.IsFinite(numbers[i]))
                throw Error(name, $"{Quote(name)}; at most {most} numbers are expected.");
        }
        return numbers;
    }

    /// <summary>An error about a field.</summary>
    public InvalidDataException Error(string name, string message, Exception? inner = null) => new($"{_path}: {_prefix}{name}: {message}", inner);

    private JsonElement? Find(string name) => _object.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private string Quote(string name) => Find(name)?.GetRawText() switch
    {
        null => "it is missing",
        { Length: > 60 } text => $"it is {text[..60]}…",
        var text => $"it is {text}",
    };
}
