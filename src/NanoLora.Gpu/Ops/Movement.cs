using ILGPU;
using ILGPU.Runtime;

namespace NanoLora;

// Elements that only move: as integers of their size.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Permute(Tensor x, Tensor y, Shape order)
    {
        if (y.Count == 0) return;
        Span<int> strides = stackalloc int[Shape.MaxRank], steps = stackalloc int[Shape.MaxRank];
        for (int axis = x.Shape.Rank - 1, stride = 1; axis >= 0; stride *= x.Shape[axis--]) strides[axis] = stride;
        for (var i = 0; i < order.Rank; i++) steps[i] = strides[order[i]];
        _launch.Run(PermuteKernel, _launch.Elements(y.Count), In(x), Out(y), Steps.Of(y.Shape, steps));
    }

    /// <inheritdoc/>
    public override void CopyMiddle(Tensor x, Tensor y, int outer, int xSize, int xStart, int ySize, int yStart, int count, int inner)
    {
        var moved = outer * count * inner;
        if (moved == 0) return;
        switch (x.DType.Bytes())
        {
            case 4: Move<int>(); break;
            case 2: Move<short>(); break;
            default: Move<byte>(); break;
        }

        void Move<T>() where T : unmanaged => _launch.Run(CopyMiddleKernel<T>, _launch.Elements(moved), View<T>(x, writes: false), View<T>(y, writes: true),
            moved, count * inner, xSize * inner, xStart * inner, ySize * inner, yStart * inner);
    }

    /// <summary>A thread owns every so many-th element of y: it writes in order and reads from afar.</summary>
    public static void PermuteKernel(ArrayView<float> x, ArrayView<float> y, Steps from)
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride) y[i] = x[from.At(i)];
    }

    /// <summary>A thread owns every so many-th of the elements that move: element i is number i % run of run i / run.</summary>
    public static void CopyMiddleKernel<T>(ArrayView<T> x, ArrayView<T> y, int moved, int run, int xStride, int xStart, int yStride, int yStart)
        where T : unmanaged
    {
        for (var i = Each.First; (uint)i < (uint)moved; i += Each.Stride) y[i / run * yStride + yStart + i % run] = x[i / run * xStride + xStart + i % run];
    }
}
