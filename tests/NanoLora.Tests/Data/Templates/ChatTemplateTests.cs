using System.Globalization;
using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Tests.Data.Templates;

/// <summary>What a program asks of a chat template.</summary>
public sealed class ChatTemplateTests
{
    private const string ChatMl = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

    private static readonly ChatMessage[] s_hello = [new("user", "Hi"), new("assistant", "Hello")];

    [Fact]
    public void Renders_a_conversation()
    {
        var template = ChatTemplate.Parse(ChatMl);
        Assert.Equal("<user>Hi</><assistant>Hello</>", template.Render(s_hello));
        Assert.Equal("<user>Hi</><assistant>", template.Render([s_hello[0]], new ChatOptions { AddGenerationPrompt = true }));
        Assert.Equal("<user>Hi</><assistant>Hello", template.Render(s_hello, new ChatOptions { ContinueFinalMessage = true }));
    }

    [Fact]
    public void Names_are_given_by_the_options()
    {
        var options = new ChatOptions
        {
            BosToken = "<s>",
            EosToken = "</s>",
            Tools = TemplateValue.Parse("""[{"name": "t"}]"""),
            Documents = TemplateValue.List(["d"]),
            Variables = new Dictionary<string, TemplateValue> { ["think"] = true, ["n"] = 3, ["x"] = 1.5, ["nothing"] = TemplateValue.None },
            Clock = () => new DateTime(2024, 7, 6),
        };
        const string source = "{{ bos_token }}{{ eos_token }} {{ tools | tojson }} {{ documents }} {{ think }} {{ n }} {{ x }} {{ nothing }} "
            + "{{ strftime_now('%d %b %Y') }}";
        Assert.Equal("<s></s> [{\"name\": \"t\"}] ['d'] True 3 1.5 None 06 Jul 2024", ChatTemplate.Parse(source).Render([], options));
        Assert.Equal("False None None", ChatTemplate.Parse("{{ bos_token is defined }} {{ tools }} {{ documents }}").Render([]));
    }

    [Fact]
    public void Messages_have_parts_and_fields()
    {
        var template = ChatTemplate.Parse("{% for m in messages %}{{ m | tojson }}{% endfor %}");
        var parts = new ChatMessage("user", ChatPart.Text("see"), new ChatPart("image"));
        Assert.Equal("""{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image"}]}""", template.Render([parts]));
        var called = new ChatMessage("assistant", "").With("tool_calls", TemplateValue.Parse("""[{"id": 1}]""")).With("content", TemplateValue.None);
        Assert.Equal("""{"role": "assistant", "content": null, "tool_calls": [{"id": 1}]}""", template.Render([called]));
        using var json = JsonDocument.Parse("""{"role": "tool", "content": "31.50", "n": 31.50, "big": 123456789012345678901234567890}""");
        Assert.Equal("""{"role": "tool", "content": "31.50", "n": 31.5, "big": 123456789012345678901234567890}""",
            template.Render([ChatMessage.From(json.RootElement)]));
    }

    [Theory]
    [InlineData("{}"), InlineData("[]"), InlineData("{\"role\": 1}"), InlineData("\"user\""), InlineData("{\"role\": \"user\", \"content\": \"\\ud800\"}")]
    public void What_is_no_message_is_refused(string text)
    {
        using var json = JsonDocument.Parse(text);
        Assert.ThrowsAny<ArgumentException>(() => ChatMessage.From(json.RootElement));
    }

    [Fact]
    public void The_last_message_is_continued()
    {
        var options = new ChatOptions { ContinueFinalMessage = true };
        var trimming = ChatTemplate.Parse("{% for m in messages %}[{{ m.content | trim }}]{% endfor %}");
        Assert.Equal("[a][b", trimming.Render([new("user", "a"), new("assistant", " b ")], options));
        var parts = ChatTemplate.Parse("{% for m in messages %}[{{ m.content | map(attribute='text') | join }}]{% endfor %}");
        Assert.Equal("[ab", parts.Render([new("assistant", ChatPart.Text("a"), ChatPart.Text("b"))], options));

        Assert.Throws<ArgumentException>(() => trimming.Render([], options));
        Assert.Throws<ArgumentException>(() => trimming.Render([new("assistant", new ChatPart("image"))], options));
        var both = new ChatOptions { ContinueFinalMessage = true, AddGenerationPrompt = true };
        Assert.Throws<ArgumentException>(() => trimming.Render([new("assistant", "a")], both));
        var silent = ChatTemplate.Parse("content");
        Assert.Contains("leaves it out", Assert.Throws<ChatTemplateException>(() => silent.Render([new("assistant", "a")], options)).Message);
        Assert.Contains("does not look", Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse("x").Render([new("assistant", "a")], options)).Message);
    }

    [Fact]
    public void What_the_model_writes_is_marked()
    {
        const string source = "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
            + "{% else %}{{ m.content }}{% endif %}{% endfor %}";
        var result = ChatTemplate.Parse(source).RenderText([.. s_hello, new("user", "?"), new("assistant", "!")]);
        Assert.Equal(["Hello", "!"], result.Generated.Select(range => result.Text[range]));
        Assert.Empty(ChatTemplate.Parse(ChatMl).RenderText(s_hello).Generated);
    }

    [Fact]
    public void A_refusal_of_the_template_is_told_from_a_failure()
    {
        var refused = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse("a\n{{ raise_exception('no') }}", "some.jinja").Render([]));
        Assert.Equal(("some.jinja", 2, "no", true), (refused.Template, refused.Line, refused.Problem, refused.RaisedByTemplate));
        Assert.Equal("some.jinja: line 2: no", refused.Message);
        var failed = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse("a\n\n{{ 'x' + 1 }}").Render([]));
        Assert.Equal((3, false), (failed.Line, failed.RaisedByTemplate));
        Assert.Equal("chat template: line 3: can only concatenate str (not \"int\") to str", failed.Message);
    }

    [Theory]
    [InlineData("x\n{% if a %}\n", 2), InlineData("\n\n{{ a b }}", 3), InlineData("{#\n\n#}\n{% nosuch %}", 4), InlineData("a\r\nb\r\n{{ 'x }}", 3)]
    [InlineData("{{ [1,\n2 }}", 2), InlineData("a\n{# b", 2)]
    public void An_error_names_the_line(string source, int line) =>
        Assert.Equal(line, Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(source)).Line);

    [Fact]
    public void The_line_of_an_error_in_a_macro_is_where_it_happens()
    {
        var template = ChatTemplate.Parse("{% macro m() %}\n{{ 1 / 0 }}\n{% endmacro %}\n\n{{ m() }}");
        Assert.Equal(2, Assert.Throws<ChatTemplateException>(() => template.Render([])).Line);
    }

    [Fact]
    public void A_culture_changes_nothing()
    {
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = new CultureInfo("") { NumberFormat = { NumberDecimalSeparator = ",", NegativeSign = "~" } };
        var template = ChatTemplate.Parse("{{ 1.5 }} {{ -3 }} {{ 'iii' | upper }} {{ 0.0000001 }} {{ '%.2f' % 2.5 }}");
        try { Assert.Equal("1.5 -3 III 1e-07 2.50", template.Render([])); }
        finally { CultureInfo.CurrentCulture = before; }
    }

    [Fact]
    public void One_template_serves_many_threads()
    {
        var template = ChatTemplate.Parse("{% set n = namespace(n=0) %}{% for m in messages %}{% set n.n = n.n + m.content | length %}{% endfor %}{{ n.n }}");
        Parallel.For(0, 64, i => Assert.Equal($"{3 * i}", template.Render([new("user", new string('a', i)), new("user", new string('b', 2 * i))])));
    }
}
