using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>What the files of text classifiers have beside their model: a head, the names of its classes, and how states become what it sees.</summary>
internal static class ClassifierFile
{
    /// <summary>What a decoder's file calls the head.</summary>
    public const string Score = "score";

    // The field in which transformers says it of the families where there is a choice.
    private const string Field = "classifier_pooling";

    private const string MeanThenNorm = "mean_then_norm";                              // which transformers does not have

    private static readonly string[] Rewritten = ["architectures", "id2label", "label2id", "num_labels", "problem_type", Field];

    /// <summary>How states become features, if the config says so.</summary>
    /// <exception cref="CheckpointException">It says something unknown.</exception>
    public static TextPooling? Pooling(ConfigNode node) => !node.Has(Field) ? null : node.Text(Field) switch
    {
        "mean" => TextPooling.Mean,
        "last" => TextPooling.Last,
        "cls" => TextPooling.First,
        "pooler" => TextPooling.Pooler,
        MeanThenNorm => TextPooling.MeanThenNorm,
        var other => throw node.Error(Field, $"\"{other}\" is not known; known are mean, {MeanThenNorm}, last, cls and pooler."),
    };

    /// <summary>Refuses pooling before a norm where there is no such way.</summary>
    public static TextPooling AfterNorm(string source, TextPooling pooling) => pooling != TextPooling.MeanThenNorm ? pooling
        : throw new ArgumentException($"{source}: the mean before the last norm is of decoders only; take the mean after it.");

    /// <summary>Refuses a pooler where there is none.</summary>
    public static TextPooling WithoutPooler(string source, TextPooling pooling) => pooling != TextPooling.Pooler ? pooling
        : throw new ArgumentException($"{source}: it has no pooler; take the mean, the last or the first token's state.");

    /// <summary>Refuses segments where there are none.</summary>
    public static void WithoutSegments(string source, Tensor? segments)
    {
        if (segments is not null) throw new ArgumentException($"{source}: it knows no segments; give none.");
    }

    /// <summary>Writes a config: the model's own if its head is, else with the new head's classes.</summary>
    /// <param name="json">Where to.</param>
    /// <param name="config">The model's own.</param>
    /// <param name="model">The classifier.</param>
    /// <param name="standard">Whether transformers' class for sequence classification computes the same.</param>
    public static void Write(Utf8JsonWriter json, JsonElement config, TextClassifier model, bool standard)
    {
        if (!model.HeadIsNew)
        {
            config.WriteTo(json);
            return;
        }
        json.WriteStartObject();
        foreach (var field in config.EnumerateObject()) if (!Rewritten.Contains(field.Name)) field.WriteTo(json);
        var architecture = standard ? Architecture(config) : "NanoTextClassifier";
        if (architecture is not null)
        {
            json.WriteStartArray("architectures");
            json.WriteStringValue(architecture);
            json.WriteEndArray();
        }
        json.WriteStartObject("id2label");
        for (var i = 0; i < model.Labels.Count; i++) json.WriteString($"{i}", model.Labels[i]);
        json.WriteEndObject();
        json.WriteStartObject("label2id");
        foreach (var (label, i) in model.Labels.Select(static (label, i) => (label, i)).DistinctBy(static l => l.label)) json.WriteNumber(label, i);
        json.WriteEndObject();
        if (!standard) WritePooling(json, model.Pooling);
        json.WriteEndObject();
    }

    /// <summary>Writes how states become features.</summary>
    public static void WritePooling(Utf8JsonWriter json, TextPooling pooling) => json.WriteString(Field, pooling switch
    {
        TextPooling.Mean => "mean",
        TextPooling.Last => "last",
        TextPooling.First => "cls",
        TextPooling.MeanThenNorm => MeanThenNorm,
        _ => "pooler",
    });

    // LlamaForCausalLM, GPT2LMHeadModel and BertModel become …ForSequenceClassification.
    private static string? Architecture(JsonElement config)
    {
        if (!config.TryGetProperty("architectures", out var all) || all.ValueKind != JsonValueKind.Array || all.GetArrayLength() == 0
            || all[0].ValueKind != JsonValueKind.String) return null;
        var name = all[0].GetString()!;
        foreach (var end in (ReadOnlySpan<string>)["For", "LMHeadModel", "Model"])
            if (name.IndexOf(end, StringComparison.Ordinal) is var at and > 0) return name[..at] + "ForSequenceClassification";
        return null;
    }
}
