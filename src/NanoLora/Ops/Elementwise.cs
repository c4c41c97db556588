using System.Numerics;
using System.Runtime.CompilerServices;

namespace NanoLora;

// Elementwise operations: y = f(x) and y = f(a, b) with broadcasting. The functions are structs, in Activations.cs and Arithmetic.cs;
// here stand, once for all of them, what the tape does and the loops.
//
// Gradient of y = f(x):      dx = dy ∘ f'(x), or of y where f' is a function of the result: then x may go.
// Gradient of y = f(a, b):   da = dy ∘ ∂f/∂a, summed over the axes along which a was stretched; db alike.

/// <summary>A function of one number, with its slope, for one number (the GPU's body) and for a vector (the CPU's body).</summary>
public interface IUnary
{
    /// <summary>Whether <see cref="Slope(float)"/> is given f(x) instead of x.</summary>
    static virtual bool SlopeOfOutput => false;

    /// <summary>f(x)</summary>
    static abstract float Forward(float x);

    /// <summary>f'(x), or as a function of f(x) if <see cref="SlopeOfOutput"/>.</summary>
    static abstract float Slope(float x);

    /// <summary>f(x), lane by lane.</summary>
    static abstract Vector<float> Forward(Vector<float> x);

    /// <summary>The slope, lane by lane.</summary>
    static abstract Vector<float> Slope(Vector<float> x);
}

/// <summary>A function of two numbers, with both slopes.</summary>
public interface IBinary
{
    /// <summary>Whether the slope for a looks at the operands; if not, the tape keeps nothing for it.</summary>
    static virtual (bool OfA, bool OfB) SlopeANeeds => (true, true);

    /// <summary>What the slope for b looks at.</summary>
    static virtual (bool OfA, bool OfB) SlopeBNeeds => (true, true);

    /// <summary>f(a, b)</summary>
    static abstract float Forward(float a, float b);

    /// <summary>∂f/∂a</summary>
    static abstract float SlopeA(float a, float b);

    /// <summary>∂f/∂b</summary>
    static abstract float SlopeB(float a, float b);

    /// <summary>f(a, b), lane by lane.</summary>
    static abstract Vector<float> Forward(Vector<float> a, Vector<float> b);

    /// <summary>∂f/∂a, lane by lane.</summary>
    static abstract Vector<float> SlopeA(Vector<float> a, Vector<float> b);

    /// <summary>∂f/∂b, lane by lane.</summary>
    static abstract Vector<float> SlopeB(Vector<float> a, Vector<float> b);
}

public partial class Tensor
{
    /// <summary>y = f(x), element for element.</summary>
    public Tensor Apply<T>() where T : unmanaged, IUnary
    {
        var y = New(Shape);
        Backend.Unary<T>(this, y);
        return y.By(NeedsGrad ? new UnaryNode<T>(this, y) : null, typeof(T).Name);
    }

    /// <summary>y = f(this, b), element for element; shapes broadcast as in numpy.</summary>
    /// <exception cref="ArgumentException">The shapes do not broadcast.</exception>
    public Tensor Apply<T>(Tensor b) where T : unmanaged, IBinary
    {
        var y = New(Shape.Broadcast(Shape, b.Shape, typeof(T).Name));
        Backend.Binary<T>(this, b, y);
        return y.By(Workspace.Records && (NeedsGrad || b.Node is not null) ? new BinaryNode<T>(this, b) : null, typeof(T).Name);
    }
}

public abstract partial class Backend
{
    /// <summary>y = f(x)</summary>
    public abstract void Unary<T>(Tensor x, Tensor y) where T : unmanaged, IUnary;

    /// <summary>dx = dy ∘ slope(x); dx may be dy itself.</summary>
    public abstract void UnaryBackward<T>(Tensor x, Tensor dy, Tensor dx) where T : unmanaged, IUnary;

    /// <summary>y = f(a, b), a and b stretched to y's shape.</summary>
    public abstract void Binary<T>(Tensor a, Tensor b, Tensor y) where T : unmanaged, IBinary;

    /// <summary>d = dy ∘ ∂f/∂a, or ∂f/∂b, in y's shape. An operand that the slope does not look at may be given as dy.</summary>
    public abstract void BinaryBackward<T>(Tensor a, Tensor b, Tensor dy, Tensor d, bool ofB) where T : unmanaged, IBinary;
}

file sealed class UnaryNode<T>(Tensor x, Tensor y) : Node([x], [T.SlopeOfOutput ? y : x]) where T : unmanaged, IUnary
{
    protected override void Backward(Tensor dy)
    {
        if (!Wants(0)) return;
        if (dy.Storage.IsSole)                                                        // over dy, where nobody else looks at it
        {
            dy.Backend.UnaryBackward<T>(Saved(0), dy, dy);
            Give(0, dy);
        }
        else if (Wants(0, out var dx)) dy.Backend.UnaryBackward<T>(Saved(0), dy, dx);
    }
}

file sealed class BinaryNode<T>(Tensor a, Tensor b) : Node([a, b], [Keeps(a, b).A ? a : null, Keeps(a, b).B ? b : null]) where T : unmanaged, IBinary
{
    private static (bool A, bool B) Keeps(Tensor a, Tensor b)
    {
        bool da = a.Node is not null, db = b.Node is not null;
        return ((da && T.SlopeANeeds.OfA) || (db && T.SlopeBNeeds.OfA), (da && T.SlopeANeeds.OfB) || (db && T.SlopeBNeeds.OfB));
    }

    protected override void Backward(Tensor dy)
    {
        Side(0, dy);
        Side(1, dy);
    }

    private void Side(int i, Tensor dy)
    {
        if (!Wants(i)) return;
        if (typeof(T) == typeof(Add)) { Give(i, dy.SumTo(InputShape(i))); return; }
        var d = dy.New(dy.Shape);
        dy.Backend.BinaryBackward<T>(SavedOrNull(0) ?? dy, SavedOrNull(1) ?? dy, dy, d, ofB: i == 1);
        Give(i, d.SumTo(InputShape(i)));
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Unary<T>(Tensor x, Tensor y) => Chunks(y.Count, new UnaryJob<T>(x, y));

    /// <inheritdoc/>
    public override void UnaryBackward<T>(Tensor x, Tensor dy, Tensor dx) => Chunks(dx.Count, new UnaryBackwardJob<T>(x, dy, dx));

    /// <inheritdoc/>
    public override void Binary<T>(Tensor a, Tensor b, Tensor y)
    {
        if (a.Shape == b.Shape) Chunks(y.Count, new FlatBinaryJob<T>(a, b, y));
        else ForRows(y.Rows, y.Cols, new BinaryJob<T>(a, b, y, new Stretch(a.Shape, y.Shape), new Stretch(b.Shape, y.Shape)));
    }

    /// <inheritdoc/>
    public override void BinaryBackward<T>(Tensor a, Tensor b, Tensor dy, Tensor d, bool ofB)
    {
        var job = new BinaryBackwardJob<T>(a, b, dy, d, new Stretch(a.Shape, d.Shape), new Stretch(b.Shape, d.Shape), ofB);
        ForRows(d.Rows, d.Cols, job);
    }

    /// <inheritdoc/>
    public override void AddInto(Tensor x, Tensor sum) => Chunks(sum.Count, new FlatBinaryJob<Add>(sum, x, sum));
}

/// <summary>Where a row of the stretched result finds its operand: the operand's row, and whether one element serves the whole row.</summary>
internal readonly struct Stretch
{
    private readonly Shape _y, _step;   // per axis of y but the last: elements to move in x

    public Stretch(Shape x, Shape y)
    {
        Span<int> step = stackalloc int[y.Rank];
        var stride = 1;
        for (var i = 1; i <= x.Rank; i++)
        {
            step[y.Rank - i] = x[-i] == 1 ? 0 : stride;
            stride *= x[-i];
        }
        (_y, _step) = (y, new Shape(step));
        IsSplat = x.Cols == 1;
    }

    public bool IsSplat { get; }

    public int Row(int row)
    {
        var offset = 0;
        for (var axis = _y.Rank - 2; axis >= 0; axis--)
        {
            offset += row % _y[axis] * _step[axis];
            row /= _y[axis];
        }
        return offset;
    }
}

// In every job the last, partial vector has a method of its own: the compiler inlines only so much into one, and that is for the loop.
file readonly struct UnaryJob<T>(Tensor x, Tensor y) : IRows where T : unmanaged, IUnary
{
    public void Run(int start, int end)
    {
        var a = x.Floats()[start..end];
        var b = y.Floats()[start..end];
        var whole = Simd.Whole(b.Length);
        for (var i = 0; i < whole; i += Simd.Width) Simd.Store(T.Forward(Simd.Load(a, i)), b, i);
        if (whole < b.Length) Rest(a, b, whole);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Rest(ReadOnlySpan<float> a, Span<float> b, int i) => Simd.StorePart(T.Forward(Simd.LoadPart(a, i)), b, i);
}

file readonly struct UnaryBackwardJob<T>(Tensor x, Tensor dy, Tensor dx) : IRows where T : unmanaged, IUnary
{
    public void Run(int start, int end)
    {
        var a = x.Floats()[start..end];
        var g = dy.Floats()[start..end];
        var d = dx.Floats()[start..end];
        var whole = Simd.Whole(d.Length);
        for (var i = 0; i < whole; i += Simd.Width) Simd.Store(Simd.Load(g, i) * T.Slope(Simd.Load(a, i)), d, i);
        if (whole < d.Length) Rest(a, g, d, whole);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Rest(ReadOnlySpan<float> a, ReadOnlySpan<float> g, Span<float> d, int i) =>
        Simd.StorePart(Simd.LoadPart(g, i) * T.Slope(Simd.LoadPart(a, i)), d, i);
}

file readonly struct FlatBinaryJob<T>(Tensor a, Tensor b, Tensor y) : IRows where T : unmanaged, IBinary
{
    public void Run(int start, int end)
    {
        var u = a.Floats()[start..end];
        var v = b.Floats()[start..end];
        var d = y.Floats()[start..end];
        var whole = Simd.Whole(d.Length);
        for (var i = 0; i < whole; i += Simd.Width) Simd.Store(T.Forward(Simd.Load(u, i), Simd.Load(v, i)), d, i);
        if (whole < d.Length) Rest(u, v, d, whole);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Rest(ReadOnlySpan<float> u, ReadOnlySpan<float> v, Span<float> d, int i) =>
        Simd.StorePart(T.Forward(Simd.LoadPart(u, i), Simd.LoadPart(v, i)), d, i);
}

file readonly struct BinaryJob<T>(Tensor a, Tensor b, Tensor y, Stretch ofA, Stretch ofB) : IRows where T : unmanaged, IBinary
{
    public void Run(int start, int end)
    {
        for (var row = start; row < end; row++)
        {
            var u = new Operand(a, ofA, row);
            var v = new Operand(b, ofB, row);
            var d = y.Row(row);
            var whole = Simd.Whole(d.Length);
            for (var i = 0; i < whole; i += Simd.Width) Simd.Store(T.Forward(u.Load(i), v.Load(i)), d, i);
            if (whole < d.Length) Rest(u, v, d, whole);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Rest(in Operand u, in Operand v, Span<float> d, int i) => Simd.StorePart(T.Forward(u.LoadPart(i), v.LoadPart(i)), d, i);
}

file readonly struct BinaryBackwardJob<T>(Tensor a, Tensor b, Tensor dy, Tensor d, Stretch ofA, Stretch ofB, bool sideB) : IRows where T : unmanaged, IBinary
{
    public void Run(int start, int end)
    {
        for (var row = start; row < end; row++)
        {
            var u = new Operand(a, ofA, row);
            var v = new Operand(b, ofB, row);
            var g = dy.Row(row);
            var e = d.Row(row);
            var whole = Simd.Whole(e.Length);
            if (sideB) for (var i = 0; i < whole; i += Simd.Width) Simd.Store(Simd.Load(g, i) * T.SlopeB(u.Load(i), v.Load(i)), e, i);
            else for (var i = 0; i < whole; i += Simd.Width) Simd.Store(Simd.Load(g, i) * T.SlopeA(u.Load(i), v.Load(i)), e, i);
            if (whole < e.Length) Rest(u, v, g, e, whole);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Rest(in Operand u, in Operand v, ReadOnlySpan<float> g, Span<float> e, int i)
    {
        var slope = sideB ? T.SlopeB(u.LoadPart(i), v.LoadPart(i)) : T.SlopeA(u.LoadPart(i), v.LoadPart(i));
        Simd.StorePart(Simd.LoadPart(g, i) * slope, e, i);
    }
}

/// <summary>One row of a stretched operand: its elements, or one element for all columns.</summary>
file readonly ref struct Operand
{
    private readonly ReadOnlySpan<float> _row;
    private readonly Vector<float> _splat;

    public Operand(Tensor x, Stretch stretch, int row)
    {
        var start = stretch.Row(row);
        if (stretch.IsSplat) _splat = new Vector<float>(x.Floats()[start]);
        else _row = x.Floats().Slice(start, x.Cols);
    }

    public Vector<float> Load(int i) => _row.IsEmpty ? _splat : Simd.Load(_row, i);

    public Vector<float> LoadPart(int i) => _row.IsEmpty ? _splat : Simd.LoadPart(_row, i);
}
