using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>Finds out what an adapter folder is, and puts it into a model.</summary>
internal static class Adapters
{
    public const string PeftConfig = "adapter_config.json", PeftWeights = "adapter_model.safetensors", Composition = "composition.json";

    /// <summary>Attaches a composition or a PEFT adapter; the head that it brings becomes the model's.</summary>
    /// <exception cref="CommandException">The folder holds neither.</exception>
    public static void Attach(Model model, string folder)
    {
        if (!IsOne(folder)) throw None(folder);
        Nn.Attach.Load(model, folder);
    }

    /// <summary>Whether a folder is a composition or a PEFT adapter.</summary>
    public static bool IsOne(string folder) => Has(folder, Composition) || Has(folder, PeftConfig);

    /// <summary>The modules of some folders; a folder of modules stands for all that are in it.</summary>
    public static IReadOnlyList<LoraModule> Load(Model model, IReadOnlyList<string> folders)
    {
        var modules = new List<LoraModule>();
        foreach (var folder in folders)
        {
            if (Has(folder, PeftConfig)) modules.Add(Lora.Load(folder, model));
            else if (Inside(folder).Length > 0) modules.AddRange(Lora.LoadAll(folder, model));
            else if (Has(folder, Composition)) throw new CommandException($"{folder} is a composition; compose its modules, or export it first with --export.");
            else throw None(folder);
        }
        return modules;
    }

    private static bool Has(string folder, string file) => File.Exists(Path.Combine(folder, file));

    // The names of the adapter folders within a folder.
    private static string[] Inside(string folder)
    {
        if (!Directory.Exists(folder)) return [];
        return [.. Directory.GetDirectories(folder).Where(f => Has(f, PeftConfig)).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];
    }

    private static CommandException None(string folder)
    {
        if (!Directory.Exists(folder)) return new($"{folder}: there is no such folder; name one with {PeftConfig} or {Composition} in it.");
        var inside = Inside(folder);
        var hint = inside.Length > 0 ? $"; its folders {string.Join(", ", inside)} have, name one of them" : "";
        return new($"{folder} has neither {PeftConfig} nor {Composition} in it{hint}.");
    }
}
