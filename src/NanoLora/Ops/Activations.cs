using System.Numerics;
using System.Runtime.CompilerServices;

namespace NanoLora;

// Functions of one number, and gated units of two. Each struct gives formula and slope, for the GPU (float) and for the CPU (Vector<float>).

public partial class Tensor
{
    /// <summary>x Φ(x), the exact form: Hendrycks and Gimpel 2016.</summary>
    public Tensor Gelu() => Apply<Gelu>();

    /// <summary>0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), also known as gelu_new and gelu_pytorch_tanh.</summary>
    public Tensor GeluTanh() => Apply<GeluTanh>();

    /// <summary>x σ(1.702 x), CLIP's form.</summary>
    public Tensor QuickGelu() => Apply<QuickGelu>();

    /// <summary>x σ(x)</summary>
    public Tensor Silu() => Apply<Silu>();

    /// <summary>max(x, 0); the slope at 0 is 0.</summary>
    public Tensor Relu() => Apply<Relu>();

    /// <summary>1 / (1 + e^-x)</summary>
    public Tensor Sigmoid() => Apply<Sigmoid>();

    /// <summary>tanh x</summary>
    public Tensor Tanh() => Apply<Tanh>();

    /// <summary>e^x</summary>
    public Tensor Exp() => Apply<Exp>();

    /// <summary>ln x</summary>
    public Tensor Log() => Apply<Log>();

    /// <summary>√x</summary>
    public Tensor Sqrt() => Apply<Sqrt>();

    /// <summary>1 / √x</summary>
    public Tensor Rsqrt() => Apply<Rsqrt>();

    /// <summary>x²</summary>
    public Tensor Square() => Apply<Square>();

    /// <summary>|x|; the slope at 0 is 0.</summary>
    public Tensor Abs() => Apply<Abs>();

    /// <summary>ln(1 + e^x)</summary>
    public Tensor Softplus() => Apply<Softplus>();

    /// <summary>The error function.</summary>
    public Tensor Erf() => Apply<Erf>();

    /// <summary>x held within [0, 1]; the slope is 1 inside and at the ends, 0 outside.</summary>
    public Tensor Clamp01() => Apply<Clamp01>();

    /// <summary>silu(this) ∘ up: this is the gate.</summary>
    public Tensor Swiglu(Tensor up) => Apply<Gated<Silu>>(up);

    /// <summary>gelu(this) ∘ up: this is the gate.</summary>
    public Tensor Geglu(Tensor up) => Apply<Gated<Gelu>>(up);

    /// <summary>gelu_tanh(this) ∘ up: this is the gate.</summary>
    public Tensor GegluTanh(Tensor up) => Apply<Gated<GeluTanh>>(up);

    /// <summary>relu(this) ∘ up: this is the gate.</summary>
    public Tensor Reglu(Tensor up) => Apply<Gated<Relu>>(up);
}

#pragma warning disable CS1591 // IUnary and IBinary say what each body is

/// <summary>y = f(gate) up,   ∂gate = f'(gate) up,   ∂up = f(gate)</summary>
public readonly struct Gated<T> : IBinary where T : unmanaged, IUnary
{
    public static (bool, bool) SlopeBNeeds => (true, false);
    public static float Forward(float a, float b) => T.Forward(a) * b;
    public static float SlopeA(float a, float b) => T.Slope(a) * b;
    public static float SlopeB(float a, float b) => T.Forward(a);
    public static Vector<float> Forward(Vector<float> a, Vector<float> b) => T.Forward(a) * b;
    public static Vector<float> SlopeA(Vector<float> a, Vector<float> b) => T.Slope(a) * b;
    public static Vector<float> SlopeB(Vector<float> a, Vector<float> b) => T.Forward(a);
}

/// <summary>y = x Φ(x),   y' = Φ(x) + x φ(x),   φ(x) = e^-x²/2 / √2π</summary>
public readonly struct Gelu : IUnary
{
    private const float InverseRoot2Pi = 0.3989422804f;
    public static float Forward(float x) => x * Normal.Cdf(x, out _);
    public static float Slope(float x) => Normal.Cdf(x, out var bell) + Finite.Times(x, InverseRoot2Pi * bell);
    public static Vector<float> Forward(Vector<float> x) => x * Normal.Cdf(x, out _);
    public static Vector<float> Slope(Vector<float> x) => Normal.Cdf(x, out var bell) + Finite.Times(x, InverseRoot2Pi * bell);
}

/// <summary>y = x σ(2u), u = √(2/π) (x + c x³),   y' = σ(2u) + x σ(2u) (1 - σ(2u)) 2u'.   0.5 (1 + tanh u) is σ(2u).</summary>
public readonly struct GeluTanh : IUnary
{
    private const float Scale = 1.5957691216f, Cubic = 0.044715f;   // 2 √(2/π)
    public static float Forward(float x) => x * NanoLora.Sigmoid.Forward(Scale * (x + Cubic * x * x * x));
    public static float Slope(float x)
    {
        var s = NanoLora.Sigmoid.Forward(Scale * (x + Cubic * x * x * x));
        return s + Finite.Times(Scale * (x + 3 * Cubic * x * x * x), s * (1 - s));
    }
    public static Vector<float> Forward(Vector<float> x) => x * NanoLora.Sigmoid.Forward(Scale * (x + Cubic * x * x * x));
    public static Vector<float> Slope(Vector<float> x)
    {
        var s = NanoLora.Sigmoid.Forward(Scale * (x + Cubic * x * x * x));
        return s + Finite.Times(Scale * (x + 3 * Cubic * x * x * x), s * (Vector<float>.One - s));
    }
}

/// <summary>y = x σ(c x),   y' = σ + c x σ (1 - σ)</summary>
public readonly struct QuickGelu : IUnary
{
    private const float C = 1.702f;
    public static float Forward(float x) => x * NanoLora.Sigmoid.Forward(C * x);
    public static float Slope(float x) { var s = NanoLora.Sigmoid.Forward(C * x); return s + C * x * s * (1 - s); }
    public static Vector<float> Forward(Vector<float> x) => x * NanoLora.Sigmoid.Forward(C * x);
    public static Vector<float> Slope(Vector<float> x) { var s = NanoLora.Sigmoid.Forward(C * x); return s + C * x * s * (Vector<float>.One - s); }
}

/// <summary>y = x σ(x),   y' = σ (1 + x (1 - σ))</summary>
public readonly struct Silu : IUnary
{
    public static float Forward(float x) => x * NanoLora.Sigmoid.Forward(x);
    public static float Slope(float x) { var s = NanoLora.Sigmoid.Forward(x); return s * (1 + x * (1 - s)); }
    public static Vector<float> Forward(Vector<float> x) => x * NanoLora.Sigmoid.Forward(x);
    public static Vector<float> Slope(Vector<float> x) { var s = NanoLora.Sigmoid.Forward(x); return s * (Vector<float>.One + x * (Vector<float>.One - s)); }
}

/// <summary>y = max(x, 0),   y' = 1 where y > 0. A NaN stays one.</summary>
public readonly struct Relu : IUnary
{
    public static bool SlopeOfOutput => true;
    public static float Forward(float x) => x < 0 ? 0 : x;
    public static float Slope(float x) => x > 0 ? 1f : 0f;
    public static Vector<float> Forward(Vector<float> x) => Vector.ConditionalSelect(Vector.LessThan(x, default), default, x);
    public static Vector<float> Slope(Vector<float> x) => Vector.ConditionalSelect(Vector.GreaterThan(x, default), Vector<float>.One, default);
}

/// <summary>y = 1 / (1 + e^-x),   y' = y (1 - y)</summary>
public readonly struct Sigmoid : IUnary
{
    public static bool SlopeOfOutput => true;
    public static float Forward(float x) => 1 / (1 + MathF.Exp(-x));
    public static float Slope(float x) => x * (1 - x);
    public static Vector<float> Forward(Vector<float> x) => Vector<float>.One / (Vector<float>.One + Vector.Exp(-x));
    public static Vector<float> Slope(Vector<float> x) => x * (Vector<float>.One - x);
}

/// <summary>y = sign(x) (1 - t) / (1 + t), t = e^-2|x|; near 0 the odd series x - x³/3 + 2x⁵/15 - 17x⁷/315.   y' = 1 - y²</summary>
public readonly struct Tanh : IUnary
{
    private const float Small = 0.25f;
    public static bool SlopeOfOutput => true;
    public static float Forward(float x)
    {
        float a = MathF.Abs(x), q = x * x;
        if (a < Small) return x * (1 + q * (-1f / 3 + q * (2f / 15 + q * (-17f / 315 + q * (62f / 2835)))));
        var t = MathF.Exp(-2 * a);
        var y = (1 - t) / (1 + t);
        return x < 0 ? -y : y;
    }
    public static float Slope(float x) => (1 - x) * (1 + x);
    public static Vector<float> Forward(Vector<float> x)
    {
        Vector<float> a = Vector.Abs(x), q = x * x, one = Vector<float>.One;
        var small = x * (one + q * (new Vector<float>(-1f / 3) + q * (new Vector<float>(2f / 15) + q * (new Vector<float>(-17f / 315) + q * (62f / 2835)))));
        var t = Vector.Exp(-2 * a);
        var y = (one - t) / (one + t);
        return Vector.ConditionalSelect(Vector.LessThan(a, new Vector<float>(Small)), small, Vector.ConditionalSelect(Vector.LessThan(x, default), -y, y));
    }
    public static Vector<float> Slope(Vector<float> x) => (Vector<float>.One - x) * (Vector<float>.One + x);
}

/// <summary>y = e^x,   y' = y</summary>
public readonly struct Exp : IUnary
{
    public static bool SlopeOfOutput => true;
    public static float Forward(float x) => MathF.Exp(x);
    public static float Slope(float x) => x;
    public static Vector<float> Forward(Vector<float> x) => Vector.Exp(x);
    public static Vector<float> Slope(Vector<float> x) => x;
}

/// <summary>y = ln x,   y' = 1 / x</summary>
public readonly struct Log : IUnary
{
    public static float Forward(float x) => MathF.Log(x);
    public static float Slope(float x) => 1 / x;
    public static Vector<float> Forward(Vector<float> x) => Vector.Log(x);
    public static Vector<float> Slope(Vector<float> x) => Vector<float>.One / x;
}

/// <summary>y = √x,   y' = 1 / 2y</summary>
public readonly struct Sqrt : IUnary
{
    public static bool SlopeOfOutput => true;
    public static float Forward(float x) => MathF.Sqrt(x);
    public static float Slope(float x) => 0.5f / x;
    public static Vector<float> Forward(Vector<float> x) => Vector.SquareRoot(x);
    public static Vector<float> Slope(Vector<float> x) => new Vector<float>(0.5f) / x;
}

/// <summary>y = 1 / √x,   y' = -y / 2x</summary>
public readonly struct Rsqrt : IUnary
{
    public static float Forward(float x) => 1 / MathF.Sqrt(x);
    public static float Slope(float x) => -0.5f / MathF.Sqrt(x) / x;
    public static Vector<float> Forward(Vector<float> x) => Vector<float>.One / Vector.SquareRoot(x);
    public static Vector<float> Slope(Vector<float> x) => new Vector<float>(-0.5f) / Vector.SquareRoot(x) / x;
}

/// <summary>y = x²,   y' = 2x</summary>
public readonly struct Square : IUnary
{
    public static float Forward(float x) => x * x;
    public static float Slope(float x) => 2 * x;
    public static Vector<float> Forward(Vector<float> x) => x * x;
    public static Vector<float> Slope(Vector<float> x) => 2 * x;
}

/// <summary>y = |x|,   y' = sign x</summary>
public readonly struct Abs : IUnary
{
    public static float Forward(float x) => MathF.Abs(x);
    public static float Slope(float x) => x > 0 ? 1f : x < 0 ? -1f : 0f;
    public static Vector<float> Forward(Vector<float> x) => Vector.Abs(x);
    public static Vector<float> Slope(Vector<float> x) => Vector.ConditionalSelect(Vector.GreaterThan(x, default), Vector<float>.One,
        Vector.ConditionalSelect(Vector.LessThan(x, default), -Vector<float>.One, default));
}

/// <summary>
/// y = max(x, 0) + ln(1 + t), t = e^-|x|; with u = 1 + t, ln u · t / (u - 1) undoes the rounding of u (Kahan), and is t where u = 1.   y' = σ(x)
/// </summary>
public readonly struct Softplus : IUnary
{
    public static float Forward(float x)
    {
        var t = MathF.Exp(-MathF.Abs(x));
        var u = 1 + t;
        return (x > 0 ? x : 0) + (u == 1 ? t : MathF.Log(u) * (t / (u - 1)));
    }
    public static float Slope(float x) => NanoLora.Sigmoid.Forward(x);
    public static Vector<float> Forward(Vector<float> x)
    {
        Vector<float> t = Vector.Exp(-Vector.Abs(x)), one = Vector<float>.One, u = one + t;
        return Vector.Max(x, default) + Vector.ConditionalSelect(Vector.Equals(u, one), t, Vector.Log(u) * (t / (u - one)));
    }
    public static Vector<float> Slope(Vector<float> x) => NanoLora.Sigmoid.Forward(x);
}

/// <summary>y = erf x,   y' = 2/√π e^-x²</summary>
public readonly struct Erf : IUnary
{
    private const float TwoOverRootPi = 1.1283791671f;
    public static float Forward(float x) => Normal.Erf(x);
    public static float Slope(float x) => TwoOverRootPi * MathF.Exp(-x * x);
    public static Vector<float> Forward(Vector<float> x) => Normal.Erf(x);
    public static Vector<float> Slope(Vector<float> x) => TwoOverRootPi * Vector.Exp(-x * x);
}

/// <summary>y = min(max(x, 0), 1),   y' = 1 for 0 ≤ x ≤ 1</summary>
public readonly struct Clamp01 : IUnary
{
    public static float Forward(float x) => x < 0 ? 0 : x > 1 ? 1 : x;
    public static float Slope(float x) => x >= 0 && x <= 1 ? 1f : 0f;
    public static Vector<float> Forward(Vector<float> x) => Vector.Min(Vector.Max(x, default), Vector<float>.One);
    public static Vector<float> Slope(Vector<float> x) => Vector.ConditionalSelect(
        Vector.BitwiseAnd(Vector.GreaterThanOrEqual(x, default), Vector.LessThanOrEqual(x, Vector<float>.One)), Vector<float>.One, default);
}

/// <summary>Products that are 0 where a factor has vanished, although the other may be infinite.</summary>
internal static class Finite
{
    public static float Times(float x, float vanishing) => vanishing == 0 ? 0 : x * vanishing;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Times(Vector<float> x, Vector<float> vanishing) =>
        Vector.ConditionalSelect(Vector.Equals(vanishing, default), default, x * vanishing);
}

/// <summary>
/// The normal distribution and its error function. erfc z = e^-z² u Q(u), u = 1 / (1 + z/2), for z ≥ 0, so that the tail keeps its relative precision;
/// erf z = z P(z²) within |z| &lt; 1, so that what is near 0 keeps its own. P and Q interpolate the functions at Chebyshev nodes; the largest relative
/// errors are 6e-8 and 5e-8, in float 3e-7.
/// </summary>
internal static class Normal
{
    private const float RootHalf = 0.7071067812f;
    private const float P0 = 1.1283791659f, P1 = -0.3761262667f, P2 = 0.1128359472f, P3 = -0.0268542120f, P4 = 0.0051890874f,
        P5 = -0.0008016864f, P6 = 0.0000787588f;
    private const float Q0 = 0.2820848227f, Q1 = 0.2824046016f, Q2 = 0.2428851724f, Q3 = 0.2035502493f, Q4 = -0.0286130142f, Q5 = 0.2808154523f,
        Q6 = -0.4894429743f, Q7 = 0.2855674922f, Q8 = -0.0592518598f;

    public static float Erf(float x)
    {
        var z = MathF.Abs(x);
        if (z < 1) return x * Inner(z * z);
        var y = 1 - Outer(z, MathF.Exp(-z * z));
        return x < 0 ? -y : y;
    }

    /// <summary>Φ(x), and on the way e^-x²/2.</summary>
    public static float Cdf(float x, out float bell)
    {
        var z = MathF.Abs(x) * RootHalf;
        bell = MathF.Exp(-0.5f * x * x);
        var tail = 0.5f * Outer(z, bell);
        return x < 0 ? tail : 1 - tail;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Erf(Vector<float> x)
    {
        var z = Vector.Abs(x);
        var y = Vector<float>.One - Outer(z, SoftExp.Of(-z * z));
        return Vector.ConditionalSelect(Vector.LessThan(z, Vector<float>.One), x * Inner(z * z), Vector.ConditionalSelect(Vector.LessThan(x, default), -y, y));
    }

    /// <summary>Φ(x), and on the way e^-x²/2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Cdf(Vector<float> x, out Vector<float> bell)
    {
        var z = Vector.Abs(x) * RootHalf;
        bell = SoftExp.Of(-0.5f * x * x);
        var tail = 0.5f * Outer(z, bell);
        return Vector.ConditionalSelect(Vector.LessThan(x, default), tail, Vector<float>.One - tail);
    }

    private static float Inner(float q) => P0 + q * (P1 + q * (P2 + q * (P3 + q * (P4 + q * (P5 + q * P6)))));

    private static float Outer(float z, float bell)
    {
        var u = 1 / (1 + 0.5f * z);
        return bell * u * (Q0 + u * (Q1 + u * (Q2 + u * (Q3 + u * (Q4 + u * (Q5 + u * (Q6 + u * (Q7 + u * Q8))))))));
    }

    // Horner's rule, one multiply-add a line: a call less for the compiler to inline, whose patience with one loop is limited.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Inner(Vector<float> q)
    {
        var sum = Vector.MultiplyAddEstimate(new Vector<float>(P6), q, new Vector<float>(P5));
        sum = Vector.MultiplyAddEstimate(sum, q, new Vector<float>(P4));
        sum = Vector.MultiplyAddEstimate(sum, q, new Vector<float>(P3));
        sum = Vector.MultiplyAddEstimate(sum, q, new Vector<float>(P2));
        sum = Vector.MultiplyAddEstimate(sum, q, new Vector<float>(P1));
        return Vector.MultiplyAddEstimate(sum, q, new Vector<float>(P0));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Outer(Vector<float> z, Vector<float> bell)
    {
        var u = Vector<float>.One / Vector.MultiplyAddEstimate(new Vector<float>(0.5f), z, Vector<float>.One);
        var sum = Vector.MultiplyAddEstimate(new Vector<float>(Q8), u, new Vector<float>(Q7));
        sum = Vector.MultiplyAddEstimate(sum, u, new Vector<float>(Q6));
        sum = Vector.MultiplyAddEstimate(sum, u, new Vector<float>(Q5));
        sum = Vector.MultiplyAddEstimate(sum, u, new Vector<float>(Q4));
        sum = Vector.MultiplyAddEstimate(sum, u, new Vector<float>(Q3));
        sum = Vector.MultiplyAddEstimate(sum, u, new Vector<float>(Q2));
        sum = Vector.MultiplyAddEstimate(sum, u, new Vector<float>(Q1));
        return bell * u * Vector.MultiplyAddEstimate(sum, u, new Vector<float>(Q0));
    }
}
