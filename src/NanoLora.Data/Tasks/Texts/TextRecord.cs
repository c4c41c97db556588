using System.Globalization;
using System.Text.Json;

namespace NanoLora.Data;

/// <summary>A line of JSON or a record of a CSV file: fields by name, each asked for by the kind that it must have.</summary>
/// <param name="place">File and line, for errors.</param>
internal abstract class TextRecord(string place)
{
    /// <summary>File and line.</summary>
    public string Place => place;

    /// <summary>The names of the fields that are there, as the file has them.</summary>
    public abstract IEnumerable<string> Names { get; }

    /// <summary>Whether a field is there.</summary>
    public bool Has(string name) => Names.Contains(name);

    /// <summary>A text.</summary>
    /// <exception cref="InvalidDataException">It is missing, no text, or empty though it must not be.</exception>
    public string Text(string name, bool mayBeEmpty = false)
    {
        var text = Value(name) ?? throw Missing(name);
        return mayBeEmpty || !string.IsNullOrWhiteSpace(text) ? text : throw new InvalidDataException($"{place}: {name}: it is empty.");
    }

    /// <summary>The name of a class: a text, or a whole number as it is written.</summary>
    public abstract string Label(string name);

    /// <summary>A conversation, and its JSON.</summary>
    public abstract (IReadOnlyList<ChatMessage> Messages, string Json) Messages(string name);

    /// <summary>The text of a field; null if it is not there.</summary>
    protected abstract string? Value(string name);

    /// <summary>The refusal of a record that lacks a field.</summary>
    protected InvalidDataException Missing(string name) =>
        new($"{place}: {name} is missing; there {(Names.Any() ? $"are {string.Join(", ", Names.Take(8))}" : "is nothing")}. "
            + "All lines of a file have the same fields.");
}

/// <summary>A record of a CSV file.</summary>
internal sealed class CsvRecord(string place, string[] columns, string[] fields) : TextRecord(place)
{
    public override IEnumerable<string> Names => columns;

    public override string Label(string name) => Text(name);

    public override (IReadOnlyList<ChatMessage> Messages, string Json) Messages(string name) =>
        throw new InvalidDataException($"{Place}: {name}: conversations are read from .jsonl files; a CSV field holds one text.");

    protected override string? Value(string name) => Array.IndexOf(columns, name) is >= 0 and var at ? fields[at] : null;
}

/// <summary>A line of JSON.</summary>
internal sealed class JsonRecord : TextRecord
{
    private const string Expected = "a message has a text \"role\" and a text \"content\"";

    private readonly JsonTree _json;

    /// <exception cref="InvalidDataException">The line is no JSON object.</exception>
    public JsonRecord(string place, ReadOnlyMemory<byte> line) : base(place)
    {
        try { _json = new JsonTree(place, "", JsonElement.Parse(line.Span)); }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{place}: it is no JSON; each line is an object such as {{\"text\": \"…\"}}. ({e.Message})", e);
        }
        if (_json.Kind != JsonValueKind.Object) throw _json.Error("an object such as {\"text\": \"…\"} is expected");
        Names = [.. _json.Fields().Where(f => f.Value.Kind != JsonValueKind.Null).Select(f => f.Name)];
    }

    public override IEnumerable<string> Names { get; }

    public override string Label(string name) => _json.Find(name) switch
    {
        null => throw Missing(name),
        { Kind: JsonValueKind.Number } number when number.Element.TryGetInt64(out var whole) => whole.ToString(CultureInfo.InvariantCulture),
        _ => Text(name),
    };

    public override (IReadOnlyList<ChatMessage> Messages, string Json) Messages(string name)
    {
        var list = _json.Find(name) ?? throw Missing(name);
        var messages = new List<ChatMessage>();
        foreach (var item in list.Items())
        {
            try { messages.Add(ChatMessage.From(item.Element)); }
            catch (ArgumentException e) { throw new InvalidDataException($"{item.Source}: {Expected}. ({e.Message})", e); }
            if (messages[^1].Find("content") is null) throw item.Error(Expected);
        }
        return messages.Exists(static m => m.IsAnswer) ? (messages, list.Element.GetRawText())
            : throw new InvalidDataException($"{list.Source}: no message has the role \"assistant\", so there is nothing to learn.");
    }

    protected override string? Value(string name) => _json.Find(name)?.Text();
}
