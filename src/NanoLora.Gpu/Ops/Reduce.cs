using ILGPU;

namespace NanoLora;

// y[o, i] = Σ_r x[o, r, i].   With i = 1 a group owns a row and adds it up as a tree. Else a thread owns a column i of one o, and walks down a run of 64 rows;
// where there are more runs, their sums are rows again, and are added the same way: a tree of 64 branches whose shape depends on the sizes alone.

public sealed partial class GpuBackend
{
    private const int SumRun = 64;

    /// <inheritdoc/>
    public override void SumMiddle(Tensor x, Tensor y, int outer, int reduced)
    {
        if (y.Count == 0) return;
        var inner = y.Count / outer;
        if (reduced == 0) { Fill(y, 0); return; }
        if (inner == 1)
        {
            _launch.Run(RowSumKernel, _launch.Rows(outer), In(x), Out(y), reduced);
            return;
        }
        var runs = (reduced + SumRun - 1) / SumRun;
        if (runs == 1)
        {
            _launch.Run(ColumnSumKernel, _launch.Elements(y.Count), In(x), Out(y), reduced, 1, inner);
            return;
        }
        using var parts = x.Workspace.Loose(new Shape(outer, runs, inner));
        _launch.Run(ColumnSumKernel, _launch.Elements(parts.Count), In(x), Out(parts), reduced, runs, inner);
        SumMiddle(parts, y, outer, runs);
    }

    /// <inheritdoc/>
    public override void SumMiddleBackward(Tensor dy, Tensor dx, int outer, int reduced)
    {
        if (dx.Count > 0) _launch.Run(SpreadKernel, _launch.Elements(dx.Count), In(dy), Out(dx), reduced, dx.Count / (outer * reduced));
    }

    /// <inheritdoc/>
    public override void Max(Tensor x, Tensor y, Tensor index, int outer, int reduced)
    {
        if (y.Count > 0) _launch.Run(MaxKernel, _launch.Elements(y.Count), In(x), Out(y), OutInts(index), reduced, y.Count / outer);
    }

    /// <inheritdoc/>
    public override void MaxBackward(Tensor dy, Tensor index, Tensor dx, int outer, int reduced)
    {
        if (dx.Count > 0) _launch.Run(MaxBackwardKernel, _launch.Elements(dx.Count), In(dy), InInts(index), Out(dx), reduced, dy.Count / outer);
    }

    /// <summary>A group owns a row; its threads stride over the columns.</summary>
    public static void RowSumKernel(ArrayView<float> x, ArrayView<float> y, int cols)
    {
        var row = Grid.IdxX;
        var sum = 0f;
        for (var i = Group.IdxX; i < cols; i += Group.DimX) sum += x[row * cols + i];
        sum = Tree.Sum(sum);
        if (Group.IdxX == 0) y[row] = sum;
    }

    /// <summary>A thread owns a column of one run of rows: y[o, run, i].</summary>
    public static void ColumnSumKernel(ArrayView<float> x, ArrayView<float> y, int reduced, int runs, int inner)
    {
        for (var n = Each.First; Each.Within(n, y); n += Each.Stride)
        {
            int i = n % inner, run = n / inner % runs, o = n / inner / runs;
            var sum = 0f;
            var end = (run + 1) * SumRun < reduced ? (run + 1) * SumRun : reduced;
            for (var r = run * SumRun; r < end; r++) sum += x[(o * reduced + r) * inner + i];
            y[n] = sum;
        }
    }

    /// <summary>A thread owns every so many-th element of dx.</summary>
    public static void SpreadKernel(ArrayView<float> dy, ArrayView<float> dx, int reduced, int inner)
    {
        for (var n = Each.First; Each.Within(n, dx); n += Each.Stride) dx[n] = dy[n / inner / reduced * inner + n % inner];
    }

    /// <summary>A thread owns a column: the first of the largest, a NaN being the largest of all.</summary>
    public static void MaxKernel(ArrayView<float> x, ArrayView<float> y, ArrayView<int> index, int reduced, int inner)
    {
        for (var n = Each.First; Each.Within(n, y); n += Each.Stride)
        {
            int i = n % inner, o = n / inner, at = 0;
            var best = x[o * reduced * inner + i];
            for (var r = 1; r < reduced; r++)
            {
                var z = x[(o * reduced + r) * inner + i];
                if (z <= best || float.IsNaN(best)) continue;
                best = z;
                at = r;
            }
            y[n] = best;
            index[n] = at;
        }
    }

    /// <summary>A thread owns every so many-th element of dx.</summary>
    public static void MaxBackwardKernel(ArrayView<float> dy, ArrayView<int> index, ArrayView<float> dx, int reduced, int inner)
    {
        for (var n = Each.First; Each.Within(n, dx); n += Each.Stride)
        {
            var of = n / inner / reduced * inner + n % inner;
            dx[n] = index[of] == n / inner % reduced ? dy[of] : 0;
        }
    }
}
