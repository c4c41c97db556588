using System.Globalization;
using System.Net;

namespace NanoLora.Experiments;

// How numbers and names are written, the same in the console, the sentence and the report; culture never matters.
internal static class Text
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <summary>An accuracy in percent: 0.3634 is "36.3".</summary>
    public static string Percent(double share) => (100 * share).ToString("0.0", Invariant);

    /// <summary>A difference of accuracies in points, with its sign: 0.0502 is "+5.0".</summary>
    public static string Points(double share) => (100 * share).ToString("+0.0;-0.0;0.0", Invariant);

    /// <summary>Both ends of an interval in points, "[+3.5, +6.5]"; empty where there is none.</summary>
    public static string Ends(Estimate e) => e.HasInterval ? $"[{Points(e.Low)}, {Points(e.High)}]" : "";

    /// <summary>"36.3 ± 1.2", or "36.3" where one value gives no interval.</summary>
    public static string PlusMinus(Estimate e) => e.HasInterval ? $"{Percent(e.Mean)} ± {Percent(e.HalfWidth)}" : Percent(e.Mean);

    public static string Count(long n) => n.ToString("N0", Invariant);

    public static string Seconds(double s) => s.ToString(s < 10 ? "0.00" : "0.0", Invariant);

    /// <summary>A long time: "51 s", "12 min", "7.3 h".</summary>
    public static string Duration(double s) => s switch
    {
        < 90 => s.ToString("0 's'", Invariant),
        < 5400 => (s / 60).ToString("0 'min'", Invariant),
        _ => (s / 3600).ToString("0.0 'h'", Invariant),
    };

    public static string Shots(int shots) => shots switch
    {
        Cell.AllShots => "all training samples",
        1 => "1 shot per class",
        _ => string.Create(Invariant, $"{shots} shots per class"),
    };

    /// <summary>"with all training samples", "at 5 shots per class".</summary>
    public static string AtShots(int shots) => shots == Cell.AllShots ? $"with {Shots(shots)}" : $"at {Shots(shots)}";

    /// <summary>A number of shots at an axis: "5", "all".</summary>
    public static string ShortShots(int shots) => shots == Cell.AllShots ? "all" : shots.ToString(Invariant);

    /// <summary>A p-value: "0.021", "&lt; 0.001".</summary>
    public static string P(double p) => double.IsNaN(p) ? "" : p < 0.001 ? "< 0.001" : p.ToString("0.000", Invariant);

    /// <summary>A correlation: "+0.43".</summary>
    public static string Correlation(double r) => double.IsNaN(r) ? "none" : r.ToString("+0.00;-0.00;0.00", Invariant);

    /// <summary>Both ends of an interval of accuracies in percent, "[33.1, 36.5]"; empty where there is none.</summary>
    public static string PercentEnds(Estimate e) => e.HasInterval ? $"[{Percent(e.Low)}, {Percent(e.High)}]" : "";

    /// <summary>A mixing weight without its leading zero: 0.125 is ".13"; 1 and more keep it.</summary>
    public static string Weight(double w) => w.ToString(Math.Abs(w) < 0.995 ? ".00" : "0.00", Invariant);

    /// <summary>A coordinate of an SVG.</summary>
    public static string At(double x) => x.ToString("0.##", Invariant);

    public static string Html(string text) => WebUtility.HtmlEncode(text);

    /// <summary>A number for the report: encoded, with the true minus sign.</summary>
    public static string Number(string text) => Html(text.Replace('-', '−'));

    /// <summary>"a", "a and b", "a, b and c".</summary>
    public static string Join(IReadOnlyList<string> parts) => parts.Count switch
    {
        0 => "",
        1 => parts[0],
        _ => string.Join(", ", parts.Take(parts.Count - 1)) + " and " + parts[^1],
    };
}
