namespace NanoLora.Data;

/// <summary>What a rendering is told beside the conversation.</summary>
public sealed class ChatOptions
{
    /// <summary>Whether the text ends with the beginning of an answer, for the model to go on.</summary>
    public bool AddGenerationPrompt { get; init; }

    /// <summary>Whether the text ends within the last message, for the model to go on with it: what the template puts behind it is left out.</summary>
    public bool ContinueFinalMessage { get; init; }

    /// <summary>The tools that the model may call, a list of JSON schemas; none if null.</summary>
    public TemplateValue? Tools { get; init; }

    /// <summary>Documents for the model to answer from; none if null.</summary>
    public TemplateValue? Documents { get; init; }

    /// <summary>The token that begins a text, <c>bos_token</c>; the template's own if null.</summary>
    public string? BosToken { get; init; }

    /// <summary>The token that ends a text, <c>eos_token</c>; the template's own if null.</summary>
    public string? EosToken { get; init; }

    /// <summary>Any other names that the template may know, such as <c>enable_thinking</c>.</summary>
    public IReadOnlyDictionary<string, TemplateValue> Variables { get; init; } = new Dictionary<string, TemplateValue>();

    /// <summary>What time it is for <c>strftime_now</c>; the machine's local time if null.</summary>
    public Func<DateTime>? Clock { get; init; }

    /// <summary>How much a template may do.</summary>
    public ChatTemplateLimits Limits { get; init; } = ChatTemplateLimits.Default;
}

/// <summary>How much a template may do: it comes from a file that nobody vouches for. What goes beyond is refused with the line that did.</summary>
public sealed class ChatTemplateLimits
{
    /// <summary>The limits where nothing else is said.</summary>
    public static ChatTemplateLimits Default { get; } = new();

    /// <summary>The most expressions, statements and elements that are looked at; eight characters of a text that is made count as one.</summary>
    public long MaxSteps { get; init; } = 10_000_000;

    /// <summary>The most characters of any text, the result too.</summary>
    public int MaxText { get; init; } = 16_000_000;

    /// <summary>The most levels of expressions, blocks, calls and values within each other.</summary>
    public int MaxDepth { get; init; } = 300;
}

/// <summary>A conversation as the text that a model reads.</summary>
public sealed class ChatText
{
    internal ChatText(string text, IReadOnlyList<Range> generated) => (Text, Generated) = (text, generated);

    /// <summary>The text.</summary>
    public string Text { get; }

    /// <summary>
    /// Which characters (UTF-16 units) of it the model is to write itself: what stands in the template's <c>{% generation %}</c> blocks, front to back;
    /// empty for a template that has none.
    /// </summary>
    public IReadOnlyList<Range> Generated { get; }
}
