using System.CommandLine;
using System.Text;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora inspect</c>: what is in a weight file, a model or an adapter, without reading its data.</summary>
internal static class InspectCommand
{
    private const int MostShown = 100;

    private static readonly string[] Configs = ["config.json", Adapters.PeftConfig, Adapters.Composition];
    private static readonly string[] AdapterWeights = ["adapter_model.safetensors", "adapter_model.bin"];

    /// <summary>What was found: JSON files of a folder, and a weight file.</summary>
    private sealed record Found(string Path, IReadOnlyList<(string File, JsonElement Fields)> Configs, Checkpoint? Weights, string[] Modules) : IDisposable
    {
        public long Parameters => Weights?.Entries.Sum(e => e.Count) ?? 0;

        public long Bytes => Weights?.Entries.Sum(e => e.Length) ?? 0;

        public void Dispose() => Weights?.Dispose();
    }

    public static Command Create(Session session)
    {
        var path = new Argument<string>("PATH")
        {
            Description = "A weight file (safetensors, the index of a sharded checkpoint, PyTorch), the folder of a model, an adapter or a composition, "
                + "or the ORG/NAME of what was pulled.",
        };
        var json = Inputs.Switch("--json", "Write JSON.");
        var command = new ToolCommand("inspect", "Shows what is in a weight file, a model or an adapter.",
            "Tensors with their types, shapes and sizes, the fields of configs, and metadata. The data of tensors is not read.",
            "nanolora inspect models/nano-vit", "nanolora inspect adapter_model.safetensors --json")
        { path, json };
        command.SetAction(parsed =>
        {
            using var found = Read(ModelFolder.Of(parsed.GetValue(path)!));
            if (parsed.GetValue(json)) session.Out.WriteLine(Json(found));
            else Show(session, found);
            return 0;
        });
        return command;
    }

    private static Found Read(string path)
    {
        if (File.Exists(path)) return new(path, [], Checkpoint.Open(path), []);
        if (!Directory.Exists(path)) throw new CommandException($"{path}: there is no such file or folder.");
        var configs = Configs.Select(name => Path.Combine(path, name)).Where(File.Exists).Select(file => (Path.GetFileName(file), Parse(file))).ToList();
        var adapter = AdapterWeights.Select(name => Path.Combine(path, name)).FirstOrDefault(File.Exists);
        var modules = Path.Combine(path, "modules");
        string[] folders = Directory.Exists(modules) ? Directory.GetDirectories(modules) : [];
        var weights = adapter is not null ? Checkpoint.Open(adapter) : configs.Any(c => c.Item1 == Adapters.Composition) ? null : Checkpoint.Open(path);
        return new(path, configs, weights, [.. folders.Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)]);
    }

    private static JsonElement Parse(string file)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(file));
            return json.RootElement.ValueKind == JsonValueKind.Object ? json.RootElement.Clone() : throw new CommandException($"{file}: it is no JSON object.");
        }
        catch (JsonException error)
        {
            throw new CommandException($"{file}: it is no valid JSON: {error.Message}", error);
        }
    }

    private static void Show(Session session, Found found)
    {
        session.Out.WriteLine(Printable.Of(found.Path));
        foreach (var (file, fields) in found.Configs)
        {
            session.Out.WriteLine($"\n{file}");
            foreach (var field in fields.EnumerateObject()) session.Out.WriteLine($"  {Printable.Of(field.Name, 40),-28} {Value(field.Value)}");
        }
        if (found.Modules.Length > 0) session.Out.WriteLine($"\nmodules\n  {string.Join(", ", found.Modules.Select(m => Printable.Of(m)))}");
        if (found.Weights is not { } weights) return;
        session.Out.WriteLine($"\n{Printable.Of(Path.GetFileName(weights.Path))}");
        foreach (var (key, value) in weights.Metadata) session.Out.WriteLine($"  {Printable.Of(key, 40),-28} {Printable.Of(value, MostShown)}");
        var width = Math.Min(80, weights.Entries.Select(e => Printable.Of(e.Name).Length).DefaultIfEmpty(0).Max());
        foreach (var entry in weights.Entries)
        {
            var (name, shape) = (Printable.Of(entry.Name).PadRight(width), $"[{string.Join(", ", entry.Shape)}]");
            session.Out.WriteLine($"  {name}  {entry.DType.FileName(),-8} {shape,-20} {Printable.Bytes(entry.Length),10}");
        }
        session.Say($"  {weights.Entries.Count:N0} tensors, {found.Parameters:N0} parameters, {Printable.Bytes(found.Bytes)}");
    }

    // On one line; what is long is counted.
    private static string Value(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.String) return Printable.Of(value.GetString()!, MostShown);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer)) value.WriteTo(json);
        if (buffer.Length <= MostShown) return Encoding.UTF8.GetString(buffer.ToArray());
        return value.ValueKind == JsonValueKind.Object ? $"{value.EnumerateObject().Count()} fields" : $"{value.GetArrayLength()} values";
    }

    private static string Json(Found found)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("path", found.Path);
            json.WriteStartObject("configs");
            foreach (var (file, fields) in found.Configs)
            {
                json.WritePropertyName(file);
                fields.WriteTo(json);
            }
            json.WriteEndObject();
            json.WriteStartArray("modules");
            foreach (var module in found.Modules) json.WriteStringValue(module);
            json.WriteEndArray();
            if (found.Weights is { } weights) Weights(json, weights);
            json.WriteNumber("total_parameters", found.Parameters);
            json.WriteNumber("total_bytes", found.Bytes);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static void Weights(Utf8JsonWriter json, Checkpoint weights)
    {
        json.WriteString("weights", weights.Path);
        json.WriteStartObject("metadata");
        foreach (var (key, value) in weights.Metadata) json.WriteString(key, value);
        json.WriteEndObject();
        json.WriteStartArray("tensors");
        foreach (var entry in weights.Entries)
        {
            json.WriteStartObject();
            json.WriteString("name", entry.Name);
            json.WriteString("dtype", entry.DType.FileName());
            json.WriteStartArray("shape");
            foreach (var length in entry.Shape) json.WriteNumberValue(length);
            json.WriteEndArray();
            json.WriteNumber("count", entry.Count);
            json.WriteNumber("bytes", entry.Length);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
