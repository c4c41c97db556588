using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NanoLora;

/// <summary>
/// Vector loops over spans. The last, partial vector is padded and takes the vector body, so a value does not depend on where its row was split.
/// Sums keep four running vectors, added in a fixed order.
/// </summary>
internal static class Simd
{
    /// <summary>Lanes of a vector.</summary>
    public static int Width => Vector<float>.Count;

    /// <summary>How many of n elements fill whole vectors.</summary>
    public static int Whole(int n) => n & -Vector<float>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Load(ReadOnlySpan<float> x, int i) => Vector.LoadUnsafe(ref MemoryMarshal.GetReference(x), (nuint)i);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector<float> value, Span<float> y, int i) => value.StoreUnsafe(ref MemoryMarshal.GetReference(y), (nuint)i);

    /// <summary>The elements from i on, fewer than a vector, padded with zeros.</summary>
    public static Vector<float> LoadPart(ReadOnlySpan<float> x, int i)
    {
        Span<float> lanes = stackalloc float[Vector<float>.Count];
        lanes.Clear();
        x[i..].CopyTo(lanes);
        return new Vector<float>(lanes);
    }

    /// <summary>As <see cref="LoadPart(ReadOnlySpan{float}, int)"/>, padded with <paramref name="pad"/>.</summary>
    public static Vector<float> LoadPart(ReadOnlySpan<float> x, int i, float pad)
    {
        Span<float> lanes = stackalloc float[Vector<float>.Count];
        lanes.Fill(pad);
        x[i..].CopyTo(lanes);
        return new Vector<float>(lanes);
    }

    /// <summary>Stores as many lanes as there are elements from i on.</summary>
    public static void StorePart(Vector<float> value, Span<float> y, int i)
    {
        Span<float> lanes = stackalloc float[Vector<float>.Count];
        value.CopyTo(lanes);
        lanes[..(y.Length - i)].CopyTo(y[i..]);
    }

    /// <summary>Σ x</summary>
    public static float Sum(ReadOnlySpan<float> x)
    {
        Vector<float> a = default, b = default, c = default, d = default;
        int w = Width, i = 0;
        for (; i + 4 * w <= x.Length; i += 4 * w)
        {
            a += Load(x, i);
            b += Load(x, i + w);
            c += Load(x, i + 2 * w);
            d += Load(x, i + 3 * w);
        }
        for (; i + w <= x.Length; i += w) a += Load(x, i);
        if (i < x.Length) b += LoadPart(x, i);
        return Vector.Sum((a + b) + (c + d));
    }

    /// <summary>The mean, as x_0 + Σ (x - x_0) / n: exact for a row of equal numbers, and near enough to it for one far from zero.</summary>
    public static float Mean(ReadOnlySpan<float> x)
    {
        if (x.IsEmpty) return 0;
        Vector<float> a = default, b = default, first = new(x[0]);
        int w = Width, i = 0;
        for (; i + 2 * w <= x.Length; i += 2 * w)
        {
            a += Load(x, i) - first;
            b += Load(x, i + w) - first;
        }
        for (; i + w <= x.Length; i += w) a += Load(x, i) - first;
        if (i < x.Length) b += LoadPart(x, i, x[0]) - first;
        return x[0] + Vector.Sum(a + b) / x.Length;
    }

    /// <summary>Σ x ∘ y</summary>
    public static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        Vector<float> a = default, b = default, c = default, d = default;
        int w = Width, i = 0;
        for (; i + 4 * w <= x.Length; i += 4 * w)
        {
            a += Load(x, i) * Load(y, i);
            b += Load(x, i + w) * Load(y, i + w);
            c += Load(x, i + 2 * w) * Load(y, i + 2 * w);
            d += Load(x, i + 3 * w) * Load(y, i + 3 * w);
        }
        for (; i + w <= x.Length; i += w) a += Load(x, i) * Load(y, i);
        if (i < x.Length) b += LoadPart(x, i) * LoadPart(y, i);
        return Vector.Sum((a + b) + (c + d));
    }

    /// <summary>Σ (x - mean)²</summary>
    public static float SquaredDistance(ReadOnlySpan<float> x, float mean)
    {
        Vector<float> a = default, b = default, m = new(mean);
        int w = Width, i = 0;
        for (; i + 2 * w <= x.Length; i += 2 * w)
        {
            var (u, v) = (Load(x, i) - m, Load(x, i + w) - m);
            a += u * u;
            b += v * v;
        }
        for (; i + w <= x.Length; i += w)
        {
            var u = Load(x, i) - m;
            a += u * u;
        }
        if (i < x.Length)
        {
            var u = LoadPart(x, i, mean) - m;
            b += u * u;
        }
        return Vector.Sum(a + b);
    }

    /// <summary>The largest element; -∞ of none. A NaN anywhere gives NaN.</summary>
    public static float Max(ReadOnlySpan<float> x)
    {
        var best = new Vector<float>(float.NegativeInfinity);
        var i = 0;
        for (; i + Width <= x.Length; i += Width) best = Vector.Max(best, Load(x, i));
        if (i < x.Length) best = Vector.Max(best, LoadPart(x, i, float.NegativeInfinity));
        var max = float.NegativeInfinity;
        for (var lane = 0; lane < Width; lane++) max = MathF.Max(max, best[lane]);
        return max;
    }

    /// <summary>y = exp(x - shift); gives Σ y.</summary>
    public static float ExpOfDifference(ReadOnlySpan<float> x, float shift, Span<float> y)
    {
        Vector<float> sum = default, s = new(shift);
        var i = 0;
        for (; i + Width <= x.Length; i += Width)
        {
            var e = Vector.Exp(Load(x, i) - s);
            Store(e, y, i);
            sum += e;
        }
        if (i < x.Length)
        {
            var e = Vector.Exp(LoadPart(x, i, float.NegativeInfinity) - s);
            StorePart(e, y, i);
            sum += e;
        }
        return Vector.Sum(sum);
    }

    /// <summary>y = scale y</summary>
    public static void Scale(float scale, Span<float> y)
    {
        var s = new Vector<float>(scale);
        var i = 0;
        for (; i + Width <= y.Length; i += Width) Store(s * Load(y, i), y, i);
        if (i < y.Length) StorePart(s * LoadPart(y, i), y, i);
    }

    /// <summary>y += scale x</summary>
    public static void AddScaled(float scale, ReadOnlySpan<float> x, Span<float> y)
    {
        var s = new Vector<float>(scale);
        var i = 0;
        for (; i + Width <= x.Length; i += Width) Store(Load(y, i) + s * Load(x, i), y, i);
        if (i < x.Length) StorePart(LoadPart(y, i) + s * LoadPart(x, i), y, i);
    }
}

/// <summary>Work over rows (or elements), split at boundaries that depend on the shape alone.</summary>
internal interface IRows
{
    /// <summary>Does rows <paramref name="start"/> to <paramref name="end"/>, the latter excluded.</summary>
    void Run(int start, int end);
}

public partial class CpuBackend
{
    private const int Grain = 16384;   // elements a block of work should have at least

    /// <summary>Runs over rows of a given cost (about the elements touched).</summary>
    internal void ForRows<TJob>(int rows, int cost, TJob job) where TJob : struct, IRows
    {
        var step = Math.Max(1, Grain / Math.Max(1, cost));
        var blocks = (rows + step - 1) / step;
        if (blocks <= 1) { if (rows > 0) job.Run(0, rows); }
        else Threads.For(blocks, new RowBlocks<TJob>(job, step, rows));
    }

    /// <summary>Runs over single elements, split at multiples of the vector width.</summary>
    internal void Chunks<TJob>(int count, TJob job) where TJob : struct, IRows => ForRows(count, 1, job);
}

file readonly struct RowBlocks<TJob>(TJob job, int step, int rows) : IBlocks where TJob : struct, IRows
{
    public void Run(int block) => job.Run(block * step, Math.Min(rows, (block + 1) * step));
}
