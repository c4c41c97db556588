using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using NanoLora.Nn;

namespace NanoLora.Experiments;

// How a plan and what a study keeps on the way are written. A field that nobody knows is an error: it is a slip of the pen.
[JsonSourceGenerationOptions(WriteIndented = true, NewLine = "\n", PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, PropertyNameCaseInsensitive = false,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    Converters = [typeof(ShotsJson), typeof(ArmJson), typeof(OverlapsJson), typeof(WeightRows)])]
[JsonSerializable(typeof(StudyPlan))]
[JsonSerializable(typeof(StudyStamp))]
[JsonSerializable(typeof(JobCells))]
[JsonSerializable(typeof(Similarity))]
internal sealed partial class StudyJson : JsonSerializerContext
{
    /// <summary>What is wrong, in the words of a plan: the reader's own speak of types.</summary>
    public static string InWords(JsonException error)
    {
        var message = error.Message.Split(" Path: ")[0];
        if (message.Contains("could not be mapped", StringComparison.Ordinal))
            return $"there is no such field; known are {string.Join(", ", Known(error.Path))}.";
        if (message.Contains("missing required", StringComparison.Ordinal)) return $"missing: {message[(message.LastIndexOf(':') + 1)..].Trim(' ', '.')}.";
        if (!message.Contains("could not be converted to", StringComparison.Ordinal)) return message;
        return message.Contains("Int", StringComparison.Ordinal) ? "a whole number is expected."
            : message.Contains("Double", StringComparison.Ordinal) ? "a number is expected."
            : message.Contains("String", StringComparison.Ordinal) ? "a text is expected." : "a value of another kind is expected.";
    }

    private static IEnumerable<string> Known(string? path)
    {
        var within = path ?? "";
        var type = within.StartsWith("$.modules.", StringComparison.Ordinal) ? (JsonTypeInfo)Default.ModulePlan
            : within.StartsWith("$.settings.", StringComparison.Ordinal) ? Default.ArmSettings
            : within.StartsWith("$.rates", StringComparison.Ordinal) && within.Contains("].", StringComparison.Ordinal) ? Default.RatesOfTasks
            : Default.StudyPlan;
        return type.Properties.Where(p => p.Get is not null || p.Set is not null).Select(p => p.Name);      // not those that are ignored
    }
}

// Whole numbers, or "all".
internal sealed class ShotsJson : JsonConverter<IReadOnlyList<int>>
{
    public override IReadOnlyList<int> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        const string expected = "a list of whole numbers from 1 on, or \"all\", is expected.";
        if (reader.TokenType != JsonTokenType.StartArray) throw new JsonException(expected);
        var shots = new List<int>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType == JsonTokenType.String && reader.GetString() == "all") shots.Add(Cell.AllShots);
            else if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var number) && number > 0) shots.Add(number);
            else throw new JsonException(expected);
        }
        return shots;
    }

    public override void Write(Utf8JsonWriter writer, IReadOnlyList<int> value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (var shots in value)
        {
            if (shots == Cell.AllShots) writer.WriteStringValue("all");
            else writer.WriteNumberValue(shots);
        }
        writer.WriteEndArray();
    }
}

// "Balinese", or { "name": "mine", "images": "photos", "invert": true }, or { "name": "mine", "texts": "mine.csv" }.
internal sealed class TaskSpecJson : JsonConverter<TaskSpec>
{
    public override TaskSpec Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String) return new(Fields.Filled("name", reader.GetString()));
        var fields = new Fields(ref reader, "a task is a name, or an object with name and images or texts", "name", "images", "texts", "invert", "testShare");
        var share = fields.Number("testShare");
        if (share is < 0 or >= 1) throw new JsonException("testShare is not from 0 to below 1.");
        var spec = new TaskSpec(fields.Text("name")!, fields.Text("images"), fields.Flag("invert") ?? false, share, fields.Text("texts"));
        if (spec is { Images: not null, Texts: not null }) throw new JsonException("images and texts do not go together; a task is of one kind.");
        return spec is { Texts: not null, Invert: true } ? throw new JsonException("invert goes with images.") : spec;
    }

    public override void Write(Utf8JsonWriter writer, TaskSpec value, JsonSerializerOptions options)
    {
        if (value.Path is null)
        {
            writer.WriteStringValue(value.Name);
            return;
        }
        writer.WriteStartObject();
        writer.WriteString("name", value.Name);
        writer.WriteString(value.Images is null ? "texts" : "images", value.Path);
        if (value.Invert) writer.WriteBoolean("invert", true);
        if (value.TestShare is { } share) writer.WriteNumber("testShare", share);
        writer.WriteEndObject();
    }
}

// "learned", or { "name": "uniform × 3", "method": "uniform", "scale": 3 }. Scale is a number or "free"; weights are per "matrix", "block" or "model".
internal sealed class ArmJson : JsonConverter<Arm>
{
    private static readonly string[] Methods =
        ["pixel-probe", "linear-probe", "full-finetune", "lora", "uniform", "learned", "best-module", "bag-of-words", "base"];
    private static readonly string[] Sharings = ["matrix", "block", "model"];

    public override Arm Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String) return Named(reader.GetString()!);
        var f = new Fields(ref reader, "an arm is a name, or an object", "name", "label", "method", "scale", "weights", "modules", "from", "rates");
        var name = f.Text("name") ?? throw new JsonException("an arm needs a name.");
        var start = f.Text("method") is { } method ? new Arm(name, (ArmMethod)f.OneOf("method", method, Methods)) { Label = name } : Named(name);
        var arm = start with
        {
            Label = f.Text("label") ?? start.Label,
            Scale = f.Number("scale") ?? start.Scale,
            FreeScale = f.Is("scale", "free", "free") ?? start.FreeScale,
            Sharing = f.Text("weights") is { } sharing ? (Sharing)f.OneOf("weights", sharing, Sharings) : start.Sharing,
            RandomModules = f.Is("modules", "random", "upstream") ?? start.RandomModules,
            FromUniform = f.Is("from", "uniform", "base") ?? start.FromUniform,
            Rates = f.Numbers("rates") is { } rates ? new ShotRates(rates[0], rates[^1]) : start.Rates,
        };
        if (arm.FreeScale && arm.Method != ArmMethod.Learned) throw new JsonException($"arm \"{name}\": only a learned mix can have a free scale.");
        if (arm.FromUniform && arm.Method is not (ArmMethod.Lora or ArmMethod.FullFinetune))
            throw new JsonException($"arm \"{name}\": only lora and full-finetune can start from the uniform mix.");
        if (arm.RandomModules && !arm.UsesModules) throw new JsonException($"arm \"{name}\": it mixes no modules, so they cannot be random.");
        return arm;
    }

    public override void Write(Utf8JsonWriter writer, Arm value, JsonSerializerOptions options)
    {
        if (Arm.Known.Contains(value))
        {
            writer.WriteStringValue(value.Name);
            return;
        }
        writer.WriteStartObject();
        writer.WriteString("name", value.Name);
        writer.WriteString("label", value.Label);
        writer.WriteString("method", Methods[(int)value.Method]);
        if (value.FreeScale) writer.WriteString("scale", "free");
        else if (value.Scale != 1) writer.WriteNumber("scale", value.Scale);
        if (value.Sharing != Sharing.Matrix) writer.WriteString("weights", Sharings[(int)value.Sharing]);
        if (value.RandomModules) writer.WriteString("modules", "random");
        if (value.FromUniform) writer.WriteString("from", "uniform");
        if (value.Rates is { } rates)
        {
            writer.WriteStartArray("rates");
            writer.WriteNumberValue(rates.Few);
            writer.WriteNumberValue(rates.Many);
            writer.WriteEndArray();
        }
        writer.WriteEndObject();
    }

    private static Arm Named(string name) => Arm.Known.FirstOrDefault(a => a.Name == name)
        ?? throw new JsonException($"\"{name}\" is not an arm; known are {string.Join(", ", Arm.Known.Select(a => a.Name))}. Give another one a method.");
}

internal sealed class OverlapsJson : JsonConverter<Overlaps>
{
    public override Overlaps Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType != JsonTokenType.String ? throw new JsonException("\"refuse\" or \"leave-out\" is expected.") : reader.GetString() switch
        {
            "refuse" => Overlaps.Refuse,
            "leave-out" => Overlaps.LeaveOut,
            var other => throw new JsonException($"\"{other}\" is neither \"refuse\" nor \"leave-out\"."),
        };

    public override void Write(Utf8JsonWriter writer, Overlaps value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value == Overlaps.Refuse ? "refuse" : "leave-out");
}

// The fields of a small object, each asked for by name and kind.
internal readonly struct Fields
{
    private readonly Dictionary<string, JsonElement> _values = [];

    public Fields(ref Utf8JsonReader reader, string what, params ReadOnlySpan<string> known)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new JsonException($"{what}; this is a {reader.TokenType}.");
        using var document = JsonDocument.ParseValue(ref reader);
        foreach (var field in document.RootElement.EnumerateObject())
        {
            if (!known.Contains(field.Name)) throw new JsonException($"there is no field \"{field.Name}\"; known are {string.Join(", ", known!)}.");
            _values[field.Name] = field.Value.Clone();
        }
        if (known.Contains("name")) Filled("name", Text("name"));
    }

    public static string Filled(string name, string? text) =>
        string.IsNullOrWhiteSpace(text) ? throw new JsonException($"the {name} is missing or empty.") : text;

    public string? Text(string name) => !_values.TryGetValue(name, out var value) ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(name, value, "a text");

    public bool? Flag(string name) => !_values.TryGetValue(name, out var value) ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(name, value, "true or false");

    public float? Number(string name) => !_values.TryGetValue(name, out var value) || value.ValueKind == JsonValueKind.String ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetSingle(out var number) && float.IsFinite(number) ? number
        : throw Wrong(name, value, "a number");

    /// <summary>One positive number, or one for few shots and one for many.</summary>
    public double[]? Numbers(string name)
    {
        if (!_values.TryGetValue(name, out var value)) return null;
        if (value.ValueKind == JsonValueKind.Number && value.GetDouble() > 0) return [value.GetDouble()];
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() is < 1 or > 2)
            throw Wrong(name, value, "a rate, or one for few shots and one for many,");
        return [.. value.EnumerateArray()
            .Select(v => v.ValueKind == JsonValueKind.Number && v.GetDouble() > 0 ? v.GetDouble() : throw Wrong(name, v, "a positive number"))];
    }

    /// <summary>Whether a text is one word and not the other; null where it is missing or a number.</summary>
    public bool? Is(string name, string word, string other)
    {
        if (!_values.TryGetValue(name, out var value) || value.ValueKind == JsonValueKind.Number) return null;
        var text = Text(name);
        return text == word ? true : text == other ? false : throw Wrong(name, value, word == other ? $"a number or \"{word}\"" : $"\"{word}\" or \"{other}\"");
    }

    public int OneOf(string name, string text, string[] words) =>
        Array.IndexOf(words, text) is var index and >= 0 ? index : throw Wrong(name, _values[name], $"one of {string.Join(", ", words)}");

    private static JsonException Wrong(string name, JsonElement value, string expected) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{name} is {value.GetRawText()}; {expected} is expected."));
}
