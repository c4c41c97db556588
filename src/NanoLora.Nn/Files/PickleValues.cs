using System.Globalization;
using System.Numerics;

namespace NanoLora.Nn;

/// <summary>
/// A dict or OrderedDict of a pickle: keys in the order of first insertion, the last value of a key counts.
/// Keys are texts, numbers, bool or None.
/// </summary>
internal sealed class PickleDict
{
    private static readonly object None = new();
    private static readonly List<(string, object?)> Nothing = [];
    private Dictionary<object, int>? _index;   // 1 and "1" are two keys, as in Python
    private List<(string Key, object? Value)>? _items;

    /// <summary>Keys as Python prints them, and values.</summary>
    public IReadOnlyList<(string Key, object? Value)> Items => _items ?? Nothing;

    /// <summary>Sets a key; false when the key is of a kind that weight files have no use for.</summary>
    public bool TrySet(object? key, object? value)
    {
        if (key is not (null or string or bool or long or BigInteger or double)) return false;
        var (index, items) = (_index ??= [], _items ??= []);   // an empty dict costs one byte of a file, and next to nothing here
        if (index.TryGetValue(key ?? None, out var at)) items[at] = (items[at].Key, value);
        else
        {
            index.Add(key ?? None, items.Count);
            items.Add((PickleText.Of(key), value));
        }
        return true;
    }

    /// <summary>The value of a key, or null.</summary>
    public object? Get(string key) => _index is not null && _index.TryGetValue(key, out var at) ? Items[at].Value : null;
}

/// <summary>A storage that a pickle points to: untyped (null) ones count bytes.</summary>
internal sealed record PickleStorage(string Key, FileDType? DType, long Count)
{
    /// <summary>Bytes by what the pickle says: beyond 64 bits when it lies.</summary>
    public Int128 Bytes => (Int128)Count * ((DType?.Bits() ?? 8) / 8);
}

/// <summary>A tensor of a pickle, as it says and not yet checked: a strided view of a storage, in elements.</summary>
internal sealed record PickleTensor(PickleStorage Storage, FileDType DType, long Offset, long[] Sizes, long[] Strides);

/// <summary>Numbers and texts of a pickle as text.</summary>
internal static class PickleText
{
    /// <summary>A leaf as Python's str prints it; of bytes only how many.</summary>
    public static string Of(object? leaf) => leaf switch
    {
        null => "None",
        true => "True",
        false => "False",
        string text => text,
        byte[] bytes => $"{bytes.Length} bytes",
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        TorchGlobal global => global.Name,
        PickleStorage storage => $"storage {storage.Key}",
        _ => leaf.ToString() ?? "",
    };
}
