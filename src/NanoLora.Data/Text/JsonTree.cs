using System.Text.Json;

namespace NanoLora.Data;

/// <summary>A value within a JSON file that nobody vouches for, and how errors name it: what is asked for and is not there is refused by name.</summary>
internal readonly struct JsonTree(string source, string name, JsonElement value)
{
    private const int MaxBytes = 1 << 28;

    /// <summary>Reads a file.</summary>
    /// <exception cref="InvalidDataException">It is too large, or no JSON.</exception>
    public static JsonTree Read(string path)
    {
        if (new FileInfo(path).Length > MaxBytes)
            throw new InvalidDataException($"{path}: a tokenizer of more than {MaxBytes} bytes is none; check the file.");
        return Parse(path, File.ReadAllBytes(path));
    }

    /// <summary>Reads bytes.</summary>
    /// <exception cref="InvalidDataException">They are no JSON.</exception>
    public static JsonTree Parse(string source, ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Span.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF])) bytes = bytes[3..];
        try { return new(source, "", JsonElement.Parse(bytes.Span)); }
        catch (JsonException e) { throw new InvalidDataException($"{source}: it cannot be read as JSON; copy it again. ({e.Message})", e); }
    }

    /// <summary>How errors name it.</summary>
    public string Source => name.Length > 0 ? $"{source}: {name}" : source;

    /// <summary>What kind of value it is.</summary>
    public JsonValueKind Kind => value.ValueKind;

    /// <summary>The value itself.</summary>
    public JsonElement Element => value;

    /// <summary>A field that must be there.</summary>
    public JsonTree this[string field] => Find(field) ?? throw new InvalidDataException($"{source}: {Name(field)} is missing; copy the file again.");

    /// <summary>A field, or null if it is missing or null.</summary>
    public JsonTree? Find(string field) => value.ValueKind != JsonValueKind.Object ? throw Error("an object is expected")
        : value.TryGetProperty(field, out var found) && found.ValueKind != JsonValueKind.Null ? new(source, Name(field), found) : null;

    /// <summary>The elements of a list.</summary>
    public IEnumerable<JsonTree> Items()
    {
        if (value.ValueKind != JsonValueKind.Array) throw Error("a list is expected");
        var (path, prefix, i) = (source, name, 0);
        return value.EnumerateArray().Select(item => new JsonTree(path, $"{prefix}[{i++}]", item));
    }

    /// <summary>The fields of an object.</summary>
    public IEnumerable<(string Name, JsonTree Value)> Fields()
    {
        if (value.ValueKind != JsonValueKind.Object) throw Error("an object is expected");
        var tree = this;
        return value.EnumerateObject().Select(field => (tree.Guarded(() => field.Name), new JsonTree(tree.Source, field.Name, field.Value)));
    }

    /// <summary>A text.</summary>
    public string Text()
    {
        var element = value;
        return value.ValueKind == JsonValueKind.String ? Guarded(() => element.GetString()!) : throw Error("a text is expected");
    }

    /// <summary>A text that is one character, as a code point.</summary>
    public int Character() => CodePoints.Of(Text()) is [var point] ? point : throw Error("one character is expected");

    /// <summary>A whole number that is not negative.</summary>
    public int Int() => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= 0 ? number
        : throw Error("a whole number from 0 on is expected");

    /// <summary>A number.</summary>
    public double Number() => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number) ? number
        : throw Error("a number is expected");

    /// <summary>True or false.</summary>
    public bool Bool() => value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Error("true or false is expected");

    /// <summary>A field that is true or false, or a default.</summary>
    public bool Bool(string field, bool missing) => Find(field)?.Bool() ?? missing;

    /// <summary>A field that is a text, or a default.</summary>
    public string Text(string field, string missing) => Find(field)?.Text() ?? missing;

    /// <summary>A refusal of the value.</summary>
    public InvalidDataException Error(string expected) => new($"{Source}: it is {Quote()}; {expected}.");

    private string Name(string field) => name.Length > 0 ? $"{name}.{field}" : field;

    private string Quote() => value.GetRawText() is { Length: > 60 } text ? text[..60] + "…" : value.GetRawText();

    // Half a surrogate pair, written as an escape, is found only when the text is asked for.
    private T Guarded<T>(Func<T> read)
    {
        try { return read(); }
        catch (InvalidOperationException e) { throw new InvalidDataException($"{Source}: it has half a surrogate pair; copy the file again.", e); }
    }
}
