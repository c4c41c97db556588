using System.Numerics.Tensors;

namespace NanoLora.Experiments;

/// <summary>
/// Centred kernel alignment with the linear kernel: how alike two sets of features of the same examples are, 0 to 1, whatever their scale, their mean and the
/// rotation of their axes. Kornblith et al., "Similarity of neural network representations revisited" (2019), arXiv 1905.00414.
/// </summary>
/// <remarks>Rows are examples: x is [n, p] and y is [n, q], row by row. NaN where one of the two is the same for every example.</remarks>
public static class Cka
{
    /// <summary>‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) in Frobenius norms, the columns centred.</summary>
    /// <param name="x">[n, p].</param>
    /// <param name="y">[n, q].</param>
    /// <param name="rows">n.</param>
    /// <exception cref="ArgumentException">The values are not a multiple of <paramref name="rows"/>, or there are fewer than two rows.</exception>
    public static double Linear(ReadOnlySpan<double> x, ReadOnlySpan<double> y, int rows)
    {
        double[] a = Centred(x, rows, 2, nameof(x)), b = Centred(y, rows, 2, nameof(y));
        return SquaredCross(a, b, rows) / Math.Sqrt(SquaredCross(a, a, rows) * SquaredCross(b, b, rows));
    }

    /// <inheritdoc cref="Linear(ReadOnlySpan{double}, ReadOnlySpan{double}, int)"/>
    public static double Linear(ReadOnlySpan<float> x, ReadOnlySpan<float> y, int rows) => Linear(Wide(x), Wide(y), rows);

    /// <summary>The same ratio of unbiased estimates of HSIC, for few rows and many columns, where the plain one is near 1 whatever is compared.</summary>
    /// <inheritdoc cref="Linear(ReadOnlySpan{double}, ReadOnlySpan{double}, int)"/>
    public static double Unbiased(ReadOnlySpan<double> x, ReadOnlySpan<double> y, int rows)
    {
        double[] a = Centred(x, rows, 4, nameof(x)), b = Centred(y, rows, 4, nameof(y));
        return Hsic(a, b, rows) / Math.Sqrt(Hsic(a, a, rows) * Hsic(b, b, rows));
    }

    // The unbiased HSIC of Song et al. (2012), with K = X Xᵀ, L = Y Yᵀ and their diagonals set to 0 (K°, L°):
    //   ( tr(K° L°) + (1ᵀK°1)(1ᵀL°1) / ((n-1)(n-2)) - 2/(n-2) 1ᵀK°L°1 ) / (n (n-3))
    // It does not change when columns are centred, and then 1ᵀK = 0: with k = diag K and l = diag L, K°1 = -k, and no n x n matrix is needed.
    //   tr(K° L°) = ‖Xᵀ Y‖² - ⟨k, l⟩     1ᵀK°1 = -Σ k     1ᵀK°L°1 = ⟨k, l⟩
    private static double Hsic(double[] x, double[] y, int n)
    {
        double[] k = SquaredRows(x, n), l = SquaredRows(y, n);
        var both = TensorPrimitives.Dot<double>(k, l);
        var sums = TensorPrimitives.Sum<double>(k) * TensorPrimitives.Sum<double>(l);
        return (SquaredCross(x, y, n) - both + sums / ((n - 1.0) * (n - 2)) - 2.0 / (n - 2) * both) / ((double)n * (n - 3));
    }

    // ‖Xᵀ Y‖², the matrix [p, q] summed up row by row.
    private static double SquaredCross(double[] x, double[] y, int rows)
    {
        int p = x.Length / rows, q = y.Length / rows;
        var cross = new double[p * q];
        for (var r = 0; r < rows; r++)
        {
            var row = y.AsSpan(r * q, q);
            for (var i = 0; i < p; i++)
            {
                var sum = cross.AsSpan(i * q, q);
                TensorPrimitives.MultiplyAdd(row, x[r * p + i], sum, sum);
            }
        }
        return TensorPrimitives.SumOfSquares<double>(cross);
    }

    private static double[] SquaredRows(double[] x, int rows)
    {
        var squares = new double[rows];
        var width = x.Length / rows;
        for (var r = 0; r < rows; r++) squares[r] = TensorPrimitives.SumOfSquares<double>(x.AsSpan(r * width, width));
        return squares;
    }

    private static double[] Centred(ReadOnlySpan<double> x, int rows, int fewest, string name)
    {
        if (rows < fewest) throw new ArgumentException($"Cka: {rows} rows; it takes at least {fewest}", nameof(rows));
        if (x.IsEmpty || x.Length % rows != 0) throw new ArgumentException($"Cka: {x.Length} values are not {rows} rows of equal length", name);
        var centred = x.ToArray();
        var mean = new double[x.Length / rows];
        for (var r = 0; r < rows; r++) TensorPrimitives.Add(mean, centred.AsSpan(r * mean.Length, mean.Length), mean);
        TensorPrimitives.Divide(mean, (double)rows, mean);
        for (var r = 0; r < rows; r++)
        {
            var row = centred.AsSpan(r * mean.Length, mean.Length);
            TensorPrimitives.Subtract(row, mean, row);
        }
        return centred;
    }

    private static double[] Wide(ReadOnlySpan<float> x)
    {
        var wide = new double[x.Length];
        TensorPrimitives.ConvertChecked(x, wide);
        return wide;
    }
}
