namespace NanoLora.Benchmarks;

/// <summary>What was measured of two entrants; the second is null where TorchSharp is not there.</summary>
internal sealed class QuickRow(QuickPair pair, QuickSeat first, QuickSeat? second)
{
    /// <summary>What was compared.</summary>
    public QuickPair Pair => pair;

    public QuickSeat First => first;

    public QuickSeat? Second => second;

    /// <summary>Seconds of one run of the first, in the middle of all rounds.</summary>
    public double Ours => Quantile(first.Seconds, 0.5);

    /// <summary>Seconds of one run of the second, in the middle of all rounds; NaN where it did not run.</summary>
    public double Theirs => second is null ? double.NaN : Quantile(second.Seconds, 0.5);

    /// <summary>The second's time over the first's, of each round.</summary>
    public List<double> Ratios => second is null || Lost is not null ? [] : [.. first.Seconds.Zip(second.Seconds, (ours, theirs) => theirs / ours)];

    /// <summary>The ratios' median and middle half.</summary>
    public (double Low, double Median, double High) Ratio => (Quantile(Ratios, 0.25), Quantile(Ratios, 0.5), Quantile(Ratios, 0.75));

    /// <summary>NanoLora's most memory over TorchSharp's; what something costs, over what it is told beside. NaN where it was not measured.</summary>
    public double Memory => second is not { Peak: > 0 } || first.Peak <= 0 || Lost is not null ? double.NaN
        : pair.Kind == QuickKind.Itself ? second.Peak / first.Peak : first.Peak / second.Peak;

    /// <summary>The least bytes a second that the first moved, GB/s.</summary>
    public double Bandwidth => pair.Bytes / Ours / 1e9;

    /// <summary>How far the first results are apart, relative to their size; NaN where they need not agree.</summary>
    public double Difference => Compared.Select(Apart).FirstOrDefault(double.NaN);

    /// <summary>The same of all later results, the largest: of training steps, losses after updates.</summary>
    public double LaterDifference => Compared.Skip(1).Select(Apart).DefaultIfEmpty(double.NaN).Max();

    /// <summary>Why there is no ratio though both began, or null.</summary>
    public string? Lost => second?.Lost;

    private IEnumerable<(double First, double Second)> Compared => second is null || !pair.SameResult ? [] : first.Results.Zip(second.Results);

    private static double Apart((double First, double Second) results)
    {
        var apart = Math.Abs(results.First - results.Second) / Math.Max(Math.Abs(results.Second), 1e-3);
        return double.IsNaN(apart) ? double.PositiveInfinity : apart;
    }

    // Linear between the two neighbours.
    internal static double Quantile(List<double> values, double share)
    {
        if (values.Count == 0) return double.NaN;
        double[] sorted = [.. values.Order()];
        var at = share * (sorted.Length - 1);
        var low = (int)at;
        return sorted[low] + (at - low) * (sorted[Math.Min(low + 1, sorted.Length - 1)] - sorted[low]);
    }
}
