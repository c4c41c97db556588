using System.Globalization;
using System.Text;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>The study as one self-contained HTML page: no script, nothing fetched, figures as inline SVG, legible in light, dark and print.</summary>
public static class Report
{
    /// <summary>Writes the page to a file, atomically.</summary>
    public static void Save(Results results, string path) => AtomicFile.WriteText(path, Html(results));

    /// <summary>The page.</summary>
    /// <exception cref="InvalidDataException">A cell's mixing weights do not have a row per matrix and a column per module.</exception>
    public static string Html(Results results)
    {
        ArgumentNullException.ThrowIfNull(results);
        var summary = Summary.Of(results.Cells);
        var page = new StringBuilder();
        page.Append($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
            <title>{Text.Html(results.Title)}</title>
            <style>
            {ReportStyle.Css}
            </style>
            </head>
            <body>
            <main>
            <header>
            <h1>{Text.Html(results.Title)}</h1>
            <p class="conclusion">{Text.Html(results.Conclusion)}</p>
            </header>

            """);
        Numbers(page, results, summary);
        Accuracy(page, results, summary);
        Differences(page, results, summary);
        ByTask(page, results);
        ReportWeights.Append(page, results);
        HowMade(page, results);
        EveryRun(page, results);
        page.Append("</main>\n</body>\n</html>\n");
        return page.ToString();
    }

    private static void Numbers(StringBuilder page, Results results, IReadOnlyList<Summary> summary)
    {
        page.Append("""
            <section>
            <h2>In numbers</h2>
            <div class="wide"><table class="summary">
            <thead><tr><th scope="col">arm</th><th scope="col">accuracy, %</th><th scope="col">to the linear probe</th><th scope="col">95 % interval</th>
            <th scope="col">trained numbers</th><th scope="col">seconds</th><th scope="col">n</th></tr></thead>

            """);
        var shots = -1;
        foreach (var row in summary)
        {
            if (row.Shots != shots)
            {
                page.Append(shots < 0 ? "<tbody>\n" : "</tbody>\n<tbody>\n");
                page.Append($"""<tr class="group"><th colspan="7" scope="rowgroup">{Text.Shots(row.Shots)}</th></tr>""").Append('\n');
                shots = row.Shots;
            }
            page.Append($"""<tr><th scope="row">{Text.Html(ArmNames.Label(row.Arm))}</th><td>{Text.Number(Text.PlusMinus(row.Accuracy))}</td>""");
            page.Append($"{Marked(row.Difference)}<td>{(row.Difference is { } d ? Text.Number(Text.Ends(d)) : "")}</td>");
            page.Append($"<td>{Text.Count(row.TrainedParameters)}</td><td>{Text.Seconds(row.Seconds)}</td><td>{Text.Count(row.Accuracy.Count)}</td></tr>\n");
        }
        if (summary.Count > 0) page.Append("</tbody>\n");
        page.Append("</table></div>\n").Append($"""<p class="note">{Note(results.Cells)}</p>""").Append("\n</section>\n");
    }

    // A table cell with a difference in points, coloured and starred where its interval excludes 0.
    private static string Marked(Estimate? difference) => difference is { } d
        ? $"""<td class="{Class(d)}">{Text.Number(Text.Points(d.Mean))}<span class="star">{(d.ExcludesZero ? "*" : "")}</span></td>"""
        : "<td></td>";

    private static string Note(IReadOnlyList<Cell> cells) => Summary.TasksIn(cells).Count > 1
        ? "n counts tasks. ± and intervals are 95 % by Student’s t over the tasks’ means, differences paired by task and draw; they speak of other tasks "
          + "like these. An asterisk marks an interval that excludes 0; the intervals are not corrected for being many."
        : "n counts draws of the support set. ± and intervals are 95 % by Student’s t over the draws, differences paired by draw; they speak of other draws "
          + "on this task, not of other tasks. An asterisk marks an interval that excludes 0; the intervals are not corrected for being many.";

    private static void Accuracy(StringBuilder page, Results results, IReadOnlyList<Summary> summary)
    {
        if (summary.Count == 0) return;
        var panels = new List<Charts.Panel>();
        foreach (var shots in Summary.ShotsIn(results.Cells))
        {
            double? reference = null;
            var dots = new List<Charts.Dot>();
            foreach (var row in summary)
            {
                if (row.Shots != shots) continue;
                if (row.Arm == ArmNames.LinearProbe) reference = row.Accuracy.Mean;
                var raw = Summary.Accuracies(results.Cells, shots, row.Arm);
                dots.Add(new(ArmNames.Label(row.Arm), row.Accuracy, raw, Family(row.Arm), Text.PlusMinus(row.Accuracy)));
            }
            panels.Add(new(Text.Shots(shots), reference, dots));
        }
        var tick = Summary.TasksIn(results.Cells).Count > 1 ? "one task" : "one draw";
        page.Append("<section>\n<h2>Accuracy</h2>\n<figure>\n");
        page.Append(Charts.DotPlot("Accuracy by shots and arm, in percent", panels, "percent", Plain));
        page.Append($"""
            <figcaption>Mean accuracy on the test set; the line through a dot is its 95 % interval, a faint tick is {tick}. The dashed line is the linear probe.
            <span class="composed">Compositions</span> of upstream modules stand out; their control is <span class="control">grey</span>.</figcaption>
            </figure>
            </section>

            """);
    }

    private static void Differences(StringBuilder page, Results results, IReadOnlyList<Summary> summary)
    {
        var panels = new List<Charts.Panel>();
        foreach (var shots in Summary.ShotsIn(results.Cells))
        {
            var dots = new List<Charts.Dot>();
            foreach (var row in summary)
            {
                if (row.Shots != shots || row.Difference is not { } d || row.Arm == ArmNames.PixelProbe) continue; // which would squeeze the scale
                dots.Add(new(ArmNames.Label(row.Arm), d, [], Class(d), $"{Text.Points(d.Mean)} {Text.Ends(d)}".TrimEnd()));
            }
            if (dots.Count > 0) panels.Add(new(Text.Shots(shots), 0, dots));
        }
        if (panels.Count == 0) return;
        page.Append("<section>\n<h2>Difference to the linear probe</h2>\n<figure>\n");
        page.Append(Charts.DotPlot("Difference to the linear probe by shots and arm, in accuracy points", panels, "points", Signed));
        var pixels = results.Cells.Any(cell => cell.Arm == ArmNames.PixelProbe) ? " The probe on raw pixels is left to the table above." : "";
        page.Append($"""
            <figcaption>Paired difference in accuracy points with its 95 % interval. <span class="better">● better</span> and
            <span class="worse">● worse</span> than the probe where the interval excludes 0;
            <span class="unclear">○ no clear difference</span> where it does not.{pixels}</figcaption>
            </figure>
            </section>

            """);
    }

    // With several tasks, a mean hides on which of them an arm helps.
    private static void ByTask(StringBuilder page, Results results)
    {
        var tasks = Summary.TasksIn(results.Cells);
        if (tasks.Count < 2) return;
        page.Append("""
            <section>
            <h2>Task by task</h2>
            <p class="note">Difference to the linear probe in points, mean over draws; an asterisk marks a 95 % interval over the draws that excludes 0.</p>

            """);
        foreach (var shots in Summary.ShotsIn(results.Cells))
        {
            var arms = new List<string>(ArmNames.In(results.Cells));
            arms.Remove(ArmNames.LinearProbe);
            page.Append($"<div class=\"wide\"><table class=\"matrix\">\n<thead><tr><th scope=\"col\">{Text.Shots(shots)}</th>");
            foreach (var arm in arms) page.Append($"<th scope=\"col\">{Text.Html(ArmNames.Label(arm))}</th>");
            page.Append("</tr></thead>\n<tbody>\n");
            foreach (var task in tasks)
            {
                var cells = results.Cells.Where(cell => cell.Task == task).ToList();
                page.Append($"""<tr><th scope="row">{Text.Html(task)}</th>""");
                foreach (var arm in arms) page.Append(Marked(Summary.Compare(cells, shots, arm, ArmNames.LinearProbe)));
                page.Append("</tr>\n");
            }
            page.Append("</tbody>\n</table></div>\n");
        }
        page.Append("</section>\n");
    }

    private static void HowMade(StringBuilder page, Results results)
    {
        page.Append("<section>\n<h2>How it was made</h2>\n<dl>\n");
        Term(page, "Model", results.Model);
        Term(page, "Held-out data", string.Join(", ", Summary.TasksIn(results.Cells)));
        Term(page, $"Modules ({results.Modules.Count})", string.Join(", ", results.Modules));
        Term(page, "Adapted matrices", results.Matrices.Count.ToString(CultureInfo.InvariantCulture));
        Term(page, "Seed", results.Seed.ToString(CultureInfo.InvariantCulture));
        Term(page, "Made", results.CreatedAt.ToUniversalTime().ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture));
        foreach (var fact in results.Settings) Term(page, fact.Name, fact.Value);
        foreach (var fact in results.Machine) Term(page, fact.Name, fact.Value);
        page.Append("</dl>\n</section>\n");
    }

    private static void Term(StringBuilder page, string name, string value) =>
        page.Append($"<div><dt>{Text.Html(name)}</dt><dd>{(value.Length == 0 ? "none" : Text.Html(value))}</dd></div>\n");

    private static void EveryRun(StringBuilder page, Results results)
    {
        page.Append($"""
            <section>
            <h2>Every run</h2>
            <details>
            <summary>{Text.Count(results.Cells.Count)} runs</summary>
            <div class="wide"><table>
            <thead><tr><th scope="col">task</th><th scope="col" class="text">arm</th><th scope="col">shots</th><th scope="col">draw</th>
            <th scope="col">accuracy, %</th><th scope="col">correct</th><th scope="col">tested</th>
            <th scope="col">trained numbers</th><th scope="col">seconds</th></tr></thead>
            <tbody>

            """);
        foreach (var c in results.Cells)
        {
            page.Append($"""<tr><th scope="row">{Text.Html(c.Task)}</th><td class="text">{Text.Html(ArmNames.Label(c.Arm))}</td>""");
            page.Append($"<td>{Text.Count(c.Shots)}</td><td>{Text.Count(c.Draw)}</td><td>{Text.Percent(c.Accuracy)}</td><td>{Text.Count(c.Correct)}</td>");
            page.Append($"<td>{Text.Count(c.Tested)}</td><td>{Text.Count(c.TrainedParameters)}</td><td>{Text.Seconds(c.Seconds)}</td></tr>\n");
        }
        page.Append("</tbody>\n</table></div>\n</details>\n</section>\n");
    }

    // Numbers at the axes: whole ones without a decimal.
    private static string Signed(double share) => (100 * share).ToString("+0.##;-0.##;0", CultureInfo.InvariantCulture);

    private static string Plain(double share) => (100 * share).ToString("0.##", CultureInfo.InvariantCulture);

    private static string Class(Estimate difference) => !difference.ExcludesZero ? "unclear" : difference.Mean > 0 ? "better" : "worse";

    private static string Family(string arm) => arm switch
    {
        ArmNames.Uniform or ArmNames.Learned => "composed",
        ArmNames.RandomModules => "control",
        _ => "plain",
    };
}
