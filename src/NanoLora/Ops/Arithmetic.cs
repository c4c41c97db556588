using System.Numerics;

namespace NanoLora;

// The arithmetic of two tensors, and of a tensor and a number.

public partial class Tensor
{
    /// <summary>a + b, stretched to a common shape.</summary>
    public static Tensor operator +(Tensor a, Tensor b) => a.Apply<Add>(b);

    /// <summary>a - b, stretched to a common shape.</summary>
    public static Tensor operator -(Tensor a, Tensor b) => a.Apply<Subtract>(b);

    /// <summary>a ∘ b, stretched to a common shape.</summary>
    public static Tensor operator *(Tensor a, Tensor b) => a.Apply<Multiply>(b);

    /// <summary>a / b, stretched to a common shape.</summary>
    public static Tensor operator /(Tensor a, Tensor b) => a.Apply<Divide>(b);

    /// <summary>-x</summary>
    public static Tensor operator -(Tensor x) => x.Scale(-1);

    /// <summary>scale · x</summary>
    public static Tensor operator *(Tensor x, float scale) => x.Scale(scale);

    /// <summary>scale · x</summary>
    public static Tensor operator *(float scale, Tensor x) => x.Scale(scale);

    /// <summary>y = scale · x</summary>
    public Tensor Scale(float scale)
    {
        var y = New(Shape);
        Backend.Scale(this, y, scale);
        return y.By(NeedsGrad ? new ScaleNode(this, scale) : null);
    }
}

public abstract partial class Backend
{
    /// <summary>y = scale · x</summary>
    public abstract void Scale(Tensor x, Tensor y, float scale);
}

file sealed class ScaleNode(Tensor x, float scale) : Node([x])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.Scale(dy, dx, scale);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Scale(Tensor x, Tensor y, float scale) => Chunks(y.Count, new ScaleJob(x, y, scale));
}

file readonly struct ScaleJob(Tensor x, Tensor y, float scale) : IRows
{
    public void Run(int start, int end)
    {
        var a = x.Floats()[start..end];
        var b = y.Floats()[start..end];
        var whole = Simd.Whole(b.Length);
        if (whole < b.Length) Simd.StorePart(scale * Simd.LoadPart(a, whole), b, whole);
        var s = new Vector<float>(scale);
        for (var i = 0; i < whole; i += Simd.Width) Simd.Store(s * Simd.Load(a, i), b, i);
    }
}

#pragma warning disable CS1591 // IUnary and IBinary say what each body is

/// <summary>a + b</summary>
public readonly struct Add : IBinary
{
    public static (bool, bool) SlopeANeeds => (false, false);
    public static (bool, bool) SlopeBNeeds => (false, false);
    public static float Forward(float a, float b) => a + b;
    public static float SlopeA(float a, float b) => 1;
    public static float SlopeB(float a, float b) => 1;
    public static Vector<float> Forward(Vector<float> a, Vector<float> b) => a + b;
    public static Vector<float> SlopeA(Vector<float> a, Vector<float> b) => Vector<float>.One;
    public static Vector<float> SlopeB(Vector<float> a, Vector<float> b) => Vector<float>.One;
}

/// <summary>a - b</summary>
public readonly struct Subtract : IBinary
{
    public static (bool, bool) SlopeANeeds => (false, false);
    public static (bool, bool) SlopeBNeeds => (false, false);
    public static float Forward(float a, float b) => a - b;
    public static float SlopeA(float a, float b) => 1;
    public static float SlopeB(float a, float b) => -1;
    public static Vector<float> Forward(Vector<float> a, Vector<float> b) => a - b;
    public static Vector<float> SlopeA(Vector<float> a, Vector<float> b) => Vector<float>.One;
    public static Vector<float> SlopeB(Vector<float> a, Vector<float> b) => -Vector<float>.One;
}

/// <summary>a b</summary>
public readonly struct Multiply : IBinary
{
    public static (bool, bool) SlopeANeeds => (false, true);
    public static (bool, bool) SlopeBNeeds => (true, false);
    public static float Forward(float a, float b) => a * b;
    public static float SlopeA(float a, float b) => b;
    public static float SlopeB(float a, float b) => a;
    public static Vector<float> Forward(Vector<float> a, Vector<float> b) => a * b;
    public static Vector<float> SlopeA(Vector<float> a, Vector<float> b) => b;
    public static Vector<float> SlopeB(Vector<float> a, Vector<float> b) => a;
}

/// <summary>a / b,   ∂a = 1 / b,   ∂b = -a / b²</summary>
public readonly struct Divide : IBinary
{
    public static (bool, bool) SlopeANeeds => (false, true);
    public static float Forward(float a, float b) => a / b;
    public static float SlopeA(float a, float b) => 1 / b;
    public static float SlopeB(float a, float b) => -a / (b * b);
    public static Vector<float> Forward(Vector<float> a, Vector<float> b) => a / b;
    public static Vector<float> SlopeA(Vector<float> a, Vector<float> b) => Vector<float>.One / b;
    public static Vector<float> SlopeB(Vector<float> a, Vector<float> b) => -a / (b * b);
}
