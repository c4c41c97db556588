namespace NanoLora.Data;

/// <summary>What a line of a file of texts holds.</summary>
public enum TextKind
{
    /// <summary>A text to go on with, all of which is learned: <c>text</c>.</summary>
    Text,

    /// <summary>A prompt and what follows it, which alone is learned: <c>prompt</c>, <c>completion</c>.</summary>
    Completion,

    /// <summary>A conversation, of which the assistant's words are learned: <c>messages</c>.</summary>
    Chat,

    /// <summary>A text and its class: <c>text</c>, <c>label</c>.</summary>
    Labelled,
}

/// <summary>One sample of a task on texts.</summary>
public sealed record TextSample
{
    /// <summary>The text; of a completion the prompt, of a conversation its JSON.</summary>
    public required string Text { get; init; }

    /// <summary>What follows the prompt, or the name of the text's class; otherwise empty.</summary>
    public string Answer { get; init; } = "";

    /// <summary>The number of the text's class, or -1.</summary>
    public int Label { get; init; } = -1;

    /// <summary>A conversation's messages; otherwise none.</summary>
    public IReadOnlyList<ChatMessage> Messages { get; init; } = [];

    /// <summary>The file that it was read from; empty if none.</summary>
    public string Source { get; init; } = "";

    /// <summary>Its line in that file, from 1.</summary>
    public int Line { get; init; }

    internal TaskPart Part { get; init; }

    /// <summary>How errors name it.</summary>
    internal string Place => Source.Length > 0 ? $"{Source}: line {Line}" : "a text";

    /// <summary>What two samples share that are copies: a class is no part of it.</summary>
    internal (string, string) Content => Label >= 0 ? (Text, "") : (Text, Answer);
}
