using System.Text;

namespace NanoLora.Experiments;

// The report's section on what the learned composition learned: mean mixing weights over the draws, a heat map per number of shots (and task).
internal static class ReportWeights
{
    private sealed record Map(string Task, int Shots, int Draws, double[][] Weights, IReadOnlyList<string> Modules)
    {
        public double Equal => 1.0 / Modules.Count;
    }

    public static void Append(StringBuilder page, Results results)
    {
        var maps = new List<Map>();
        foreach (var task in Summary.TasksIn(results.Cells))
        {
            foreach (var shots in Summary.ShotsIn(results.Cells))
            {
                if (Mean(results, task, shots) is { } map) maps.Add(map);
            }
        }
        if (maps.Count == 0) return;

        // One scale for all maps, so that they can be compared; never finer than a quarter of 1/N, so that noise does not look like a pattern.
        var span = 0.0;
        foreach (var map in maps)
        {
            span = Math.Max(span, map.Equal / 4);
            foreach (var row in map.Weights)
            {
                foreach (var w in row) span = Math.Max(span, Math.Abs(w - map.Equal));
            }
        }
        int? modules = maps.All(map => map.Modules.Count == maps[0].Modules.Count) ? maps[0].Modules.Count : null;
        page.Append($"""
            <section>
            <h2>What was learned</h2>
            <p>Mixing weights of the learned composition, a row per adapted matrix and a column per module, mean over the draws.
            Training starts at 1/N everywhere, which is the uniform composition; <span class="better">blue</span> is more,
            <span class="worse">orange</span> less.</p>
            <div class="legend">{Charts.HeatLegend(modules, span)}</div>

            """);
        var many = Summary.TasksIn(results.Cells).Count > 1;
        foreach (var map in maps)
        {
            var name = (many ? map.Task + ", " : "") + Text.Shots(map.Shots);
            var heat = Charts.HeatMap($"Mean mixing weights, {name}", map.Weights, results.Matrices, map.Modules, map.Equal, span);
            var draws = map.Draws == 1 ? "1 draw" : $"{Text.Count(map.Draws)} draws";
            page.Append(many ? $"<details>\n<summary>{Text.Html(name)}</summary>\n" : "");
            page.Append($"""<figure><figcaption class="above">{Text.Html(name)}, mean of {draws}</figcaption>""").Append(heat).Append("</figure>\n");
            page.Append(many ? "</details>\n" : "");
        }
        page.Append("</section>\n");
    }

    // Mean over the draws, without the columns of modules that are not in this task's mix (0 everywhere); null where no run has weights.
    private static Map? Mean(Results results, string task, int shots)
    {
        var sum = new double[results.Matrices.Count][];
        for (var i = 0; i < sum.Length; i++) sum[i] = new double[results.Modules.Count];
        var draws = 0;
        foreach (var cell in results.Cells)
        {
            if (cell.Weights is null || cell.Task != task || cell.Shots != shots || cell.Arm != ArmNames.Learned) continue;
            Check(cell, results);
            for (var i = 0; i < sum.Length; i++)
            {
                for (var j = 0; j < sum[i].Length; j++) sum[i][j] += cell.Weights[i][j];
            }
            draws++;
        }
        if (draws == 0) return null;

        var used = new List<int>();
        for (var j = 0; j < results.Modules.Count; j++)
        {
            if (sum.Any(row => row[j] != 0)) used.Add(j);
        }
        if (used.Count == 0) return null;
        var mean = sum.Select(row => used.Select(j => row[j] / draws).ToArray()).ToArray();
        return new Map(task, shots, draws, mean, [.. used.Select(j => results.Modules[j])]);
    }

    private static void Check(Cell cell, Results results)
    {
        var wrong = cell.Weights!.Length != results.Matrices.Count || cell.Weights.Any(row => row.Length != results.Modules.Count);
        if (!wrong) return;
        throw new InvalidDataException(
            $"Report: the weights of task '{cell.Task}', arm '{cell.Arm}', {cell.Shots} shots, draw {cell.Draw} "
            + $"are not [{results.Matrices.Count}][{results.Modules.Count}], "
            + "a row per name in Matrices and a column per name in Modules; make the names and the weights agree");
    }
}
