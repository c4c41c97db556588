using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>Where the files of one repository at one commit go.</summary>
internal abstract class HubPlace
{
    /// <summary>The folder that the user is given.</summary>
    public abstract string Folder { get; }

    /// <summary>What one process at a time holds while it writes a file.</summary>
    public abstract string Lock(HubFile file);

    /// <summary>Where its bytes rest until all are there.</summary>
    public abstract string Partial(HubFile file);

    /// <summary>The name of its bytes when they are.</summary>
    public abstract string Path(HubFile file);

    /// <summary>Whether they are there.</summary>
    public abstract bool Has(HubFile file, CancellationToken cancellation);

    /// <summary>Makes it from bytes that lie elsewhere on this machine, where there are any.</summary>
    public virtual bool Take(HubFile file, CancellationToken cancellation) => false;

    /// <summary>Gives a file that is there its place in the folder.</summary>
    public virtual void Show(HubFile file, CancellationToken cancellation) { }

    /// <summary>Everything is there.</summary>
    public virtual void End() { }

    /// <summary>How many bytes of it are still to come.</summary>
    public long Missing(HubFile file, CancellationToken cancellation)
    {
        if (Has(file, cancellation)) return 0;
        var length = Length(Partial(file));
        return length <= file.Size ? file.Size - length : file.Size;
    }

    /// <summary>The length of a file, through links; 0 if there is none, -1 to say so.</summary>
    protected static long Length(string path, long none = 0)
    {
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return RandomAccess.GetLength(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return none;
        }
    }

    /// <summary>A path below a folder; the names have been checked, and this holds it once more.</summary>
    protected static string Below(string folder, string name)
    {
        var path = System.IO.Path.GetFullPath(System.IO.Path.Combine(folder, name));
        if (!path.StartsWith(folder + System.IO.Path.DirectorySeparatorChar, StringComparison.Ordinal))
            throw new InvalidDataException($"{HubNames.Shown(name)}: it leads out of {folder}.");
        return path;
    }

    /// <summary>Makes the folder of a file.</summary>
    protected static string Prepared(string path)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        return path;
    }

    /// <summary>Copies a file so that nobody sees half of it.</summary>
    protected static void Copy(string from, string to, CancellationToken cancellation) => AtomicFile.Write(to, target =>
    {
        using var source = File.OpenRead(from);
        var buffer = new byte[1 << 20];
        while (source.Read(buffer) is var read and > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            target.Write(buffer, 0, read);
        }
    });
}

/// <summary>The cache: bytes under their hash, and for each commit a folder of links to them.</summary>
internal sealed class CachePlace(HubCache cache, string repository, string revision, string commit) : HubPlace
{
    private readonly string _root = cache.Of(repository), _locks = cache.Locks(repository);

    public override string Folder { get; } = System.IO.Path.Combine(cache.Of(repository), "snapshots", commit);

    public override string Lock(HubFile file) => Prepared(System.IO.Path.Combine(_locks, file.Hash + ".lock"));

    public override string Path(HubFile file) => System.IO.Path.Combine(_root, "blobs", file.Hash);

    public override string Partial(HubFile file) => Path(file) + ".incomplete";

    public override bool Has(HubFile file, CancellationToken cancellation) => Length(Path(file), none: -1) == file.Size;

    // Where a system has no links, or not for this user, a copy.
    public override void Show(HubFile file, CancellationToken cancellation)
    {
        var shown = Prepared(Below(Folder, file.Name));
        if (Length(shown, none: -1) == file.Size) return;
        File.Delete(shown);
        var up = string.Concat(Enumerable.Repeat("../", 2 + file.Name.AsSpan().Count('/')));
        try { File.CreateSymbolicLink(shown, $"{up}blobs/{file.Hash}"); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { Copy(Path(file), shown, cancellation); }
    }

    // Last, so that a name leads to a folder with all that was asked for.
    public override void End()
    {
        if (revision != commit) AtomicFile.WriteText(Prepared(Below(System.IO.Path.Combine(_root, "refs"), revision)), commit);
    }
}

/// <summary>A folder of the user's, for the files themselves; what is on its way lies in <c>.cache/huggingface/download</c> in it.</summary>
internal sealed class FolderPlace(HubCache cache, string repository, string folder) : HubPlace
{
    private readonly Dictionary<string, bool> _right = new(StringComparer.Ordinal);

    public override string Folder { get; } = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(folder));

    public override string Lock(HubFile file) => Prepared(Below(Download, file.Name + ".lock"));

    public override string Path(HubFile file) => Below(Folder, file.Name);

    public override string Partial(HubFile file) => Below(Download, $"{file.Name}.{file.Hash}.incomplete");

    public override bool Has(HubFile file, CancellationToken cancellation)
    {
        var path = Path(file);
        if (Length(path, none: -1) != file.Size) return false;
        if (_right.GetValueOrDefault(file.Name)) return true;
        return _right[file.Name] = HubDigest.Matches(path, file, cancellation);
    }

    // What the cache has need not come again.
    public override bool Take(HubFile file, CancellationToken cancellation)
    {
        var blob = System.IO.Path.Combine(cache.Of(repository), "blobs", file.Hash);
        if (Length(blob, none: -1) != file.Size) return false;
        Copy(blob, Path(file), cancellation);
        return true;
    }

    private string Download => System.IO.Path.Combine(Folder, ".cache", "huggingface", "download");
}
