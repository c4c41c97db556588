using System.Security.Cryptography;
using System.Text;

namespace NanoLora.Nn;

/// <summary>A file that is whole on the disk under a temporary name, and has not taken its own yet. It is held open, and locked, until it has.</summary>
internal sealed class StagedFile : IDisposable
{
    private const int Buffer = 1 << 16, LongestName = 200;

    private static readonly TimeSpan Forgotten = TimeSpan.FromHours(1);
    private static readonly string Machine = $".{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Environment.MachineName)))[..8]}-";

    private readonly FileStream _stream;
    private readonly string _full, _temporary;
    private bool _committed;

    /// <summary>Writes the file and flushes it to disk; where that fails, nothing is left.</summary>
    /// <param name="path">Its name, for messages.</param>
    /// <param name="full">The same as a full path.</param>
    /// <param name="write">What to write.</param>
    public StagedFile(string path, string full, Action<Stream> write)
    {
        (Path, _full) = (path, full);
        RemoveLeft(full);
        (_stream, _temporary) = Create(full);
        try
        {
            write(_stream);
            _stream.Flush(flushToDisk: true);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The name that it is to have.</summary>
    public string Path { get; }

    /// <summary>Whether a file of that name is there and holds something else.</summary>
    public bool Changes
    {
        get
        {
            if (!File.Exists(_full)) return false;
            var before = File.ReadAllBytes(_full);
            if (before.Length != _stream.Length) return true;
            var now = new byte[before.Length];
            _stream.Position = 0;
            _stream.ReadExactly(now);
            return !now.AsSpan().SequenceEqual(before);
        }
    }

    /// <summary>Gives it its name, in the place of a file that has it, or only if none has.</summary>
    public void Commit(bool overwrite)
    {
        File.Move(_temporary, _full, overwrite);
        _committed = true;
    }

    /// <summary>Lets the file go; one that did not take its name is deleted.</summary>
    public void Dispose()
    {
        try { _stream.Dispose(); }
        catch (IOException) { }                                                       // a full disk says so once more; the first error is the one to tell
        if (_committed) return;
        try { File.Delete(_temporary); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { }
    }

    /// <summary>
    /// Deletes what killed processes have left of writes of a file: what nobody holds. Locks of other machines may not show here: theirs stay an hour.
    /// </summary>
    public static void RemoveLeft(string full)
    {
        var (folder, prefix) = Names(full);
        foreach (var left in Directory.GetFiles(folder, prefix + ".*.tmp"))
        {
            if (!left.Contains(Machine, StringComparison.Ordinal) && DateTime.UtcNow - File.GetLastWriteTimeUtc(left) < Forgotten) continue;
            try { new FileStream(left, FileMode.Open, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose).Dispose(); }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { }    // its writer lives, or another has deleted it
        }
    }

    // A new file is open for a moment before it is locked, and may be taken for one that was left: then another is made. Shared for deletion, which a rename is
    // to some systems; the lock keeps others out all the same.
    private static (FileStream Stream, string Temporary) Create(string full)
    {
        var (folder, prefix) = Names(full);
        while (true)
        {
            var temporary = System.IO.Path.Combine(folder, $"{prefix}{Machine}{Guid.NewGuid():N}.tmp");
            try
            {
                var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete, Buffer);
                if (File.Exists(temporary)) return (stream, temporary);
                stream.Dispose();
            }
            catch (IOException) when (File.Exists(temporary)) { }                             // its remover holds it now
        }
    }

    private static (string Folder, string Prefix) Names(string full)
    {
        var name = System.IO.Path.GetFileName(full);
        if (Encoding.UTF8.GetByteCount(name) > LongestName) name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)))[..32];
        return (System.IO.Path.GetDirectoryName(full)!, "." + name);
    }
}
