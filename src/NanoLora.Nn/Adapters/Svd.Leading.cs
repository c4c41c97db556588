using System.Numerics.Tensors;

namespace NanoLora.Nn;

// The leading part of a large matrix, by subspace iteration (Halko, Martinsson, Tropp 2011, section 4.5): a few more directions than are asked for, k of them,
// are turned towards the leading ones by A and Aᵀ in turn. What each round finds is read off a small decomposition:
//
//     C = A Qᵀ  [rows, k],   C = U S Wᵀ,   V = Wᵀ Q,   then Q ← an orthonormal basis of Uᵀ A
//
// It is done when Uᵀ A = S V for the leading ones to 10⁻⁹ of the largest value. Where values lie close together it may end before that: what it has found is
// then nearly as good an approximation of A.

public sealed partial class Svd
{
    private const int Small = 192, More = 12, MaxRounds = 200;
    private const double Settled = 1e-9;

    /// <summary>
    /// The <paramref name="count"/> largest singular values and their vectors. Small matrices are decomposed whole; of large ones only what is asked for is
    /// worked out, at the cost of some dozens of products with a matrix of count + 12 columns.
    /// </summary>
    /// <exception cref="ArgumentException">As <see cref="Of"/>, or a count that is not from 1 to the smaller side.</exception>
    internal static Svd Leading(ReadOnlySpan<double> matrix, int rows, int columns, int count)
    {
        Require(matrix, rows, columns);
        if (count < 1 || count > Math.Min(rows, columns)) throw new ArgumentException($"Svd: {count} singular values of a matrix [{rows}, {columns}].");
        var k = Math.Min(count + More, Math.Min(rows, columns));
        if (Math.Min(rows, columns) <= Small || 2 * k > Math.Min(rows, columns)) return Of(matrix, rows, columns).First(count);
        var q = new double[k * columns];
        var random = new Philox(0, Philox.StreamOf("Svd"));
        for (var i = 0; i < q.Length; i++) q[i] = random.Normal((ulong)i);
        for (var round = 0; ; round++)
        {
            Orthonormalise(q, k, columns);
            var c = new double[rows * k];
            for (var i = 0; i < rows; i++)
            {
                var row = matrix.Slice(i * columns, columns);
                for (var j = 0; j < k; j++) c[i * k + j] = TensorPrimitives.Dot<double>(row, Row(q, j, columns));
            }
            var small = Of(c, rows, k);
            var next = new double[k * columns];                                        // Uᵀ A
            for (var i = 0; i < rows; i++)
            {
                var row = matrix.Slice(i * columns, columns);
                for (var j = 0; j < k; j++) Add(Row(next, j, columns), small.Left[j * rows + i], row);
            }
            if (round + 1 < MaxRounds && !small.IsSettled(next, q, count, columns))
            {
                q = next;
                continue;
            }
            var svd = new Svd(rows, columns, count);
            small.Left.AsSpan(0, count * rows).CopyTo(svd.Left);
            small.Values.AsSpan(0, count).CopyTo(svd.Values);
            for (var n = 0; n < count; n++) small.Combine(n, q, Row(svd.Right, n, columns));
            svd.Sign();
            return svd;
        }
    }

    // Its first values and vectors.
    private Svd First(int count)
    {
        var svd = new Svd(Rows, Columns, count);
        Left.AsSpan(0, svd.Left.Length).CopyTo(svd.Left);
        Values.AsSpan(0, count).CopyTo(svd.Values);
        Right.AsSpan(0, svd.Right.Length).CopyTo(svd.Right);
        return svd;
    }

    // v_n = Σ_j W[j, n] q_j
    private void Combine(int n, double[] q, Span<double> v)
    {
        v.Clear();
        for (var j = 0; j < Columns; j++) Add(v, Right[n * Columns + j], Row(q, j, v.Length));
    }

    // y += a x
    private static void Add(Span<double> y, double a, ReadOnlySpan<double> x) => TensorPrimitives.MultiplyAdd<double>(x, a, y, y);

    // Whether u_nᵀ A is s_n v_n for the leading ones.
    private bool IsSettled(double[] next, double[] q, int count, int columns)
    {
        var v = new double[columns];
        for (var n = 0; n < count; n++)
        {
            Combine(n, q, v);
            var sum = 0.0;
            for (var i = 0; i < columns; i++)
            {
                var off = next[n * columns + i] - Values[n] * v[i];
                sum += off * off;
            }
            if (!(Math.Sqrt(sum) <= Settled * Values[0])) return false;
        }
        return true;
    }

    // Gram and Schmidt, twice: once leaves rounding errors of the size of what was taken away. A row without anything new becomes 0.
    private static void Orthonormalise(double[] q, int count, int columns)
    {
        for (var n = 0; n < count; n++)
        {
            var row = Row(q, n, columns);
            var before = TensorPrimitives.Norm<double>(row);
            for (var pass = 0; pass < 2; pass++)
                for (var m = 0; m < n; m++) Add(row, -TensorPrimitives.Dot<double>(Row(q, m, columns), row), Row(q, m, columns));
            var norm = TensorPrimitives.Norm<double>(row);
            if (norm <= 1e-12 * before || norm == 0) row.Clear();
            else TensorPrimitives.Divide<double>(row, norm, row);
        }
    }
}
