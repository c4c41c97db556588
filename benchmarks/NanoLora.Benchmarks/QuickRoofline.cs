using System.Globalization;
using System.Text;

namespace NanoLora.Benchmarks;

/// <summary>
/// The roofline of the products, as SVG: GFLOP/s against floating-point operations per byte that must move at least, both in doublings. The roof is the
/// read bandwidth times the latter, and the peak of multiply-adds (Williams, Waterman and Patterson 2009).
/// </summary>
internal static class QuickRoofline
{
    private const double Left = 60, Top = 20, Wide = 560, High = 300, LeastX = 0.5, MostX = 1024, LeastY = 4;

    private const string Style = "text{font:13px system-ui,sans-serif;fill:#1b1b18}.tick{fill:#6a6a62;font-size:12px}"
        + ".roof{fill:none;stroke:#1b1b18;stroke-width:2}"
        + ".grid{stroke:#e4e4da}.ours{fill:#2a7ab0}.theirs{fill:none;stroke:#d0702a;stroke-width:2}"
        + "@media(prefers-color-scheme:dark){text{fill:#e6e5dc}.tick{fill:#a09f94}.roof{stroke:#e6e5dc}.grid{stroke:#33332f}}";

    /// <summary>The chart.</summary>
    public static string Svg(QuickResults results)
    {
        double peak = results.Machine.Peak, bandwidth = results.Machine.Bandwidth, mostY = Math.Pow(2, Math.Ceiling(Math.Log2(peak)));
        var svg = new StringBuilder();
        for (var x = 1.0; x <= MostX; x *= 4)
        {
            svg.AppendLine($"""<line class="grid" x1="{X(x)}" x2="{X(x)}" y1="{At(Top)}" y2="{At(Top + High)}"/>""");
            svg.AppendLine($"""<text class="tick" text-anchor="middle" x="{X(x)}" y="{At(Top + High + 16)}">{x}</text>""");
        }
        for (var y = LeastY; y <= mostY; y *= 4)
        {
            svg.AppendLine($"""<line class="grid" x1="{At(Left)}" x2="{At(Left + Wide)}" y1="{Y(y)}" y2="{Y(y)}"/>""");
            svg.AppendLine($"""<text class="tick" text-anchor="end" x="{At(Left - 6)}" y="{Y(y)}">{y}</text>""");
        }
        var knee = peak / bandwidth;
        svg.AppendLine($"""<polyline class="roof" points="{X(LeastY / bandwidth)},{Y(LeastY)} {X(knee)},{Y(peak)} {X(MostX)},{Y(peak)}"/>""");
        foreach (var row in results.Of(QuickKind.Product).Where(static row => row.Pair.Bytes > 0))
        {
            var x = X(row.Pair.Flops / row.Pair.Bytes);
            svg.Append($"""<circle class="ours" cx="{x}" cy="{Y(row.Pair.Flops / row.Ours / 1e9)}" r="5"><title>{row.Pair.Title}</title></circle>""");
            if (!double.IsNaN(row.Theirs)) svg.Append($"""<circle class="theirs" cx="{x}" cy="{Y(row.Pair.Flops / row.Theirs / 1e9)}" r="5"/>""");
            svg.AppendLine();
        }
        svg.Append($"""<text class="tick" x="{At(Left)}" y="{At(Top + High + 36)}">""");
        svg.AppendLine("operations per byte; GFLOP/s upward; filled: NanoLora, rings: TorchSharp</text>");
        return $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {At(Left + Wide + 20)} {At(Top + High + 46)}" role="img" """
            + $"""aria-label="Products under the roof of bandwidth and multiply-adds"><style>{Style}</style>{"\n"}{svg}</svg>{"\n"}""";

        string X(double intensity) => At(Left + Wide * Math.Log2(Math.Max(intensity, LeastX) / LeastX) / Math.Log2(MostX / LeastX));

        string Y(double rate) => At(Top + High - High * Math.Log2(Math.Max(rate, LeastY) / LeastY) / Math.Log2(mostY / LeastY));
    }

    private static string At(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);
}
