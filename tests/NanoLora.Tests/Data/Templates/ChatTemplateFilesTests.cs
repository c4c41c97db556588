using NanoLora.Data;

namespace NanoLora.Tests.Data.Templates;

/// <summary>Where a model's folder keeps its template.</summary>
public sealed class ChatTemplateFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-chat-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_field_a_list_and_a_file_are_read()
    {
        Put("tokenizer_config.json", """
            {"chat_template": "field {{ bos_token }} {{ eos_token }}", "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null}
            """);
        var template = ChatTemplate.Load(_folder);
        Assert.Equal("field <s> </s>", template.Render([]));
        Assert.Equal(["bos_token", "eos_token"], template.SpecialTokens.Keys.Order());
        Assert.Equal("field <b> </s>", template.Render([], new ChatOptions { BosToken = "<b>" }));
        Assert.Contains("only one template", Refused("tool_use"));

        Put("tokenizer_config.json", """{"chat_template": [{"name": "default", "template": "one"}, {"name": "tool_use", "template": "two"}]}""");
        Assert.Equal("one", ChatTemplate.Load(_folder).Render([]));
        Assert.Equal("two", ChatTemplate.Load(_folder, "tool_use").Render([]));
        Assert.Contains("default, tool_use", Refused("rag"));

        Put("chat_template.jinja", "file");
        Assert.Equal("file", ChatTemplate.Load(_folder).Render([]));
        Directory.CreateDirectory(Path.Combine(_folder, "additional_chat_templates"));
        Put("additional_chat_templates/rag.jinja", "third");
        Assert.Equal("third", ChatTemplate.Load(_folder, "rag").Render([]));
        Assert.Contains("there is no template called", Refused("../rag/../nothing"));
    }

    [Theory]
    [InlineData("""{"chat_template": 5}""", "a text or a list"), InlineData("""{"chat_template": [1]}""", "each entry needs")]
    [InlineData("""{"chat_template": [{"name": 1, "template": "x"}]}""", "a text is expected")]
    [InlineData("""{"chat_template": "\ud800"}""", "no Unicode"), InlineData("""{"bos_token": 5, "chat_template": "x"}""", "bos_token")]
    [InlineData("[]", "no JSON object"), InlineData("{", "cannot be read as JSON")]
    [InlineData("""{"chat_template": "a\n{% if %}"}""", "line 2"), InlineData("{}", "there is no chat template")]
    [InlineData("""{"chat_template": []}""", "none at all")]
    public void What_is_wrong_with_a_config_is_said(string config, string words)
    {
        Put("tokenizer_config.json", config);
        Assert.Contains(words, Refused(null));
    }

    [Fact]
    public void What_is_wrong_with_a_file_is_said()
    {
        Assert.Contains("there is no chat template", Refused(null));
        File.WriteAllBytes(Path.Combine(_folder, "chat_template.jinja"), [0x61, 0xFF]);
        Assert.Contains("UTF-8", Refused(null));
        Put("chat_template.jinja", new string('a', ChatTemplate.MaxSource + 1));
        Assert.Contains("at most", Refused(null));
        Put("chat_template.jinja", "x\n{% for %}");
        Assert.StartsWith($"{Path.Combine(_folder, "chat_template.jinja")}: line 2: ", Refused(null));
        Assert.Contains("no such folder", Assert.Throws<ChatTemplateException>(() => ChatTemplate.Load(Path.Combine(_folder, "none"))).Message);
    }

    private void Put(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);

    private string Refused(string? name)
    {
        var message = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Load(_folder, name)).Message;
        Assert.StartsWith(_folder, message);
        return message;
    }
}
