using System.Text;
using static NanoLora.Experiments.Text;

namespace NanoLora.Experiments;

// Draws the report's figures as inline SVG. Colours are classes, so the page's style sheet gives them for light, dark and print.
internal static class Charts
{
    public const double Width = 860;

    private const double Right = 182, Row = 24;

    /// <summary>One row of a dot plot: shares, the raw ones as faint ticks, a mean with whiskers, and what stands at the right.</summary>
    public sealed record Dot(string Label, Estimate Value, IReadOnlyList<double> Raw, string Class, string Says);

    /// <summary>Rows under one heading; <paramref name="Reference"/> is where the vertical line stands.</summary>
    public sealed record Panel(string Heading, double? Reference, IReadOnlyList<Dot> Dots);

    /// <summary>Stacked panels on one scale: dot at the mean, whisker for the interval, a faint tick per raw value, a dashed line at the reference.</summary>
    public static string DotPlot(string about, IReadOnlyList<Panel> panels, string unit, Func<double, string> number)
    {
        var (low, high) = Range(panels);
        var step = NiceStep((high - low) / 7);
        low = Math.Floor(low / step + 1e-9) * step;
        high = Math.Ceiling(high / step - 1e-9) * step;
        var left = Math.Max(200, Math.Min(330, panels.Max(panel => LongestLabel([.. panel.Dots.Select(dot => dot.Label)])) * 6.9 + 16));
        var plot = Width - left - Right;
        double X(double value) => left + (value - low) / (high - low) * plot;

        var svg = new StringBuilder();
        var y = 4.0;
        foreach (var panel in panels)
        {
            svg.Append($"""<text class="head" x="0" y="{At(y + 14)}">{Html(panel.Heading)}</text>""").Append('\n');
            var top = y + 24;
            var bottom = top + Row * panel.Dots.Count;
            for (var i = 0; low + i * step <= high + step / 2; i++)
            {
                var tick = low + i * step;
                svg.Append($"""<line class="grid" x1="{At(X(tick))}" x2="{At(X(tick))}" y1="{At(top)}" y2="{At(bottom)}"/>""");
                svg.Append($"""<text class="tick" text-anchor="middle" x="{At(X(tick))}" y="{At(bottom + 15)}">{Number(number(tick))}</text>""").Append('\n');
            }
            svg.Append($"""<text class="tick" x="{At(Width - Right + 22)}" y="{At(bottom + 15)}">{Html(unit)}</text>""").Append('\n');
            if (panel.Reference is { } reference)
            {
                var x = At(X(reference));
                svg.Append($"""<line class="reference" x1="{x}" x2="{x}" y1="{At(top - 4)}" y2="{At(bottom + 3)}"/>""").Append('\n');
            }
            for (var i = 0; i < panel.Dots.Count; i++) DrawDot(svg, panel.Dots[i], top + Row * (i + 0.5), X);
            y = bottom + 30;
        }
        return Svg(about, Width, y, svg);
    }

    private static void DrawDot(StringBuilder svg, Dot dot, double y, Func<double, double> x)
    {
        var at = At(y);
        svg.Append($"""<g class="{dot.Class}"><title>{Html($"{dot.Label}: {dot.Says}")}</title>""");
        svg.Append($"""<text class="label" x="0" y="{At(y + 4.5)}">{Html(dot.Label)}</text>""");
        foreach (var value in dot.Raw)
        {
            svg.Append($"""<line class="raw" x1="{At(x(value))}" x2="{At(x(value))}" y1="{At(y - 6)}" y2="{At(y + 6)}"/>""");
        }
        if (dot.Value.HasInterval)
        {
            svg.Append($"""<line class="whisker" x1="{At(x(dot.Value.Low))}" x2="{At(x(dot.Value.High))}" y1="{at}" y2="{at}"/>""");
        }
        svg.Append($"""<circle class="dot" cx="{At(x(dot.Value.Mean))}" cy="{at}" r="4.5"/>""");
        svg.Append($"""<text class="value" x="{At(Width - Right + 22)}" y="{At(y + 4.5)}">{Number(dot.Says)}</text></g>""").Append('\n');
    }

    public static string Svg(string about, double width, double height, StringBuilder body, bool fixedSize = false)
    {
        var size = fixedSize ? $" width=\"{At(width)}\" height=\"{At(height)}\"" : "";
        return $"<svg role=\"img\" aria-label=\"{Html(about)}\" viewBox=\"0 0 {At(width)} {At(height)}\"{size}>\n{body}</svg>\n";
    }

    private static (double Low, double High) Range(IReadOnlyList<Panel> panels)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        void Include(double value) => (low, high) = double.IsFinite(value) ? (Math.Min(low, value), Math.Max(high, value)) : (low, high);
        foreach (var panel in panels)
        {
            if (panel.Reference is { } reference) Include(reference);
            foreach (var dot in panel.Dots)
            {
                Include(dot.Value.Mean);
                Include(dot.Value.Low);
                Include(dot.Value.High);
                foreach (var value in dot.Raw) Include(value);
            }
        }
        return high - low > 1e-6 ? (low, high) : (low - 0.005, high + 0.005);
    }

    // The smallest of 1, 2, 5 · 10^k that is not below the step.
    public static double NiceStep(double step)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(step)));
        foreach (var factor in (ReadOnlySpan<double>)[1, 2, 5])
        {
            if (factor * power >= step) return factor * power;
        }
        return 10 * power;
    }

    public static int LongestLabel(IReadOnlyList<string> labels)
    {
        var longest = 0;
        foreach (var label in labels) longest = Math.Max(longest, label.Length);
        return longest;
    }
}
