using System.Numerics;

namespace NanoLora;

// Rotary positions (Su et al. 2021): pair j of a head at position n turns by the angle n f_j
//     y1 = x1 cos - x2 sin,   y2 = x2 cos + x1 sin          pairs are (j, j + r/2), or (2j, 2j + 1); elements from r on stay as they are
// Gradient:   the turn back, by the angle's negative        — needs the table of cosines and sines only
//
// The table is made once for all heads and layers: cos | sin of each position, [B, T, r]. Angles are taken in double precision: at position
// 100000 an angle in single precision is off by several thousandths. How f_j comes about is in RopeFrequencies.cs.

/// <summary>Which elements of a head turn together.</summary>
public enum RopeStyle
{
    /// <summary>j with j + r / 2: Llama as Hugging Face stores it.</summary>
    Half,
    /// <summary>2j with 2j + 1: GPT-J, and Llama as first trained.</summary>
    Interleaved,
}

public partial class Tensor
{
    /// <summary>Cosines and sines of these positions for <see cref="Rope(Tensor, RopeStyle)"/>: I32 [B, T] or [T] to [B or 1, T, r]. No gradient.</summary>
    /// <exception cref="ArgumentException">Not I32 with one axis or two.</exception>
    public Tensor RopeTable(RopeFrequencies frequencies)
    {
        if (DType != DType.I32 || Shape.Rank is not (1 or 2)) throw new ArgumentException($"RopeTable: positions are I32 [B, T] or [T], not {DType} {Shape}.");
        var table = New(new Shape(Count / Math.Max(1, Cols), Cols, frequencies.Rotary));
        Backend.RopeTable(this, frequencies, table);
        return table.By(null);
    }

    /// <summary>Turns the heads [B, T, H, D] by their positions.</summary>
    /// <param name="table">From <see cref="RopeTable"/>, [B or 1, T, r] with r of at most D.</param>
    /// <param name="style">Which elements turn together.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public Tensor Rope(Tensor table, RopeStyle style = RopeStyle.Half)
    {
        if (Shape.Rank != 4 || table.Shape.Rank != 3 || (table.Shape[0] != 1 && table.Shape[0] != Shape[0]) || table.Shape[1] != Shape[1] || table.Cols > Cols)
            throw new ArgumentException($"Rope: a table {table.Shape} does not fit {Shape}; it must be [B or 1, T, r] for [B, T, H, D], with r of at most D.");
        var y = New(Shape);
        Backend.Rope(this, table, y, style, back: false);
        return y.By(NeedsGrad ? new RopeNode(this, table, style) : null);
    }

    /// <summary>Turns the heads [B, T, H, D] by the given positions, I32 [B, T] or [T].</summary>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public Tensor Rope(Tensor positions, RopeFrequencies frequencies, RopeStyle style = RopeStyle.Half) => Rope(positions.RopeTable(frequencies), style);
}

public abstract partial class Backend
{
    /// <summary>table [.., r] = factor cos (n f) | factor sin (n f) for each position n.</summary>
    public abstract void RopeTable(Tensor positions, RopeFrequencies frequencies, Tensor table);

    /// <summary>y = x [B, T, H, D] turned by the table [B or 1, T, r], or turned back.</summary>
    public abstract void Rope(Tensor x, Tensor table, Tensor y, RopeStyle style, bool back);
}

file sealed class RopeNode(Tensor x, Tensor table, RopeStyle style) : Node([x], [table])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.Rope(dy, Saved(0), dx, style, back: true);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void RopeTable(Tensor positions, RopeFrequencies frequencies, Tensor table) =>
        ForRows(table.Rows, 32 * table.Cols, new RopeTableJob(positions, frequencies, table));

    /// <inheritdoc/>
    public override void Rope(Tensor x, Tensor table, Tensor y, RopeStyle style, bool back)
    {
        var width = x.Shape[2] * x.Shape[3];
        ForRows(x.Shape[0] * x.Shape[1], width, new RopeJob(x, table, y, style, back));
    }

    private readonly struct RopeTableJob(Tensor positions, RopeFrequencies frequencies, Tensor table) : IRows
    {
        public void Run(int start, int end)
        {
            for (var row = start; row < end; row++) frequencies.Angles(positions.Ints()[row], table.Row(row));
        }
    }

    private readonly struct RopeJob(Tensor x, Tensor table, Tensor y, RopeStyle style, bool back) : IRows
    {
        public void Run(int start, int end)
        {
            int size = x.Cols, heads = x.Shape[2], half = table.Cols / 2;
            var sign = back ? -1f : 1f;
            for (var row = start; row < end; row++)
            {
                var angles = table.Row(row % table.Rows);
                for (var head = row * heads; head < (row + 1) * heads; head++)
                {
                    var from = x.Row(head);
                    var to = y.Row(head);
                    if (style == RopeStyle.Half) Half(from, to, angles[..half], angles[half..], sign);
                    else Interleaved(from, to, angles[..half], angles[half..], sign);
                    from[(2 * half)..size].CopyTo(to[(2 * half)..]);
                }
            }
        }

        private static void Half(ReadOnlySpan<float> x, Span<float> y, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin, float sign)
        {
            var half = cos.Length;
            ReadOnlySpan<float> x1 = x[..half], x2 = x.Slice(half, half);
            Span<float> y1 = y[..half], y2 = y.Slice(half, half);
            var whole = Simd.Whole(half);
            for (var j = 0; j < whole; j += Simd.Width)
            {
                Vector<float> a = Simd.Load(x1, j), b = Simd.Load(x2, j), c = Simd.Load(cos, j), s = sign * Simd.Load(sin, j);
                Simd.Store(a * c - b * s, y1, j);
                Simd.Store(b * c + a * s, y2, j);
            }
            if (whole == half) return;
            Vector<float> u = Simd.LoadPart(x1, whole), v = Simd.LoadPart(x2, whole), p = Simd.LoadPart(cos, whole), q = sign * Simd.LoadPart(sin, whole);
            Simd.StorePart(u * p - v * q, y1, whole);
            Simd.StorePart(v * p + u * q, y2, whole);
        }

        private static void Interleaved(ReadOnlySpan<float> x, Span<float> y, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin, float sign)
        {
            for (var j = 0; j < cos.Length; j++)
            {
                float a = x[2 * j], b = x[2 * j + 1], c = cos[j], s = sign * sin[j];
                y[2 * j] = a * c - b * s;
                y[2 * j + 1] = b * c + a * s;
            }
        }
    }
}
