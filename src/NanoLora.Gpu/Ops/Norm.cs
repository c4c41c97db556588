using ILGPU;
using ILGPU.Algorithms;

namespace NanoLora;

// LayerNorm and RMSNorm over the last axis. A group owns a row: mean, then the variance around it, then the result.
// dw and db are sums over rows: a thread owns a column of a run of rows, and the runs' sums are added by SumMiddle.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Norm(Tensor x, Tensor? weight, Tensor? bias, Tensor y, Tensor statistics, NormKind kind)
    {
        if (y.Count > 0)
            _launch.Run(NormKernel, _launch.Rows(x.Rows), In(x), In(weight, x), In(bias, x), Out(y), Out(statistics),
                new NormShape(x.Cols, weight, bias, kind));
    }

    /// <inheritdoc/>
    public override void NormBackward(Tensor x, Tensor? weight, Tensor statistics, Tensor dy, Tensor? dx, Tensor? dw, Tensor? db, NormKind kind)
    {
        if (dx is { Count: > 0 })
            _launch.Run(NormBackwardKernel, _launch.Rows(x.Rows), In(x), In(weight, x), In(statistics), In(dy), Out(dx),
                new NormShape(x.Cols, weight, null, kind));
        if (dw is not null)
        {
            if (x.Rows == 0) { Fill(dw, 0); }
            else
            {
                var runs = (x.Rows + SumRun - 1) / SumRun;
                using var parts = x.Workspace.Loose(new Shape(runs, x.Cols));
                _launch.Run(NormWeightKernel, _launch.Elements(parts.Count), In(x), In(statistics), In(dy), Out(parts), x.Rows, x.Cols);
                SumMiddle(parts, dw, 1, runs);
            }
        }
        if (db is not null) SumMiddle(dy, db, 1, dy.Rows);
    }

    /// <summary>A group owns a row; its threads stride over the columns.</summary>
    public static void NormKernel(ArrayView<float> x, ArrayView<float> w, ArrayView<float> b, ArrayView<float> y, ArrayView<float> statistics, NormShape shape)
    {
        int row = Grid.IdxX * shape.Cols, cols = shape.Cols;
        var mean = 0f;
        if (shape.Centred)
        {
            // From the first element on: the mean of equal numbers is that number.
            var first = x[row];
            var sum = 0f;
            for (var i = Group.IdxX; i < cols; i += Group.DimX) sum += x[row + i] - first;
            mean = first + Tree.Sum(sum) / cols;
        }
        var squares = 0f;
        for (var i = Group.IdxX; i < cols; i += Group.DimX) squares += (x[row + i] - mean) * (x[row + i] - mean);
        var r = 1 / XMath.Sqrt(Tree.Sum(squares) / cols + shape.Eps);
        for (var i = Group.IdxX; i < cols; i += Group.DimX)
        {
            var t = (x[row + i] - mean) * r;
            if (shape.HasWeight) t *= w[i] + shape.Shift;
            if (shape.HasBias) t += b[i];
            y[row + i] = t;
        }
        if (Group.IdxX > 0) return;
        statistics[2 * Grid.IdxX] = mean;
        statistics[2 * Grid.IdxX + 1] = r;
    }

    /// <summary>A group owns a row; its threads stride over the columns.</summary>
    public static void NormBackwardKernel(ArrayView<float> x, ArrayView<float> w, ArrayView<float> statistics, ArrayView<float> dy,
        ArrayView<float> dx, NormShape shape)
    {
        int row = Grid.IdxX * shape.Cols, cols = shape.Cols;
        float mean = statistics[2 * Grid.IdxX], r = statistics[2 * Grid.IdxX + 1], sum = 0, sumX = 0;
        for (var i = Group.IdxX; i < cols; i += Group.DimX)
        {
            var g = shape.HasWeight ? dy[row + i] * (w[i] + shape.Shift) : dy[row + i];
            sum += g;
            sumX += g * ((x[row + i] - mean) * r);
        }
        var meanG = shape.Centred ? Tree.Sum(sum) / cols : 0;
        var meanX = Tree.Sum(sumX) / cols;
        for (var i = Group.IdxX; i < cols; i += Group.DimX)
        {
            var g = shape.HasWeight ? dy[row + i] * (w[i] + shape.Shift) : dy[row + i];
            dx[row + i] = r * (g - meanG - (x[row + i] - mean) * r * meanX);
        }
    }

    /// <summary>A thread owns a column of a run of rows: dy ∘ x̂, summed.</summary>
    public static void NormWeightKernel(ArrayView<float> x, ArrayView<float> statistics, ArrayView<float> dy, ArrayView<float> parts, int rows, int cols)
    {
        for (var n = Each.First; Each.Within(n, parts); n += Each.Stride)
        {
            int i = n % cols, run = n / cols;
            var end = (run + 1) * SumRun < rows ? (run + 1) * SumRun : rows;
            var sum = 0f;
            for (var row = run * SumRun; row < end; row++) sum += dy[row * cols + i] * ((x[row * cols + i] - statistics[2 * row]) * statistics[2 * row + 1]);
            parts[n] = sum;
        }
    }
}

/// <summary>What the kernels of the norms know of a row.</summary>
public readonly struct NormShape
{
    /// <summary>Columns of a row.</summary>
    public readonly int Cols;
    /// <summary>Added to the variance.</summary>
    public readonly float Eps;
    /// <summary>Added to each weight: 1 where weights are stored less 1.</summary>
    public readonly float Shift;
    private readonly int _flags;

    internal NormShape(int cols, Tensor? weight, Tensor? bias, NormKind kind) =>
        (Cols, Eps, Shift, _flags) = (cols, kind.Eps, kind.ShiftedWeight ? 1 : 0, (kind.Centred ? 1 : 0) | (weight is null ? 0 : 2) | (bias is null ? 0 : 4));

    /// <summary>LayerNorm, not RMSNorm.</summary>
    public bool Centred => (_flags & 1) != 0;

    /// <summary>Whether there are weights.</summary>
    public bool HasWeight => (_flags & 2) != 0;

    /// <summary>Whether there is a bias.</summary>
    public bool HasBias => (_flags & 4) != 0;
}
