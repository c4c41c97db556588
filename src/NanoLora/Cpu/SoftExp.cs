using System.Numerics;
using System.Runtime.CompilerServices;

namespace NanoLora;

/// <summary>
/// What a softmax over scores needs of the exponential: e^x for x of at most 0, where anything below 2^-126 may be 0. That spares the general function's
/// care for overflow and subnormals, and is about twice as fast; the largest relative error is 1.2e-7.
/// </summary>
internal static class SoftExp
{
    private const float Least = -88.02f;                                       // n is -127 there, which as an exponent is the number 0
    private const float Log2E = 1.44269504f, Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;
    private const float Rounder = 12582912f;                                   // 1.5 · 2^23: adding and taking it away rounds to an integer

    /// <summary>
    /// e^x = 2^n e^r with n the integer nearest to x / ln 2 and |r| ≤ ln 2 / 2; e^r = 1 + r + r² P(r), P by Moshier (Cephes expf). NaN stays NaN.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Of(Vector<float> x)
    {
        var c = Vector.MaxNative(new Vector<float>(Least), x);                                                   // x where it is not a number
        var rounded = Vector.MultiplyAddEstimate(c, new Vector<float>(Log2E), new Vector<float>(Rounder));
        var n = rounded - new Vector<float>(Rounder);
        var r = Vector.MultiplyAddEstimate(n, new Vector<float>(-Ln2Low), Vector.MultiplyAddEstimate(n, new Vector<float>(-Ln2High), c));
        var p = Vector.MultiplyAddEstimate(new Vector<float>(1.9875691500e-4f), r, new Vector<float>(1.3981999507e-3f));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(8.3334519073e-3f));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(4.1665795894e-2f));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(1.6666665459e-1f));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(5.0000001201e-1f));
        var y = Vector.MultiplyAddEstimate(p, r * r, r + Vector<float>.One);
        var power = Vector.AsVectorSingle((Vector.AsVectorInt32(rounded) << 23) + new Vector<int>(127 << 23));   // n stands in the lowest bits of rounded
        return y * power;
    }

    /// <summary>The largest element; -∞ of none. A NaN may be passed over, and shows in the sum of exponentials.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static float Max(ReadOnlySpan<float> x)
    {
        int w = Simd.Width, i = 0, whole = Simd.Whole(x.Length);
        var a = whole < x.Length ? Simd.LoadPart(x, whole, float.NegativeInfinity) : new Vector<float>(float.NegativeInfinity);
        Vector<float> b = a, c = a, d = a;
        for (; i + 4 * w <= whole; i += 4 * w)
        {
            a = Vector.MaxNative(a, Simd.Load(x, i));
            b = Vector.MaxNative(b, Simd.Load(x, i + w));
            c = Vector.MaxNative(c, Simd.Load(x, i + 2 * w));
            d = Vector.MaxNative(d, Simd.Load(x, i + 3 * w));
        }
        for (; i < whole; i += w) a = Vector.MaxNative(a, Simd.Load(x, i));
        a = Vector.MaxNative(Vector.MaxNative(a, b), Vector.MaxNative(c, d));
        var max = a[0];
        for (var lane = 1; lane < w; lane++) max = a[lane] > max ? a[lane] : max;
        return max;
    }

    /// <summary>y = factor · e^(scale x - shift), where shift is the largest of scale x or near it; gives Σ y.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static float OfDifference(ReadOnlySpan<float> x, float scale, float shift, float factor, Span<float> y)
    {
        int w = Simd.Width, i = 0, whole = Simd.Whole(x.Length);
        var rest = whole < x.Length ? Rest(x, whole, scale, shift, factor, y) : default;
        Vector<float> a = default, b = default, m = new(scale), s = new(-shift), f = new(factor);
        for (; i + 2 * w <= whole; i += 2 * w)
        {
            Vector<float> u = f * Of(Exponent(Simd.Load(x, i), m, s)), v = f * Of(Exponent(Simd.Load(x, i + w), m, s));
            Simd.Store(u, y, i);
            Simd.Store(v, y, i + w);
            a += u;
            b += v;
        }
        if (i < whole)
        {
            var u = f * Of(Exponent(Simd.Load(x, i), m, s));
            Simd.Store(u, y, i);
            a += u;
        }
        return Vector.Sum(a + (b + rest));
    }

    // Rounded once, scale x may come out above a maximum that was rounded before: not above 0, where Of ends. NaN stays NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Exponent(Vector<float> x, Vector<float> scale, Vector<float> shift) =>
        Vector.MinNative(default, Vector.MultiplyAddEstimate(x, scale, shift));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector<float> Rest(ReadOnlySpan<float> x, int i, float scale, float shift, float factor, Span<float> y)
    {
        var u = factor * Of(Exponent(Simd.LoadPart(x, i, float.NegativeInfinity), new Vector<float>(scale), new Vector<float>(-shift)));
        Simd.StorePart(u, y, i);
        return u;
    }
}
