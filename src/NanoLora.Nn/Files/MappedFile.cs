using System.IO.MemoryMappedFiles;

namespace NanoLora.Nn;

/// <summary>A file mapped into memory, read only: opening it costs nothing, its pages are read when they are looked at.</summary>
/// <remarks>
/// Whoever cuts the file short while it is mapped ends the process at the next look: replace weight files by renaming,
/// as the writers here do.
/// </remarks>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly Lock _lock = new();
    private readonly FileStream? _stream;
    private readonly MemoryMappedFile? _map;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte* _start;
    private (MemoryMappedFile Map, MemoryMappedViewAccessor View)? _private;
    private byte* _privateStart;
    private bool _disposed, _hasNoPrivate;

    /// <summary>Maps a file; a missing or unreadable one is a <see cref="CheckpointException"/>.</summary>
    public MappedFile(string path)
    {
        Path = path;
        try
        {
            if (Directory.Exists(path)) throw new CheckpointException(path, "file", "this is a folder; name the weight file in it.");
            _stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
            Length = _stream.Length;
            if (Length == 0) return;   // an empty file has no pages to map
            (_map, _view, var start) = View(MemoryMappedFileAccess.Read);
            _start = (byte*)start;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CheckpointException(path, "file", "there is no such file; check the path.", e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or NotSupportedException or ArgumentException or (IOException and not CheckpointException))
        {
            Dispose();
            throw new CheckpointException(path, "file", $"it cannot be opened: {e.Message}", e);
        }
    }

    public string Path { get; }

    /// <summary>Bytes of the file.</summary>
    public long Length { get; }

    /// <summary>Address of byte <paramref name="offset"/>; the <paramref name="count"/> bytes from there must lie in the file.</summary>
    public byte* At(long offset, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Length - offset);
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _start + offset;
    }

    /// <summary>
    /// As <see cref="At"/>, in a second mapping: a page that is written to becomes this process's own, and the file stays as it is. Null where the system
    /// gives none.
    /// </summary>
    public byte* PrivateAt(long offset, long count)
    {
        _ = At(offset, count);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_privateStart == null && !_hasNoPrivate)
            {
                try
                {
                    var (map, view, start) = View(MemoryMappedFileAccess.CopyOnWrite);
                    _private = (map, view);
                    _privateStart = (byte*)start;
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or OutOfMemoryException)
                {
                    _hasNoPrivate = true;      // a system may ask for memory in reserve, in case all pages are written to
                }
            }
            return _privateStart == null ? null : _privateStart + offset;
        }
    }

    /// <summary>
    /// As <see cref="At"/>, for one look: the bytes are mapped for it alone, and their pages are let go with it. A page that <see cref="At"/> has shown
    /// counts as this process's memory until the file is closed.
    /// </summary>
    public FileWindow Window(long offset, long count)
    {
        var start = At(offset, count);
        if (count == 0) return new FileWindow(start, null);
        try
        {
            var view = _map!.CreateViewAccessor(offset, count, MemoryMappedFileAccess.Read);
            byte* own = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref own);
            return new FileWindow(own + view.PointerOffset, view);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutOfMemoryException)
        {
            return new FileWindow(start, null);        // a system has only so many mappings; the file's own is there
        }
    }

    /// <summary>The <paramref name="count"/> bytes from <paramref name="offset"/>.</summary>
    public ReadOnlySpan<byte> Span(long offset, int count) => new(At(offset, count), count);

    /// <summary>At most <paramref name="count"/> bytes from the start.</summary>
    public ReadOnlySpan<byte> Head(int count) => Span(0, (int)Math.Min(count, Length));

    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
        }
        if (_private is { } own) Close(own.Map, own.View);
        if (_start != null) Close(_map!, _view!);
        _stream?.Dispose();
    }

    private (MemoryMappedFile Map, MemoryMappedViewAccessor View, nint Start) View(MemoryMappedFileAccess access)
    {
        var map = MemoryMappedFile.CreateFromFile(_stream!, null, 0, access, HandleInheritability.None, leaveOpen: true);
        try
        {
            var view = map.CreateViewAccessor(0, 0, access);
            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            return (map, view, (nint)(start + view.PointerOffset));
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    private static void Close(MemoryMappedFile map, MemoryMappedViewAccessor view)
    {
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        map.Dispose();
    }
}

/// <summary>Bytes of a file, valid until this is disposed.</summary>
/// <param name="start">The first of them.</param>
/// <param name="view">What was mapped for them alone, or null.</param>
internal readonly unsafe ref struct FileWindow(byte* start, MemoryMappedViewAccessor? view) : IDisposable
{
    private readonly byte* _start = start;

    /// <summary>The first <paramref name="count"/> elements.</summary>
    public ReadOnlySpan<T> First<T>(int count) where T : unmanaged => new(_start, count);

    public void Dispose()
    {
        if (view is null) return;
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
    }
}
