namespace NanoLora.Data;

/// <summary>
/// How a model wants a conversation written: a template in the part of Jinja that such templates use, with Python's semantics, as transformers renders it.
/// A template reaches nothing but the values it is given. It does not change, so any number of threads may render it.
/// </summary>
public sealed class ChatTemplate
{
    /// <summary>The most characters of a template.</summary>
    public const int MaxSource = 1 << 20;

    // Of blocks and brackets within each other, as one level of them takes ten calls of the parser.
    private const int MostNesting = 100;
    private const string ContinueMark = "CONTINUE_FINAL_MESSAGE_TAG ";

    private readonly string _name, _source;
    private readonly List<JinjaStatement> _statements;

    private ChatTemplate(string name, string source, IReadOnlyDictionary<string, string> specialTokens)
    {
        if (source.Length > MaxSource) throw new ChatTemplateException(name, 0, $"the template has {source.Length} characters; at most {MaxSource} are read.");
        (_name, _source, SpecialTokens) = (name, source, specialTokens);
        _statements = JinjaParser.Parse(name, source, MostNesting);
    }

    /// <summary>The tokens that the template can name, such as <c>bos_token</c>, as the tokenizer's config gives them; none if it was parsed.</summary>
    public IReadOnlyDictionary<string, string> SpecialTokens { get; }

    /// <summary>Reads a template.</summary>
    /// <param name="source">The template.</param>
    /// <param name="name">What errors call it.</param>
    /// <exception cref="ChatTemplateException">It is no valid template, or longer than <see cref="MaxSource"/>; the message names the line.</exception>
    public static ChatTemplate Parse(string source, string name = "chat template")
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(name);
        return new ChatTemplate(name, source, new Dictionary<string, string>());
    }

    /// <summary>
    /// Reads the template of a model's folder, and its special tokens: <c>chat_template.jinja</c>, or the field of <c>tokenizer_config.json</c>, which is a
    /// text or a list of named ones.
    /// </summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="name">Which one of several, such as "tool_use"; "default" if null.</param>
    /// <exception cref="ChatTemplateException">There is none, or it cannot be read; the message names file and line.</exception>
    public static ChatTemplate Load(string folder, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var (path, source, tokens) = ChatTemplateFiles.Read(folder, name);
        return new ChatTemplate(path, source, tokens);
    }

    /// <summary>Writes a conversation as the text that the model reads.</summary>
    /// <exception cref="ChatTemplateException">The template refuses the conversation, fails on it, or does more than the limits allow.</exception>
    /// <exception cref="ArgumentException">The last message is to be continued and there is nothing to continue, or an answer is to begin as well.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, ChatOptions? options = null) => RenderText(messages, options).Text;

    /// <summary>The same, with the places that the model is to write itself.</summary>
    /// <exception cref="ChatTemplateException">The template refuses the conversation, fails on it, or does more than the limits allow.</exception>
    /// <exception cref="ArgumentException">The last message is to be continued and there is nothing to continue, or an answer is to begin as well.</exception>
    public ChatText RenderText(IReadOnlyList<ChatMessage> messages, ChatOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(messages);
        options ??= new ChatOptions();
        var continued = "";
        if (options.ContinueFinalMessage)
        {
            if (options.AddGenerationPrompt)
                throw new ArgumentException("the last message is to be continued and an answer to begin; choose one of the two.", nameof(options));
            messages = Marked(messages, out continued);
        }
        var renderer = new JinjaRenderer(_name, options.Limits, options.Clock ?? (static () => DateTime.Now), Names(messages, options));
        renderer.Run(_statements);
        var text = renderer.Output.ToString();
        if (options.ContinueFinalMessage) text = Cut(text, continued);
        return new ChatText(text, renderer.Generated.FindAll(range => range.End.Value <= text.Length));
    }

    private JinjaScope Names(IReadOnlyList<ChatMessage> messages, ChatOptions options)
    {
        var names = new JinjaScope(null);
        foreach (var (name, token) in SpecialTokens) names.Set(name, token);
        if (options.BosToken is not null) names.Set("bos_token", options.BosToken);
        if (options.EosToken is not null) names.Set("eos_token", options.EosToken);
        names.Set("messages", TemplateValue.List(messages.Select(static m => m?.Value ?? throw new ArgumentException("a message is null.", nameof(messages)))));
        names.Set("tools", options.Tools ?? TemplateValue.None);
        names.Set("documents", options.Documents ?? TemplateValue.None);
        names.Set("add_generation_prompt", options.AddGenerationPrompt);
        foreach (var (name, value) in options.Variables) names.Set(name, value);
        return new JinjaScope(names);
    }

    // The conversation with a mark at the end of its last text, which tells where the template's own end begins.
    private ChatMessage[] Marked(IReadOnlyList<ChatMessage> messages, out string continued)
    {
        if (!_source.Contains("content", StringComparison.Ordinal))
            throw new ChatTemplateException(_name, 0, "the last message is to be continued, and the template does not look at a message's content.");
        var last = messages.Count > 0 ? messages[^1].Find("content") : null;
        TemplateValue? marked = null;
        continued = "";
        if (last is TextValue text) (continued, marked) = (text.Value, text.Value + ContinueMark);
        else if (last is SequenceValue parts)
        {
            var at = parts.Items.FindLastIndex(static p => p is MapValue map && map.Find("text") is TextValue);
            if (at >= 0)
            {
                continued = ((TextValue)((MapValue)parts.Items[at]).Find("text")!).Value;
                var changed = new MapValue();
                foreach (var (key, value) in ((MapValue)parts.Items[at]).Items) changed.Items[key] = value;
                changed.Items[new TextValue("text")] = continued + ContinueMark;
                marked = new SequenceValue([.. parts.Items[..at], changed, .. parts.Items[(at + 1)..]], SequenceKind.List);
            }
        }
        if (marked is null)
            throw new ArgumentException("the last message is to be continued, and it has no text; give one, or an empty one.", nameof(messages));
        return [.. messages.SkipLast(1), messages[^1].With("content", marked)];
    }

    private string Cut(string text, string continued)
    {
        var at = text.LastIndexOf(ContinueMark.TrimEnd(), StringComparison.Ordinal);
        if (at < 0 || !text.Contains(PyText.Trim(continued), StringComparison.Ordinal))
            throw new ChatTemplateException(_name, 0, "the last message is to be continued, and the template leaves it out or changes it.");
        // Where the template trims the text, the blank of the mark is gone, and so must be those before it.
        return text.AsSpan(at).StartsWith(ContinueMark, StringComparison.Ordinal) ? text[..at] : PyText.TrimEnd(text[..at]);
    }
}
