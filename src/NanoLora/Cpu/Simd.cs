using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NanoLora;

/// <summary>
/// Vector loops over spans. The last, partial vector is padded and takes the vector body, so a value does not depend on where its row was split.
/// Sums keep several running vectors, added in a fixed order.
/// </summary>
/// <remarks>
/// Two things keep a loop fast, here and in the operations. The rest of a row, fewer elements than a vector, comes before the loop: loading a part is a call,
/// no vector register outlives a call, and what the loop keeps across one stays in memory throughout. And a loop of many small functions is a method of its
/// own, not inlined: the JIT inlines only so much into one method, then leaves calls.
/// </remarks>
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
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static float Sum(ReadOnlySpan<float> x)
    {
        int w = Width, i = 0, whole = Whole(x.Length);
        var rest = whole < x.Length ? LoadPart(x, whole) : default;
        Vector<float> a = default, b = default, c = default, d = default;
        for (; i + 4 * w <= whole; i += 4 * w)
        {
            a += Load(x, i);
            b += Load(x, i + w);
            c += Load(x, i + 2 * w);
            d += Load(x, i + 3 * w);
        }
        for (; i < whole; i += w) a += Load(x, i);
        return Vector.Sum((a + (b + rest)) + (c + d));
    }

    /// <summary>The mean, as x_0 + Σ (x - x_0) / n: exact for a row of equal numbers, and near enough to it for one far from zero.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static float Mean(ReadOnlySpan<float> x)
    {
        if (x.IsEmpty) return 0;
        int w = Width, i = 0, whole = Whole(x.Length);
        var rest = whole < x.Length ? LoadPart(x, whole, x[0]) - new Vector<float>(x[0]) : default;
        Vector<float> a = default, b = default, first = new(x[0]);
        for (; i + 2 * w <= whole; i += 2 * w)
        {
            a += Load(x, i) - first;
            b += Load(x, i + w) - first;
        }
        if (i < whole) a += Load(x, i) - first;
        return x[0] + Vector.Sum(a + (b + rest)) / x.Length;
    }

    /// <summary>Σ x ∘ y</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        int w = Width, i = 0, whole = Whole(x.Length);
        var rest = whole < x.Length ? LoadPart(x, whole) * LoadPart(y, whole) : default;
        Vector<float> a = default, b = default, c = default, d = default;
        for (; i + 4 * w <= whole; i += 4 * w)
        {
            a += Load(x, i) * Load(y, i);
            b += Load(x, i + w) * Load(y, i + w);
            c += Load(x, i + 2 * w) * Load(y, i + 2 * w);
            d += Load(x, i + 3 * w) * Load(y, i + 3 * w);
        }
        for (; i < whole; i += w) a += Load(x, i) * Load(y, i);
        return Vector.Sum((a + (b + rest)) + (c + d));
    }

    /// <summary>Σ (x - mean)²</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static float SquaredDistance(ReadOnlySpan<float> x, float mean)
    {
        int w = Width, i = 0, whole = Whole(x.Length);
        var rest = whole < x.Length ? LoadPart(x, whole, mean) - new Vector<float>(mean) : default;
        rest *= rest;
        Vector<float> a = default, b = default, m = new(mean);
        for (; i + 2 * w <= whole; i += 2 * w)
        {
            var (u, v) = (Load(x, i) - m, Load(x, i + w) - m);
            a += u * u;
            b += v * v;
        }
        if (i < whole)
        {
            var u = Load(x, i) - m;
            a += u * u;
        }
        return Vector.Sum(a + (b + rest));
    }

    /// <summary>y = scale y</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Scale(float scale, Span<float> y)
    {
        var whole = Whole(y.Length);
        if (whole < y.Length) StorePart(scale * LoadPart(y, whole), y, whole);
        var s = new Vector<float>(scale);
        for (var i = 0; i < whole; i += Width) Store(s * Load(y, i), y, i);
    }

    /// <summary>y += scale x</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void AddScaled(float scale, ReadOnlySpan<float> x, Span<float> y)
    {
        var whole = Whole(x.Length);
        if (whole < x.Length) StorePart(LoadPart(y, whole) + scale * LoadPart(x, whole), y, whole);
        var s = new Vector<float>(scale);
        for (var i = 0; i < whole; i += Width) Store(Load(y, i) + s * Load(x, i), y, i);
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
        if (rows <= 0) return;
        var step = Math.Max(1, Grain / Math.Max(1, cost));
        var work = new RowBlocks<TJob>(job, step, rows);
        if (rows <= step) work.Run(0);
        else Threads.For((rows + step - 1) / step, work);
    }

    /// <summary>Runs over single elements, split at multiples of the vector width.</summary>
    internal void Chunks<TJob>(int count, TJob job) where TJob : struct, IRows => ForRows(count, 1, job);
}

// Not inlined: the JIT, which inlines only so much into one method, else brings the job's loop into the threads' own, and leaves calls in it.
file readonly struct RowBlocks<TJob>(TJob job, int step, int rows) : IBlocks where TJob : struct, IRows
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Run(int block) => job.Run(block * step, Math.Min(rows, (block + 1) * step));
}
