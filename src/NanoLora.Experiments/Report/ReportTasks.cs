using System.Text;

namespace NanoLora.Experiments;

// The report's sections on single tasks: a mean hides on which of them an arm helps, and on which the base helps at all.
internal static class ReportTasks
{
    public static void Append(StringBuilder page, CellIndex index)
    {
        if (!index.ByTask) return;
        Base(page, index);
        page.Append($"""
            <section>
            <h2>Task by task</h2>
            <p class="note">Difference to {Text.Html(index.ReferenceName)} in points, mean over draws; an asterisk marks a 95 % interval by Student’s t over the
            draws of the task that excludes 0.</p>

            """);
        foreach (var shots in index.Shots) Matrix(page, index, shots);
        foreach (var task in index.Tasks)
        {
            if (ReportFigures.Forest(index, index.Reference, task, ArmNames.PixelProbe) is { } forest)
                page.Append($"<details>\n<summary>{Text.Html(task)} as a figure</summary>\n<figure>\n{forest}</figure>\n</details>\n");
        }
        page.Append("</section>\n");
    }

    // Arms as rows, tasks as columns.
    private static void Matrix(StringBuilder page, CellIndex index, int shots)
    {
        page.Append($"<div class=\"wide\"><table class=\"matrix dense\">\n<thead><tr><th scope=\"col\">{Text.Shots(shots)}</th>");
        foreach (var task in index.Tasks) page.Append($"<th scope=\"col\">{Text.Html(task)}</th>");
        page.Append("</tr></thead>\n<tbody>\n");
        foreach (var arm in index.Arms)
        {
            if (arm == index.Reference || index.Of(shots, arm) is null) continue;
            page.Append($"""<tr><th scope="row">{Text.Html(index.Label(arm))}</th>""");
            foreach (var task in index.Tasks) page.Append(ReportTables.Marked(index.Compare(shots, arm, index.Reference, task)));
            page.Append("</tr>\n");
        }
        page.Append("</tbody>\n</table></div>\n");
    }

    // Whether the base's features are worth more than the samples as they are, task by task.
    private static void Base(StringBuilder page, CellIndex index)
    {
        var (arm, raw) = index.Arms.Contains(ArmNames.BagOfWords) ? (ArmNames.BagOfWords, "bags of words") : (ArmNames.PixelProbe, "raw pixels");
        var (panels, sentences) = (new List<Charts.Panel>(), new List<string>());
        foreach (var shots in index.Shots)
        {
            var (dots, by) = (new List<Charts.Dot>(), new SortedDictionary<Verdict, List<string>>());
            foreach (var task in index.Tasks)
            {
                if (index.Compare(shots, ArmNames.LinearProbe, arm, task) is not { } d) continue;
                dots.Add(ReportFigures.Dot(task, d));
                if (!by.TryGetValue(d.Verdict, out var tasks)) by[d.Verdict] = tasks = [];
                tasks.Add(task);
            }
            if (dots.Count == 0) continue;
            panels.Add(new(Text.Shots(shots), 0, dots));
            sentences.Add($"{Text.AtShots(shots)}, {string.Join("; ", by.Select(v => $"{Says(v.Key, raw)} {Text.Join(v.Value)}"))}");
        }
        if (panels.Count == 0) return;
        page.Append("<section>\n<h2>Where the base helps at all</h2>\n");
        foreach (var sentence in sentences) page.Append($"<p>{Text.Html(char.ToUpperInvariant(sentence[0]) + sentence[1..])}.</p>\n");
        var about = $"The linear probe less the probe on {raw}, by shots and task, in accuracy points";
        page.Append("<figure>\n").Append(Charts.DotPlot(about, panels, "points", ReportFigures.Signed));
        page.Append($"""
            <figcaption>Linear probe on the base’s features less linear probe on {raw}, paired by draw, with 95 % intervals by Student’s t over the draws
            of the task. Where the base does not help, its modules have little to start from.</figcaption>
            </figure>
            </section>

            """);
    }

    private static string Says(Verdict verdict, string raw) => verdict switch
    {
        Verdict.Beats => $"the base’s features beat {raw} on",
        Verdict.FallsBehind => $"they fall behind {raw} on",
        Verdict.Unclear => "there is no clear difference on",
        _ => "there are too few draws to tell on",
    };
}
