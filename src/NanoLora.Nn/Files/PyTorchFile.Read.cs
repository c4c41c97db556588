using System.Numerics;
using System.Runtime.InteropServices;

namespace NanoLora.Nn;

// Two containers of the same pickle:
//   zip     root/data.pkl, root/data/KEY for each storage, root/byteorder ("little"); root is a name of any kind
//   stream  pickles: magic number, protocol 1001, {"little_endian", ...}, the value, the list of storage keys; then each storage: count (8 bytes), elements

public sealed unsafe partial class PyTorchFile
{
    private static readonly BigInteger Magic = new([0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]);
    private const long StreamProtocol = 1001;

    private object? ReadZip()
    {
        _zip = new ZipIndex(_file);
        var root = _zip.First is { } first && first.IndexOf('/') is var slash and >= 0 ? first[..slash]
            : throw Error("data.pkl", "the archive has no folder of torch.save; this is another kind of zip.");
        if (_zip[$"{root}/constants.pkl"] is not null)
            throw Error("constants.pkl", "this is a TorchScript archive; save the weights alone, with torch.save(model.state_dict(), ...).");
        var pickle = _zip[$"{root}/data.pkl"]
            ?? throw Error("data.pkl", $"is not in the archive's folder {root}; this is no file of torch.save, or it is damaged.");
        foreach (var name in _zip.Names)
            if (name.EndsWith("/data.pkl", StringComparison.Ordinal) && name != pickle.Name)
                throw Error(name, $"is a second data.pkl beside {pickle.Name}; save the file again.");
        if (_zip[$"{root}/byteorder"] is { } order && !Unpacked(order, 16).SequenceEqual("little"u8))
            throw Error("byteorder", "is not little; save the file again on a little-endian machine.");

        var reader = new PickleReader(Path, "data.pkl", Unpacked(pickle, PickleReader.MaxBytes), _file.Length);
        var value = reader.Read();
        foreach (var key in reader.Storages.Keys)
            if (_zip[$"{root}/data/{key}"] is { } entry) _storages.Add(key, new(entry.Offset, entry.Length, entry.Deflated ? entry : null));
        return value;
    }

    private object? ReadStream()
    {
        var reader = new PickleReader(Path, "pickle", _file.Head(PickleReader.MaxBytes), _file.Length);
        if (reader.Read() is not BigInteger magic || magic != Magic)
            throw Error("pickle", "this is a pickle, but not one of torch.save; save the weights again with torch.save.");
        if (reader.Read() is not StreamProtocol)
            throw Error("pickle", $"the protocol of the stream is not {StreamProtocol}; save the weights again with a current PyTorch.");
        if ((reader.Read() as PickleDict)?.Get("little_endian") is not true)
            throw Error("little_endian", "is not True; save the file again on a little-endian machine.");
        var value = reader.Read();
        if (reader.Read() is not List<object?> keys) throw Error("pickle", "the list of storages is missing; the file is damaged.");

        long at = reader.Position;
        foreach (var item in keys)
        {
            if (item is not string key || !reader.Storages.TryGetValue(key, out var storage))
                throw Error("pickle", $"storage {PickleText.Of(item)} is listed but belongs to no tensor; the file is damaged.");
            if (_file.Length - at < 8 || MemoryMarshal.Read<long>(_file.Span(at, 8)) != storage.Count)
                throw Error($"storage {key}", $"does not begin with its count, {storage.Count}; the file is cut short or damaged.");
            at += 8;
            if (storage.Bytes > _file.Length - at)
                throw Error($"storage {key}", $"has {storage.Bytes} bytes, {_file.Length - at} follow; the file is cut short, download or save it again.");
            if (!_storages.TryAdd(key, new(at, (long)storage.Bytes, null))) throw Error($"storage {key}", "is listed twice; the file is damaged.");
            at += (long)storage.Bytes;
        }
        return value;
    }

    // A small entry: the pickle, the byte order.
    private ReadOnlySpan<byte> Unpacked(ZipEntry entry, int limit)
    {
        if (entry.Length > limit) throw Error(entry.Name, $"has {entry.Length} bytes, above the limit of {limit}.");
        if (!entry.Deflated) return _file.Span(entry.Offset, (int)entry.Length);
        var bytes = new byte[entry.Length];
        fixed (byte* y = bytes) _zip!.Unpack(entry, y);
        return bytes;
    }

    /// <summary>From the value of the pickle to named tensors and leaves; ends on cycles and on what only grows when walked.</summary>
    private sealed class Walk(PyTorchFile file)
    {
        private const int MaxDepth = 64, MaxName = 4096;
        private const int FreeVisits = 1 << 12, FreeText = 1 << 18, TextPerByte = 64;   // values may be shared, so a small file can show many
        private const long MaxExpanded = 64 << 20;   // bytes of views that show more than their storage holds (stride 0), all together

        private readonly long _mostVisits = FreeVisits + file._file.Length, _mostText = FreeText + TextPerByte * file._file.Length;
        private long _visits, _text, _expanded;

        public List<TensorEntry> Entries { get; } = [];

        public Dictionary<string, string> Leaves { get; } = new(StringComparer.Ordinal);

        /// <summary>Takes a value at a dotted path, "" at the top.</summary>
        public void Visit(object? value, string path, int depth)
        {
            var name = path.Length == 0 ? "." : path;
            if (depth > MaxDepth) throw file.Error(Short(name), $"is nested more than {MaxDepth} deep, or contains itself; save the tensors in a flat dict.");
            if (++_visits > _mostVisits)
                throw file.Error(Short(name),
                    $"is beyond the first {_mostVisits} values, in a file of {file._file.Length} bytes; save the tensors in a dict of their own.");
            if (path.Length > MaxName) throw file.Error(Short(name), $"the name is longer than {MaxName} characters; rename it.");
            Count(path);
            switch (value)
            {
                case PickleTensor tensor: Entries.Add(Checked(tensor, name)); break;
                case PickleDict { Items.Count: 0 }: Leaves[name] = "{}"; break;
                case PickleDict dict: foreach (var (key, item) in dict.Items) Visit(item, Below(path, key), depth + 1); break;
                case List<object?> { Count: 0 } or object?[] { Length: 0 }: Leaves[name] = "[]"; break;
                case List<object?> list: for (var i = 0; i < list.Count; i++) Visit(list[i], Below(path, PickleText.Of((long)i)), depth + 1); break;
                case object?[] tuple: for (var i = 0; i < tuple.Length; i++) Visit(tuple[i], Below(path, PickleText.Of((long)i)), depth + 1); break;
                default: Count(Leaves[name] = PickleText.Of(value)); break;
            }

            void Count(string text)
            {
                if ((_text += text.Length) > _mostText)
                    throw file.Error(Short(name),
                        $"names and texts of the file are longer than {_mostText} characters; save the tensors in a dict of their own.");
            }
        }

        private static string Below(string path, string key) => path.Length == 0 ? key : $"{path}.{key}";

        private static string Short(string name) => name.Length <= 80 ? name : $"{name[..80]}...";

        // Holds afterwards: every element the view shows lies in its storage, whose bytes lie in the file.
        private TensorEntry Checked(PickleTensor tensor, string name)
        {
            var (sizes, strides, type) = (tensor.Sizes, tensor.Strides, tensor.DType);
            if (sizes.Length != strides.Length) throw file.Error(name, $"has {sizes.Length} axes and {strides.Length} strides; the file is damaged.");
            if (!file._storages.TryGetValue(tensor.Storage.Key, out var storage))
                throw file.Error(name, $"its storage {tensor.Storage.Key} is not in the file; the file is damaged, download or save it again.");
            if (tensor.Storage.Bytes != storage.Length)
                throw file.Error(name,
                    $"its storage {tensor.Storage.Key} should have {tensor.Storage.Bytes} bytes and has {storage.Length}; the file is damaged.");
            var count = FileDTypes.Count(sizes);
            var bytes = count < 0 ? -1 : type.Bytes(count);
            if (bytes < 0) throw file.Error(name, $"{What()} has no size below 2^63; the file is damaged.");

            Int128 last = tensor.Offset;
            for (var axis = 0; axis < sizes.Length && count > 0; axis++) last += (Int128)(sizes[axis] - 1) * strides[axis];
            var held = storage.Length / (type.Bits() / 8);
            if (tensor.Offset < 0 || strides.AsSpan().ContainsAnyInRange(long.MinValue, -1) || (count > 0 ? last >= held : tensor.Offset > held))
                throw file.Error(name,
                    $"{What()} with strides [{string.Join(", ", strides)}] from element {tensor.Offset} leaves its storage of {held}; the file is damaged.");
            if (bytes > storage.Length && (bytes > MaxExpanded || (_expanded += bytes) > MaxExpanded))
                throw file.Error(name,
                    $"{What()} shows {bytes} bytes of a storage of {storage.Length} by stride 0; save x.contiguous(), or the tensor before expand().");

            var contiguous = IsContiguous(sizes, strides);
            var offset = contiguous && storage.Packed is null ? storage.Offset + tensor.Offset * (type.Bits() / 8) : -1;
            var entry = new TensorEntry(name, type, [.. sizes], offset, bytes);
            file._views.Add(entry, new(storage, tensor, contiguous));
            return entry;

            string What() => $"{type.FileName()} [{string.Join(", ", sizes)}]";
        }

        private static bool IsContiguous(long[] sizes, long[] strides)
        {
            var step = 1L;
            for (var axis = sizes.Length - 1; axis >= 0; axis--)
            {
                if (sizes[axis] != 1 && strides[axis] != step) return false;
                step *= sizes[axis];
            }
            return true;
        }
    }
}
