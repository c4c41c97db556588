using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>The folder that a command writes to, checked before any work is done.</summary>
internal static class OutputFolder
{
    /// <summary>Makes the folder if need be, and tries to write in it.</summary>
    /// <exception cref="CommandException">It is a file, or it cannot be made or written.</exception>
    public static string Prepare(string folder)
    {
        if (folder.Length == 0) throw new UsageException("--out: the name of the folder is empty.");
        if (File.Exists(folder)) throw new CommandException($"{folder} is a file; name a folder to write to.");
        try
        {
            Directory.CreateDirectory(folder);
            var probe = Path.Combine(folder, ".probe.tmp");
            const FileShare all = FileShare.ReadWrite | FileShare.Delete;
            new FileStream(probe, FileMode.Create, FileAccess.Write, all, 1, FileOptions.DeleteOnClose).Dispose();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new CommandException($"{folder} cannot be written: {error.Message}", error);
        }
        return folder;
    }

    /// <summary>Takes the folder away at the end if it was not there before and nothing is in it: a command that fails leaves nothing behind.</summary>
    public static IDisposable NotLeftEmpty(string folder) => new Visitor(folder);

    private sealed class Visitor(string folder) : IDisposable
    {
        private readonly bool _there = Directory.Exists(folder);

        public void Dispose()
        {
            if (!_there && Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
        }
    }

    /// <summary>
    /// The same for a folder that an adapter goes to: new, empty, an adapter, one that is being trained, or what a killed command has left of one.
    /// </summary>
    /// <exception cref="CommandException">It has other things in it.</exception>
    public static void PrepareAdapter(string folder)
    {
        Prepare(folder);
        string[] ours = [Adapters.PeftConfig, Adapters.PeftWeights, TrainingState.FileName];
        if (ours.Any(name => File.Exists(Path.Combine(folder, name)))) return;
        var names = Directory.EnumerateFileSystemEntries(folder).Select(f => Path.GetFileName(f)!);
        if (names.FirstOrDefault(f => f is not ['.', .., '.', 't', 'm', 'p']) is { } strange)
            throw new CommandException($"{folder} has {strange} in it and is no adapter folder; name a new folder.");
    }
}
