using System.Runtime.InteropServices;
using System.Text;

namespace NanoLora.Nn;

/// <summary>Writes a file so that nobody ever sees half of it: a temporary name in the same folder, flushed to disk, then renamed.</summary>
public static partial class AtomicFile
{
    private const int Buffer = 1 << 16;

    /// <summary>
    /// Writes <paramref name="path"/>, replacing a file that is there; when <paramref name="write"/> or the disk fails,
    /// the old file stays and nothing new is left.
    /// </summary>
    /// <exception cref="CheckpointException">The folder is missing or cannot be written, or the disk is full.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var full = Path.GetFullPath(path);
        var folder = Path.GetDirectoryName(full);
        if (folder is null || Directory.Exists(full)) throw new CheckpointException(path, "file", "this is a folder; name a file in it.");
        if (!Directory.Exists(folder)) throw new CheckpointException(path, "folder", $"{folder} does not exist; create it first.");
        var temporary = Path.Combine(folder, $".{Guid.NewGuid():N}.tmp");
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, Buffer))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, full, overwrite: true);
            FlushFolder(folder);
        }
        catch (Exception e)
        {
            Remove(temporary);
            if (e is UnauthorizedAccessException || (e is IOException and not CheckpointException))
                throw new CheckpointException(path, "file", $"it cannot be written: {e.Message} Check the rights of the folder and the space on the disk.", e);
            throw;
        }
    }

    /// <summary>Writes a text file in UTF-8, as above.</summary>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    /// <summary>
    /// Flushes the names in a folder to disk. Without it a power failure may bring the file before back, whole; so where the system has no such call
    /// (Windows flushes names by itself), or the disk knows none, nothing is lost.
    /// </summary>
    internal static void FlushFolder(string folder)
    {
        if (OperatingSystem.IsWindows()) return;
        try
        {
            const int readOnly = 0;
            var descriptor = OpenFolder(folder, readOnly);
            if (descriptor < 0) return;
            _ = FlushDescriptor(descriptor);
            _ = CloseDescriptor(descriptor);
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException) { }
    }

    // .NET opens no folders.
    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFolder(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int FlushDescriptor(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int CloseDescriptor(int descriptor);

    private static void Remove(string temporary)
    {
        try { File.Delete(temporary); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { }   // the first error is the one to tell
    }
}
