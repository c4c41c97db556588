using ILGPU;
using ILGPU.Algorithms;

namespace NanoLora;

// y = scale x, constants, and what is asked of all elements at once.

public sealed partial class GpuBackend
{
    private const int Parts = 256;   // groups of a sum over all elements: the same number on every device

    /// <inheritdoc/>
    public override void Scale(Tensor x, Tensor y, float scale)
    {
        if (y.Count > 0) _launch.Run(ScaleKernel, _launch.Elements(y.Count), In(x), Out(y), scale);
    }

    /// <inheritdoc/>
    public override void Fill(Tensor x, float value)
    {
        if (x.Count > 0) _launch.Run(FillKernel, _launch.Elements(x.Count), Out(x), value);
    }

    /// <inheritdoc/>
    public override bool AllFinite(Tensor x) => SumOfParts([x], NotFiniteKernel) == 0;

    /// <inheritdoc/>
    public override double SquaredNorm(Tensor x) => SquaredNorm([x]);

    /// <inheritdoc/>
    public override double SquaredNorm(ReadOnlySpan<Tensor> tensors) => SumOfParts(tensors, SquaresKernel);

    // So many numbers a tensor, each made in single precision with its rounding carried along (not every device has doubles); all are read back at once and
    // added in double precision: waits for the device.
    private double SumOfParts(ReadOnlySpan<Tensor> tensors, Action<ArrayView<float>, ArrayView<float>> kernel)
    {
        if (tensors.IsEmpty) return 0;
        using var parts = tensors[0].Workspace.Loose(new Shape(tensors.Length, Parts));
        Fill(parts, 0);
        for (var i = 0; i < tensors.Length; i++)
        {
            if (tensors[i].Count == 0) continue;
            using var row = parts.Alias(new Shape(Parts), i * Parts);
            _launch.Run(kernel, _launch.Rows(Parts), In(tensors[i]), Out(row));
        }
        var sum = 0.0;
        foreach (var part in parts.ToArray()) sum += part;
        return sum;
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void ScaleKernel(ArrayView<float> x, ArrayView<float> y, float scale)
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride) y[i] = scale * x[i];
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void FillKernel(ArrayView<float> x, float value)
    {
        for (var i = Each.First; Each.Within(i, x); i += Each.Stride) x[i] = value;
    }

    /// <summary>A group counts, among the elements of its threads, those that are NaN or infinite.</summary>
    public static void NotFiniteKernel(ArrayView<float> x, ArrayView<float> parts)
    {
        var count = 0f;
        for (var i = Each.First; Each.Within(i, x); i += Each.Stride) if (!(XMath.Abs(x[i]) <= float.MaxValue)) count++;
        count = Tree.Sum(count);
        if (Group.IdxX == 0) parts[Grid.IdxX] = count;
    }

    /// <summary>
    /// A group owns every <see cref="Parts"/>-th run of elements; a thread adds its squares with what rounding took from the sum (Kahan), then the threads'
    /// sums meet.
    /// </summary>
    public static void SquaresKernel(ArrayView<float> x, ArrayView<float> parts)
    {
        float sum = 0, lost = 0;
        for (var i = Each.First; Each.Within(i, x); i += Each.Stride)
        {
            var term = x[i] * x[i] - lost;
            var next = sum + term;
            lost = next - sum - term;
            sum = next;
        }
        sum = Tree.Sum(sum);
        if (Group.IdxX == 0) parts[Grid.IdxX] = sum;
    }
}
