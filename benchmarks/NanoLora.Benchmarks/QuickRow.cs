namespace NanoLora.Benchmarks;

/// <summary>What was measured of one piece of work.</summary>
internal sealed class QuickRow(QuickWork work)
{
    private readonly List<double> _ours = [], _theirs = [], _ratios = [];

    /// <summary>What was measured.</summary>
    public QuickWork Work => work;

    /// <summary>Seconds of one run of NanoLora, in the middle of all rounds.</summary>
    public double Ours => Quantile(_ours, 0.5);

    /// <summary>Seconds of one run of TorchSharp, in the middle of all rounds; NaN where it did not run.</summary>
    public double Theirs => Quantile(_theirs, 0.5);

    /// <summary>TorchSharp's time over NanoLora's in the same round: the median and the middle half.</summary>
    public (double Low, double Median, double High) Ratio => (Quantile(_ratios, 0.25), Quantile(_ratios, 0.5), Quantile(_ratios, 0.75));

    /// <summary>Rounds that were timed.</summary>
    public int Rounds => _ours.Count;

    /// <summary>The last number that both halves must agree on.</summary>
    public double OurResult { get; private set; }

    /// <summary>TorchSharp's.</summary>
    public double TheirResult { get; private set; }

    /// <summary>How far the first results are apart, relative to their size.</summary>
    public double Difference { get; private set; } = double.NaN;

    /// <summary>The same of all later results, the largest: of training steps, losses after updates.</summary>
    public double LaterDifference { get; private set; }

    /// <summary>The most memory of NanoLora's process, MiB.</summary>
    public double OurPeak { get; set; }

    /// <summary>The most memory of TorchSharp's process, MiB.</summary>
    public double TheirPeak { get; set; }

    /// <summary>Why TorchSharp did not finish, or null.</summary>
    public string? Lost { get; set; }

    /// <summary>Takes in a round.</summary>
    public void Add((double Seconds, double Result) ours, (double Seconds, double Result)? theirs, bool timed)
    {
        OurResult = ours.Result;
        if (timed) _ours.Add(ours.Seconds);
        if (theirs is not { } run) return;
        TheirResult = run.Result;
        var difference = Math.Abs(ours.Result - run.Result) / Math.Max(Math.Abs(run.Result), 1e-3);
        if (double.IsNaN(difference)) difference = double.PositiveInfinity;
        if (double.IsNaN(Difference)) Difference = difference;
        else LaterDifference = Math.Max(LaterDifference, difference);
        if (!timed) return;
        _theirs.Add(run.Seconds);
        _ratios.Add(run.Seconds / ours.Seconds);
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
