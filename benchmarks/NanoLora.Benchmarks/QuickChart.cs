using System.Globalization;
using System.Net;
using System.Text;

namespace NanoLora.Benchmarks;

/// <summary>A bar for each ratio of times beside TorchSharp, with the middle half of its rounds, as SVG for light and dark pages.</summary>
internal static class QuickChart
{
    private const double Left = 470, Width = 900, Right = 60, Line = 20;

    private const string Style = """
        <style>
          text { font: 13px system-ui, sans-serif; fill: #1b1b18 } .head { font-weight: 600 } .tick { fill: #6a6a62; font-size: 12px }
          .bar { fill: #5aa5d6 } .slower { fill: #ee9a5c } .half { stroke: #1b1b18; stroke-width: 1.5 } .grid { stroke: #d8d8cc } .one { stroke: #6a6a62 }
          @media (prefers-color-scheme: dark) { text { fill: #e6e5dc } .tick { fill: #a09f94 } .half { stroke: #e6e5dc } .grid { stroke: #3b3b37 } }
        </style>

        """;

    /// <summary>The chart.</summary>
    public static string Svg(QuickResults results)
    {
        (QuickKind Kind, string Heading)[] groups = [(QuickKind.Product, "products"), (QuickKind.Operation, "operations"), (QuickKind.Work, "works")];
        List<(string Heading, List<QuickRow> Rows)> drawn = [.. groups
            .Select(g => (g.Heading, results.Of(g.Kind).Where(row => row.Ratios.Count > 0).ToList())).Where(g => g.Item2.Count > 0)];
        var most = Math.Max(1, Math.Ceiling(drawn.SelectMany(g => g.Rows).Select(row => row.Ratio.High).DefaultIfEmpty(1).Max()));
        var height = Line * (drawn.Sum(g => g.Rows.Count) + 1.5 * drawn.Count + 1.5);
        var svg = new StringBuilder();
        for (var tick = 0; tick <= most; tick += most > 8 ? 2 : 1)
        {
            var kind = tick == 1 ? "one" : "grid";
            svg.AppendLine($"""<line class="{kind}" x1="{X(tick)}" x2="{X(tick)}" y1="4" y2="{At(height - Line)}"/>""");
            svg.AppendLine($"""<text class="tick" text-anchor="middle" x="{X(tick)}" y="{At(height - 5)}">{tick}</text>""");
        }
        var y = 0.0;
        foreach (var (heading, rows) in drawn)
        {
            svg.AppendLine($"""<text class="head" x="0" y="{At(y += 1.25 * Line)}">{heading}</text>""");
            foreach (var row in rows) Bar(row, y += Line);
            y += Line / 4;
        }
        return $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {At(Width)} {At(height)}" role="img" """
            + $"""aria-label="TorchSharp's time over NanoLora's; above 1, NanoLora is faster">{"\n"}{Style}{svg}</svg>{"\n"}""";

        void Bar(QuickRow row, double baseline)
        {
            var (low, median, high) = row.Ratio;
            var middle = At(baseline - 4.5);
            svg.AppendLine($"""<text x="0" y="{At(baseline)}">{WebUtility.HtmlEncode(Short(row.Pair.Title))}</text>""");
            var (kind, width) = (median < 1 ? "slower" : "bar", At(Scale(median) - Left));
            svg.Append($"""<rect class="{kind}" x="{X(0)}" y="{At(baseline - 11)}" width="{width}" height="13"/>""");
            svg.AppendLine($"""<line class="half" x1="{X(low)}" x2="{X(high)}" y1="{middle}" y2="{middle}"/>""");
            svg.AppendLine($"""<text x="{At(Scale(high) + 6)}" y="{At(baseline)}">{median.ToString("0.00", CultureInfo.InvariantCulture)}</text>""");
        }

        double Scale(double ratio) => Left + ratio / most * (Width - Left - Right);

        string X(double ratio) => At(Scale(ratio));
    }

    private static string Short(string title) => title.Length <= 66 ? title : title[..65] + "…";

    private static string At(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);
}
