using System.Buffers.Binary;
using System.Text;

namespace NanoLora.Data;

/// <summary>
/// The metadata at the beginning of a GGUF file: names with values. All lengths are checked against what is left of the file before anything is taken for
/// them; the tensors behind are not looked at.
/// </summary>
internal sealed class GgufMetadata
{
    private const int FirstBytes = 1 << 24, MaxBytes = 1 << 28;

    private const int U8 = 0, I8 = 1, U16 = 2, I16 = 3, U32 = 4, I32 = 5, F32 = 6, Bool = 7, String = 8, Array = 9, U64 = 10,
        I64 = 11, F64 = 12;

    private readonly byte[] _data;
    private readonly string _source;
    private readonly Dictionary<string, (int Type, int At)> _values = new(StringComparer.Ordinal);
    private int _at;

    private GgufMetadata(string source, byte[] data) => (_source, _data) = (source, data);

    /// <summary>Reads the metadata of a file: of its first 16 MiB, and only if that is not enough, of its first 256.</summary>
    /// <exception cref="InvalidDataException">It is no GGUF file of version 2 or 3, or damaged.</exception>
    public static GgufMetadata Read(string path)
    {
        using var file = File.OpenRead(path);
        if (file.Length > FirstBytes && TryParse(path, Head(file, FirstBytes)) is { } found) return found;
        return Parse(path, Head(file, MaxBytes));
    }

    private static byte[] Head(FileStream file, int most)
    {
        var y = new byte[(int)Math.Min(file.Length, most)];
        file.Position = 0;
        file.ReadExactly(y);
        return y;
    }

    private static GgufMetadata? TryParse(string source, byte[] data)
    {
        try { return Parse(source, data); }
        catch (InvalidDataException) { return null; }
    }

    /// <summary>Reads bytes.</summary>
    /// <exception cref="InvalidDataException">They are no GGUF file of version 2 or 3, or damaged.</exception>
    public static GgufMetadata Parse(string source, byte[] data)
    {
        var y = new GgufMetadata(source, data);
        if (!data.AsSpan().StartsWith("GGUF"u8)) throw y.Damaged("it does not begin with GGUF");
        y._at = 4;
        if (y.UInt32() is not (2 or 3) and var version)
            throw new InvalidDataException($"{source}: this is GGUF version {version}; 2 and 3 are read, of little-endian machines.");
        y.UInt64();
        var count = y.UInt64();
        for (ulong i = 0; i < count; i++)
        {
            var name = y.Text();
            var type = (int)y.UInt32();
            y._values[name] = (type, y._at);
            y.Skip(type, depth: 0);
        }
        return y;
    }

    /// <summary>A text, or null if there is none of this name.</summary>
    public string? Text(string name) => Find(name, String) ? Text() : null;

    /// <summary>True or false, or null if there is none of this name.</summary>
    public bool? Flag(string name) => Find(name, Bool) ? _data[_at] != 0 : null;

    /// <summary>An id, or -1 if there is none of this name.</summary>
    public int Id(string name) => Find(name, U32) && UInt32() is <= int.MaxValue and var id ? (int)id : -1;

    /// <summary>A list of texts, or null if there is none of this name.</summary>
    public string[]? Texts(string name) => List(name, String, 8, Text);

    /// <summary>A list of floats, or null if there is none of this name.</summary>
    public float[]? Floats(string name) => List(name, F32, 4, () => BitConverter.UInt32BitsToSingle(UInt32()));

    /// <summary>A list of whole numbers, or null if there is none of this name.</summary>
    public int[]? Ints(string name) => List(name, I32, 4, () => (int)UInt32());

    /// <summary>A refusal of a value.</summary>
    public InvalidDataException Error(string name, string message) => new($"{_source}: {name}: {message}");

    private T[]? List<T>(string name, int type, int least, Func<T> read)
    {
        if (!Find(name, Array)) return null;
        var found = (int)UInt32();
        if (found != type) throw Error(name, $"it is a list of type {found}; {type} is expected.");
        var count = UInt64();
        if (count > (ulong)(_data.Length - _at) / (ulong)least) throw Damaged("it is cut");
        var y = new T[(int)count];
        for (var i = 0; i < y.Length; i++) y[i] = read();
        return y;
    }

    private bool Find(string name, int type)
    {
        if (!_values.TryGetValue(name, out var value)) return false;
        if (value.Type != type) throw Error(name, $"it is of type {value.Type}; {type} is expected.");
        _at = value.At;
        return true;
    }

    private void Skip(int type, int depth)
    {
        if (Size(type) is > 0 and var size) Take((ulong)size);
        else if (type == String) Take(UInt64());
        else if (type == Array && depth < 4)
        {
            var element = (int)UInt32();
            var count = UInt64();
            if (Size(element) is > 0 and var each)
            {
                if (count > (ulong)(_data.Length - _at)) throw Damaged("it is cut");
                Take(count * (ulong)each);
            }
            else for (ulong i = 0; i < count; i++) Skip(element, depth + 1);
        }
        else throw Damaged($"a value is of type {type}");
    }

    private static int Size(int type) => type switch { U8 or I8 or Bool => 1, U16 or I16 => 2, U32 or I32 or F32 => 4, U64 or I64 or F64 => 8, _ => 0 };

    private uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    private ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    private string Text() => Encoding.UTF8.GetString(Take(UInt64()));

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)(_data.Length - _at)) throw Damaged("it is cut");
        var y = _data.AsSpan(_at, (int)length);
        _at += (int)length;
        return y;
    }

    private InvalidDataException Damaged(string what) => new($"{_source}: this is no GGUF file, or a damaged one: {what}; copy it again.");
}
