namespace NanoLora.Experiments;

/// <summary>Spearman's rank correlation of two samples, and how surprising it would be if they had nothing to do with each other.</summary>
/// <param name="Rho">Pearson's correlation of the ranks, ties sharing the mean of theirs; NaN where one sample is constant.</param>
/// <param name="P">Two-sided p by Student's t with n - 2 degrees of freedom; NaN for fewer than three pairs.</param>
/// <param name="PermutationP">Two-sided p over permutations of the second sample: (1 + those at least as far from 0) / (1 + all); NaN for
/// none.</param>
public readonly record struct Spearman(double Rho, double P, double PermutationP)
{
    /// <summary>How many permutations there are if nothing else is said.</summary>
    public const int Permutations = 9_999;

    /// <summary>Correlates pairs, with permutations drawn from a seed.</summary>
    /// <exception cref="ArgumentException">The samples are of different length.</exception>
    public static Spearman Of(ReadOnlySpan<double> x, ReadOnlySpan<double> y, ulong seed = 1, int permutations = Permutations)
    {
        var n = x.Length;
        var orders = new int[permutations * n];
        for (var i = 0; i < orders.Length; i++) orders[i] = i % n;
        for (var p = 0; p < permutations; p++) new Philox(seed, Philox.StreamOf("spearman") + (ulong)p).Shuffle(orders.AsSpan(p * n, n));
        return Of(x, y, orders);
    }

    /// <summary>Correlates pairs, with permutations that are given.</summary>
    /// <param name="x">The first sample.</param>
    /// <param name="y">The second, pair by pair.</param>
    /// <param name="orders">In which order y is read, [permutations, n], row by row; may be empty.</param>
    /// <exception cref="ArgumentException">The samples are of different length, or the orders are not of that length.</exception>
    public static Spearman Of(ReadOnlySpan<double> x, ReadOnlySpan<double> y, ReadOnlySpan<int> orders)
    {
        var n = x.Length;
        if (y.Length != n) throw new ArgumentException($"Spearman: {n} values beside {y.Length}; they are pairs", nameof(y));
        if (n == 0) throw new ArgumentException("Spearman: the samples are empty", nameof(x));
        if (orders.Length % n != 0) throw new ArgumentException($"Spearman: {orders.Length} indices are not orders of {n} values", nameof(orders));

        double[] a = Standardised(Ranks.Of(x)), b = Standardised(Ranks.Of(y));
        double rho = 0;
        for (var i = 0; i < n; i++) rho += a[i] * b[i];
        var t = rho * Math.Sqrt((n - 2) / Math.Max(0, (1 - rho) * (1 + rho)));
        var p = n < 3 || double.IsNaN(rho) ? double.NaN : 2 * (1 - Statistics.StudentShare(Math.Abs(t), n - 2));

        var (all, far) = (orders.Length / n, 0);
        for (var k = 0; k < all; k++)
        {
            double shuffled = 0;
            for (var i = 0; i < n; i++) shuffled += a[i] * b[orders[k * n + i]];
            if (Math.Abs(shuffled) >= Math.Abs(rho) - 1e-12) far++;
        }
        return new Spearman(rho, p, all == 0 || double.IsNaN(rho) ? double.NaN : (1.0 + far) / (1 + all));
    }

    // Less the mean, and of length 1, so that a product is a correlation; NaN where all are equal.
    private static double[] Standardised(double[] ranks)
    {
        var mean = Statistics.Mean(ranks);
        var squares = 0.0;
        for (var i = 0; i < ranks.Length; i++) squares += (ranks[i] -= mean) * ranks[i];
        for (var i = 0; i < ranks.Length; i++) ranks[i] /= Math.Sqrt(squares);
        return ranks;
    }
}
