using System.Text;
using static NanoLora.Experiments.Text;

namespace NanoLora.Experiments;

// Small line charts, one of many on the same scale: categories along x, a band for the interval, a dashed line for the reference.
internal static class ChartsLines
{
    private const double Width = 204, Height = 132, Left = 26, Right = 8, Top = 8, Bottom = 20;

    /// <summary>A scale for all: its ends and the step of its ticks.</summary>
    public static (double Low, double High, double Step) Range(IEnumerable<Estimate?> points)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (var point in points)
        {
            if (point is not { } p) continue;
            (low, high) = (Math.Min(low, p.HasInterval ? p.Low : p.Mean), Math.Max(high, p.HasInterval ? p.High : p.Mean));
        }
        if (!(high > low)) (low, high) = double.IsFinite(low) ? (low - 0.05, high + 0.05) : (0, 1);
        var step = Charts.NiceStep((high - low) / 6);
        return (Math.Floor(low / step + 1e-9) * step, Math.Ceiling(high / step - 1e-9) * step, step);
    }

    /// <summary>One chart; a value that is null is left out.</summary>
    public static string Curve(
        string about, IReadOnlyList<Estimate?> points, IReadOnlyList<Estimate?>? reference, IReadOnlyList<string> ticks,
        (double Low, double High, double Step) range)
    {
        var svg = new StringBuilder();
        for (var i = 0; range.Low + i * range.Step <= range.High + range.Step / 2; i++)
        {
            var y = Y(range.Low + i * range.Step);
            svg.Append($"""<line class="grid" x1="{At(Left)}" x2="{At(Width - Right)}" y1="{At(y)}" y2="{At(y)}"/>""");
            svg.Append($"""<text class="tick" text-anchor="end" x="{At(Left - 5)}" y="{At(y + 4)}">{ReportFigures.Plain(range.Low + i * range.Step)}</text>""");
        }
        for (var i = 0; i < ticks.Count; i++) svg.Append($"""<text class="tick" text-anchor="middle" x="{At(X(i))}" y="{At(Height - 4)}">{ticks[i]}</text>""");

        var there = Enumerable.Range(0, points.Count).Where(i => points[i] is not null).ToList();
        if (there.Count > 0 && there.All(i => points[i]!.Value.HasInterval))
        {
            var ends = there.Select(i => Point(i, points[i]!.Value.High)).Concat(there.AsEnumerable().Reverse().Select(i => Point(i, points[i]!.Value.Low)));
            svg.Append($"""<polygon class="band" points="{string.Join(' ', ends)}"/>""");
        }
        if (reference is not null) svg.Append(Line("reference", reference));
        svg.Append(Line("line", points));
        foreach (var i in there)
        {
            var p = points[i]!.Value;
            var says = $"{ticks[i]}: {Percent(p.Mean)} {PercentEnds(p)}".TrimEnd();
            svg.Append($"""<circle class="dot" cx="{At(X(i))}" cy="{At(Y(p.Mean))}" r="3"><title>{Html(says)}</title></circle>""");
        }
        return Charts.Svg(about, Width, Height, svg);

        string Point(int i, double value) => $"{At(X(i))},{At(Y(value))}";

        string Line(string name, IReadOnlyList<Estimate?> values)
        {
            var path = Enumerable.Range(0, values.Count).Where(i => values[i] is not null).Select(i => Point(i, values[i]!.Value.Mean));
            return $"""<polyline class="{name}" points="{string.Join(' ', path)}"/>""";
        }

        double X(int i) => Left + 12 + (ticks.Count == 1 ? 0.5 : (double)i / (ticks.Count - 1)) * (Width - Left - Right - 24);

        double Y(double value) => Top + (range.High - value) / (range.High - range.Low) * (Height - Top - Bottom);
    }
}
