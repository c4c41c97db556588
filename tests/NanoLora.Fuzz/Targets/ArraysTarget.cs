using NanoLora.Data;

namespace NanoLora.Fuzz;

/// <summary>Arrays of bytes: the first byte says whether what follows is read as NPY or as IDX, plain or gzip.</summary>
public sealed class ArraysTarget : FuzzTarget
{
    private bool _isNpy;
    private string _path = "";

    // A gzip file may unpack to a thousand times its size.
    /// <inheritdoc/>
    protected override long AllocationPerByte => 4096;

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input)
    {
        _isNpy = input is [(byte)'n', ..];
        return [_path = Put("x", input.AsSpan(Math.Min(1, input.Length)))];
    }

    /// <inheritdoc/>
    protected override void Read()
    {
        var (values, sizes) = _isNpy ? Npy.Read(_path) : Idx.Read(_path);
        var count = 1L;
        foreach (var size in sizes) count *= size;
        if (count != values.Length) throw new FindingException($"{values.Length} values for sizes of {count}");
    }

    /// <inheritdoc/>
    protected override bool IsRefusal(Exception e) => e is InvalidDataException;
}
