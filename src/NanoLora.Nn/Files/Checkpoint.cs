using System.Diagnostics.CodeAnalysis;

namespace NanoLora.Nn;

/// <summary>
/// A weight file open for reading: the list of its tensors, and their bytes where the file has them, mapped into memory.
/// Reading is safe from several threads; nobody may read while another thread disposes it, which unmaps the bytes.
/// </summary>
/// <remarks>
/// Every error is a <see cref="CheckpointException"/>. The whole structure is checked at opening;
/// nothing is allocated because a file merely claims a size.
/// </remarks>
public abstract unsafe class Checkpoint : IDisposable
{
    private const int Chunk = 1 << 22;   // elements widened at a time: their bytes, at most 8 each, fit a span

    private readonly Dictionary<string, TensorEntry> _byName = new(StringComparer.Ordinal);
    private TensorEntry[] _entries = [];
    private int _holders = 1;   // this checkpoint, and whoever called Hold
    private int _disposed;

    private protected Checkpoint(string path) => Path = path;

    /// <summary>The file that was opened.</summary>
    public string Path { get; }

    /// <summary>All tensors, in the order of the file.</summary>
    public IReadOnlyList<TensorEntry> Entries => _entries;

    /// <summary>What the file says besides tensors: safetensors' metadata; in PyTorch files the numbers and texts, by dotted path.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; private protected set; } = new Dictionary<string, string>();

    /// <summary>The tensor called <paramref name="name"/>; its absence is an error that says so.</summary>
    public TensorEntry this[string name] => TryGet(name, out var entry) ? entry
        : throw Error(name, $"no such tensor among the {_entries.Length} in the file; check the name or the model's layout.");

    /// <summary>
    /// Opens a weight file by its content, whatever its extension: safetensors, the index of a sharded checkpoint,
    /// torch.save's zip or the format before it.
    /// </summary>
    /// <param name="path">
    /// The file; or a folder, in which model.safetensors, model.safetensors.index.json, pytorch_model.bin and
    /// pytorch_model.bin.index.json are tried in this order.
    /// </param>
    /// <exception cref="CheckpointException">The file is missing, of another kind, or damaged.</exception>
    public static Checkpoint Open(string path) => OpenFile(Directory.Exists(path) ? InFolder(path) : path, allowIndex: true);

    /// <summary>Looks a tensor up by its exact name.</summary>
    public bool TryGet(string name, [NotNullWhen(true)] out TensorEntry? entry) => _byName.TryGetValue(name, out entry);

    /// <summary>The tensor's bytes, contiguous and row-major, little-endian as in the file; valid until the checkpoint is disposed.</summary>
    /// <exception cref="CheckpointException">The tensor is longer than a span can be (2 GiB): read it in parts.</exception>
    public ReadOnlySpan<byte> Bytes(TensorEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        if (entry.Length > int.MaxValue)
            throw Error(entry.Name, $"its {entry.Length} bytes are more than one span holds; read it in parts with Bytes(entry, start, count).");
        return new(Find(entry), (int)entry.Length);
    }

    /// <summary>The <paramref name="count"/> bytes of the tensor from byte <paramref name="start"/>.</summary>
    public ReadOnlySpan<byte> Bytes(TensorEntry entry, long start, int count)
    {
        ArgumentNullException.ThrowIfNull(entry);
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, entry.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, entry.Length - start);
        return new(Find(entry) + start, count);
    }

    /// <summary>Address of the tensor's bytes, for storage that borrows them while it holds the file; aligned only as the file is.</summary>
    public nint Address(TensorEntry entry) => (nint)Find(entry);

    /// <summary>
    /// Widens all elements to float32: F64 is rounded, F16, BF16, F8E4M3 and F8E5M2 are exact, integers must be exact,
    /// any non-zero Bool is 1.
    /// </summary>
    /// <param name="entry">A tensor of this file.</param>
    /// <param name="destination">As many floats as the tensor has elements.</param>
    /// <exception cref="CheckpointException">Another length, a type without float32 form (C64, F4, ...), or a value that float32 does not hold.</exception>
    public void CopyTo(TensorEntry entry, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(entry);
        if (entry.Count != destination.Length)
            throw Error(entry.Name, $"{entry} has {entry.Count} elements, the destination {destination.Length}; give one float for each.");
        CopyTo(entry, 0, destination);
    }

    /// <summary>As <see cref="CopyTo(TensorEntry, Span{float})"/>, of the elements from <paramref name="start"/> that the destination has room for.</summary>
    internal void CopyTo(TensorEntry entry, long start, Span<float> destination)
    {
        if (!Widening.ToSingles(entry.DType))
            throw Error(entry.Name, $"{entry.DType.FileName()} has no float32 form here; convert the tensor to F32, F16 or BF16.");
        var size = entry.DType.Bits() / 8;
        for (var done = 0; done < destination.Length;)
        {
            var part = destination.Slice(done, Math.Min(Chunk, destination.Length - done));
            using var window = Window(entry, (start + done) * size, (long)part.Length * size);
            var misfit = Widening.ToSingle(entry.DType, window.First<byte>(part.Length * size), part);
            if (misfit >= 0)
                throw Error(entry.Name, $"element {start + done + misfit} of {entry} does not fit float32; read integers with ReadInt64, or scale the tensor.");
            done += part.Length;
        }
    }

    /// <summary>Reads a tensor of integers or Bool, such as labels and ids; a U64 beyond long is an error.</summary>
    /// <exception cref="CheckpointException">The tensor holds floats, or a value beyond long.</exception>
    public long[] ReadInt64(TensorEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        if (!Widening.ToIntegers(entry.DType)) throw Error(entry.Name, $"{entry} does not hold integers; read it with CopyTo.");
        if (entry.Count > Array.MaxLength)
            throw Error(entry.Name, $"{entry} has more elements than an array; read it in parts with Bytes(entry, start, count).");
        var y = new long[entry.Count];
        var size = entry.DType.Bits() / 8;
        for (var done = 0; done < y.Length;)
        {
            var part = y.AsSpan(done, Math.Min(Chunk, y.Length - done));
            using var window = Window(entry, (long)done * size, (long)part.Length * size);
            var misfit = Widening.ToInt64(entry.DType, window.First<byte>(part.Length * size), part);
            if (misfit >= 0) throw Error(entry.Name, $"element {done + misfit} of {entry} is above {long.MaxValue}; read its bytes.");
            done += part.Length;
        }
        return y;
    }

    /// <summary>
    /// Keeps addresses valid beyond <see cref="Dispose()"/>, for storage that borrows them: the file stays mapped until
    /// what this returns is disposed too.
    /// </summary>
    public IDisposable Hold()
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        Interlocked.Increment(ref _holders);
        return new Holder(this);
    }

    /// <summary>Ends reading. The file is unmapped, and all spans and addresses taken from it are dead, when nobody holds it any more.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0) Release();
    }

    /// <summary>Lets go of files and memory; called once.</summary>
    private protected abstract void Close();

    /// <summary>
    /// Where the tensor's bytes can be written to as well, without a trace in the file; 0 where it does not hold them in one piece, or the system gives no such
    /// memory. Valid as <see cref="Address"/> is.
    /// </summary>
    internal nint PrivateAddress(TensorEntry entry)
    {
        _ = Find(entry);
        return (nint)LocatePrivate(entry);
    }

    /// <summary>
    /// The <paramref name="count"/> bytes of the tensor from byte <paramref name="start"/>, for one look: read so, a file does not stand in memory beside what
    /// was made of it.
    /// </summary>
    internal FileWindow Window(TensorEntry entry, long start, long count)
    {
        _ = Find(entry);
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, entry.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, entry.Length - start);
        return Look(entry, start, count);
    }

    /// <summary>As <see cref="Locate"/>, of bytes within the tensor, for one look.</summary>
    private protected virtual FileWindow Look(TensorEntry entry, long start, long count) => new(Locate(entry) + start, null);

    /// <summary>As <see cref="Locate"/>, in memory that can be written to; null where there is none.</summary>
    private protected virtual byte* LocatePrivate(TensorEntry entry) => null;

    /// <summary>Where the bytes of an entry of this very file are, all <see cref="TensorEntry.Length"/> of them.</summary>
    private protected abstract byte* Locate(TensorEntry entry);

    /// <summary>Opens one file by its content; a shard must not be an index again.</summary>
    internal static Checkpoint OpenFile(string path, bool allowIndex)
    {
        var file = new MappedFile(path);
        try
        {
            var head = file.Head(FileKind.Bytes);
            if (FileKind.IsSafetensors(head)) return new SafetensorsFile(file);
            if (FileKind.IsZip(head) || FileKind.IsPickle(head)) return new PyTorchFile(file);
            if (!FileKind.IsJson(head)) return new SafetensorsFile(file);   // which says what is wrong with it
            if (!allowIndex) throw new CheckpointException(path, "file", "an index of shards cannot be a shard; repair weight_map.");
            using (file) return new ShardedCheckpoint(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Takes the tensors that the file lists; two of one name are refused.</summary>
    private protected void List(IEnumerable<TensorEntry> entries)
    {
        _entries = [.. entries];
        foreach (var entry in _entries)
            if (!_byName.TryAdd(entry.Name, entry)) throw Error(entry.Name, "two tensors have this name; save the file again with one of them.");
    }

    private protected CheckpointException Error(string field, string message, Exception? inner = null) => new(Path, field, message, inner);

    private byte* Find(TensorEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (!TryGet(entry.Name, out var mine) || !ReferenceEquals(mine, entry))
            throw Error(entry.Name, "the entry is not one of this file's; take it from Entries or TryGet.");
        return Locate(entry);
    }

    private void Release()
    {
        if (Interlocked.Decrement(ref _holders) == 0) Close();
    }

    private sealed class Holder(Checkpoint checkpoint) : IDisposable
    {
        private Checkpoint? _checkpoint = checkpoint;

        public void Dispose() => Interlocked.Exchange(ref _checkpoint, null)?.Release();
    }

    private static string InFolder(string folder)
    {
        foreach (var name in (ReadOnlySpan<string>)["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"])
            if (System.IO.Path.Combine(folder, name) is var path && File.Exists(path)) return path;
        throw new CheckpointException(folder, "folder", "holds neither model.safetensors nor pytorch_model.bin, nor an index of one; name the weight file.");
    }
}
