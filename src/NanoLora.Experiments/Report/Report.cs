using System.Globalization;
using System.Text;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// The study as one self-contained HTML page: no script, nothing fetched, figures as inline SVG, legible in light, dark and print. With many runs it shows
/// means and links the table of raw runs, so that the page stays small; with runs missing it says which.
/// </summary>
public static class Report
{
    /// <summary>Writes the page to a file, atomically.</summary>
    /// <param name="results">The study.</param>
    /// <param name="path">The file.</param>
    /// <param name="cellsFile">The name of the file of raw cells beside it, to be linked; null if there is none.</param>
    public static void Save(Results results, string path, string? cellsFile = null) => AtomicFile.WriteText(path, Html(results, cellsFile));

    /// <summary>The page.</summary>
    /// <inheritdoc cref="Save"/>
    /// <exception cref="InvalidDataException">Mixing weights do not have a row per matrix and a column per module.</exception>
    public static string Html(Results results, string? cellsFile = null)
    {
        ArgumentNullException.ThrowIfNull(results);
        var index = new CellIndex(results);
        var summary = Summary.Of(index);
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

            """);
        Missing(page, results, index);
        page.Append("</header>\n\n");
        ReportTables.Numbers(page, index, summary);
        if (index.ByTask) ReportFigures.Curves(page, index);
        else ReportFigures.Accuracy(page, index, summary);
        ReportFigures.Differences(page, index);
        if (index.ByTask) ReportFigures.OtherReferences(page, index);
        ReportTasks.Append(page, index);
        ReportWeights.Append(page, results, index);
        if (index.ByTask) ReportTables.Cost(page, index);
        HowMade(page, results, index);
        ReportTables.Runs(page, index, cellsFile);
        page.Append("</main>\n</body>\n</html>\n");
        return page.ToString();
    }

    // What is not there yet: arms that have fewer runs at a number of shots than their tasks, draws and trainings make.
    private static void Missing(StringBuilder page, Results results, CellIndex index)
    {
        var (done, expected, lines) = (results.Cells.Count, 0, new List<string>());
        foreach (var shots in index.Shots)
        {
            var groups = index.Arms.Select(arm => index.Of(shots, arm)).OfType<CellIndex.Group>();
            var draws = groups.SelectMany(g => g.Values.Keys.Select(k => k.Draw)).Distinct().Count();
            var short_ = new List<string>();
            foreach (var arm in index.Arms)
            {
                var trainings = index.Shots.Select(s => index.Of(s, arm)).OfType<CellIndex.Group>().SelectMany(g => g.Trainings).Distinct().Count();
                var (have, want) = (index.Of(shots, arm)?.Runs ?? 0, index.Tasks.Count * draws * Math.Max(1, trainings));
                expected += want;
                if (have < want) short_.Add($"{index.Label(arm)} {Text.Count(have)} of {Text.Count(want)}");
            }
            if (short_.Count > 0) lines.Add($"{Text.Shots(shots)}: {string.Join(", ", short_)}");
        }
        var silent = (results.Arms ?? []).Where(fact => !index.Arms.Contains(fact.Name)).Select(fact => fact.Label).ToList();
        if (silent.Count > 0) lines.Add($"no run yet: {Text.Join(silent)}");
        expected = Math.Max(expected, results.Planned);
        if (lines.Count == 0 && done >= expected) return;
        page.Append($"""
            <div class="missing">
            <p>This is a report of an unfinished study: {Text.Count(done)} of {(results.Planned > 0 ? "" : "at least ")}{Text.Count(expected)} runs are done.
            Until then the means of two arms may be over different tasks and draws; paired differences never are.</p>

            """);
        if (lines.Count > 0)
        {
            page.Append("<details>\n<summary>What is missing</summary>\n<ul>\n");
            foreach (var line in lines) page.Append($"<li>{Text.Html(line)}</li>\n");
            page.Append("</ul>\n</details>\n");
        }
        page.Append("</div>\n");
    }

    private static void HowMade(StringBuilder page, Results results, CellIndex index)
    {
        page.Append("<section>\n<h2>How it was made</h2>\n<dl>\n");
        Term(page, "Model", results.Model);
        Term(page, "Held-out data", string.Join(", ", index.Tasks));
        Term(page, $"Modules ({results.Modules.Count})", string.Join(", ", results.Modules));
        Term(page, "Adapted matrices", results.Matrices.Count.ToString(CultureInfo.InvariantCulture));
        Term(page, "Seed", results.Seed.ToString(CultureInfo.InvariantCulture));
        Term(page, "Made", results.CreatedAt.ToUniversalTime().ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture));
        foreach (var fact in results.Settings) Term(page, fact.Name, fact.Value);
        foreach (var fact in results.Machine) Term(page, fact.Name, fact.Value);
        page.Append("</dl>\n");
        if (results.Arms is { Count: > 0 } arms)
        {
            page.Append("<h3>The arms</h3>\n<dl>\n");
            foreach (var arm in arms) Term(page, arm.Label, arm.Settings);
            page.Append("</dl>\n");
        }
        page.Append("</section>\n");
    }

    private static void Term(StringBuilder page, string name, string value) =>
        page.Append($"<div><dt>{Text.Html(name)}</dt><dd>{(value.Length == 0 ? "none" : Text.Html(value))}</dd></div>\n");
}
