using System.Numerics;
using System.Runtime.CompilerServices;

namespace NanoLora;

/// <summary>
/// What a softmax over scores needs of the exponential: e^x for x of at most 0, where anything below 2^-126 may be 0. That spares the general function's
/// care for overflow and subnormals, and is about twice as fast; the largest relative error is 1.2e-7.
/// </summary>
internal static class SoftExp
{
    private const float Least = -87.3f;                                        // e^x is 2^-126 at -87.34
    private const float Log2E = 1.44269504f, Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;
    private const float Rounder = 12582912f;                                   // 1.5 · 2^23: adding and taking it away rounds to an integer

    /// <summary>
    /// e^x = 2^n e^r with n the integer nearest to x / ln 2 and |r| ≤ ln 2 / 2; e^r = 1 + r + r² P(r), P by Moshier (Cephes expf). NaN stays NaN.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Of(Vector<float> x)
    {
        var c = Vector.ConditionalSelect(Vector.LessThan(x, V(Least)), V(Least), x);
        var n = Vector.MultiplyAddEstimate(c, V(Log2E), V(Rounder)) - V(Rounder);
        var r = Vector.MultiplyAddEstimate(n, V(-Ln2Low), Vector.MultiplyAddEstimate(n, V(-Ln2High), c));
        var p = Vector.MultiplyAddEstimate(V(1.9875691500e-4f), r, V(1.3981999507e-3f));
        p = Vector.MultiplyAddEstimate(p, r, V(8.3334519073e-3f));
        p = Vector.MultiplyAddEstimate(p, r, V(4.1665795894e-2f));
        p = Vector.MultiplyAddEstimate(p, r, V(1.6666665459e-1f));
        p = Vector.MultiplyAddEstimate(p, r, V(5.0000001201e-1f));
        var y = Vector.MultiplyAddEstimate(p, r * r, r + Vector<float>.One);
        var power = Vector.AsVectorSingle((Vector.ConvertToInt32(n) + new Vector<int>(127)) << 23);
        return Vector.ConditionalSelect(Vector.LessThan(x, V(Least)), default, y * power);
    }

    /// <summary>The largest element of a row of whole vectors; a NaN may be passed over, and shows in the sum of exponentials.</summary>
    public static float Max(ReadOnlySpan<float> x)
    {
        Vector<float> a = V(float.NegativeInfinity), b = a;
        int w = Simd.Width, i = 0;
        for (; i + 2 * w <= x.Length; i += 2 * w)
        {
            a = Vector.MaxNative(a, Simd.Load(x, i));
            b = Vector.MaxNative(b, Simd.Load(x, i + w));
        }
        if (i < x.Length) a = Vector.MaxNative(a, Simd.Load(x, i));
        a = Vector.MaxNative(a, b);
        var max = a[0];
        for (var lane = 1; lane < w; lane++) max = a[lane] > max ? a[lane] : max;
        return float.IsNaN(max) ? Simd.Max(x) : max;
    }

    /// <summary>y = factor · e^(x - shift) over whole vectors; gives Σ y.</summary>
    public static float OfDifference(ReadOnlySpan<float> x, float shift, float factor, Span<float> y)
    {
        Vector<float> a = default, b = default, s = V(shift), f = V(factor);
        int w = Simd.Width, i = 0;
        for (; i + 2 * w <= x.Length; i += 2 * w)
        {
            Vector<float> u = f * Of(Simd.Load(x, i) - s), v = f * Of(Simd.Load(x, i + w) - s);
            Simd.Store(u, y, i);
            Simd.Store(v, y, i + w);
            a += u;
            b += v;
        }
        if (i < x.Length)
        {
            var u = f * Of(Simd.Load(x, i) - s);
            Simd.Store(u, y, i);
            a += u;
        }
        return Vector.Sum(a + b);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> V(float x) => new(x);
}
