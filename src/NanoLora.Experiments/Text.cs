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

    public static string Shots(int shots) => shots == 1 ? "1 shot per class" : string.Create(Invariant, $"{shots} shots per class");

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
