using System.Text;
using static NanoLora.Experiments.Text;

namespace NanoLora.Experiments;

// Heat maps: a swatch and a number per cell. Colour is the distance to the middle of a scale: blue above, orange below.
internal static class ChartsHeat
{
    private const double RowHeight = 19, Letter = 7.4, Slant = 6.4;

    /// <summary>What one block of a map shows: rows of values; one that is null has no cell.</summary>
    /// <param name="Heading">Above the block; may be empty.</param>
    /// <param name="Values">[rows][columns].</param>
    /// <param name="Middle">The value without colour, row by row.</param>
    /// <param name="Span">How far from it the colour is full.</param>
    public sealed record Block(string Heading, double?[][] Values, IReadOnlyList<double> Middle, double Span);

    /// <summary>Blocks side by side over the same rows and columns, and what stands at the end of each row.</summary>
    /// <param name="about">What the figure shows, for readers who do not see it.</param>
    /// <param name="blocks">One or more.</param>
    /// <param name="rows">Labels at the left.</param>
    /// <param name="columns">Labels on top of each block.</param>
    /// <param name="ends">At the right of each row; may be empty.</param>
    /// <param name="titles">Whether each cell says its names when pointed at; a large map does without.</param>
    public static string Map(
        string about, IReadOnlyList<Block> blocks, IReadOnlyList<string> rows, IReadOnlyList<string> columns, IReadOnlyList<string> ends, bool titles)
    {
        const double Gap = 18;
        var labels = Charts.LongestLabel(rows) * Letter + 12;
        var right = ends.Count == 0 ? 40 : Charts.LongestLabel(ends) * Letter + 20;
        var cell = Math.Clamp((Charts.Width - labels - right - Gap * (blocks.Count - 1)) / (columns.Count * blocks.Count), 16, 58);
        var headings = blocks.Any(block => block.Heading.Length > 0) ? 20.0 : 0;
        var head = headings + Math.Min(150, Charts.LongestLabel(columns) * Slant * 0.64 + 16);
        var numbers = cell >= 24;

        var svg = new StringBuilder();
        for (var b = 0; b < blocks.Count; b++)
        {
            var (block, left) = (blocks[b], labels + b * (columns.Count * cell + Gap));
            if (block.Heading.Length > 0) svg.Append($"""<text class="head" x="{At(left)}" y="14">{Html(block.Heading)}</text>""").Append('\n');
            for (var j = 0; j < columns.Count; j++)
            {
                var x = At(left + (j + 0.5) * cell);
                svg.Append($"""<text class="tick" transform="translate({x} {At(head - 6)}) rotate(-40)">{Html(columns[j])}</text>""").Append('\n');
            }
            for (var i = 0; i < rows.Count; i++)
            {
                var y = head + i * RowHeight;
                if (b == 0) svg.Append($"""<text class="tick" text-anchor="end" x="{At(labels - 8)}" y="{At(y + 13.5)}">{Html(rows[i])}</text>""");
                for (var j = 0; j < columns.Count; j++)
                {
                    if (block.Values[i][j] is not { } w) continue;
                    var x = left + j * cell;
                    if (titles) svg.Append($"<g><title>{Html($"{rows[i]}, {columns[j]}: {Weight(w)}")}</title>");
                    Swatch(svg, w - block.Middle[i], Math.Min(1, Math.Abs(w - block.Middle[i]) / block.Span), x, y, cell - 1, RowHeight - 1);
                    if (numbers) svg.Append($"""<text class="cell" x="{At(x + cell / 2)}" y="{At(y + 13.5)}">{Weight(w)}</text>""");
                    if (titles) svg.Append("</g>");
                }
                svg.Append('\n');
            }
        }
        var end = labels + blocks.Count * columns.Count * cell + Gap * (blocks.Count - 1);
        for (var i = 0; i < ends.Count; i++)
            svg.Append($"""<text class="tick" x="{At(end + 12)}" y="{At(head + i * RowHeight + 13.5)}">{Number(ends[i])}</text>""");
        var overhang = Charts.LongestLabel(columns) * Slant * 0.77;                              // of the last, slanted column label
        return Charts.Svg(about, Math.Max(Charts.Width, end + Math.Max(overhang, right)), head + rows.Count * RowHeight + 4, svg);
    }

    /// <summary>The colour scale of mixing weights, with 1/N marked in its middle; null for maps of different N: then the ends are distances to it.</summary>
    public static string Legend(int? modules, double span)
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
        return Charts.Svg($"Colour scale: {middleText} is blank, more is blue, less is orange", 20 + Steps * Bar + 40, 36, svg, fixedSize: true);
    }

    private static void Swatch(StringBuilder svg, double distance, double opacity, double x, double y, double width, double height)
    {
        var side = distance < 0 ? "below" : "above";
        svg.Append($"""<rect class="{side}" x="{At(x)}" y="{At(y)}" width="{At(width)}" height="{At(height)}" fill-opacity="{At(opacity)}"/>""");
    }
}
