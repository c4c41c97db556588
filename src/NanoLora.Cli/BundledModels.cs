using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>The folder of bundled models: nano-vit with its modules, the held-out task, and the list of what they have seen.</summary>
internal sealed record BundledModels(string Folder)
{
    /// <summary>The base model.</summary>
    public string Model => Path.Combine(Folder, "nano-vit");

    /// <summary>Its upstream modules, a folder each.</summary>
    public string Modules => Path.Combine(Model, "modules");

    /// <summary>The hashes of the images that base and modules have seen.</summary>
    public string Pools => Path.Combine(Folder, "pools.safetensors");

    /// <summary>The folder given, or the nearest folder "models" with a nano-vit in it, looked for upwards from here and from the tool itself.</summary>
    /// <exception cref="CommandException">There is none.</exception>
    public static BundledModels Find(string? given)
    {
        if (given is not null)
        {
            return IsModels(given) ? new(given)
                : throw new CommandException($"{given} has no nano-vit/config.json in it; name the folder of the bundled models with --models.");
        }
        foreach (var start in (ReadOnlySpan<string>)[Directory.GetCurrentDirectory(), AppContext.BaseDirectory])
        {
            for (var at = new DirectoryInfo(start); at is not null; at = at.Parent)
            {
                if (Path.Combine(at.FullName, "models") is var models && IsModels(models)) return new(models);
            }
        }
        throw new CommandException("the bundled folder models/ with nano-vit in it was not found upwards from here or from the tool; name it with --models.");
    }

    /// <summary>The task file of a name, or the only one.</summary>
    /// <exception cref="CommandException">There is no such file, or several and no name.</exception>
    public string Task(string? name)
    {
        var folder = Path.Combine(Folder, "tasks");
        string[] files = Directory.Exists(folder) ? [.. Directory.GetFiles(folder, "*.safetensors").Order(StringComparer.Ordinal)] : [];
        var known = string.Join(", ", files.Select(Path.GetFileNameWithoutExtension));
        if (files.Length == 0) throw new CommandException($"{folder} has no task file; make it with nanolora bundle.");
        if (name is null) return files.Length == 1 ? files[0] : throw new CommandException($"{folder} has several tasks: {known}; name one with --task.");
        if (File.Exists(name)) return name;
        return files.FirstOrDefault(f => Path.GetFileNameWithoutExtension(f) == TaskFile.BaseName(name))
            ?? throw new CommandException($"\"{name}\" is not a task in {folder}; known are {known}.");
    }

    private static bool IsModels(string folder) => File.Exists(Path.Combine(folder, "nano-vit", "config.json"));
}
