using System.Globalization;
using System.Text;
using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>A README.md beside weights: what they are, what they saw, how they were made, what was measured.</summary>
internal static class Card
{
    /// <summary>The card of a base.</summary>
    public static string Base(string name, long parameters, IReadOnlyList<ImageTask> tasks, IReadOnlyList<float> weights, IReadOnlyList<(string Name, string Value)> training, string measured, string command)
    {
        var card = new StringBuilder();
        Front(card, [("library_name", "nanolora"), ("pipeline_tag", "image-classification"), ("license", "mit")]);
        Line(card, $"# {name}");
        Line(card, $"");
        Line(card, $"A vision transformer of {parameters:N0} parameters, trained from random weights on the sets below. The weights are under the MIT licence; the images keep their own.");
        Line(card, $"");
        Line(card, $"| trained on | images | classes | drawn | licence | source |");
        Line(card, $"|---|---:|---:|---:|---|---|");
        for (var t = 0; t < tasks.Count; t++)
            Line(card, $"| {tasks[t].Name} | {tasks[t].Train.Count:N0} | {tasks[t].Classes.Length} | {100 * weights[t]:0} % | {tasks[t].Licence} | {tasks[t].Train.Source} |");
        Line(card, $"");
        Line(card, $"Images that upstream or held-out tasks have too were left out, compared by content.");
        How(card, training, measured, command);
        return card.ToString();
    }

    /// <summary>The card of an adapter.</summary>
    public static string Adapter(string title, string text, string baseModel, ImageTask task, IReadOnlyList<(string Name, string Value)> training, string measured, string command)
    {
        var card = new StringBuilder();
        Front(card, [("library_name", "peft"), ("base_model", baseModel), ("tags", "[lora, nanolora]")]);
        Line(card, $"# {title}");
        Line(card, $"");
        Line(card, $"{text}");
        Line(card, $"");
        Line(card, $"Trained on {task.Name}: {task.Train.Count:N0} images, {task.Classes.Length} classes. Licence of the images: {Known(task.Licence)}. Source: {Known(task.Train.Source)}.");
        How(card, training, measured, command);
        return card.ToString();
    }

    /// <summary>Writes a card into a folder.</summary>
    public static void Save(string folder, string card) => AtomicFile.WriteText(Path.Combine(folder, "README.md"), card);

    private static void How(StringBuilder card, IReadOnlyList<(string Name, string Value)> training, string measured, string command)
    {
        Line(card, $"");
        Line(card, $"## Training");
        Line(card, $"");
        foreach (var (name, value) in training) Line(card, $"- {name}: {value}");
        Line(card, $"- made with: `{command}`");
        Line(card, $"");
        Line(card, $"## Measured");
        Line(card, $"");
        Line(card, $"{measured}");
    }

    // YAML; a text is quoted where it is no plain word or list.
    private static void Front(StringBuilder card, IReadOnlyList<(string Name, string Value)> fields)
    {
        Line(card, $"---");
        foreach (var (name, value) in fields)
        {
            var plain = value.StartsWith('[') || value.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '/' or '_');
            Line(card, $"{name}: {(plain ? value : $"\"{value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"")}");
        }
        Line(card, $"---");
        Line(card, $"");
    }

    private static string Known(string text) => text.Length > 0 ? text : "not stated";

    private static void Line(StringBuilder card, FormattableString line) => card.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
