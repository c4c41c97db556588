namespace NanoLora.Experiments;

public static partial class OpTable
{
    private static readonly int[][][] Blocks = [Of(S(1, 1)), Of(S(3, 5)), Of(S(2, 7, 9)), Of(S(4, 33, 3)), Of(S(129, 257)), Of(S(3, 67, 131))];

    private static OpRow[] Reductions() =>
    [
        new(nameof(Tensor.Sum), "all", [Input.Normal], [.. Lengths], static x => x[0].Sum(), static x => new Dense([x[0].Values.Sum()])) { Tolerance = 1e-5 },
        new(nameof(Tensor.Sum), "axis 0", [Input.Normal], Blocks, static x => x[0].Sum(0),
            static x => x[0].Reduce(0, static line => line.Sum())) { Tolerance = 5e-6 },
        new(nameof(Tensor.Sum), "last axis", [Input.Normal], Blocks, static x => x[0].Sum(-1),
            static x => x[0].Reduce(-1, static line => line.Sum())) { Tolerance = 5e-6 },
        new(nameof(Tensor.Sum), "axis 1, kept", [Input.Normal], Blocks, static x => x[0].Sum(1, keep: true),
            static x => Kept(x[0], 1, static line => line.Sum())) { Tolerance = 5e-6 },
        new(nameof(Tensor.Sum), "axes 0 and -1", [Input.Normal], Blocks, static x => x[0].Sum([0, -1]),
            static x => x[0].Reduce(-1, static line => line.Sum()).Reduce(0, static line => line.Sum())) { Tolerance = 1e-5 },
        new(nameof(Tensor.Mean), "all", [Input.Normal], [.. Lengths], static x => x[0].Mean(), static x => new Dense([x[0].Values.Average()])),
        new(nameof(Tensor.Mean), "axis 0", [Input.Normal], Blocks, static x => x[0].Mean(0), static x => x[0].Reduce(0, static line => line.Average())),
        new(nameof(Tensor.Mean), "last axis, kept", [Input.Normal], Blocks, static x => x[0].Mean(-1, keep: true),
            static x => Kept(x[0], -1, static line => line.Average())),
        new(nameof(Tensor.Mean), "axes 0 and 1", [Input.Normal], Blocks, static x => x[0].Mean([0, 1]),
            static x => x[0].Reduce(1, static line => line.Average()).Reduce(0, static line => line.Average())),
        new(nameof(Tensor.SumTo), "", [Input.Normal, Input.Frozen],
            [Of(S(3, 5), S(5)), Of(S(3, 5), S(3, 1)), Of(S(2, 3, 4), S(3, 1)), Of(S(2, 3, 4), S()), Of(S(3, 2, 4, 5), S(3, 1, 4, 1)), Of(S(129, 257), S(257))],
            static x => x[0].SumTo(x[1].Shape), static x => SumTo(x[0], x[1].Shape)) { Tolerance = 5e-6 },
        new(nameof(Tensor.Max), "axis 0", [Input.Normal], Blocks, static x => x[0].Max(0), static x => x[0].Reduce(0, static line => line.Max())),
        new(nameof(Tensor.Max), "last axis", [Input.Normal], Blocks, static x => x[0].Max(-1), static x => x[0].Reduce(-1, static line => line.Max())),
        new(nameof(Tensor.AMax), "", [Input.Normal], Blocks, static x => x[0].AMax(1), static x => x[0].Reduce(1, static line => line.Max())),
        new(nameof(Tensor.ArgMax), "", [Input.Frozen], Blocks, static x => x[0].ArgMax(-1),
            static x => x[0].Reduce(-1, static line => Array.IndexOf(line, line.Max()))) { HasGradient = false },
    ];

    private static OpRow[] Movement() =>
    [
        new(nameof(Tensor.Reshape), "", [Input.Normal], [Of(S(6, 5)), Of(S(4, 3, 70))], static x => x[0].Reshape(2, -1),
            static x => x[0].Reshape(2, x[0].Values.Length / 2)),
        new(nameof(Tensor.Transpose), "", [Input.Normal], Blocks, static x => x[0].Transpose(),
            static x => x[0].Permute([.. Enumerable.Range(0, x[0].Rank - 2), x[0].Rank - 1, x[0].Rank - 2])),
        new(nameof(Tensor.Permute), "2 0 1", [Input.Normal], [Of(S(2, 3, 5)), Of(S(1, 9, 4)), Of(S(13, 37, 41))], static x => x[0].Permute(2, 0, 1),
            static x => x[0].Permute(2, 0, 1)),
        new(nameof(Tensor.Permute), "0 2 1 3", [Input.Normal], [Of(S(2, 3, 5, 4)), Of(S(1, 1, 7, 9)), Of(S(3, 17, 13, 33))],
            static x => x[0].Permute(0, 2, 1, 3), static x => x[0].Permute(0, 2, 1, 3)),
        new(nameof(Tensor.Slice), "axis 0", [Input.Normal], [Of(S(4, 5)), Of(S(7, 3, 2)), Of(S(300, 90))], static x => x[0].Slice(0, 1, 3),
            static x => Slice(x[0], 0, 1, 3)),
        new(nameof(Tensor.Slice), "axis 1", [Input.Normal], [Of(S(4, 5)), Of(S(7, 3, 2)), Of(S(300, 90))], static x => x[0].Slice(1, 1, 3),
            static x => Slice(x[0], 1, 1, 3)),
        new(nameof(Tensor.Concat), "axis 0", [Input.Normal, Input.Normal], [Of(S(1, 5), S(2, 5)), Of(S(3), S(4)), Of(S(129, 130), S(70, 130))],
            static x => Tensor.Concat(0, x), static x => Concat(x, 0)),
        new(nameof(Tensor.Concat), "axis 1 of seven", [.. Enumerable.Repeat(Input.Normal, 7)],
            [[.. Enumerable.Range(1, 7).Select(static n => S(3, n))], [.. Enumerable.Range(1, 7).Select(static n => S(130, 9 * n, 2))]],
            static x => Tensor.Concat(1, x), static x => Concat(x, 1)),
        new(nameof(Tensor.Expand), "", [Input.Normal, Input.Frozen], [Of(S(3, 1), S(3, 5)), Of(S(5), S(2, 3, 5)), Of(S(), S(7)), Of(S(129, 1), S(129, 257))],
            static x => x[0].Expand(x[1].Shape), static x => Dense.Zip(x[0], x[1], static (a, _) => a)) { GradientTolerance = 1e-5 },
    ];

    private static OpRow[] Products() =>
    [
        Product(false, false), Product(true, false), Product(false, true), Product(true, true),
        new(nameof(Tensor.MatMul), "batches that broadcast", [Input.Normal, Input.Normal],
            [Of(S(2, 3, 5), S(5, 4)), Of(S(3, 5), S(4, 5, 2)), Of(S(2, 1, 3, 5), S(1, 3, 5, 4)), Of(S(6, 33, 31), S(6, 31, 35))],
            static x => x[0].MatMul(x[1]), static x => MatMul(x[0], x[1], false, false)) { Tolerance = 1e-5, GradientTolerance = 2e-5 },
        new(nameof(Tensor.Linear), "", [Input.Normal, Input.Normal, Input.Normal],
            [Of(S(1, 1), S(1, 1), S(1)), Of(S(3, 7), S(5, 7), S(5)), Of(S(2, 3, 17), S(9, 17), S(9)), Of(S(130, 65), S(67, 65), S(67))],
            static x => x[0].Linear(x[1], x[2]), static x => Dense.Zip(MatMul(x[0], x[1], false, true), x[2], static (y, b) => y + b)) { Tolerance = 1e-5,
            GradientTolerance = 2e-5 },
        new(nameof(Tensor.Linear), "without bias, frozen weight", [Input.Normal, Input.Frozen],
            [Of(S(3, 7), S(5, 7)), Of(S(2, 3, 17), S(9, 17)), Of(S(130, 65), S(67, 65))],
            static x => x[0].Linear(x[1]), static x => MatMul(x[0], x[1], false, true)) { Tolerance = 1e-5, GradientTolerance = 2e-5 },
    ];

    private static OpRow[] Norms() =>
    [
        new(nameof(Tensor.Softmax), "", [Input.Wide], Blocks, static x => x[0].Softmax(), static x => x[0].MapRows(Softmax)),
        new(nameof(Tensor.Softmax), "axis 0", [Input.Wide], [Of(S(3, 5)), Of(S(2, 7, 9)), Of(S(67, 131))], static x => x[0].Softmax(0),
            static x => Swapped(x[0], Softmax)),
        new(nameof(Tensor.LogSoftmax), "", [Input.Wide], Blocks, static x => x[0].LogSoftmax(),
            static x => x[0].MapRows(LogSoftmax)) { GradientTolerance = 1e-5 },
        new(nameof(Tensor.LogSoftmax), "axis 0", [Input.Wide], [Of(S(3, 5)), Of(S(2, 7, 9)), Of(S(67, 131))], static x => x[0].LogSoftmax(0),
            static x => Swapped(x[0], LogSoftmax)) { GradientTolerance = 1e-5 },
        new(nameof(Tensor.Sparsemax), "", [Input.Normal], [Of(S(1, 1)), Of(S(3, 5)), Of(S(2, 7, 9)), Of(S(700, 33))], static x => x[0].Sparsemax(),
            static x => x[0].MapRows(Sparsemax)),
        new(nameof(Tensor.LayerNorm), "", [Input.Wide, Input.Normal, Input.Normal],
            [Of(S(3, 2), S(2), S(2)), Of(S(2, 3, 7), S(7), S(7)), Of(S(5, 33), S(33), S(33)), Of(S(130, 257), S(257), S(257))],
            static x => x[0].LayerNorm(x[1], x[2], 1e-3f), static x => Dense.Zip(Dense.Zip(x[0].MapRows(Normalised), x[1], static (y, w) => y * w), x[2],
            static (y, b) => y + b)) { GradientTolerance = 1e-5 },
        new(nameof(Tensor.LayerNorm), "without weight", [Input.Wide], [Of(S(3, 2)), Of(S(5, 33)), Of(S(130, 257))],
            static x => x[0].LayerNorm(null, null, 1e-3f), static x => x[0].MapRows(Normalised)),
        new(nameof(Tensor.LayerNorm), "frozen input", [Input.Frozen, Input.Normal, Input.Normal], [Of(S(3, 5), S(5), S(5)), Of(S(130, 257), S(257), S(257))],
            static x => x[0].LayerNorm(x[1], x[2], 1e-3f), static x => Dense.Zip(Dense.Zip(x[0].MapRows(Normalised), x[1], static (y, w) => y * w), x[2],
            static (y, b) => y + b)) { GradientTolerance = 1e-5 },
        new(nameof(Tensor.RmsNorm), "", [Input.Wide, Input.Normal], [Of(S(3, 2), S(2)), Of(S(2, 3, 7), S(7)), Of(S(5, 33), S(33)), Of(S(130, 257), S(257))],
            static x => x[0].RmsNorm(x[1], 1e-3f), static x => Dense.Zip(x[0].MapRows(RootMeanSquare), x[1],
            static (y, w) => y * w)) { GradientTolerance = 1e-5 },
        new(nameof(Tensor.RmsNorm), "shifted weight", [Input.Wide, Input.Normal], [Of(S(3, 2), S(2)), Of(S(5, 33), S(33)), Of(S(130, 257), S(257))],
            static x => x[0].RmsNorm(x[1], 1e-3f, shiftedWeight: true), static x => Dense.Zip(x[0].MapRows(RootMeanSquare), x[1],
            static (y, w) => y * (1 + w))) { GradientTolerance = 1e-5 },
    ];

    private static OpRow Product(bool a, bool b)
    {
        int[] A(int m, int k) => a ? [k, m] : [m, k];
        int[] B(int k, int n) => b ? [n, k] : [k, n];
        return new(nameof(Tensor.MatMul), $"{(a ? "aᵀ" : "a")} {(b ? "bᵀ" : "b")}", [Input.Normal, Input.Normal],
            [Of(A(1, 1), B(1, 1)), Of(A(3, 5), B(5, 4)), Of(A(17, 9), B(9, 33)), Of(A(1, 67), B(67, 5)), Of(A(130, 67), B(67, 129))],
            x => x[0].MatMul(x[1], a, b), x => MatMul(x[0], x[1], a, b))
        { Tolerance = 1e-5, GradientTolerance = 2e-5 };
    }

    private static Dense MatMul(Dense a, Dense b, bool transposeA, bool transposeB)
    {
        if (transposeA) a = Swap(a);
        if (transposeB) b = Swap(b);
        var (m, k, n) = (a.Shape[^2], a.Shape[^1], b.Shape[^1]);
        var batch = Dense.Zip(Zeros(a.Shape[..^2]), Zeros(b.Shape[..^2]), static (_, _) => 0).Shape;
        var (inA, inB) = (new int[batch.Length + 2], new int[batch.Length + 2]);
        return Dense.Of([.. batch, m, n], at =>
        {
            at.CopyTo(inA, 0);
            at.CopyTo(inB, 0);
            var sum = 0.0;
            for (var p = 0; p < k; p++)
            {
                (inA[^1], inB[^2]) = (p, p);
                sum += a.Stretched(inA) * b.Stretched(inB);
            }
            return sum;
        });
    }

    private static Dense Zeros(int[] shape) => new(new double[Dense.Size(shape)], shape);

    private static Dense Swap(Dense x) => x.Permute([.. Enumerable.Range(0, x.Rank - 2), x.Rank - 1, x.Rank - 2]);

    private static Dense Kept(Dense x, int axis, Func<double[], double> f)
    {
        var shape = (int[])x.Shape.Clone();
        shape[axis < 0 ? axis + x.Rank : axis] = 1;
        return x.Reduce(axis, f).Reshape(shape);
    }

    private static Dense SumTo(Dense x, int[] shape)
    {
        var y = new Dense(new double[Dense.Size(shape)], shape);
        Dense.Of(x.Shape, at =>
        {
            var i = 0;
            for (var axis = 0; axis < shape.Length; axis++) i = i * shape[axis] + (shape[axis] == 1 ? 0 : at[at.Length - shape.Length + axis]);
            y.Values[i] += x[at];
            return 0;
        });
        return y;
    }

    private static Dense Slice(Dense x, int axis, int start, int stop)
    {
        var shape = (int[])x.Shape.Clone();
        shape[axis] = stop - start;
        var from = new int[x.Rank];
        return Dense.Of(shape, at =>
        {
            at.CopyTo(from, 0);
            from[axis] += start;
            return x[from];
        });
    }

    private static Dense Concat(Dense[] parts, int axis)
    {
        var shape = (int[])parts[0].Shape.Clone();
        shape[axis] = parts.Sum(part => part.Shape[axis]);
        var from = new int[shape.Length];
        return Dense.Of(shape, at =>
        {
            at.CopyTo(from, 0);
            var part = 0;
            while (from[axis] >= parts[part].Shape[axis]) from[axis] -= parts[part++].Shape[axis];
            return parts[part][from];
        });
    }

    private static Dense Swapped(Dense x, Func<double[], double[]> rows)
    {
        int[] order = [x.Rank - 1, .. Enumerable.Range(1, x.Rank - 2), 0];
        return x.Permute(order).MapRows(rows).Permute(order);
    }

    private static double[] Softmax(double[] x)
    {
        var max = x.Max();
        var sum = x.Sum(z => Math.Exp(z - max));
        return Array.ConvertAll(x, z => Math.Exp(z - max) / sum);
    }

    private static double[] LogSoftmax(double[] x)
    {
        var max = x.Max();
        var log = max + Math.Log(x.Sum(z => Math.Exp(z - max)));
        return Array.ConvertAll(x, z => z - log);
    }

    // τ by bisection: Σ max(x - τ, 0) falls as τ grows, and is 1 at the solution.
    private static double[] Sparsemax(double[] x)
    {
        double low = x.Min() - 1, high = x.Max();
        for (var step = 0; step < 200; step++)
        {
            var middle = (low + high) / 2;
            if (x.Sum(z => Math.Max(z - middle, 0)) > 1) low = middle;
            else high = middle;
        }
        return Array.ConvertAll(x, z => Math.Max(z - (low + high) / 2, 0));
    }

    private static double[] Normalised(double[] x)
    {
        var mean = x.Average();
        var r = 1 / Math.Sqrt(x.Average(z => (z - mean) * (z - mean)) + 1e-3f);
        return Array.ConvertAll(x, z => (z - mean) * r);
    }

    private static double[] RootMeanSquare(double[] x)
    {
        var r = 1 / Math.Sqrt(x.Average(static z => z * z) + 1e-3f);
        return Array.ConvertAll(x, z => z * r);
    }
}
