using System.IO.MemoryMappedFiles;

namespace NanoLora.Nn;

/// <summary>A file mapped into memory, read only: opening it costs nothing, its pages are read when they are looked at.</summary>
/// <remarks>
/// Whoever cuts the file short while it is mapped ends the process at the next look: replace weight files by renaming,
/// as the writers here do.
/// </remarks>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile? _map;
    private readonly MemoryMappedViewAccessor? _view;
    private byte* _start;

    /// <summary>Maps a file; a missing or unreadable one is a <see cref="CheckpointException"/>.</summary>
    public MappedFile(string path)
    {
        Path = path;
        try
        {
            if (Directory.Exists(path)) throw new CheckpointException(path, "file", "this is a folder; name the weight file in it.");
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
            Length = stream.Length;
            if (Length == 0) return;   // an empty file has no pages to map
            _map = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            _view = _map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            byte* start = null;
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            _start = start + _view.PointerOffset;
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
        ObjectDisposedException.ThrowIf(_start == null && Length > 0, this);
        return _start + offset;
    }

    /// <summary>The <paramref name="count"/> bytes from <paramref name="offset"/>.</summary>
    public ReadOnlySpan<byte> Span(long offset, int count) => new(At(offset, count), count);

    /// <summary>At most <paramref name="count"/> bytes from the start.</summary>
    public ReadOnlySpan<byte> Head(int count) => Span(0, (int)Math.Min(count, Length));

    public void Dispose()
    {
        if (_start != null) _view!.SafeMemoryMappedViewHandle.ReleasePointer();
        _start = null;
        _view?.Dispose();
        _map?.Dispose();
    }
}
