using System.Text;

namespace NanoLora.Nn;

/// <summary>Writes a file so that nobody ever sees half of it: a temporary name in the same folder, flushed to disk, then renamed.</summary>
/// <remarks>
/// The temporary name of <c>x</c> is <c>.x.M-N.tmp</c>, with the machine and a new number each time, so that several processes may write the same file, and it
/// is held locked until it takes its own. What a killed process has left under such a name nobody holds; the next write of <c>x</c> deletes it. The names of a
/// folder are the system's to flush: a power failure may bring back the file before, whole.
/// </remarks>
public static class AtomicFile
{
    /// <summary>
    /// Writes <paramref name="path"/>, replacing a file that is there; when <paramref name="write"/> or the disk fails,
    /// the old file stays and nothing new is left.
    /// </summary>
    /// <exception cref="CheckpointException">The folder is missing or cannot be written, or the disk is full.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using var file = Stage(path, write);
        Commit(file);
    }

    /// <summary>Writes a text file in UTF-8, as above.</summary>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    /// <summary>As <see cref="Write"/>, unless the file is there already: then that one stays, also where another process is the first to write it.</summary>
    /// <returns>Whether this write made the file.</returns>
    /// <exception cref="CheckpointException">The folder is missing or cannot be written, or the disk is full.</exception>
    public static bool WriteNew(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using var file = Stage(path, write);
        try { Commit(file, overwrite: false); }
        catch (CheckpointException) when (File.Exists(path)) { return false; }
        return true;
    }

    /// <summary>Deletes a file if it is there, and what a killed process has left of a write of it.</summary>
    /// <exception cref="CheckpointException">It cannot be deleted.</exception>
    public static void Delete(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            File.Delete(path);
            StagedFile.RemoveLeft(Path.GetFullPath(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, "file", $"it cannot be deleted: {e.Message} Check the rights of the folder.", e);
        }
    }

    /// <summary>
    /// Writes files of a folder that belong together. Each is whole on the disk before the first takes its name, so a disk that is full leaves all as it was.
    /// The last is the one without which the folder counts for nothing, such as a config: where it changes, the old one is taken away first and the new one
    /// comes when the others are there. Whoever is killed on the way leaves the old files or the new ones, or none that count, and never some of both.
    /// </summary>
    /// <param name="folder">A folder that is there.</param>
    /// <param name="files">Names and what to write, in this order.</param>
    /// <exception cref="CheckpointException">The folder cannot be written, or the disk is full.</exception>
    internal static void WriteTogether(string folder, params IReadOnlyList<(string Name, Action<Stream> Write)> files)
    {
        var staged = new List<StagedFile>(files.Count);
        try
        {
            foreach (var (name, write) in files) staged.Add(Stage(Path.Combine(folder, name), write));
            if (files.Count > 1 && staged[^1].Changes) File.Delete(staged[^1].Path);
            foreach (var file in staged) Commit(file);
        }
        catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException and not CheckpointException))
        {
            throw CannotBeWritten(folder, e);
        }
        finally
        {
            foreach (var file in staged) file.Dispose();
        }
    }

    private static StagedFile Stage(string path, Action<Stream> write)
    {
        var full = Path.GetFullPath(path);
        var folder = Path.GetDirectoryName(full);
        if (folder is null || Directory.Exists(full)) throw new CheckpointException(path, "file", "this is a folder; name a file in it.");
        if (!Directory.Exists(folder)) throw new CheckpointException(path, "folder", $"{folder} does not exist; create it first.");
        try { return new StagedFile(path, full, write); }
        catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException and not CheckpointException)) { throw CannotBeWritten(path, e); }
    }

    private static void Commit(StagedFile file, bool overwrite = true)
    {
        try { file.Commit(overwrite); }
        catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException and not CheckpointException)) { throw CannotBeWritten(file.Path, e); }
    }

    private static CheckpointException CannotBeWritten(string path, Exception e) =>
        new(path, "file", $"it cannot be written: {e.Message} Check the rights of the folder and the space on the disk.", e);
}
