namespace NanoLora.Data;

/// <summary>What a piece of a template is.</summary>
internal enum JinjaKind
{
    /// <summary>Text outside of tags.</summary>
    Data,

    /// <summary><c>{{</c>.</summary>
    OutputBegin,

    /// <summary><c>}}</c>.</summary>
    OutputEnd,

    /// <summary><c>{%</c>.</summary>
    TagBegin,

    /// <summary><c>%}</c>.</summary>
    TagEnd,

    /// <summary>A name or keyword.</summary>
    Name,

    /// <summary>A string, without quotes and escapes.</summary>
    Text,

    /// <summary>A whole number, as written, without underscores.</summary>
    Integer,

    /// <summary>Any other number, as written, without underscores.</summary>
    Float,

    /// <summary>An operator, a bracket or a separator.</summary>
    Operator,

    /// <summary>The end of the template.</summary>
    End,
}

/// <summary>A piece of a template.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">Its text; of a string, what it stands for.</param>
/// <param name="Line">The line, from 1.</param>
internal readonly record struct JinjaToken(JinjaKind Kind, string Text, int Line)
{
    /// <summary>Whether it is this name.</summary>
    public bool IsName(string name) => Kind == JinjaKind.Name && Text == name;

    /// <summary>Whether it is this operator.</summary>
    public bool Is(string symbol) => Kind == JinjaKind.Operator && Text == symbol;

    /// <summary>As an error calls it.</summary>
    public string Described => Kind switch
    {
        JinjaKind.End => "end of template",
        JinjaKind.OutputEnd => "end of print statement",
        JinjaKind.TagEnd => "end of statement block",
        JinjaKind.OutputBegin => "begin of print statement",
        JinjaKind.TagBegin => "begin of statement block",
        JinjaKind.Data => "template data / text",
        JinjaKind.Text => "string",
        _ => Text.Length > 40 ? Text[..40] + "…" : Text,
    };
}
