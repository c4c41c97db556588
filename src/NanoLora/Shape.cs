using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NanoLora;

/// <summary>The sizes of a tensor's axes, outermost first: up to six of them, in a struct, so that a shape costs no allocation.</summary>
public readonly struct Shape : IEquatable<Shape>
{
    /// <summary>The most axes a shape can have.</summary>
    public const int MaxRank = 6;

    [InlineArray(MaxRank)]
    private struct Axes { private int _first; }

    private readonly Axes _axes;

    /// <summary>A shape of the given sizes; none at all is a scalar.</summary>
    /// <exception cref="ArgumentException">More than six axes, or a negative size.</exception>
    public Shape(params ReadOnlySpan<int> sizes)
    {
        if (sizes.Length > MaxRank) throw new ArgumentException($"Shape: {sizes.Length} axes; at most {MaxRank} are supported.");
        for (var i = 0; i < sizes.Length; i++)
        {
            if (sizes[i] < 0) throw new ArgumentException($"Shape: axis {i} has the negative size {sizes[i]}.");
            _axes[i] = sizes[i];
        }
        Rank = sizes.Length;
    }

    /// <summary>The number of axes; a scalar has none.</summary>
    public int Rank { get; }

    /// <summary>The size of an axis; negative axes count from the end.</summary>
    public int this[int axis] => _axes[Axis(axis)];

    /// <summary>The sizes, outermost first.</summary>
    [UnscopedRef] public ReadOnlySpan<int> Sizes => ((ReadOnlySpan<int>)_axes)[..Rank];

    /// <summary>The number of elements, which may exceed what a tensor can hold.</summary>
    public long LongCount
    {
        get
        {
            long n = 1;
            foreach (var size in Sizes) n = checked(n * size);
            return n;
        }
    }

    /// <summary>The number of elements.</summary>
    public int Count => checked((int)LongCount);

    /// <summary>The size of the last axis; 1 for a scalar.</summary>
    public int Cols => Rank == 0 ? 1 : _axes[Rank - 1];

    /// <summary>The number of rows: the product of all axes but the last.</summary>
    public int Rows
    {
        get
        {
            var n = 1;
            for (var i = 0; i < Rank - 1; i++) n = checked(n * _axes[i]);
            return n;
        }
    }

    /// <summary>Turns an axis counted from the end into one counted from the front.</summary>
    public int Axis(int axis)
    {
        var a = axis < 0 ? axis + Rank : axis;
        return (uint)a < (uint)Rank ? a : throw new ArgumentException($"Shape: {this} has no axis {axis}.");
    }

    /// <summary>The same shape with one axis of another size.</summary>
    public Shape With(int axis, int size)
    {
        Span<int> sizes = stackalloc int[Rank];
        Sizes.CopyTo(sizes);
        sizes[Axis(axis)] = size;
        return new Shape(sizes);
    }

    /// <summary>The same shape without one axis.</summary>
    public Shape Without(int axis)
    {
        var a = Axis(axis);
        Span<int> sizes = stackalloc int[Rank - 1];
        for (int i = 0, j = 0; i < Rank; i++) if (i != a) sizes[j++] = _axes[i];
        return new Shape(sizes);
    }

    /// <summary>The shape that numpy's broadcasting gives two operands: aligned at the end, axes of size 1 stretched.</summary>
    /// <exception cref="ArgumentException">The shapes do not broadcast.</exception>
    public static Shape Broadcast(Shape a, Shape b, string op)
    {
        var rank = Math.Max(a.Rank, b.Rank);
        Span<int> sizes = stackalloc int[rank];
        for (var i = 1; i <= rank; i++)
        {
            int x = i <= a.Rank ? a[^i] : 1, y = i <= b.Rank ? b[^i] : 1;
            if (x != y && x != 1 && y != 1) throw new ArgumentException($"{op}: {a} and {b} do not broadcast: axis -{i} is {x} and {y}.");
            sizes[rank - i] = x == 1 ? y : x;
        }
        return new Shape(sizes);
    }

    private int this[Index axis] => _axes[axis.GetOffset(Rank)];

    /// <inheritdoc/>
    public bool Equals(Shape other) => Sizes.SequenceEqual(other.Sizes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var size in Sizes) hash.Add(size);
        return hash.ToHashCode();
    }

    /// <summary>Whether the shapes have the same axes.</summary>
    public static bool operator ==(Shape a, Shape b) => a.Equals(b);

    /// <summary>Whether the shapes differ.</summary>
    public static bool operator !=(Shape a, Shape b) => !a.Equals(b);

    /// <summary>As in "[8, 197, 768]".</summary>
    public override string ToString() => $"[{string.Join(", ", Sizes.ToArray())}]";
}
