using System.Security.Cryptography;
using System.Text;

namespace NanoLora.Nn;

/// <summary>A file that is whole on the disk under a temporary name, and has not taken its own yet. It is held open, and locked, until it has.</summary>
internal sealed class StagedFile : IDisposable
{
    private const int Buffer = 1 << 16, LongestName = 200;

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

    /// <summary>The temporary name of a file: the same each time, so that what a killed process has left is found.</summary>
    public static string TemporaryOf(string full)
    {
        var name = System.IO.Path.GetFileName(full);
        if (Encoding.UTF8.GetByteCount(name) > LongestName) name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)))[..32];
        return System.IO.Path.Combine(System.IO.Path.GetDirectoryName(full)!, $".{name}.tmp");
    }

    /// <summary>Deletes a temporary file that nobody holds; says whether the name is free now.</summary>
    public static bool RemoveLeft(string temporary)
    {
        try
        {
            new FileStream(temporary, FileMode.Open, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose).Dispose();
            return true;
        }
        catch (FileNotFoundException) { return true; }
        catch (IOException) { return false; }                                         // its writer lives
    }

    // Where another process is writing the same file now, a name that nobody else has.
    private static (FileStream Stream, string Temporary) Create(string full)
    {
        var temporary = TemporaryOf(full);
        if (!File.Exists(temporary) || RemoveLeft(temporary))
        {
            try { return (New(temporary), temporary); }
            catch (IOException) when (File.Exists(temporary)) { }                     // it came first
        }
        temporary = $"{temporary[..^".tmp".Length]}.{Guid.NewGuid():N}.tmp";
        return (New(temporary), temporary);
    }

    // Shared for deletion, which a rename is to some systems; the lock keeps others out all the same.
    private static FileStream New(string path) => new(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete, Buffer);
}
