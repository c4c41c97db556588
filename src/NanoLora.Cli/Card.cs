using System.Globalization;
using System.Text;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>A README.md beside weights: what they are, what they saw, how they were made, what was measured.</summary>
internal static class Card
{
    /// <summary>How something was made, and what was measured.</summary>
    /// <param name="Facts">The settings of the training.</param>
    /// <param name="Command">The command line.</param>
    /// <param name="Measured">A sentence.</param>
    public sealed record Making(IReadOnlyList<Fact> Facts, string Command, string Measured);

    /// <summary>The card of a base.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="parameters">Their number.</param>
    /// <param name="tasks">What it was trained on.</param>
    /// <param name="weights">How often each of these was drawn.</param>
    /// <param name="making">How it was made.</param>
    public static string Base(string name, long parameters, IReadOnlyList<ImageTask> tasks, IReadOnlyList<float> weights, Making making)
    {
        var card = new StringBuilder();
        Front(card, [("library_name", "nanolora"), ("pipeline_tag", "image-classification"), ("license", "mit")]);
        Line(card, $"# {name}");
        Line(card, $"");
        Line(card, $"A vision transformer of {parameters:N0} parameters, trained from random weights on the sets below.");
        Line(card, $"The weights are under the MIT licence; the images keep their own.");
        Line(card, $"");
        Line(card, $"| trained on | images | classes | drawn | licence | source |");
        Line(card, $"|---|---:|---:|---:|---|---|");
        for (var t = 0; t < tasks.Count; t++)
        {
            var task = tasks[t];
            Line(card, $"| {task.Name} | {task.Train.Count:N0} | {task.Classes.Length} | {100 * weights[t]:0} % | {task.Licence} | {task.Train.Source} |");
        }
        Line(card, $"");
        Line(card, $"Images that upstream or held-out tasks have too were left out, compared by content.");
        How(card, making);
        return card.ToString();
    }

    /// <summary>The card of a base for texts.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="parameters">Their number.</param>
    /// <param name="texts">What it was trained on.</param>
    /// <param name="options">How often each of these was drawn.</param>
    /// <param name="making">How it was made.</param>
    public static string TextBase(string name, long parameters, IReadOnlyList<FreeText> texts, TextBaseOptions options, Making making)
    {
        var (card, writes) = (new StringBuilder(), options is TextToTextOptions);
        Front(card, [("library_name", "transformers"), ("pipeline_tag", writes ? "text2text-generation" : "text-generation"), ("license", "mit"),
            ("language", "en")]);
        Line(card, $"# {name}");
        Line(card, $"");
        if (writes)
        {
            Line(card, $"A model of {parameters:N0} parameters in T5's architecture, trained on the sets below: a base for naming short texts, by how likely");
            Line(card, $"it finds each name as an answer.");
        }
        else
        {
            Line(card, $"A language model of {parameters:N0} parameters in Llama's architecture, trained on the sets below: a base for classifiers");
            Line(card, $"of short texts, by the mean over a text's tokens. It goes on with a text, too, if not with much sense.");
        }
        Line(card, $"The weights are under the MIT licence; the texts keep their own.");
        Line(card, $"");
        Line(card, $"| trained on | texts | sentences | of running text | of pairs | licence | by |");
        Line(card, $"|---|---:|---:|---:|---:|---|---|");
        for (var t = 0; t < texts.Count; t++)
        {
            var (set, sentences) = (texts[t], texts[t].Documents.Sum(static d => d.Count));
            var (rows, pairs) = (100 * options.RowShares[t], 100 * options.PairShares[t]);
            Line(card, $"| {set.Name} | {set.Documents.Count:N0} | {sentences:N0} | {rows:0} % | {pairs:0} % | {set.Licence} | {set.Source} |");
        }
        Line(card, $"");
        Line(card, $"Texts that CLINC150 has too, up to case and punctuation, were left out: {texts.Sum(static t => t.LeftOut)}.");
        How(card, making);
        return card.ToString();
    }

    /// <summary>The card of an adapter.</summary>
    /// <param name="title">Its headline.</param>
    /// <param name="text">What it is.</param>
    /// <param name="baseModel">The base it belongs to.</param>
    /// <param name="data">What it was trained on, in lines.</param>
    /// <param name="making">How it was made.</param>
    public static string Adapter(string title, string text, string baseModel, IReadOnlyList<string> data, Making making)
    {
        var card = new StringBuilder();
        Front(card, [("library_name", "peft"), ("base_model", baseModel), ("tags", "[lora, nanolora]")]);
        Line(card, $"# {title}");
        Line(card, $"");
        Line(card, $"{text}");
        Line(card, $"");
        foreach (var line in data) Line(card, $"{line}");
        How(card, making);
        return card.ToString();
    }

    /// <summary>What a card says of a task's samples.</summary>
    public static IReadOnlyList<string> Samples(LabelledTask task) =>
    [
        string.Create(CultureInfo.InvariantCulture, $"Trained on {task.Name}: {task.Train.Count:N0} {task.Train.Noun}s, {task.Classes.Length} classes."),
        $"Licence of the {task.Train.Noun}s: {Known(task.Licence)}. Source: {Known(task.Train.Source)}.",
    ];

    /// <summary>Writes a card into a folder.</summary>
    public static void Save(string folder, string card) => AtomicFile.WriteText(Path.Combine(folder, "README.md"), card);

    private static void How(StringBuilder card, Making making)
    {
        Line(card, $"");
        Line(card, $"## Training");
        Line(card, $"");
        foreach (var (name, value) in making.Facts) Line(card, $"- {name}: {value}");
        Line(card, $"- made with: `{making.Command}`");
        Line(card, $"");
        Line(card, $"## Measured");
        Line(card, $"");
        Line(card, $"{making.Measured}");
    }

    // YAML; a text is quoted where it is no plain word or list.
    private static void Front(StringBuilder card, IReadOnlyList<(string Name, string Value)> fields)
    {
        Line(card, $"---");
        foreach (var (name, value) in fields)
        {
            var plain = value.StartsWith('[') || value.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '/' or '_');
            var quoted = value.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
            Line(card, $"{name}: {(plain ? value : $"\"{quoted}\"")}");
        }
        Line(card, $"---");
        Line(card, $"");
    }

    private static string Known(string text) => text.Length > 0 ? text : "not stated";

    private static void Line(StringBuilder card, FormattableString line) => card.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
