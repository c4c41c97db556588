using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace NanoLora.Nn;

// A pickle is a program for a small stack machine. This machine knows the opcodes of protocols 2 to 5 that torch.save writes for dicts, lists, tuples,
// numbers, texts and tensors, and the few names in TorchGlobals; a call only builds a value here. Everything else is refused: nothing in a file can run.
//
// Limits: bytes of a pickle; steps that keep memory, in all, by the size of the file; lengths of names and long integers. Recalling a value from the memo
// costs nothing, so whatever copies one counts as many steps as it copies. There is no recursion, and the memo is a dictionary: a high index costs no more
// than a low one.

/// <summary>Reads pickles, one after the other, without running anything in them.</summary>
/// <param name="path">The file, for errors.</param>
/// <param name="field">The part of it, for errors.</param>
/// <param name="x">The pickles.</param>
/// <param name="fileLength">Bytes of the whole file: a packed pickle may be much longer, and still builds only what a file of that size has use for.</param>
internal ref struct PickleReader(string path, string field, ReadOnlySpan<byte> x, long fileLength)
{
    /// <summary>The longest pickle that is read.</summary>
    public const int MaxBytes = 64 << 20;

    private const int MaxValues = 4 << 20, FreeValues = 1 << 14, ValuesPerByte = 4, MaxName = 256, MaxInteger = 256, MaxRank = 64;
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly ReadOnlySpan<byte> _x = x;
    private readonly long _most = Math.Min(MaxValues, FreeValues + ValuesPerByte * fileLength);
    private readonly List<object?> _stack = [];
    private readonly Stack<int> _marks = [];   // heights of the stack where MARK was
    private readonly Dictionary<uint, object?> _memo = [];
    private int _values;

    /// <summary>Where the next byte is.</summary>
    public int Position { get; private set; }

    /// <summary>The storages met so far, by key; a key that comes twice keeps the first.</summary>
    public Dictionary<string, PickleStorage> Storages { get; } = new(StringComparer.Ordinal);

    /// <summary>Reads the pickle at <see cref="Position"/>: null (None), bool, long, <see cref="BigInteger"/>, double, string, byte[], List&lt;object?&gt;,
    /// object?[] (tuple), <see cref="PickleDict"/>, <see cref="PickleTensor"/>, <see cref="PickleStorage"/> or <see cref="TorchGlobal"/>.</summary>
    public object? Read()
    {
        _stack.Clear();
        _marks.Clear();
        _memo.Clear();
        while (true)
        {
            var opcode = Byte();
            if (opcode == '.') return Pop();
            Step(opcode);
        }
    }

    private void Step(byte opcode)
    {
        switch ((char)opcode)
        {
            case '\x80': if (Byte() > 5) throw Refused("is of a pickle protocol above 5"); break;
            case '\x95': Take(8); break;                                             // FRAME: a length that only helps buffering

            case 'N': Push(null); break;
            case '\x88': Push(true); break;
            case '\x89': Push(false); break;
            case 'K': Push((long)Byte()); break;
            case 'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
            case 'J': Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
            case '\x8a': PushInteger(Byte()); break;
            case '\x8b': PushInteger(BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
            case 'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
            case '\x8c': Push(Text(Take(Byte()))); break;
            case 'X': Push(Text(Take(Size4()))); break;
            case '\x8d': Push(Text(Take(Size8()))); break;
            case 'U': Push(Text(Take(Byte()))); break;                               // Python 2's text
            case 'T': Push(Text(Take(Size4()))); break;
            case 'C': Push(Take(Byte()).ToArray()); break;
            case 'B': Push(Take(Size4()).ToArray()); break;
            case '\x8e': Push(Take(Size8()).ToArray()); break;

            case '(': Spend(1); _marks.Push(_stack.Count); break;
            case '0': Pop(); break;
            case '1': PopMark(); break;
            case '2': Push(Peek()); break;
            case 'q': Store(Byte()); break;
            case 'r': Store(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))); break;
            case '\x94': Store((uint)_memo.Count); break;
            case 'h': Push(Recall(Byte())); break;
            case 'j': Push(Recall(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)))); break;

            case ']': Push(new List<object?>()); break;
            case 'l': Push(new List<object?>(PopMark())); break;
            case 'a': { var value = Pop(); Top<List<object?>>("APPEND").Add(value); break; }
            case 'e': { var values = PopMark(); Top<List<object?>>("APPENDS").AddRange(values); break; }
            case ')': Push(Array.Empty<object?>()); break;
            case 't': Push(PopMark()); break;
            case '\x85': { var a = Pop(); Push(new[] { a }); break; }
            case '\x86': { var (b, a) = (Pop(), Pop()); Push(new[] { a, b }); break; }
            case '\x87': { var (c, b, a) = (Pop(), Pop(), Pop()); Push(new[] { a, b, c }); break; }
            case '}': Push(new PickleDict()); break;
            case 'd': { var items = PopMark(); var dict = new PickleDict(); Set(dict, items); Push(dict); break; }
            case 's': { var (value, key) = (Pop(), Pop()); Set(Top<PickleDict>("SETITEM"), [key, value]); break; }
            case 'u': { var items = PopMark(); Set(Top<PickleDict>("SETITEMS"), items); break; }

            case 'c': { var module = Line(); Push(Global(module, Line())); break; }
            case '\x93': { var (name, module) = (Pop(), Pop()); Push(Global(module as string, name as string)); break; }
            case 'R': { var (arguments, callable) = (Pop(), Pop()); Push(Call(callable as TorchGlobal, arguments as object?[])); break; }
            case 'b': Pop(); Top<PickleDict>("BUILD"); break;                        // the attributes of an OrderedDict (_metadata): not needed
            case 'Q': Push(Storage(Pop() as object?[])); break;
            case '\x81' or '\x92' or 'o' or 'i': throw Refused("builds an object");
            default: throw Refused($"has opcode {opcode:x2}, which torch.save writes for no weights");
        }
    }

    // ---- calls: each builds a value, none runs anything

    private object? Call(TorchGlobal? callable, object?[]? arguments) => (callable?.Call, arguments) switch
    {
        (TorchCall.OrderedDict, []) => new PickleDict(),
        (TorchCall.OrderedDict, [List<object?> pairs]) => Pairs(pairs),
        (TorchCall.Tensor, [PickleStorage storage, long offset, object?[] sizes, object?[] strides, .. var rest]) =>
            Tensor(callable!.Name, storage, offset, sizes, strides, rest),
        (TorchCall.Parameter, [PickleTensor tensor, ..]) => tensor,
        (TorchCall.Size, [object?[] sizes]) => sizes,
        (TorchCall.Device, [string { Length: < MaxName } kind]) => kind,
        (TorchCall.Device, [string { Length: < MaxName } kind, long index]) => $"{kind}:{index}",
        (TorchCall.Encode, [string text, "latin1"]) => Latin1(text),
        (null, _) => throw Refused("calls what is no function"),
        _ => throw Refused($"calls {callable!.Name} with other arguments than torch.save writes"),
    };

    // v2: (requires_grad, hooks [, flags]), v3: (requires_grad, hooks, dtype [, flags]); flags mark views that are negated or conjugated when looked at.
    private readonly PickleTensor Tensor(string function, PickleStorage storage, long offset, object?[] sizes, object?[] strides, object?[] rest)
    {
        var v3 = function.EndsWith("v3", StringComparison.Ordinal);
        var type = !v3 ? storage.DType : rest.Length > 2 && rest[2] is TorchGlobal { DType: not null, IsStorage: false } named ? named.DType : null;
        if (type is null) throw Refused($"rebuilds a tensor of storage {storage.Key} without a type that is read here");
        var flags = v3 ? rest.ElementAtOrDefault(3) : rest.ElementAtOrDefault(2);
        if (flags is PickleDict dict && dict.Items.Any(static i => i.Value is not false))
            throw Error($"holds a view of storage {storage.Key} that is negated or conjugated when looked at; save x.resolve_neg().resolve_conj()");
        return new(storage, type.Value, offset, Longs(sizes), Longs(strides));
    }

    // ("storage", type, key, device, count [, view]): the devices do not matter; views of storages ended with PyTorch 0.4.
    private readonly PickleStorage Storage(object?[]? id)
    {
        if (id is not ["storage", TorchGlobal { IsStorage: true } type, string { Length: < MaxName } key, string or null, long count, .. var rest]
            || rest is not ([] or [null]))
            throw Refused("points to something that is no storage of a tensor");
        if (count < 0) throw Damaged($"gives storage {key} {count} elements");
        var storage = new PickleStorage(key, type.DType, count);
        Storages.TryAdd(key, storage);
        return storage;
    }

    private readonly TorchGlobal Global(string? module, string? name) => TorchGlobal.Find(module ?? "", name ?? "")
        ?? throw Refused($"names {module}.{name}, which is not run here");

    private byte[] Latin1(string text)
    {
        Spend(text.Length);
        return Encoding.Latin1.GetBytes(text);
    }

    private PickleDict Pairs(List<object?> pairs)
    {
        Spend(pairs.Count);
        var dict = new PickleDict();
        foreach (var pair in pairs)
        {
            if (pair is not (object?[] { Length: 2 } or List<object?> { Count: 2 })) throw Damaged("fills a dict with what are no pairs");
            Set(dict, pair is object?[] tuple ? tuple : [.. (List<object?>)pair]);
        }
        return dict;
    }

    private readonly void Set(PickleDict dict, ReadOnlySpan<object?> items)
    {
        if (items.Length % 2 != 0) throw Damaged("sets a key without a value");
        for (var i = 0; i < items.Length; i += 2)
            if (!dict.TrySet(items[i], items[i + 1])) throw Refused("has a dict whose key is neither text, number, bool nor None");
    }

    private readonly long[] Longs(object?[] values)
    {
        if (values.Length > MaxRank) throw Refused($"has a tensor of {values.Length} axes, more than {MaxRank}");
        var y = new long[values.Length];
        for (var i = 0; i < y.Length; i++) y[i] = values[i] is long value ? value : throw Damaged("gives a tensor a shape or stride that is no 64-bit integer");
        return y;
    }

    // ---- the stack

    private void Push(object? value)
    {
        Spend(1);
        _stack.Add(value);
    }

    private void Store(uint index)
    {
        Spend(1);
        _memo[index] = Peek();
    }

    private void Spend(int values)
    {
        if ((_values += values) > _most) throw Refused($"builds more than {_most} values, out of a file of {fileLength} bytes");
    }

    private readonly object? Peek() => _stack.Count > Floor ? _stack[^1] : throw Damaged("takes from an empty stack");

    private readonly object? Pop()
    {
        var value = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private readonly object?[] PopMark()
    {
        if (!_marks.TryPop(out var mark)) throw Damaged("takes to a mark that is not there");
        var values = _stack.GetRange(mark, _stack.Count - mark).ToArray();
        _stack.RemoveRange(mark, values.Length);
        return values;
    }

    private readonly T Top<T>(string opcode) where T : class => Peek() as T ?? throw Damaged($"uses {opcode} on something else");

    private readonly object? Recall(uint index) => _memo.TryGetValue(index, out var value) ? value
        : throw Damaged($"recalls value {index}, which it never stored");

    private readonly int Floor => _marks.TryPeek(out var mark) ? mark : 0;

    // ---- the bytes

    private byte Byte() => Take(1)[0];

    private ReadOnlySpan<byte> Take(long count)
    {
        if (count < 0 || count > _x.Length - Position) throw Damaged($"ends before {count} bytes that it says follow");
        var bytes = _x.Slice(Position, (int)count);
        Position += (int)count;
        return bytes;
    }

    private long Size4() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    private long Size8() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    private void PushInteger(int length)
    {
        if (length is < 0 or > MaxInteger) throw Damaged($"has an integer of {length} bytes");
        var value = new BigInteger(Take(length));   // little-endian, two's complement
        if (value >= long.MinValue && value <= long.MaxValue) Push((long)value);
        else Push(value);
    }

    private string Line()
    {
        var length = _x[Position..Math.Min(_x.Length, Position + MaxName)].IndexOf((byte)'\n');
        if (length < 0) throw Damaged($"has a name without end in {MaxName} bytes");
        return Text(Take(length + 1)[..^1]);
    }

    private readonly string Text(ReadOnlySpan<byte> bytes)
    {
        try { return Utf8.GetString(bytes); }
        catch (DecoderFallbackException) { throw Damaged("has a text that is no UTF-8"); }
    }

    private readonly CheckpointException Refused(string message) => Error(message, "; save the weights alone, with torch.save(model.state_dict(), ...)");

    private readonly CheckpointException Damaged(string message) => Error(message, "; the file is damaged, download or save it again");

    private readonly CheckpointException Error(string message, string advice = "") =>
        new(path, field, $"at byte {Position} {(message.Length > 400 ? message[..400] : message)}{advice}.");
}
