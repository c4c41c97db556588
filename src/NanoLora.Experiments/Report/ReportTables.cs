using System.Text;

namespace NanoLora.Experiments;

// The report's tables: the summary, the cost, and the runs themselves or, where they are many, their means by task.
internal static class ReportTables
{
    private const int MostRuns = 1000;

    public static void Numbers(StringBuilder page, CellIndex index, IReadOnlyList<Summary> summary)
    {
        var to = Text.Html($"to {index.ReferenceName}");
        string[] columns = index.ByTask
            ? ["arm", "accuracy, %", "95 % interval", to, "95 % interval", "tasks won", "p, sign", "p, Wilcoxon", "draws won, %"]
            : ["arm", "accuracy, %", to, "95 % interval", "trained numbers", "seconds", "n"];
        page.Append($"<section>\n<h2>In numbers</h2>\n<div class=\"wide\"><table class=\"{(index.ByTask ? "summary dense" : "summary")}\">\n<thead><tr>");
        foreach (var column in columns) page.Append($"<th scope=\"col\">{column}</th>");
        page.Append("</tr></thead>\n");
        int? shots = null;
        foreach (var row in summary)
        {
            if (row.Shots != shots)
            {
                page.Append(shots is null ? "<tbody>\n" : "</tbody>\n<tbody>\n");
                page.Append($"""<tr class="group"><th colspan="{columns.Length}" scope="rowgroup">{Text.Shots(row.Shots)}</th></tr>""").Append('\n');
                shots = row.Shots;
            }
            page.Append($"""<tr><th scope="row">{Text.Html(index.Label(row.Arm))}</th>""");
            if (index.ByTask) OverTasks(page, row);
            else OverDraws(page, row);
            page.Append("</tr>\n");
        }
        if (summary.Count > 0) page.Append("</tbody>\n");
        page.Append("</table></div>\n").Append($"""<p class="note">{Note(index)}</p>""").Append("\n</section>\n");
    }

    private static void OverDraws(StringBuilder page, Summary row)
    {
        page.Append($"<td>{Text.Number(Text.PlusMinus(row.Accuracy))}</td>{Marked(row.Difference)}");
        page.Append($"<td>{(row.Difference is { } d ? Text.Number(Text.Ends(d.Estimate)) : "")}</td>");
        page.Append($"<td>{Text.Count(row.TrainedParameters)}</td><td>{Text.Seconds(row.Seconds)}</td><td>{Text.Count(row.Accuracy.Count)}</td>");
    }

    private static void OverTasks(StringBuilder page, Summary row)
    {
        page.Append($"<td>{Text.Percent(row.Accuracy.Mean)}</td><td>{Text.PercentEnds(row.Accuracy)}</td>{Marked(row.Difference)}");
        if (row.Difference is not { } d)
        {
            page.Append("<td></td><td></td><td></td><td></td><td></td>");
            return;
        }
        page.Append($"<td>{Text.Number(Text.Ends(d.Estimate))}</td><td>{d.Sign.Wins} of {d.Sign.Count}</td><td>{Text.Html(Text.P(d.Sign.P))}</td>");
        page.Append($"<td>{Text.Html(Text.P(d.Wilcoxon.P))}</td><td>{Text.Percent(d.Pairs.WinRate)}</td>");
    }

    /// <summary>A table cell with a difference in points, coloured and starred where it is clear.</summary>
    public static string Marked(Paired? difference) => difference is { } d
        ? $"""<td class="{ReportFigures.Class(d)}">{Text.Number(Text.Points(d.Estimate.Mean))}<span class="star">{(d.IsClear ? "*" : "")}</span></td>"""
        : "<td></td>";

    private static string Note(CellIndex index) => index.ByTask
        ? $"Over {index.Sample}. Intervals are 95 % percentile intervals of a paired bootstrap: {Text.Count(Bootstrap.Resamples)} resamples of the tasks "
          + "and, within them, of the draws; trainings of the modules are averaged within a draw. They speak of other tasks like these; with few tasks such "
          + "intervals are rather too narrow. "
          + "So an asterisk asks for two things: an interval that excludes 0, and p &lt; 0.05 in a two-sided sign test over the "
          + "tasks, which takes six of them. Wilcoxon’s signed-rank p is exact where no two sizes are equal, otherwise normal, corrected for "
          + "ties and continuity. Draws won counts all pairs of task and draw, a tie as half. Nothing is corrected for being many comparisons."
        : "n counts draws of the support set. ± and intervals are 95 % by Student’s t over the draws, differences paired by draw; they speak of other draws "
          + "on this task, not of other tasks. An asterisk marks an interval that excludes 0; the intervals are not corrected for being many.";

    public static void Cost(StringBuilder page, CellIndex index)
    {
        page.Append("<section>\n<h2>Cost</h2>\n<div class=\"wide\"><table class=\"summary\">\n<thead><tr><th scope=\"col\">arm</th>");
        page.Append("<th scope=\"col\">trained numbers</th>");
        foreach (var shots in index.Shots) page.Append($"<th scope=\"col\">seconds, {Text.ShortShots(shots)} {(shots == 1 ? "shot" : "shots")}</th>");
        page.Append("<th scope=\"col\">runs</th><th scope=\"col\">in all</th></tr></thead>\n<tbody>\n");
        double all = 0;
        foreach (var arm in index.Arms)
        {
            double parameters = 0, seconds = 0;
            var runs = 0;
            page.Append($"<tr><th scope=\"row\">{Text.Html(index.Label(arm))}</th>");
            var times = new StringBuilder();
            foreach (var shots in index.Shots)
            {
                var group = index.Of(shots, arm);
                times.Append($"<td>{(group is null ? "" : Text.Seconds(group.Seconds / group.Runs))}</td>");
                if (group is null) continue;
                (parameters, seconds, runs) = (parameters + group.Parameters, seconds + group.Seconds, runs + group.Runs);
            }
            all += seconds;
            page.Append($"<td>{Text.Count((long)Math.Round(parameters / runs))}</td>{times}<td>{Text.Count(runs)}</td>"
                + $"<td>{Text.Duration(seconds)}</td></tr>\n");
        }
        page.Append($"""
            </tbody>
            </table></div>
            <p class="note">Trained numbers with the head, mean over the runs; wall-clock seconds of training and testing one run, mean over the runs. All runs
            together took {Text.Duration(all)} of one worker.</p>
            </section>

            """);
    }

    public static void Runs(StringBuilder page, CellIndex index, string? cellsFile)
    {
        var link = cellsFile is null ? ""
            : $"""<p>Every run, a line each: <a href="{Text.Html(Uri.EscapeDataString(cellsFile))}">{Text.Html(cellsFile)}</a>.</p>""" + "\n";
        if (index.Cells.Count > MostRuns)
        {
            page.Append("<section>\n<h2>Everything, by task</h2>\n").Append(link);
            ByTask(page, index);
            page.Append("</section>\n");
            return;
        }
        var trainings = index.Cells.Any(c => c.Training is not null);
        page.Append($"""
            <section>
            <h2>Every run</h2>
            {link}<details>
            <summary>{Text.Count(index.Cells.Count)} runs</summary>
            <div class="wide"><table>
            <thead><tr><th scope="col">task</th><th scope="col" class="text">arm</th><th scope="col">shots</th><th scope="col">draw</th>
            {(trainings ? "<th scope=\"col\">training</th>" : "")}<th scope="col">accuracy, %</th><th scope="col">correct</th><th scope="col">tested</th>
            <th scope="col">trained numbers</th><th scope="col">seconds</th></tr></thead>
            <tbody>

            """);
        foreach (var c in index.Cells)
        {
            page.Append($"""<tr><th scope="row">{Text.Html(c.Task)}</th><td class="text">{Text.Html(index.Label(c.Arm))}</td>""");
            page.Append($"<td>{Text.ShortShots(c.Shots)}</td><td>{Text.Count(c.Draw)}</td>{(trainings ? $"<td>{c.Training}</td>" : "")}");
            page.Append($"<td>{Text.Percent(c.Accuracy)}</td><td>{Text.Count(c.Correct)}</td>");
            page.Append($"<td>{Text.Count(c.Tested)}</td><td>{Text.Count(c.TrainedParameters)}</td><td>{Text.Seconds(c.Seconds)}</td></tr>\n");
        }
        page.Append("</tbody>\n</table></div>\n</details>\n</section>\n");
    }

    // A line per task and arm: mean accuracy and its spread over draws, at each number of shots.
    private static void ByTask(StringBuilder page, CellIndex index)
    {
        foreach (var task in index.Tasks)
        {
            page.Append($"<details>\n<summary>{Text.Html(task)}</summary>\n<div class=\"wide\"><table class=\"summary\">\n"
                + $"<thead><tr><th scope=\"col\">arm</th>");
            foreach (var shots in index.Shots) page.Append($"<th scope=\"col\">{Text.Shots(shots)}</th><th scope=\"col\">runs</th>");
            page.Append("</tr></thead>\n<tbody>\n");
            foreach (var arm in index.Arms)
            {
                page.Append($"<tr><th scope=\"row\">{Text.Html(index.Label(arm))}</th>");
                foreach (var shots in index.Shots)
                {
                    var runs = 0;
                    var values = new List<double>();
                    foreach (var ((at, _), (sum, count)) in index.Of(shots, arm)?.Values ?? [])
                    {
                        if (index.Tasks[at] != task) continue;
                        values.Add(sum / count);
                        runs += count;
                    }
                    page.Append(runs == 0 ? "<td></td><td></td>" : $"<td>{Text.PlusMinus(Statistics.Estimate([.. values]))}</td><td>{Text.Count(runs)}</td>");
                }
                page.Append("</tr>\n");
            }
            page.Append("</tbody>\n</table></div>\n</details>\n");
        }
        page.Append("<p class=\"note\">Mean accuracy in percent ± half of a 95 % interval by Student’s t over the draws of this task.</p>\n");
    }
}
