using System.Text;
using static NanoLora.Experiments.Text;

namespace NanoLora.Experiments;

// Draws the report's figures as inline SVG. Colours are classes, so the page's style sheet gives them for light, dark and print.
internal static class Charts
{
    private const double Width = 860, Left = 200, Right = 182, Row = 24;

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
        var plot = Width - Left - Right;
        double X(double value) => Left + (value - low) / (high - low) * plot;

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

    /// <summary>Mixing weights, a row per matrix and a column per module; colour is the distance to 1/N, full at <paramref name="span"/>.</summary>
    public static string HeatMap(string about, double[][] weights, IReadOnlyList<string> matrices, IReadOnlyList<string> modules, double equal, double span)
    {
        const double CellHeight = 19;
        var labels = LongestLabel(matrices) * 6.6 + 12;
        var cell = Math.Clamp((Width - labels - 40) / modules.Count, 16, 58);
        var head = Math.Min(150, LongestLabel(modules) * 6.4 * 0.64 + 16);
        var numbers = cell >= 28;

        var svg = new StringBuilder();
        for (var j = 0; j < modules.Count; j++)
        {
            var (x, y) = (labels + (j + 0.5) * cell, head - 6);
            svg.Append($"""<text class="tick" transform="translate({At(x)} {At(y)}) rotate(-40)">{Html(modules[j])}</text>""").Append('\n');
        }
        for (var i = 0; i < weights.Length; i++)
        {
            var y = head + i * CellHeight;
            svg.Append($"""<text class="tick" text-anchor="end" x="{At(labels - 8)}" y="{At(y + 13.5)}">{Html(matrices[i])}</text>""");
            for (var j = 0; j < modules.Count; j++)
            {
                var w = weights[i][j];
                var x = labels + j * cell;
                var opacity = Math.Min(1, Math.Abs(w - equal) / span);
                svg.Append($"<g><title>{Html($"{matrices[i]}, {modules[j]}: {Weight(w)}")}</title>");
                Swatch(svg, w - equal, opacity, x, y, cell - 1, CellHeight - 1);
                if (numbers) svg.Append($"""<text class="cell" text-anchor="middle" x="{At(x + cell / 2)}" y="{At(y + 13.5)}">{Weight(w)}</text>""");
                svg.Append("</g>");
            }
            svg.Append('\n');
        }
        var overhang = LongestLabel(modules) * 6.4 * 0.77; // of the last, slanted column label
        return Svg(about, Math.Max(Width, labels + modules.Count * cell + overhang), head + weights.Length * CellHeight + 4, svg);
    }

    /// <summary>The colour scale of the heat maps, with 1/N marked in its middle; null for maps of different N: then the ends are distances to it.</summary>
    public static string HeatLegend(int? modules, double span)
    {
        const double Bar = 28;
        const int Steps = 9;
        var (low, middleText, high) = ($"1/N - {Weight(span)}", "1/N", $"1/N + {Weight(span)}");
        if (modules is { } n)
        {
            var equal = 1.0 / n;
            (low, middleText, high) = (equal - span < 0.005 ? "0" : Weight(equal - span), $"1/N = {Weight(equal)}", Weight(equal + span));
        }
        var svg = new StringBuilder();
        for (var i = 0; i < Steps; i++)
        {
            var offset = (2.0 * i / (Steps - 1)) - 1;
            Swatch(svg, offset, Math.Abs(offset), 20 + i * Bar, 2, Bar, 12);
        }
        var middle = 20 + Steps * Bar / 2;
        svg.Append($"""<line class="mark" x1="{At(middle)}" x2="{At(middle)}" y1="0" y2="18"/>""");
        svg.Append($"""<text class="tick" text-anchor="middle" x="{At(middle)}" y="31">{middleText}</text>""");
        svg.Append($"""<text class="tick" text-anchor="middle" x="{At(20 + Bar / 2)}" y="31">{Number(low)}</text>""");
        svg.Append($"""<text class="tick" text-anchor="middle" x="{At(20 + (Steps - 0.5) * Bar)}" y="31">{high}</text>""");
        return Svg($"Colour scale: {middleText} is blank, more is blue, less is orange", 20 + Steps * Bar + 40, 36, svg, fixedSize: true);
    }

    private static void Swatch(StringBuilder svg, double distance, double opacity, double x, double y, double width, double height)
    {
        var side = distance < 0 ? "below" : "above";
        svg.Append($"""<rect class="{side}" x="{At(x)}" y="{At(y)}" width="{At(width)}" height="{At(height)}" fill-opacity="{At(opacity)}"/>""");
    }

    private static string Svg(string about, double width, double height, StringBuilder body, bool fixedSize = false)
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
    private static double NiceStep(double step)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(step)));
        foreach (var factor in (ReadOnlySpan<double>)[1, 2, 5])
        {
            if (factor * power >= step) return factor * power;
        }
        return 10 * power;
    }

    private static int LongestLabel(IReadOnlyList<string> labels)
    {
        var longest = 0;
        foreach (var label in labels) longest = Math.Max(longest, label.Length);
        return longest;
    }
}
