using System.Globalization;
using System.Text;

namespace NanoLora.Experiments;

// The report's figures over all tasks: accuracy, accuracy over shots, and forest plots of paired differences.
internal static class ReportFigures
{
    private static readonly string[] OtherArms = [ArmNames.RandomModules, ArmNames.Lora, ArmNames.FullFinetune, ArmNames.Uniform];

    public static void Accuracy(StringBuilder page, CellIndex index, IReadOnlyList<Summary> summary)
    {
        if (summary.Count == 0) return;
        var panels = new List<Charts.Panel>();
        foreach (var shots in index.Shots)
        {
            double? reference = null;
            var dots = new List<Charts.Dot>();
            foreach (var row in summary)
            {
                if (row.Shots != shots) continue;
                if (row.Arm == index.Reference) reference = row.Accuracy.Mean;
                dots.Add(new(index.Label(row.Arm), row.Accuracy, index.Spread(shots, row.Arm), Family(index, row.Arm), Text.PlusMinus(row.Accuracy)));
            }
            panels.Add(new(Text.Shots(shots), reference, dots));
        }
        page.Append("<section>\n<h2>Accuracy</h2>\n<figure>\n");
        page.Append(Charts.DotPlot("Accuracy by shots and arm, in percent", panels, "percent", Plain));
        page.Append($"""
            <figcaption>Mean accuracy on the test set; the line through a dot is its 95 % interval, a faint tick is one draw. The dashed line is
            {Text.Html(index.ReferenceName)}.
            <span class="composed">Compositions</span> of upstream modules stand out; their control is <span class="control">grey</span>.</figcaption>
            </figure>
            </section>

            """);
    }

    /// <summary>A small chart per arm: its accuracy over the number of shots, beside that of the arm that differences are taken to.</summary>
    public static void Curves(StringBuilder page, CellIndex index)
    {
        var probe = Points(index.Reference);
        var series = index.Arms.Select(arm => (Arm: arm, Points: Points(arm))).ToList();
        var range = ChartsLines.Range(series.SelectMany(s => s.Points));
        var ticks = index.Shots.Select(Text.ShortShots).ToList();
        page.Append("<section>\n<h2>Accuracy over shots</h2>\n<div class=\"multiples\">\n");
        foreach (var (arm, points) in series)
        {
            var label = index.Label(arm);
            page.Append($"<figure class=\"{Family(index, arm)}\"><figcaption>{Text.Html(label)}</figcaption>");
            var beside = arm == index.Reference ? null : probe;
            page.Append(ChartsLines.Curve($"Accuracy of {label} over shots", points, beside, ticks, range)).Append("</figure>\n");
        }
        page.Append($"""
            </div>
            <p class="note">Mean accuracy in percent over the tasks, by training samples per class, with its 95 % bootstrap interval as a band, on one scale for
            all. The dashed line is {Text.Html(index.ReferenceName)}. The bands are wide because tasks differ; what is paired is below.</p>
            </section>

            """);

        List<Estimate?> Points(string arm) => [.. index.Shots.Select(shots => index.Accuracy(shots, arm))];
    }

    public static void Differences(StringBuilder page, CellIndex index)
    {
        if (Forest(index, index.Reference, null, ArmNames.PixelProbe) is not { } forest) return;
        page.Append($"<section>\n<h2>Difference to {Text.Html(index.ReferenceName)}</h2>\n<figure>\n{forest}");
        var pixels = index.Arms.Contains(ArmNames.PixelProbe) ? " The probe on raw pixels is left to the table above." : "";
        var clear = index.ByTask ? "where the interval excludes 0 and the sign test over tasks gives p &lt; 0.05" : "where the interval excludes 0";
        page.Append($"""
            <figcaption>Paired difference in accuracy points with its 95 % interval. <span class="better">● better</span> and
            <span class="worse">● worse</span> than {Text.Html(index.ReferenceShort)} {clear};
            <span class="unclear">○ no clear difference</span> otherwise.{pixels}</figcaption>
            </figure>
            </section>

            """);
    }

    /// <summary>The same against other arms, folded.</summary>
    public static void OtherReferences(StringBuilder page, CellIndex index)
    {
        var found = OtherArms.Select(arm => (Arm: arm, Forest: Forest(index, arm, null, ArmNames.PixelProbe))).Where(f => f.Forest is not null).ToList();
        if (found.Count == 0) return;
        page.Append("<section>\n<h2>Difference to other arms</h2>\n");
        foreach (var (arm, forest) in found)
            page.Append($"<details>\n<summary>to {Text.Html(index.Label(arm))}</summary>\n<figure>\n{forest}</figure>\n</details>\n");
        page.Append("</section>\n");
    }

    /// <summary>Arms as rows, a panel per number of shots: differences to one arm, over all tasks or on one; null where there are none.</summary>
    public static string? Forest(CellIndex index, string reference, string? task, string? without = null)
    {
        var panels = new List<Charts.Panel>();
        foreach (var shots in index.Shots)
        {
            var dots = new List<Charts.Dot>();
            foreach (var arm in index.Arms)
            {
                if (arm == reference || arm == without) continue;                                 // without what would squeeze the scale
                if (index.Compare(shots, arm, reference, task) is { } d) dots.Add(Dot(index.Label(arm), d));
            }
            if (dots.Count > 0) panels.Add(new(Text.Shots(shots), 0, dots));
        }
        var where = task is null ? "" : $" on {task}";
        var to = reference == index.Reference ? index.ReferenceName : index.Label(reference);
        return panels.Count == 0 ? null : Charts.DotPlot($"Difference to {to}{where} by shots and arm, in accuracy points", panels, "points", Signed);
    }

    public static Charts.Dot Dot(string label, Paired d) =>
        new(label, d.Estimate, [], Class(d), $"{Text.Points(d.Estimate.Mean)} {Text.Ends(d.Estimate)}".TrimEnd());

    public static string Class(Paired difference) => difference.Verdict switch { Verdict.Beats => "better", Verdict.FallsBehind => "worse", _ => "unclear" };

    // Numbers at the axes: whole ones without a decimal.
    public static string Signed(double share) => (100 * share).ToString("+0.##;-0.##;0", CultureInfo.InvariantCulture);

    public static string Plain(double share) => (100 * share).ToString("0.##", CultureInfo.InvariantCulture);

    private static string Family(CellIndex index, string arm) => arm == ArmNames.RandomModules ? "control" : index.Composes(arm) ? "composed" : "plain";
}
