using System.Runtime.InteropServices;

namespace NanoLora.Nn;

/// <summary>
/// A checkpoint of torch.save: the zip format since PyTorch 1.6, and the stream of pickles before it. Nothing in the file
/// runs: its pickle is read by a small machine with an allow-list. Tensors are named by their dotted path through dicts and
/// lists; numbers and texts are in <see cref="Checkpoint.Metadata"/>, as Python prints them.
/// </summary>
/// <remarks>
/// Contiguous tensors of stored entries are read in place; strided views are gathered, and deflated storages unpacked,
/// when they are first asked for.
/// </remarks>
public sealed unsafe partial class PyTorchFile : Checkpoint
{
    private readonly MappedFile _file;
    private readonly Dictionary<string, Storage> _storages = new(StringComparer.Ordinal);
    private readonly Dictionary<TensorEntry, View> _views = new(ReferenceEqualityComparer.Instance);
    private readonly List<nint> _memory = [];   // native blocks of gathered and unpacked bytes
    private readonly Lock _lock = new();
    private ZipIndex? _zip;

    /// <summary>Opens and checks a file that must be a PyTorch checkpoint; <see cref="Checkpoint.Open"/> takes other kinds too.</summary>
    /// <exception cref="CheckpointException">The file is missing, damaged, or holds more than tensors, numbers and texts.</exception>
    public PyTorchFile(string path) : this(new MappedFile(path)) { }

    /// <summary>Takes a mapped file, which is closed with this checkpoint, or now if it is not valid.</summary>
    internal PyTorchFile(MappedFile file) : base(file.Path)
    {
        _file = file;
        try
        {
            var head = file.Head(FileKind.Bytes);
            if (!FileKind.IsZip(head) && !FileKind.IsPickle(head))
                throw Error("file", FileKind.Foreign(head) ?? "this is no PyTorch checkpoint; open it with Checkpoint.Open.");
            var walk = new Walk(this);
            walk.Visit(FileKind.IsZip(head) ? ReadZip() : ReadStream(), "", 0);
            List(walk.Entries);
            Metadata = walk.Leaves;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    // Bytes of one storage: in the file, or to be unpacked from it.
    private sealed class Storage(long offset, long length, ZipEntry? packed)
    {
        public readonly long Offset = offset, Length = length;
        public readonly ZipEntry? Packed = packed;
        public byte* Unpacked;
    }

    // A tensor as a view of a storage, its bounds checked; Gathered is its contiguous copy once somebody asked.
    private sealed class View(Storage storage, PickleTensor tensor, bool contiguous)
    {
        public readonly Storage Storage = storage;
        public readonly PickleTensor Tensor = tensor;
        public readonly bool Contiguous = contiguous;
        public byte* Gathered;
    }

    private protected override byte* Locate(TensorEntry entry)
    {
        var view = _views[entry];
        lock (_lock)
        {
            if (entry.Length == 0) return _file.At(0, 0);
            var size = entry.DType.Bits() / 8;
            if (view.Contiguous) return Start(view.Storage) + view.Tensor.Offset * size;
            if (view.Gathered == null)
            {
                var y = Allocate(entry.Length);
                Gather(Start(view.Storage) + view.Tensor.Offset * size, y, view.Tensor.Sizes, view.Tensor.Strides, size);
                view.Gathered = y;
            }
            return view.Gathered;
        }
    }

    private protected override FileWindow Look(TensorEntry entry, long start, long count)
    {
        var view = _views[entry];
        if (entry.Length == 0 || !view.Contiguous || view.Storage.Packed is not null) return base.Look(entry, start, count);
        return _file.Window(view.Storage.Offset + view.Tensor.Offset * (entry.DType.Bits() / 8) + start, count);
    }

    private protected override void Close()
    {
        foreach (var block in _memory) NativeMemory.Free((void*)block);
        _file.Dispose();
    }

    private byte* Start(Storage storage)
    {
        if (storage.Packed is null) return _file.At(storage.Offset, storage.Length);
        if (storage.Unpacked == null)
        {
            var y = Allocate(storage.Length);
            _zip!.Unpack(storage.Packed, y);
            storage.Unpacked = y;
        }
        return storage.Unpacked;
    }

    private byte* Allocate(long length)
    {
        var block = (byte*)NativeMemory.Alloc((nuint)length);
        _memory.Add((nint)block);
        return block;
    }

    // y[i0, i1, ...] = x[i0 s0 + i1 s1 + ...]: the last axis in a loop, the others as an odometer.
    private static void Gather(byte* x, byte* y, ReadOnlySpan<long> sizes, ReadOnlySpan<long> strides, int size)
    {
        var rank = sizes.Length;   // at least 1: a scalar is contiguous
        var index = new long[rank];
        while (true)
        {
            for (var i = 0L; i < sizes[^1]; i++, y += size) Copy(x + i * strides[^1] * size, y, size);
            var axis = rank - 2;
            for (; axis >= 0; axis--)
            {
                x += strides[axis] * size;
                if (++index[axis] < sizes[axis]) break;
                x -= index[axis] * strides[axis] * size;
                index[axis] = 0;
            }
            if (axis < 0) return;
        }
    }

    private static void Copy(byte* x, byte* y, int size)
    {
        switch (size)
        {
            case 1: *y = *x; break;
            case 2: *(ushort*)y = *(ushort*)x; break;
            case 4: *(uint*)y = *(uint*)x; break;
            default: *(ulong*)y = *(ulong*)x; break;
        }
    }
}
