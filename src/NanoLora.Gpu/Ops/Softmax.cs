using ILGPU;
using ILGPU.Algorithms;

namespace NanoLora;

// Softmax of each row, its logarithm, and sparsemax. A group owns a row and goes over it three times: the largest, the sum, the result.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Softmax(Tensor x, Tensor y)
    {
        if (y.Count > 0) _launch.Run(SoftmaxKernel, _launch.Rows(x.Rows), In(x), Out(y), x.Cols);
    }

    /// <inheritdoc/>
    public override void SoftmaxBackward(Tensor y, Tensor dy, Tensor dx)
    {
        if (dx.Count > 0) _launch.Run(SoftmaxBackwardKernel, _launch.Rows(y.Rows), In(y), In(dy), Out(dx), y.Cols);
    }

    /// <inheritdoc/>
    public override void LogSoftmax(Tensor x, Tensor y)
    {
        if (y.Count > 0) _launch.Run(LogSoftmaxKernel, _launch.Rows(x.Rows), In(x), Out(y), x.Cols);
    }

    /// <inheritdoc/>
    public override void LogSoftmaxBackward(Tensor y, Tensor dy, Tensor dx)
    {
        if (dx.Count > 0) _launch.Run(LogSoftmaxBackwardKernel, _launch.Rows(y.Rows), In(y), In(dy), Out(dx), y.Cols);
    }

    /// <inheritdoc/>
    public override void Sparsemax(Tensor x, Tensor y)
    {
        if (y.Count > 0) _launch.Run(SparsemaxKernel, _launch.Elements(x.Rows), In(x), Out(y), x.Rows, x.Cols);
    }

    /// <inheritdoc/>
    public override void SparsemaxBackward(Tensor y, Tensor dy, Tensor dx)
    {
        if (dx.Count > 0) _launch.Run(SparsemaxBackwardKernel, _launch.Elements(y.Rows), In(y), In(dy), Out(dx), y.Rows, y.Cols);
    }

    /// <summary>A group owns a row; its threads stride over the columns.</summary>
    public static void SoftmaxKernel(ArrayView<float> x, ArrayView<float> y, int cols)
    {
        var row = Grid.IdxX * cols;
        var max = RowMax(x, row, cols);
        var sum = 0f;
        for (var i = Group.IdxX; i < cols; i += Group.DimX)
        {
            var e = XMath.Exp(x[row + i] - max);
            y[row + i] = e;
            sum += e;
        }
        var scale = 1 / Tree.Sum(sum);
        for (var i = Group.IdxX; i < cols; i += Group.DimX) y[row + i] *= scale;
    }

    /// <summary>A group owns a row; its threads stride over the columns.</summary>
    public static void SoftmaxBackwardKernel(ArrayView<float> y, ArrayView<float> dy, ArrayView<float> dx, int cols)
    {
        var row = Grid.IdxX * cols;
        var dot = 0f;
        for (var i = Group.IdxX; i < cols; i += Group.DimX) dot += y[row + i] * dy[row + i];
        dot = Tree.Sum(dot);
        for (var i = Group.IdxX; i < cols; i += Group.DimX) dx[row + i] = y[row + i] * (dy[row + i] - dot);
    }

    /// <summary>A group owns a row; its threads stride over the columns.</summary>
    public static void LogSoftmaxKernel(ArrayView<float> x, ArrayView<float> y, int cols)
    {
        var row = Grid.IdxX * cols;
        var max = RowMax(x, row, cols);
        var sum = 0f;
        for (var i = Group.IdxX; i < cols; i += Group.DimX) sum += XMath.Exp(x[row + i] - max);
        var log = XMath.Log(Tree.Sum(sum));
        for (var i = Group.IdxX; i < cols; i += Group.DimX) y[row + i] = x[row + i] - max - log;
    }

    /// <summary>A group owns a row; its threads stride over the columns.</summary>
    public static void LogSoftmaxBackwardKernel(ArrayView<float> y, ArrayView<float> dy, ArrayView<float> dx, int cols)
    {
        var row = Grid.IdxX * cols;
        var sum = 0f;
        for (var i = Group.IdxX; i < cols; i += Group.DimX) sum += dy[row + i];
        sum = Tree.Sum(sum);
        for (var i = Group.IdxX; i < cols; i += Group.DimX) dx[row + i] = dy[row + i] - XMath.Exp(y[row + i]) * sum;
    }

    private static float RowMax(ArrayView<float> x, int row, int cols)
    {
        var max = float.NegativeInfinity;
        for (var i = Group.IdxX; i < cols; i += Group.DimX) if (x[row + i] > max) max = x[row + i];
        return Tree.Max(max);
    }

    /// <summary>A thread owns a row, and sorts it downwards into y first: rows are short.</summary>
    public static void SparsemaxKernel(ArrayView<float> x, ArrayView<float> y, int rows, int cols)
    {
        for (var n = Each.First; (uint)n < (uint)rows; n += Each.Stride)
        {
            var row = n * cols;
            for (var i = 0; i < cols; i++)
            {
                var z = x[row + i];
                var at = i;
                for (; at > 0 && y[row + at - 1] < z; at--) y[row + at] = y[row + at - 1];
                y[row + at] = z;
            }
            float sum = 0, threshold = 0;
            for (var k = 1; k <= cols; k++)
            {
                var z = y[row + k - 1];
                sum += z;
                if (1 + k * z > sum) threshold = (sum - 1) / k;
            }
            for (var i = 0; i < cols; i++)
            {
                var z = x[row + i] - threshold;
                y[row + i] = z > 0 ? z : 0;
            }
        }
    }

    /// <summary>A thread owns a row.</summary>
    public static void SparsemaxBackwardKernel(ArrayView<float> y, ArrayView<float> dy, ArrayView<float> dx, int rows, int cols)
    {
        for (var n = Each.First; (uint)n < (uint)rows; n += Each.Stride)
        {
            var row = n * cols;
            float sum = 0, support = 0;
            for (var i = 0; i < cols; i++)
            {
                if (y[row + i] <= 0) continue;
                sum += dy[row + i];
                support++;
            }
            for (var i = 0; i < cols; i++) dx[row + i] = y[row + i] > 0 ? dy[row + i] - sum / support : 0;
        }
    }
}
