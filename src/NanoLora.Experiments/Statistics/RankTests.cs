namespace NanoLora.Experiments;

/// <summary>Ranks: 1 for the smallest; values that are equal share the mean of their ranks.</summary>
public static class Ranks
{
    /// <summary>The rank of each value.</summary>
    public static double[] Of(ReadOnlySpan<double> values) => Of(values, out _);

    /// <summary>The rank of each value, and Σ (t³ - t) over the groups of t equal values: 0 where all differ.</summary>
    public static double[] Of(ReadOnlySpan<double> values, out double ties)
    {
        var (sorted, order, ranks) = (values.ToArray(), new int[values.Length], new double[values.Length]);
        for (var i = 0; i < order.Length; i++) order[i] = i;
        Array.Sort(sorted, order);
        ties = 0;
        for (int first = 0, next; first < sorted.Length; first = next)
        {
            for (next = first + 1; next < sorted.Length && sorted[next].Equals(sorted[first]);) next++;
            double equal = next - first;
            ties += equal * equal * equal - equal;
            for (var i = first; i < next; i++) ranks[order[i]] = (first + 1 + next) / 2.0;
        }
        return ranks;
    }
}

/// <summary>How often a paired difference is a win, and the two-sided exact p of as many wins from a fair coin; differences of 0 decide nothing.</summary>
/// <param name="Wins">Differences above 0.</param>
/// <param name="Losses">Differences below 0.</param>
/// <param name="Ties">Differences of 0.</param>
/// <param name="P">Two-sided p; 1 where nothing was won or lost.</param>
public readonly record struct SignTest(int Wins, int Losses, int Ties, double P)
{
    /// <summary>All differences.</summary>
    public int Count => Wins + Losses + Ties;

    /// <summary>Share of wins, a tie counting as half of one.</summary>
    public double WinRate => (Wins + Ties / 2.0) / Count;

    /// <summary>Counts and tests paired differences.</summary>
    public static SignTest Of(ReadOnlySpan<double> differences)
    {
        var (wins, losses) = (0, 0);
        foreach (var x in differences)
        {
            if (x > 0) wins++;
            else if (x < 0) losses++;
        }
        return new SignTest(wins, losses, differences.Length - wins - losses, TwoSided(Math.Min(wins, losses), wins + losses));
    }

    // 2 P(X ≤ k) for X of Binomial(n, 1/2), at most 1: Σ C(n, i) / 2ⁿ by logarithms, so that no n is too large.
    private static double TwoSided(int k, int n)
    {
        double logChoose = 0, sum = 0;
        for (var i = 0; i <= k; i++)
        {
            sum += Math.Exp(logChoose - n * Math.Log(2));
            logChoose += Math.Log((double)(n - i) / (i + 1));
        }
        return Math.Min(1, 2 * sum);
    }
}

/// <summary>
/// Wilcoxon's signed-rank test of paired differences, two-sided: are they symmetric about 0? Differences of 0 are dropped; equal sizes share the mean of
/// their ranks. Wilcoxon, "Individual comparisons by ranking methods" (1945).
/// </summary>
/// <param name="Count">Differences that are not 0.</param>
/// <param name="Plus">Sum of the ranks of those above 0.</param>
/// <param name="Minus">Sum of the ranks of those below 0.</param>
/// <param name="Exact">p from the exact distribution of the sum; null where sizes are equal, for which it does not hold.</param>
/// <param name="Normal">p from the normal distribution, its variance corrected for ties.</param>
/// <param name="Corrected">The same with the sum moved half a rank towards its mean (correction for continuity).</param>
public sealed record SignedRank(int Count, double Plus, double Minus, double? Exact, double Normal, double Corrected)
{
    /// <summary>The p to use: the exact one, or where there is none the corrected normal one.</summary>
    public double P => Exact ?? Corrected;

    /// <summary>Tests paired differences.</summary>
    public static SignedRank Of(ReadOnlySpan<double> differences)
    {
        var moved = new List<double>();
        foreach (var x in differences) if (x != 0) moved.Add(x);
        var n = moved.Count;
        if (n == 0) return new SignedRank(0, 0, 0, 1, 1, 1);

        var ranks = Ranks.Of([.. moved.Select(Math.Abs)], out var ties);
        double plus = 0, minus = 0;
        for (var i = 0; i < n; i++)
        {
            if (moved[i] > 0) plus += ranks[i];
            else minus += ranks[i];
        }
        var off = Math.Abs(plus - minus) / 2;                                                  // from the mean, n (n + 1) / 4
        var deviation = Math.Sqrt((n * (n + 1.0) * (2 * n + 1) - ties / 2) / 24);
        return new SignedRank(n, plus, minus, ties == 0 ? ExactP(n, (int)Math.Min(plus, minus)) : null,
            2 * Statistics.NormalTail(off / deviation), Math.Min(1, 2 * Statistics.NormalTail((off - (off > 0 ? 0.5 : 0)) / deviation)));
    }

    // 2 P(W ≤ w): each of the ranks 1 … n is in the sum or not, with probability ½; share[s] is the probability of the sum s of the ranks so far.
    private static double ExactP(int n, int w)
    {
        var share = new double[w + 1];
        share[0] = 1;
        for (var rank = 1; rank <= n; rank++)
        {
            for (var s = w; s >= 0; s--) share[s] = (share[s] + (s >= rank ? share[s - rank] : 0)) / 2;
        }
        return Math.Min(1, 2 * share.Sum());
    }
}
