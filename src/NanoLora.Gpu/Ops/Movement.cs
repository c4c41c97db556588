using ILGPU;
using ILGPU.Runtime;

namespace NanoLora;

// Elements that only move. Any type of four bytes moves as an int, others byte by byte.

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
        if (x.DType.Bytes() == 4)
        {
            _launch.Run(CopyMiddleKernel<int>, _launch.Elements(moved), View<int>(x, writes: false), View<int>(y, writes: true), moved,
                count * inner, xSize * inner, xStart * inner, ySize * inner, yStart * inner);
            return;
        }
        var bytes = inner * x.DType.Bytes();
        moved = checked(outer * count * bytes);
        _launch.Run(CopyMiddleKernel<byte>, _launch.Elements(moved), Bytes(x, writes: false), Bytes(y, writes: true), moved,
            count * bytes, xSize * bytes, xStart * bytes, ySize * bytes, yStart * bytes);
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
