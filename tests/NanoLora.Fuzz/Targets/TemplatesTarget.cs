using NanoLora.Data;

namespace NanoLora.Fuzz;

/// <summary>Chat templates, rendered for a conversation with tools.</summary>
public sealed class TemplatesTarget : FuzzTarget
{
    private static readonly ChatMessage[] s_messages =
    [
        new("system", "Be brief."), new("user", " What's up? é😀\n"), new("assistant", "<think>\nhm\n</think>\n\nNot much."),
        new("user", ChatPart.Text("And"), new ChatPart("image")),
        new ChatMessage("assistant", "").With("tool_calls", TemplateValue.Parse(
            """[{"id": "abc123456", "function": {"name": "f", "arguments": {"x": [1, 2.5, null, true]}}}]""")),
        new("tool", "{}"),
    ];

    private static readonly ChatOptions s_options = new()
    {
        AddGenerationPrompt = true,
        BosToken = "<s>",
        EosToken = "</s>",
        Tools = TemplateValue.Parse(
            """[{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "array"}}, "required": ["x"]}}}]"""),
        Clock = static () => new DateTime(2024, 7, 6, 9, 5, 3),
        Limits = new ChatTemplateLimits { MaxSteps = 50_000, MaxText = 50_000 },
    };

    /// <inheritdoc/>
    protected override long AllocationFloor => 64 << 20;    // what the limits above allow

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input) => [Put("chat_template.jinja", input)];

    /// <inheritdoc/>
    protected override void Read()
    {
        var template = ChatTemplate.Load(Folder);
        var text = template.RenderText(s_messages, s_options);
        if (text.Text != template.Render(s_messages, s_options)) throw new FindingException("a template that renders twice in two ways");
        foreach (var range in text.Generated) _ = text.Text[range];
    }

    /// <inheritdoc/>
    protected override bool IsRefusal(Exception e) => e is ChatTemplateException;
}
