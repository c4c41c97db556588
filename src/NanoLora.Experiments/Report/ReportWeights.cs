using System.Text;

namespace NanoLora.Experiments;

// The report's section on what the learned composition learned: mean mixing weights, as heat maps. With one task a map per number of shots, matrices as rows;
// with several, tasks as rows beside the similarity of modules and task, and the matrices of each task folded below.
internal static class ReportWeights
{
    private sealed record Map(string Task, int Shots, int Runs, double[][] Weights, IReadOnlyList<int> Modules)
    {
        public double Equal => 1.0 / Modules.Count;

        /// <summary>A module's weight, mean over the matrices; null for one outside the mix.</summary>
        public double? Mean(int module)
        {
            for (var j = 0; j < Modules.Count; j++) if (Modules[j] == module) return Weights.Average(row => row[j]);
            return null;
        }
    }

    public static void Append(StringBuilder page, Results results, CellIndex index)
    {
        var all = MeanWeights.Of(results);
        var maps = new List<Map>();
        foreach (var task in index.Tasks)
        {
            foreach (var shots in index.Shots)
            {
                if (all.FirstOrDefault(w => w.Task == task && w.Shots == shots && w.Arm == ArmNames.Learned) is { } found && Of(found) is { } map)
                    maps.Add(map);
            }
        }
        if (maps.Count == 0) return;

        page.Append("<section>\n<h2>What was learned</h2>\n");
        if (index.ByTask) Tasks(page, results, index, maps);
        var most = index.Shots.Last(shots => maps.Any(map => map.Shots == shots));
        Matrices(page, results, index.ByTask ? [.. maps.Where(map => map.Shots == most)] : maps, index.ByTask);
        page.Append("</section>\n");
    }

    // The columns that are in this task's mix; null where none is.
    private static Map? Of(MeanWeights found)
    {
        var used = new List<int>();
        for (var j = 0; j < found.Weights[0].Length; j++)
        {
            if (found.Weights.Any(row => row[j] != 0)) used.Add(j);
        }
        if (used.Count == 0) return null;
        return new Map(found.Task, found.Shots, found.Runs, [.. found.Weights.Select(row => used.Select(j => (double)row[j]).ToArray())], used);
    }

    // Tasks as rows: weights, mean over the matrices, beside similarities.
    private static void Tasks(StringBuilder page, Results results, CellIndex index, List<Map> maps)
    {
        var similar = Similarities(results);
        page.Append("""
            <p>Mixing weights of the learned composition, a row per held-out task and a column per module, mean over the matrices, draws and trainings.
            Training starts at 1/N everywhere, which is the uniform composition;
            <span class="better">blue</span> is more, <span class="worse">orange</span> less.
            """);
        if (similar.Count > 0)
        {
            page.Append("""
                 Beside them, how near each module is to the task: linear CKA between the features of base + module and those of base + a LoRA trained on the
                task itself; blue is nearer than the mean of the row. ρ is Spearman’s correlation of the two in a row, p over permutations of the modules.
                """);
        }
        page.Append("</p>\n");
        foreach (var shots in index.Shots)
        {
            var rows = maps.Where(map => map.Shots == shots).ToList();
            if (rows.Count == 0) continue;
            var columns = Enumerable.Range(0, results.Modules.Count).Where(j => rows.Any(map => map.Modules.Contains(j))).ToList();
            var weights = rows.Select(map => columns.Select(map.Mean).ToArray()).ToArray();
            double[] equal = [.. rows.Select(map => map.Equal)];
            var blocks = new List<ChartsHeat.Block> { new("mixing weights", weights, equal, Span(weights, equal, 0.02)) };
            List<string> ends = [];
            var said = "";
            if (similar.Count > 0)
            {
                var near = rows.Select(map => columns.Select(j => similar.GetValueOrDefault((map.Task, j))).ToArray()).ToArray();
                var middles = near.Select(row => row.Average() ?? 0).ToArray();
                blocks.Add(new("similarity (CKA)", near, middles, Span(near, middles, 0.001)));
                (ends, said) = Correlations(weights, near, results.Seed);
            }
            page.Append($"""<figure><figcaption class="above">{Text.Html(Text.Shots(shots))}</figcaption>""");
            string[] tasks = [.. rows.Select(map => map.Task)], modules = [.. columns.Select(j => results.Modules[j])];
            page.Append(ChartsHeat.Map($"Mean mixing weights by task, {Text.Shots(shots)}", blocks, tasks, modules, ends, titles: false));
            page.Append(said.Length == 0 ? "" : $"<figcaption>{said}</figcaption>").Append("</figure>\n");
        }
    }

    // Row by row, and in a sentence for all rows: each task is one witness.
    private static (List<string> Ends, string Said) Correlations(double?[][] weights, double?[][] near, ulong seed)
    {
        var (ends, rhos) = (new List<string>(), new List<double>());
        for (var i = 0; i < weights.Length; i++)
        {
            var pairs = Enumerable.Range(0, weights[i].Length).Where(j => weights[i][j] is not null && near[i][j] is not null).ToList();
            if (pairs.Count < 3)
            {
                ends.Add("");
                continue;
            }
            // Sums of weights in single precision: equal ones are to be ties.
            var found = Spearman.Of([.. pairs.Select(j => Math.Round(weights[i][j]!.Value, 6))], [.. pairs.Select(j => near[i][j]!.Value)], seed);
            ends.Add(double.IsNaN(found.Rho) ? "ρ undefined" : $"ρ {Text.Correlation(found.Rho)}, p {Text.P(found.PermutationP)}");
            if (!double.IsNaN(found.Rho)) rhos.Add(found.Rho);
        }
        if (rhos.Count == 0) return (ends, "");
        var sign = SignTest.Of([.. rhos]);
        var mean = new Bootstrap([.. rhos.Select(_ => 1)], seed).Estimate([.. rhos]);
        var interval = mean.HasInterval ? $" [{Text.Correlation(mean.Low)}, {Text.Correlation(mean.High)}]" : "";
        return (ends, Text.Number(
            $"Weight and similarity correlate by {Text.Correlation(mean.Mean)}{interval} "
            + $"in the mean over {rhos.Count} tasks (95 % bootstrap interval over tasks); "
            + $"ρ is above 0 in {sign.Wins} of them (sign test, p {Text.P(sign.P)})."));
    }

    // Matrices as rows, a map per task and number of shots, on one scale, so that they can be compared; never finer than a quarter of 1/N, so that noise does
    // not look like a pattern.
    private static void Matrices(StringBuilder page, Results results, List<Map> maps, bool folded)
    {
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
        page.Append(folded
            ? $"<p>The same by adapted matrix, {Text.Html(Text.AtShots(maps[0].Shots))}:</p>\n"
            : """
              <p>Mixing weights of the learned composition, a row per adapted matrix and a column per module, mean over the draws.
              Training starts at 1/N everywhere, which is the uniform composition; <span class="better">blue</span> is more,
              <span class="worse">orange</span> less.</p>

              """);
        page.Append($"""<div class="legend">{ChartsHeat.Legend(modules, span)}</div>""").Append('\n');
        foreach (var map in maps)
        {
            var name = (folded ? map.Task + ", " : "") + Text.Shots(map.Shots);
            double?[][] values = [.. map.Weights.Select(row => Array.ConvertAll(row, w => (double?)w))];
            var block = new ChartsHeat.Block("", values, [.. values.Select(_ => map.Equal)], span);
            string[] columns = [.. map.Modules.Select(j => results.Modules[j])];
            var heat = ChartsHeat.Map($"Mean mixing weights, {name}", [block], results.Matrices, columns, [], titles: !folded);
            var runs = $"{Text.Count(map.Runs)} {(folded ? "run" : "draw")}{(map.Runs == 1 ? "" : "s")}";
            page.Append(folded ? $"<details>\n<summary>{Text.Html(map.Task)}</summary>\n" : "");
            page.Append($"""<figure><figcaption class="above">{Text.Html(name)}, mean of {runs}</figcaption>""").Append(heat).Append("</figure>\n");
            page.Append(folded ? "</details>\n" : "");
        }
    }

    // By task and module, mean over the trainings.
    private static Dictionary<(string Task, int Module), double?> Similarities(Results results)
    {
        var sums = new Dictionary<(string, int), (double Sum, int Count)>();
        foreach (var s in results.Similarities ?? [])
        {
            if (s.Cka.Count != results.Modules.Count)
            {
                throw new InvalidDataException($"Report: the similarities of task '{s.Task}', training {s.Training} are {s.Cka.Count}, "
                    + $"but there are {results.Modules.Count} modules; one for each is expected");
            }
            for (var j = 0; j < s.Cka.Count; j++)
            {
                if (s.Cka[j] is not { } cka) continue;
                var (sum, count) = sums.GetValueOrDefault((s.Task, j));
                sums[(s.Task, j)] = (sum + cka, count + 1);
            }
        }
        return sums.ToDictionary(s => s.Key, s => (double?)(s.Value.Sum / s.Value.Count));
    }

    private static double Span(double?[][] values, double[] middles, double least)
    {
        for (var i = 0; i < values.Length; i++)
        {
            foreach (var value in values[i]) if (value is { } v) least = Math.Max(least, Math.Abs(v - middles[i]));
        }
        return least;
    }
}
