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
            var probe = Path.Combine(folder, $".{Guid.NewGuid():N}.tmp");
            File.WriteAllBytes(probe, []);
            File.Delete(probe);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new CommandException($"{folder} cannot be written: {error.Message}", error);
        }
        return folder;
    }
}
