using NanoLora.Nn;

namespace NanoLora.Experiments;

// Tokens that stand in the same company mean something alike. With n_ij how often j stands near i, each time divided by the distance, and n_i = Σ_j n_ij:
//
//     M_ij = max(0, ln (n_ij / Σ n) - ln p_i - ln p_j),     p_i = n_i^¾ / Σ n^¾, so that rare tokens are not all company and no meaning
//     M ≈ U diag(λ) Uᵀ,   the D largest |λ|
//     the vector of i = w_i u_i / ‖u_i‖,     u_i row i of U,     w_i = a / (a + f_i),     f_i the share of i among all tokens
//
// M is positive pointwise mutual information (Levy, Goldberg, Dagan 2015), and symmetric, as both sides are smoothed; w is the smooth inverse frequency of
// Arora, Liang, Ma 2017: in a mean over a text's tokens, "the" must not count as much as "passport". The U are found by subspace iteration (Halko,
// Martinsson, Tropp 2011): Q ← orthonormal basis of M Q, a few times, with more columns than are asked for; then the small Qᵀ M Q is decomposed. All of it
// is in double precision and in a fixed order, without SIMD: the same texts give the same bits on any machine.

/// <summary>Vectors of tokens from what stands near them.</summary>
internal static class WordVectors
{
    private const int Spare = 16, Iterations = 6, MostTokens = 1 << 14;

    /// <summary>How far apart two tokens are near each other.</summary>
    public const int Window = 5;

    /// <summary>The share of tokens at which one counts half.</summary>
    public const double Frequent = 1e-3;

    private const double Smoothing = 0.75;

    /// <summary>Vectors of all tokens, [vocabulary, width] row by row, of length w; 0 for tokens that do not occur.</summary>
    /// <param name="rows">Texts as token ids; nothing is near across two of them.</param>
    /// <param name="vocabulary">The number of tokens.</param>
    /// <param name="width">The size of a vector, D.</param>
    /// <param name="seed">Of the subspace's start.</param>
    /// <exception cref="ArgumentException">The vectors would be longer than the vocabulary allows.</exception>
    public static float[] Of(IEnumerable<int[]> rows, int vocabulary, int width, ulong seed)
    {
        if (vocabulary > MostTokens || width < 1 || width > vocabulary)
        {
            throw new ArgumentException($"WordVectors: vectors of {width} for {vocabulary} tokens; "
                + $"there are {MostTokens} tokens at most, and no more numbers than tokens.");
        }
        List<int[]> all = [.. rows];
        var y = Vectors(SparseMatrix.Of(Information(all, vocabulary), vocabulary), width, seed);
        var weights = Weights(all, vocabulary);
        for (var i = 0; i < vocabulary; i++)
        {
            var row = y.AsSpan(i * width, width);
            var square = 0.0;
            foreach (var x in row) square += (double)x * x;
            if (square > 0) foreach (ref var x in row) x = (float)(x * weights[i] / Math.Sqrt(square));
        }
        return y;
    }

    // w of each token
    private static double[] Weights(List<int[]> rows, int vocabulary)
    {
        var y = new double[vocabulary];
        foreach (var row in rows) foreach (var i in row) y[i]++;
        var total = rows.Sum(static row => (double)row.Length);
        for (var i = 0; i < vocabulary; i++) y[i] = Frequent / (Frequent + y[i] / total);
        return y;
    }

    /// <summary>M, [vocabulary, vocabulary].</summary>
    internal static float[] Information(IEnumerable<int[]> rows, int vocabulary)
    {
        var near = new float[vocabulary * vocabulary];
        foreach (var row in rows)
        {
            for (var i = 0; i < row.Length; i++)
            {
                for (var j = Math.Max(0, i - Window); j < i; j++)
                {
                    var share = 1f / (i - j);
                    near[row[i] * vocabulary + row[j]] += share;
                    near[row[j] * vocabulary + row[i]] += share;
                }
            }
        }
        var (total, smooth, logs) = (0.0, 0.0, new double[vocabulary]);
        for (var i = 0; i < vocabulary; i++)
        {
            var sum = 0.0;
            foreach (var n in near.AsSpan(i * vocabulary, vocabulary)) sum += n;
            total += sum;
            smooth += logs[i] = Math.Pow(sum, Smoothing);
        }
        for (var i = 0; i < vocabulary; i++) logs[i] = Math.Log(logs[i] / smooth);
        for (var i = 0; i < vocabulary; i++)
        {
            var line = near.AsSpan(i * vocabulary, vocabulary);
            for (var j = 0; j < vocabulary; j++) if (line[j] > 0) line[j] = (float)Math.Max(0, Math.Log(line[j] / total) - logs[i] - logs[j]);
        }
        return near;
    }

    // U, [vocabulary, width]
    private static float[] Vectors(SparseMatrix m, int width, ulong seed)
    {
        var (size, columns) = (m.Size, Math.Min(m.Size, width + Spare));
        var random = new Philox(seed, Philox.StreamOf("word vectors"));
        var q = new double[columns][];                                                 // each column of Q
        for (var c = 0; c < columns; c++)
        {
            q[c] = new double[size];
            for (var i = 0; i < size; i++) q[c][i] = random.Normal((ulong)(c * size + i));
        }
        for (var n = 0; n < Iterations; n++)
        {
            Orthonormalise(q);
            q = m.Times(q);
        }
        Orthonormalise(q);
        var mq = m.Times(q);
        var small = new double[columns * columns];                                     // Qᵀ M Q
        for (var a = 0; a < columns; a++) for (var b = 0; b < columns; b++) small[a * columns + b] = Dot(q[a], mq[b]);
        var svd = Svd.Of(small, columns, columns);
        var y = new float[size * width];
        for (var d = 0; d < width; d++)
        {
            var u = new double[size];
            for (var c = 0; c < columns; c++) AddScaled(svd.Left[d * columns + c], q[c], u);
            for (var i = 0; i < size; i++) y[i * width + d] = (float)u[i];
        }
        return y;
    }

    // Gram-Schmidt, each column twice against those before it: once is not enough where they are nearly parallel. One of which only rounding is left is 0.
    private static void Orthonormalise(double[][] q)
    {
        for (var c = 0; c < q.Length; c++)
        {
            var nothing = 1e-10 * Math.Sqrt(Dot(q[c], q[c]));
            for (var pass = 0; pass < 2; pass++) for (var before = 0; before < c; before++) AddScaled(-Dot(q[before], q[c]), q[before], q[c]);
            var norm = Math.Sqrt(Dot(q[c], q[c]));
            for (var i = 0; i < q[c].Length; i++) q[c][i] = norm > nothing ? q[c][i] / norm : 0;
        }
    }

    private static double Dot(double[] x, double[] y)
    {
        var sum = 0.0;
        for (var i = 0; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }

    private static void AddScaled(double scale, double[] x, double[] y)
    {
        for (var i = 0; i < x.Length; i++) y[i] += scale * x[i];
    }

    // A square matrix without its zeros, row by row.
    private sealed class SparseMatrix
    {
        private readonly int[] _starts, _columns;
        private readonly float[] _values;

        private SparseMatrix(int[] starts, int[] columns, float[] values) => (_starts, _columns, _values) = (starts, columns, values);

        public int Size => _starts.Length - 1;

        public static SparseMatrix Of(float[] dense, int size)
        {
            var (starts, columns, values) = (new int[size + 1], new List<int>(), new List<float>());
            for (var i = 0; i < size; i++)
            {
                for (var j = 0; j < size; j++)
                {
                    if (dense[i * size + j] == 0) continue;
                    columns.Add(j);
                    values.Add(dense[i * size + j]);
                }
                starts[i + 1] = columns.Count;
            }
            return new([.. starts], [.. columns], [.. values]);
        }

        public double[][] Times(double[][] columns)
        {
            var y = new double[columns.Length][];
            for (var c = 0; c < y.Length; c++)
            {
                var (x, product) = (columns[c], y[c] = new double[Size]);
                for (var i = 0; i < Size; i++)
                {
                    var sum = 0.0;
                    for (var k = _starts[i]; k < _starts[i + 1]; k++) sum += _values[k] * x[_columns[k]];
                    product[i] = sum;
                }
            }
            return y;
        }
    }
}
