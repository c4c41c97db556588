using System.Text.Json;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>Tells models of texts from models of images, and opens them for what is to be done.</summary>
internal static class TextModels
{
    private const string Config = "config.json", Llama2cExtension = ".bin";

    // Encoders classify and write nothing.
    private static readonly string[] Encoders = ["bert", "roberta", "xlm-roberta", "camembert"];

    private static readonly string[] Writers =
        ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "gpt2", "opt", "gpt_neox", "nano_llama", "t5"];

    /// <summary>Whether a model reads texts, or a task can only be one of texts.</summary>
    public static bool Reads(string model, string? task = null) =>
        Type(model) is { } type && (type.Length == 0 || Encoders.Contains(type) || Writers.Contains(type)) || IsJsonLines(task);

    /// <summary>Opens a model that writes texts.</summary>
    /// <exception cref="CommandException">It only reads them.</exception>
    public static Model Writer(string model, Backend backend) =>
        IsEncoder(model)
            ? throw new CommandException($"{model} is a {Type(model)}, which classifies texts and writes none; give texts with labels.")
            : TextGenerator.LoadModel(model, backend);

    /// <summary>Opens a model to classify texts.</summary>
    public static TextClassifier Classifier(string model, Backend backend) =>
        Type(model) is "" ? TextClassifier.Over(LanguageModel.Load(model, backend)) : TextClassifier.Load(model, backend);

    /// <summary>Opens a model for adapters: to classify if one of them brings a head.</summary>
    public static Model For(IEnumerable<string> adapters, string model, Backend backend) =>
        IsEncoder(model) || adapters.Any(HasHead) ? Classifier(model, backend) : Writer(model, backend);

    /// <summary>The most tokens that a model is made for, at most so many.</summary>
    public static int Length(Model model, int most) => model switch
    {
        LanguageModel decoder => Math.Min(decoder.MaxPositions, most),
        TextClassifier classifier => Math.Min(classifier.MaxPositions, most),
        _ => most,
    };

    /// <summary>Makes token ids as a model reads them.</summary>
    /// <param name="model">The model.</param>
    /// <param name="length">The most tokens of a sample; what the model is made for, within reason, if not given.</param>
    /// <param name="chat">Whether there are conversations to write.</param>
    public static TextEncoder Encoder(Model model, int? length, bool chat)
    {
        var folder = Directory.Exists(model.Source) ? model.Source : Path.GetDirectoryName(Path.GetFullPath(model.Source))!;
        var end = model is LanguageModel { EndTokens: [var first, ..] } ? first : (int?)null;
        return TextEncoder.Load(folder, length ?? Length(model, TextOptions.UsualLength), chat, end);
    }

    /// <summary>The number of tokens that a model knows.</summary>
    public static int Vocabulary(Model model) => model switch
    {
        LanguageModel decoder => decoder.Vocabulary,
        TextClassifier classifier => classifier.Vocabulary,
        T5 t5 => t5.Vocabulary,
        _ => throw new CommandException($"{model.Source} reads no texts."),
    };

    private static bool IsEncoder(string model) => Type(model) is { } type && Encoders.Contains(type);

    // The config's model_type; empty for a checkpoint of llama2.c, which has no config; null if there is neither.
    private static string? Type(string model)
    {
        var isFile = File.Exists(model);
        var folder = isFile ? Path.GetDirectoryName(Path.GetFullPath(model))! : model;
        var config = Path.Combine(folder, Config);
        if (File.Exists(config)) return Field(config, "model_type") is { ValueKind: JsonValueKind.String } type ? type.GetString() : null;
        if (isFile) return Path.GetExtension(model) == Llama2cExtension ? "" : null;
        return Directory.Exists(folder) && Directory.EnumerateFiles(folder, "*" + Llama2cExtension).Any() ? "" : null;
    }

    private static bool IsJsonLines(string? task) => task is not null && Path.GetExtension(task).Equals(".jsonl", StringComparison.OrdinalIgnoreCase);

    private static bool HasHead(string adapter)
    {
        var config = Path.Combine(adapter, Adapters.PeftConfig);
        if (File.Exists(config)) return Field(config, "modules_to_save") is { ValueKind: JsonValueKind.Array } saved && saved.GetArrayLength() > 0;
        var composition = Path.Combine(adapter, Adapters.Composition);
        if (File.Exists(composition)) return Field(composition, "head") is { ValueKind: JsonValueKind.Object };
        return Directory.Exists(adapter) && Directory.GetDirectories(adapter).Where(f => File.Exists(Path.Combine(f, Adapters.PeftConfig))).Any(HasHead);
    }

    // A file that is damaged is refused by who reads all of it.
    private static JsonElement? Field(string file, string name)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(file));
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty(name, out var field) ? field.Clone() : null;
        }
        catch (JsonException) { return null; }
    }
}
