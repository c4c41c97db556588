using System.Globalization;

namespace NanoLora.Data;

/// <summary>A chat template that cannot be read or rendered: the message names the template, the line in it and what is wrong there.</summary>
public sealed class ChatTemplateException : Exception
{
    internal ChatTemplateException(string template, int line, string problem, bool raised = false, Exception? inner = null)
        : base(string.Create(CultureInfo.InvariantCulture, $"{template}: {(line > 0 ? $"line {line}: " : "")}{problem}"), inner) =>
        (Template, Line, Problem, RaisedByTemplate) = (template, line, problem, raised);

    /// <summary>The template's file, or what <see cref="ChatTemplate.Parse"/> was told to call it.</summary>
    public string Template { get; }

    /// <summary>The line, from 1; 0 where the problem is not in a line, as with a file that is missing.</summary>
    public int Line { get; }

    /// <summary>What is wrong, without the place.</summary>
    public string Problem { get; }

    /// <summary>Whether the template itself refused the conversation, with <c>raise_exception</c>: <see cref="Problem"/> is then its text.</summary>
    public bool RaisedByTemplate { get; }
}
