using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>What a command takes as TASK: a task file, a pair of IDX files, or the name of a source task.</summary>
internal static class TaskInput
{
    /// <summary>How the help texts say it.</summary>
    public const string Help =
        "a task file (.safetensors), IDX files IMAGES,LABELS or TRAIN-IMAGES,TRAIN-LABELS,TEST-IMAGES,TEST-LABELS, or with --data the name of a source task";

    /// <summary>Reads the task.</summary>
    /// <param name="text">What was given as TASK.</param>
    /// <param name="dataFolder">The folder of raw sources, for names.</param>
    /// <param name="labels">The classes of a model's head: the names that the numbers of an IDX file stand for, if they are enough.</param>
    /// <exception cref="CommandException">There is no such task.</exception>
    public static ImageTask Read(string text, string? dataFolder, IReadOnlyList<string>? labels = null)
    {
        if (File.Exists(text)) return TaskFile.Read(text);
        if (text.Split(',') is { Length: 2 or 4 } files) return Pair(files, labels);
        if (dataFolder is null) throw new CommandException($"\"{text}\" is not a file; give {Help}.");
        return Source(text, dataFolder);
    }

    /// <summary>The few-shot tasks of a folder of raw sources, without images that two pools or the training and test part of one task would share.</summary>
    public static IReadOnlyList<ImageTask> Sources(string dataFolder)
    {
        if (!Directory.Exists(dataFolder)) throw new CommandException($"{dataFolder} is not a folder; name the folder of raw image sets with --data.");
        return Pools.Separate([.. Data.Sources.LoadTasks(dataFolder)]);
    }

    private static ImageTask Source(string name, string dataFolder)
    {
        var tasks = Sources(dataFolder);
        return tasks.FirstOrDefault(t => Printable.FileName(t.Name) == Printable.FileName(name))
            ?? throw new CommandException($"\"{name}\" is not a task of {dataFolder}; known are {string.Join(", ", tasks.Select(t => t.Name))}.");
    }

    // Images that come alone are for training; whoever measures takes them all.
    private static ImageTask Pair(string[] files, IReadOnlyList<string>? labels)
    {
        foreach (var file in files) if (!File.Exists(file)) throw new CommandException($"{file}: there is no such file; give {Help}.");
        var most = 0;
        for (var i = 1; i < files.Length; i += 2) foreach (var label in Idx.ReadLabels(files[i])) most = Math.Max(most, label);
        string[] classes = labels is not null && most < labels.Count ? [.. labels] : [.. Enumerable.Range(0, most + 1).Select(c => $"{c}")];
        var name = Path.GetFileName(files[0]);
        var train = Idx.ReadImages(name, files[0], files[1], classes);
        return new(name, train, files.Length == 4 ? Idx.ReadImages(name, files[2], files[3], classes) : train.Subset([]), Pool.Upstream);
    }
}
