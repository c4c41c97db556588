using System.CommandLine;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>A model that writes texts, with its tokenizer, its template for conversations and the adapters that were named.</summary>
internal sealed class TextInput : IDisposable
{
    /// <summary>What MODEL may be.</summary>
    public const string Help = "The folder of a language model, with config.json, weights and tokenizer; or a checkpoint of llama2.c beside its tokenizer.";

    private readonly Backend _backend;
    private readonly string _folder;
    private IReadOnlyList<LoraModule> _modules = [];

    private TextInput(Backend backend, Model model, Tokenizer tokenizer, string folder)
    {
        (_backend, _folder, Generator) = (backend, folder, new TextGenerator(model, tokenizer));
        Tokenizer = tokenizer;
    }

    /// <summary>Model and tokenizer.</summary>
    public TextGenerator Generator { get; }

    /// <summary>The tokenizer.</summary>
    public ITokenizer Tokenizer { get; }

    /// <summary>The option that names adapters.</summary>
    public static Option<string[]> AdapterOption() =>
        Inputs.Texts("--adapter", "DIR", "A LoRA module or a composition; several are mixed, with equal weights unless --weights says otherwise.");

    /// <summary>The option that weighs them.</summary>
    public static Option<float[]> WeightsOption() => Inputs.Numbers("--weights", "What each adapter is multiplied with, in their order.");

    /// <summary>Reads a model and puts adapters into it.</summary>
    /// <exception cref="CommandException">There is no such model.</exception>
    public static TextInput Open(string path, IReadOnlyList<string> adapters, float[] weights, string device)
    {
        if (!Directory.Exists(path) && !File.Exists(path))
            throw new CommandException($"{path}: there is no such folder or file; name that of a language model.");
        var folder = Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;
        var tokenizer = Data.Tokenizer.Load(folder);
        var backend = Devices.Open(device, reads: true);
        Model? model = null;
        TextInput? y = null;
        try
        {
            model = TextGenerator.LoadModel(path, backend);
            y = new TextInput(backend, model, tokenizer, folder);
            y.Attach(adapters, weights);
            return y;
        }
        catch
        {
            if (y is not null) y.Dispose();
            else
            {
                model?.Dispose();
                backend.Dispose();
            }
            throw;
        }
    }

    /// <summary>The folder's template for conversations, or null if it has none.</summary>
    public ChatTemplate? Template()
    {
        try { return ChatTemplate.Load(_folder); }
        catch (ChatTemplateException error) when (error.Template == _folder) { return null; }      // of the folder, not of a file: there is none
    }

    /// <summary>What options say, and that the token which ends a message in a template ends an answer.</summary>
    public GenerationOptions For(ChatTemplate template, GenerationOptions options) =>
        template.SpecialTokens.TryGetValue("eos_token", out var end) && Tokenizer.Id(end) is { } id ? options with { Stop = [.. options.Stop, id] } : options;

    /// <summary>Lets all go.</summary>
    public void Dispose()
    {
        Generator.Model.Dispose();
        foreach (var module in _modules) module.Dispose();
        _backend.Dispose();
    }

    private void Attach(IReadOnlyList<string> adapters, float[] weights)
    {
        if (adapters.Count == 0 && weights.Length > 0) throw new UsageException("--weights goes with --adapter.");
        if (adapters.Count == 0) return;
        if (adapters.Count == 1 && weights.Length == 0 && Adapters.IsOne(adapters[0]))
        {
            Adapters.Attach(Generator.Model, adapters[0]);
            return;
        }
        _modules = Adapters.Load(Generator.Model, adapters);
        if (weights.Length == 0) Compose.Uniform(Generator.Model, _modules);
        else if (weights.Length == _modules.Count) Compose.Fixed(Generator.Model, _modules, weights);
        else throw new CommandException($"--weights: {weights.Length} numbers for {_modules.Count} adapters; give one for each.");
    }
}
