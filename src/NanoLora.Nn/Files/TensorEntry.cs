using System.Collections.Immutable;

namespace NanoLora.Nn;

/// <summary>One tensor of a weight file: what it is called, what it holds and where; the checkpoint that lists it reads its bytes.</summary>
/// <param name="Name">The name in the file; in PyTorch files the dotted path through dicts and lists, "." for a tensor at the top.</param>
/// <param name="DType">What the elements are.</param>
/// <param name="Shape">Lengths of the axes, slowest first; empty for a scalar.</param>
/// <param name="Offset">
/// Where the bytes begin, from the start of the file; -1 where the file does not hold them in one piece
/// (a strided or compressed PyTorch tensor).
/// </param>
/// <param name="Length">Bytes of the tensor when it is contiguous.</param>
public sealed record TensorEntry(string Name, FileDType DType, ImmutableArray<long> Shape, long Offset, long Length)
{
    /// <summary>Number of elements: the product of the axes, 1 for a scalar.</summary>
    public long Count => FileDTypes.Count(Shape.AsSpan());

    /// <summary>Name, type and shape, as errors quote them: <c>w F32 [2, 3]</c>.</summary>
    public override string ToString() => $"{Name} {DType.FileName()} [{string.Join(", ", Shape)}]";
}
