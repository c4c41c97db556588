using System.Text.Json;

namespace NanoLora.Data;

/// <summary>One message of a conversation: a role, a content, and what else a template may look at, such as <c>tool_calls</c>.</summary>
public sealed class ChatMessage
{
    private readonly MapValue _fields;

    /// <summary>A message of text.</summary>
    public ChatMessage(string role, string content) : this(role, TemplateValue.From(content ?? throw new ArgumentNullException(nameof(content)))) { }

    /// <summary>A message of parts.</summary>
    public ChatMessage(string role, params IEnumerable<ChatPart> parts)
        : this(role, TemplateValue.List((parts ?? throw new ArgumentNullException(nameof(parts))).Select(static p => p.Value))) { }

    private ChatMessage(string role, TemplateValue content)
    {
        ArgumentException.ThrowIfNullOrEmpty(role);
        _fields = new MapValue();
        _fields.Items[new TextValue("role")] = TemplateValue.From(role);
        _fields.Items[new TextValue("content")] = content;
    }

    private ChatMessage(MapValue fields) => _fields = fields;

    /// <summary>All fields, as a template sees them.</summary>
    public TemplateValue Value => _fields;

    /// <summary>A message as services exchange it: a JSON object with a field role.</summary>
    /// <exception cref="ArgumentException">It is no object, or has no role.</exception>
    public static ChatMessage From(JsonElement json)
    {
        if (TemplateValue.From(json) is MapValue map && map.Find("role") is TextValue) return new ChatMessage(map);
        throw new ArgumentException("a message is a JSON object with a text \"role\"; check the conversation.", nameof(json));
    }

    /// <summary>The same message with one more field, or another value of one.</summary>
    public ChatMessage With(string field, TemplateValue value)
    {
        ArgumentException.ThrowIfNullOrEmpty(field);
        ArgumentNullException.ThrowIfNull(value);
        var fields = new MapValue();
        foreach (var (name, old) in _fields.Items) fields.Items[name] = old;
        fields.Items[new TextValue(field)] = value;
        return new ChatMessage(fields);
    }

    /// <summary>Whether it is the model's own.</summary>
    internal bool IsAnswer => Find("role") is TextValue { Value: "assistant" };

    /// <summary>A field; null if the message has none of that name.</summary>
    internal TemplateValue? Find(string field) => _fields.Find(field);
}

/// <summary>A part of a message: a text, or something that stands for a picture or the like, which the template gives a place.</summary>
public sealed class ChatPart
{
    private readonly MapValue _fields = new();

    /// <summary>A part of some type, such as "image", without anything else.</summary>
    public ChatPart(string type)
    {
        ArgumentException.ThrowIfNullOrEmpty(type);
        _fields.Items[new TextValue("type")] = TemplateValue.From(type);
    }

    /// <summary>All fields, as a template sees them.</summary>
    public TemplateValue Value => _fields;

    /// <summary>A part of text.</summary>
    public static ChatPart Text(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var part = new ChatPart("text");
        part._fields.Items[new TextValue("text")] = TemplateValue.From(text);
        return part;
    }
}
