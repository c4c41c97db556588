namespace NanoLora.Nn;

/// <summary>
/// A = U diag(S) Vᵀ in double precision, by one-sided Jacobi rotations (Hestenes 1958): pairs of columns are turned until all are orthogonal. The columns'
/// lengths are then the singular values. The order of the rotations is fixed, so the same matrix gives the same bits. For the small matrices of adapters:
/// a sweep costs larger side · smaller side², and there are about ten.
/// </summary>
public sealed partial class Svd
{
    private const int MaxSweeps = 60;
    private const double Orthogonal = 1e-15;         // |⟨a_i, a_j⟩| / (‖a_i‖ ‖a_j‖) below which two columns count as orthogonal

    private Svd(int rows, int columns, int count)
    {
        (Rows, Columns, Count) = (rows, columns, count);
        (Left, Values, Right) = (new double[Count * rows], new double[Count], new double[Count * columns]);
    }

    /// <summary>The height of A.</summary>
    public int Rows { get; }

    /// <summary>The width of A.</summary>
    public int Columns { get; }

    /// <summary>The number of singular values: the smaller side of A, or as many as were asked for.</summary>
    public int Count { get; }

    /// <summary>Uᵀ, [Count, Rows]: one left singular vector a row. Those of singular values that are 0 are 0.</summary>
    public double[] Left { get; }

    /// <summary>The singular values, the largest first.</summary>
    public double[] Values { get; }

    /// <summary>
    /// Vᵀ, [Count, Columns]: one right singular vector a row. A pair of vectors is defined up to a sign: the largest entry of the right one is positive.
    /// </summary>
    public double[] Right { get; }

    /// <summary>Decomposes a matrix [rows, columns], row by row.</summary>
    /// <exception cref="ArgumentException">The number of values is not the shape's, or one of them is no finite number.</exception>
    public static Svd Of(ReadOnlySpan<double> matrix, int rows, int columns)
    {
        Require(matrix, rows, columns);
        var svd = new Svd(rows, columns, Math.Min(rows, columns));
        if (rows >= columns)
        {
            var a = new double[columns * rows];                                        // the columns of A, one a row
            for (var i = 0; i < rows; i++) for (var j = 0; j < columns; j++) a[j * rows + i] = matrix[i * columns + j];
            svd.Fill(a, columns, rows, svd.Left, svd.Right);
        }
        else svd.Fill(matrix.ToArray(), rows, columns, svd.Right, svd.Left);           // Aᵀ = V diag(S) Uᵀ
        svd.Sign();
        return svd;
    }

    private static void Require(ReadOnlySpan<double> matrix, int rows, int columns)
    {
        if (rows < 1 || columns < 1 || matrix.Length != rows * columns)
            throw new ArgumentException($"Svd: {matrix.Length} values for a matrix [{rows}, {columns}].");
        foreach (var value in matrix) if (!double.IsFinite(value)) throw new ArgumentException($"Svd: the matrix [{rows}, {columns}] holds {value}.");
    }

    // a: count columns of the given length, one a row. They become the columns times V; long gets them at length 1, small the columns of V.
    private void Fill(double[] a, int count, int length, double[] @long, double[] small)
    {
        var v = new double[count * count];
        for (var i = 0; i < count; i++) v[i * count + i] = 1;
        Rotate(a, v, count, length);
        var order = new int[count];
        var norms = new double[count];
        for (var i = 0; i < count; i++) (order[i], norms[i]) = (i, Math.Sqrt(Dot(Row(a, i, length), Row(a, i, length))));
        Array.Sort(order, (i, j) => norms[i] != norms[j] ? norms[j].CompareTo(norms[i]) : i.CompareTo(j));
        for (var n = 0; n < count; n++)
        {
            var (from, norm) = (order[n], norms[order[n]]);
            Values[n] = norm;
            Row(v, from, count).CopyTo(Row(small, n, count));
            if (norm == 0) continue;
            Span<double> x = Row(a, from, length), y = Row(@long, n, length);
            for (var k = 0; k < length; k++) y[k] = x[k] / norm;
        }
    }

    // Sweeps over all pairs, each turned by the angle that makes them orthogonal: tan 2θ = 2 ⟨a_i, a_j⟩ / (‖a_i‖² - ‖a_j‖²).
    private static void Rotate(double[] a, double[] v, int count, int length)
    {
        var nothing = 0.0;                                                             // rounding of the whole matrix: shorter columns are 0
        foreach (var x in a) nothing += x * x;
        nothing *= 1e-32;
        for (var (sweep, turned) = (0, true); turned && sweep < MaxSweeps; sweep++)
        {
            turned = false;
            for (var i = 0; i < count; i++)
            {
                for (var j = i + 1; j < count; j++)
                {
                    Span<double> x = Row(a, i, length), y = Row(a, j, length);
                    double xx = Dot(x, x), yy = Dot(y, y), xy = Dot(x, y);
                    if (xx <= nothing || yy <= nothing || Math.Abs(xy) <= Orthogonal * Math.Sqrt(xx) * Math.Sqrt(yy)) continue;
                    turned = true;
                    var zeta = (yy - xx) / (2 * xy);
                    var tan = Math.CopySign(1, zeta) / (Math.Abs(zeta) + Math.Sqrt(1 + zeta * zeta));
                    var cos = 1 / Math.Sqrt(1 + tan * tan);
                    Turn(x, y, cos, cos * tan);
                    Turn(Row(v, i, count), Row(v, j, count), cos, cos * tan);
                }
            }
        }
    }

    private void Sign()
    {
        for (var n = 0; n < Count; n++)
        {
            var right = Row(Right, n, Columns);
            var largest = 0;
            for (var i = 1; i < Columns; i++) if (Math.Abs(right[i]) > Math.Abs(right[largest])) largest = i;
            if (right[largest] >= 0) continue;
            Negate(right);
            Negate(Row(Left, n, Rows));
        }
    }

    private static Span<double> Row(double[] x, int row, int length) => x.AsSpan(row * length, length);

    private static void Negate(Span<double> x)
    {
        for (var i = 0; i < x.Length; i++) x[i] = -x[i];
    }

    private static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        var sum = 0.0;
        for (var i = 0; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }

    // (x, y) ← (cos x - sin y, sin x + cos y)
    private static void Turn(Span<double> x, Span<double> y, double cos, double sin)
    {
        for (var i = 0; i < x.Length; i++) (x[i], y[i]) = (cos * x[i] - sin * y[i], sin * x[i] + cos * y[i]);
    }
}
