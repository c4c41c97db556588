using System.Text;

namespace NanoLora.Experiments;

/// <summary>Writes a file so that a reader sees the old content or the new one, never half of it.</summary>
/// <remarks>A temporary name in the same folder, a flush to disk, a rename.</remarks>
public static class AtomicFile
{
    /// <summary>Creates or replaces a file; if <paramref name="write"/> throws, the old file stays as it was.</summary>
    /// <param name="path">The file; its folder is created where it is missing.</param>
    /// <param name="write">Puts the content into the stream it is given.</param>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        var target = Path.GetFullPath(path);
        var folder = Path.GetDirectoryName(target) ?? throw new ArgumentException($"AtomicFile: '{path}' names a folder, not a file", nameof(path));
        Directory.CreateDirectory(folder);
        var temporary = Path.Combine(folder, $".{Path.GetFileName(target)}.{Guid.NewGuid():N}.tmp");
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, target, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    /// <summary>Creates or replaces <paramref name="path"/> with <paramref name="text"/> in UTF-8 without a byte order mark.</summary>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
}
