using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>The folder of bundled models: a base with its modules, a held-out task, and the list of what they have seen, for images and for texts.</summary>
/// <param name="Folder">The folder.</param>
/// <param name="Texts">Whether what is for texts is meant.</param>
internal sealed record BundledModels(string Folder, bool Texts = false)
{
    /// <summary>The base model.</summary>
    public string Model => Path.Combine(Folder, NameOf(Texts));

    /// <summary>Its upstream modules, a folder each.</summary>
    public string Modules => Path.Combine(Model, "modules");

    /// <summary>The folder of task files.</summary>
    public string Tasks => Path.Combine(Folder, Texts ? "text-tasks" : "tasks");

    /// <summary>The hashes of the samples that base and modules have seen.</summary>
    public string Pools => Path.Combine(Folder, Texts ? "text-pools.safetensors" : "pools.safetensors");

    /// <summary>The folder given, or the nearest folder "models" with the base in it, looked for upwards from here and from the tool itself.</summary>
    /// <exception cref="CommandException">There is none.</exception>
    public static BundledModels Find(string? given, bool texts = false)
    {
        if (given is not null)
        {
            return IsModels(given, texts) ? new(given, texts)
                : throw new CommandException($"{given} has no {NameOf(texts)}/config.json in it; name the folder of the bundled models with --models.");
        }
        foreach (var start in (ReadOnlySpan<string>)[Directory.GetCurrentDirectory(), AppContext.BaseDirectory])
        {
            for (var at = new DirectoryInfo(start); at is not null; at = at.Parent)
            {
                if (Path.Combine(at.FullName, "models") is var models && IsModels(models, texts)) return new(models, texts);
            }
        }
        throw new CommandException(
            $"the bundled folder models/ with {NameOf(texts)} in it was not found upwards from here or from the tool; name it with --models.");
    }

    /// <summary>The task file of a name, or the only one.</summary>
    /// <exception cref="CommandException">There is no such file, or several and no name.</exception>
    public string Task(string? name)
    {
        string[] files = Directory.Exists(Tasks) ? [.. Directory.GetFiles(Tasks, "*.safetensors").Order(StringComparer.Ordinal)] : [];
        var known = string.Join(", ", files.Select(Path.GetFileNameWithoutExtension));
        if (files.Length == 0) throw new CommandException($"{Tasks} has no task file; make it with nanolora bundle{(Texts ? " --text" : "")}.");
        if (name is null) return files.Length == 1 ? files[0] : throw new CommandException($"{Tasks} has several tasks: {known}; name one with --task.");
        if (File.Exists(name)) return name;
        return files.FirstOrDefault(f => Path.GetFileNameWithoutExtension(f) == TaskFile.BaseName(name))
            ?? throw new CommandException($"\"{name}\" is not a task in {Tasks}; known are {known}.");
    }

    private static string NameOf(bool texts) => texts ? "nano-text" : "nano-vit";

    private static bool IsModels(string folder, bool texts) => File.Exists(Path.Combine(folder, NameOf(texts), "config.json"));
}
