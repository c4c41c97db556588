using System.Text.Json;

namespace NanoLora.Data;

/// <summary>Where a model's folder keeps its chat templates.</summary>
internal static class ChatTemplateFiles
{
    private const string Default = "default", Config = "tokenizer_config.json", Field = "chat_template";
    private const int MaxConfigBytes = 1 << 24;

    /// <summary>The template of a name, the file that it is from, and the special tokens of the config.</summary>
    public static (string Path, string Source, IReadOnlyDictionary<string, string> Tokens) Read(string folder, string? name)
    {
        name ??= Default;
        if (!Directory.Exists(folder)) throw new ChatTemplateException(folder, 0, "there is no such folder; give that of a model or tokenizer.");
        var config = Path.Combine(folder, Config);
        var tokens = new Dictionary<string, string>(StringComparer.Ordinal);
        JsonElement? field = null;
        if (File.Exists(config))
        {
            var root = Json(config);
            Tokens(config, root, tokens);
            if (root.TryGetProperty(Field, out var found) && found.ValueKind != JsonValueKind.Null) field = found;
        }
        // A file of its own counts more than the field.
        var file = name == Default ? Path.Combine(folder, "chat_template.jinja")
            : Path.Combine(folder, "additional_chat_templates", Path.GetFileName(name) + ".jinja");
        if (File.Exists(file)) return (file, Text(file), tokens);
        if (field is { } template) return (config, Named(config, template, name), tokens);
        throw new ChatTemplateException(folder, 0, $"there is no chat template: neither {Path.GetRelativePath(folder, file)} nor a field {Field} in {Config}.");
    }

    private static string Named(string config, JsonElement field, string name)
    {
        if (field.ValueKind == JsonValueKind.String) return name == Default ? String(config, field, Field)
            : throw new ChatTemplateException(config, 0, $"{Field}: there is only one template, and none called {name}.");
        if (field.ValueKind != JsonValueKind.Array) throw Wrong(config, "a text or a list of named templates is expected.");
        var names = new List<string>();
        foreach (var entry in field.EnumerateArray())
        {
            if (entry.ValueKind != JsonValueKind.Object || !entry.TryGetProperty("name", out var called) || !entry.TryGetProperty("template", out var template))
                throw Wrong(config, "each entry needs a name and a template.");
            names.Add(String(config, called, $"{Field}.name"));
            if (names[^1] == name) return String(config, template, $"{Field}.template");
        }
        throw Wrong(config, $"there is no template called {name}, but {(names.Count > 0 ? string.Join(", ", names) : "none at all")}.");
    }

    // Names that end in _token, as a text or as an object with the text as its content.
    private static void Tokens(string config, JsonElement root, Dictionary<string, string> tokens)
    {
        foreach (var field in root.EnumerateObject())
        {
            if (!field.NameEquals("bos_token") && !field.NameEquals("eos_token") && !field.NameEquals("unk_token") && !field.NameEquals("pad_token")
                && !field.NameEquals("sep_token") && !field.NameEquals("cls_token") && !field.NameEquals("mask_token")) continue;
            var value = field.Value.ValueKind == JsonValueKind.Object && field.Value.TryGetProperty("content", out var content) ? content : field.Value;
            if (value.ValueKind == JsonValueKind.String) tokens[field.Name] = String(config, value, field.Name);
            else if (value.ValueKind != JsonValueKind.Null) throw new ChatTemplateException(config, 0, $"{field.Name}: a text is expected.");
        }
    }

    private static JsonElement Json(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxConfigBytes)
                throw new ChatTemplateException(path, 0, $"a config of more than {MaxConfigBytes} bytes is none; check the file.");
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document.RootElement.Clone();
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new ChatTemplateException(path, 0, $"it cannot be read as JSON; copy it again. ({e.Message})", inner: e);
        }
        throw new ChatTemplateException(path, 0, "it is no JSON object; copy it again.");
    }

    private static string Text(string path)
    {
        try
        {
            if (new FileInfo(path).Length <= 4L * ChatTemplate.MaxSource)
                return new System.Text.UTF8Encoding(false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
        }
        catch (Exception e) when (e is ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw new ChatTemplateException(path, 0, $"it cannot be read as UTF-8 text; copy it again. ({e.Message})", inner: e);
        }
        throw new ChatTemplateException(path, 0, $"a template of more than {4L * ChatTemplate.MaxSource} bytes is none; check the file.");
    }

    private static string String(string config, JsonElement value, string field)
    {
        if (value.ValueKind != JsonValueKind.String) throw new ChatTemplateException(config, 0, $"{field}: a text is expected.");
        try { return value.GetString()!; }
        catch (InvalidOperationException e)
        {
            throw new ChatTemplateException(config, 0, $"{field}: the text is no Unicode: half of a surrogate pair.", inner: e);
        }
    }

    private static ChatTemplateException Wrong(string config, string problem) => new(config, 0, $"{Field}: {problem}");
}
