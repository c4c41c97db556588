namespace NanoLora.Experiments.Verification;

/// <summary>
/// How far numbers are from the reference: |got - want| ≤ absolute + relative |want|, with NaN and infinities at the same places.
/// What is shown is the worst element, the one whose error exceeds its tolerance by most (or comes nearest to it).
/// </summary>
/// <param name="Ok">Whether every element is within its tolerance.</param>
/// <param name="Error">|got - want| of the worst element; NaN where one of the two is no number.</param>
/// <param name="Tolerance">What that element was allowed.</param>
/// <param name="Index">The worst element, row by row; -1 where there is none to name.</param>
/// <param name="Got">Its value.</param>
/// <param name="Want">What it should be.</param>
/// <param name="Reason">Why not Ok where no element can be named, such as another number of elements.</param>
public readonly record struct Comparison(bool Ok, double Error, double Tolerance, int Index = -1, double Got = 0, double Want = 0, string Reason = "")
{
    /// <summary>Compares element by element.</summary>
    public static Comparison Of(ReadOnlySpan<float> got, ReadOnlySpan<float> want, double absolute, double relative = 0)
    {
        if (got.Length != want.Length) return Fail($"{got.Length} elements where {want.Length} are expected");
        var (worst, excess) = (-1, double.NegativeInfinity);
        for (var i = 0; i < got.Length; i++)
        {
            var over = Excess(got[i], want[i], absolute, relative);
            if (over <= excess) continue;
            (worst, excess) = (i, over);
            if (double.IsPositiveInfinity(over)) break;
        }
        if (worst < 0) return new Comparison(true, 0, absolute);
        double g = got[worst], w = want[worst];
        return new Comparison(excess <= 0, g.Equals(w) ? 0 : Math.Abs(g - w), double.IsFinite(w) ? absolute + relative * Math.Abs(w) : absolute, worst, g, w);
    }

    /// <summary>Compares integers, which must be equal.</summary>
    public static Comparison Of(ReadOnlySpan<int> got, ReadOnlySpan<int> want)
    {
        if (got.Length != want.Length) return Fail($"{got.Length} elements where {want.Length} are expected");
        var i = got.CommonPrefixLength(want);
        return i == got.Length ? new Comparison(true, 0, 0) : new Comparison(false, Math.Abs((double)got[i] - want[i]), 0, i, got[i], want[i]);
    }

    /// <summary>Not comparable at all.</summary>
    public static Comparison Fail(string reason) => new(false, double.NaN, double.NaN, Reason: reason);

    // Error minus tolerance; infinite where a NaN or an infinity is missing or misplaced.
    private static double Excess(double got, double want, double absolute, double relative)
    {
        if (double.IsFinite(got) && double.IsFinite(want)) return Math.Abs(got - want) - (absolute + relative * Math.Abs(want));
        return got.Equals(want) ? double.MinValue : double.PositiveInfinity;
    }
}
