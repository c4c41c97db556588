using ILGPU;

namespace NanoLora;

// y = f(x) and y = f(a, b): the same structs as on the CPU are the type arguments of the kernels, which stand once.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Unary<T>(Tensor x, Tensor y)
    {
        if (y.Count > 0) _launch.Run(UnaryKernel<T>, _launch.Elements(y.Count), In(x), Out(y));
    }

    /// <inheritdoc/>
    public override void UnaryBackward<T>(Tensor x, Tensor dy, Tensor dx)
    {
        if (dx.Count > 0) _launch.Run(UnaryBackwardKernel<T>, _launch.Elements(dx.Count), In(x), In(dy), Out(dx));
    }

    /// <inheritdoc/>
    public override void Binary<T>(Tensor a, Tensor b, Tensor y)
    {
        if (y.Count == 0) return;
        if (a.Shape == b.Shape) _launch.Run(FlatBinaryKernel<T>, _launch.Elements(y.Count), In(a), In(b), Out(y));
        else _launch.Run(BinaryKernel<T>, _launch.Elements(y.Count), In(a), In(b), Out(y), Steps.Stretch(a.Shape, y.Shape), Steps.Stretch(b.Shape, y.Shape));
    }

    /// <inheritdoc/>
    public override void BinaryBackward<T>(Tensor a, Tensor b, Tensor dy, Tensor d, bool ofB)
    {
        if (d.Count == 0) return;
        var (stepsA, stepsB) = (Steps.Stretch(a.Shape, d.Shape), Steps.Stretch(b.Shape, d.Shape));
        if (ofB) _launch.Run(BinarySlopeBKernel<T>, _launch.Elements(d.Count), In(a), In(b), In(dy), Out(d), stepsA, stepsB);
        else _launch.Run(BinarySlopeAKernel<T>, _launch.Elements(d.Count), In(a), In(b), In(dy), Out(d), stepsA, stepsB);
    }

    /// <inheritdoc/>
    public override void AddInto(Tensor x, Tensor sum)
    {
        if (sum.Count > 0) _launch.Run(FlatBinaryKernel<Add>, _launch.Elements(sum.Count), In(sum), In(x), Out(sum));
    }

    /// <summary>A thread owns every so many-th element: neighbours read neighbours.</summary>
    public static void UnaryKernel<T>(ArrayView<float> x, ArrayView<float> y) where T : unmanaged, IUnary
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride) y[i] = T.Forward(x[i]);
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void UnaryBackwardKernel<T>(ArrayView<float> x, ArrayView<float> dy, ArrayView<float> dx) where T : unmanaged, IUnary
    {
        for (var i = Each.First; Each.Within(i, dx); i += Each.Stride) dx[i] = dy[i] * T.Slope(x[i]);
    }

    /// <summary>A thread owns every so many-th element. y may be a.</summary>
    public static void FlatBinaryKernel<T>(ArrayView<float> a, ArrayView<float> b, ArrayView<float> y) where T : unmanaged, IBinary
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride) y[i] = T.Forward(a[i], b[i]);
    }

    /// <summary>A thread owns every so many-th element of y, and works out which of a and b go with it.</summary>
    public static void BinaryKernel<T>(ArrayView<float> a, ArrayView<float> b, ArrayView<float> y, Steps ofA, Steps ofB) where T : unmanaged, IBinary
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride) y[i] = T.Forward(a[ofA.At(i)], b[ofB.At(i)]);
    }

    /// <summary>A thread owns every so many-th element of d.</summary>
    public static void BinarySlopeAKernel<T>(ArrayView<float> a, ArrayView<float> b, ArrayView<float> dy, ArrayView<float> d, Steps ofA, Steps ofB)
        where T : unmanaged, IBinary
    {
        for (var i = Each.First; Each.Within(i, d); i += Each.Stride) d[i] = dy[i] * T.SlopeA(a[ofA.At(i)], b[ofB.At(i)]);
    }

    /// <summary>A thread owns every so many-th element of d.</summary>
    public static void BinarySlopeBKernel<T>(ArrayView<float> a, ArrayView<float> b, ArrayView<float> dy, ArrayView<float> d, Steps ofA, Steps ofB)
        where T : unmanaged, IBinary
    {
        for (var i = Each.First; Each.Within(i, d); i += Each.Stride) d[i] = dy[i] * T.SlopeB(a[ofA.At(i)], b[ofB.At(i)]);
    }
}

/// <summary>How the threads of a grid share elements out: thread n owns n, n + stride, n + 2 stride, …, stride being the number of threads.</summary>
public static class Each
{
    /// <summary>This thread's first element.</summary>
    public static int First => Grid.IdxX * Group.DimX + Group.IdxX;

    /// <summary>From one element of this thread to its next.</summary>
    public static int Stride => Grid.DimX * Group.DimX;

    /// <summary>Whether there is an element i; also false where i has run over the largest int.</summary>
    public static bool Within<T>(int i, ArrayView<T> view) where T : unmanaged => (uint)i < (uint)view.IntLength;
}

/// <summary>
/// From the number of an element to a place in another tensor: the number is taken apart by the sizes of the axes, from the last to the first, and each index
/// moves by its axis' step. Axes that go on where the next one ends are one axis, so most have two or three.
/// </summary>
public readonly struct Steps
{
    private readonly int _axes, _size1, _size2, _size3, _size4, _size5, _step1, _step2, _step3, _step4, _step5, _step6;   // the last axis is 1

    private Steps(int axes, ReadOnlySpan<int> sizes, ReadOnlySpan<int> steps)
    {
        _axes = axes;
        (_size1, _size2, _size3, _size4, _size5) = (sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]);
        (_step1, _step2, _step3, _step4, _step5, _step6) = (steps[0], steps[1], steps[2], steps[3], steps[4], steps[5]);
    }

    /// <summary>Where x, stretched to y's shape, has the elements of y; in units of <paramref name="size"/>.</summary>
    public static Steps Stretch(Shape x, Shape y, int size = 1)
    {
        Span<int> steps = stackalloc int[Shape.MaxRank];
        steps.Clear();
        for (int i = 1, stride = size; i <= x.Rank; stride *= x[-i++]) steps[y.Rank - i] = x[-i] == 1 ? 0 : stride;
        return Of(y, steps);
    }

    /// <summary>The given step for each axis of a shape.</summary>
    public static Steps Of(Shape shape, ReadOnlySpan<int> steps)
    {
        Span<int> sizes = stackalloc int[Shape.MaxRank], merged = stackalloc int[Shape.MaxRank];
        sizes.Clear();
        merged.Clear();
        var axes = 0;
        for (var axis = shape.Rank - 1; axis >= 0; axis--)
        {
            if (shape[axis] == 1) continue;
            if (axes > 0 && steps[axis] == merged[axes - 1] * sizes[axes - 1]) sizes[axes - 1] *= shape[axis];   // goes on where the last one ends
            else (sizes[axes], merged[axes++]) = (shape[axis], steps[axis]);
        }
        return new Steps(axes, sizes, merged);
    }

    /// <summary>Where element i lies.</summary>
    public int At(int i)
    {
        if (_axes <= 1) return i * _step1;
        var at = i % _size1 * _step1;
        i /= _size1;
        if (_axes == 2) return at + i * _step2;
        at += i % _size2 * _step2;
        i /= _size2;
        if (_axes == 3) return at + i * _step3;
        at += i % _size3 * _step3;
        i /= _size3;
        if (_axes == 4) return at + i * _step4;
        at += i % _size4 * _step4;
        i /= _size4;
        if (_axes == 5) return at + i * _step5;
        return at + i % _size5 * _step5 + i / _size5 * _step6;
    }
}
