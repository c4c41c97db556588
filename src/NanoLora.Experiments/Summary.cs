namespace NanoLora.Experiments;

/// <summary>One arm at one number of shots, over all of its draws.</summary>
/// <param name="Shots">Training examples per class.</param>
/// <param name="Arm">The way of adapting.</param>
/// <param name="Accuracy">Accuracy, 0 to 1, with its interval.</param>
/// <param name="Difference">Accuracy less that of the linear probe on the same draws; null for the probe itself, or where no draw has both.</param>
/// <param name="TrainedParameters">Numbers that training could change, mean over the runs.</param>
/// <param name="Seconds">Wall-clock time of one run, mean over the runs.</param>
/// <remarks>
/// The sample of an interval is the draws of the task, or, where the cells span several tasks, the means of the tasks: draws of one task share its
/// modules and its images, so they do not count as independent witnesses of what another task would show.
/// </remarks>
public sealed record Summary(int Shots, string Arm, Estimate Accuracy, Estimate? Difference, long TrainedParameters, double Seconds)
{
    /// <summary>A row per number of shots and arm, ordered by shots, then by <see cref="ArmNames.Order"/>.</summary>
    /// <exception cref="ArgumentException">Two cells have the same task, arm, shots and draw.</exception>
    public static IReadOnlyList<Summary> Of(IReadOnlyList<Cell> cells)
    {
        RefuseTwins(cells);
        var rows = new List<Summary>();
        foreach (var shots in ShotsIn(cells))
        {
            foreach (var arm in ArmNames.In(cells))
            {
                var sample = Accuracies(cells, shots, arm);
                if (sample.Length == 0) continue;
                var (parameters, seconds) = Cost(cells, shots, arm);
                var difference = arm == ArmNames.LinearProbe ? null : Compare(cells, shots, arm, ArmNames.LinearProbe);
                rows.Add(new Summary(shots, arm, Statistics.Estimate(sample), difference, parameters, seconds));
            }
        }
        return rows;
    }

    /// <summary>Accuracy of one arm less that of another on the same task, shots and draw; null where no draw has both.</summary>
    public static Estimate? Compare(IReadOnlyList<Cell> cells, int shots, string arm, string reference)
    {
        var of = new Dictionary<(string, int), double>();
        foreach (var cell in cells)
        {
            if (cell.Shots == shots && cell.Arm == reference) of[(cell.Task, cell.Draw)] = cell.Accuracy;
        }
        var pairs = new List<(string, double)>();
        foreach (var cell in cells)
        {
            if (cell.Shots == shots && cell.Arm == arm && of.TryGetValue((cell.Task, cell.Draw), out var other)) pairs.Add((cell.Task, cell.Accuracy - other));
        }
        return pairs.Count == 0 ? null : Statistics.Estimate(Sample(pairs, TasksIn(cells).Count > 1));
    }

    /// <summary>The numbers of shots that occur, ascending.</summary>
    public static IReadOnlyList<int> ShotsIn(IReadOnlyList<Cell> cells)
    {
        var shots = new SortedSet<int>();
        foreach (var cell in cells) shots.Add(cell.Shots);
        return [.. shots];
    }

    /// <summary>What an interval is over: "5 draws" of the only task, or "8 tasks".</summary>
    internal static string SampleOf(IReadOnlyList<Cell> cells)
    {
        var tasks = TasksIn(cells).Count;
        if (tasks > 1) return $"{tasks} tasks";
        var draws = new HashSet<int>();
        foreach (var cell in cells) draws.Add(cell.Draw);
        return draws.Count == 1 ? "1 draw" : $"{draws.Count} draws";
    }

    /// <summary>The tasks that occur, in the order of their first cell.</summary>
    public static IReadOnlyList<string> TasksIn(IReadOnlyList<Cell> cells)
    {
        var tasks = new List<string>();
        foreach (var cell in cells)
        {
            if (!tasks.Contains(cell.Task)) tasks.Add(cell.Task);
        }
        return tasks;
    }

    /// <summary>The values that an accuracy's mean and interval are taken over: one per draw, or one per task where there are several.</summary>
    internal static double[] Accuracies(IReadOnlyList<Cell> cells, int shots, string arm)
    {
        var values = new List<(string, double)>();
        foreach (var cell in cells)
        {
            if (cell.Shots == shots && cell.Arm == arm) values.Add((cell.Task, cell.Accuracy));
        }
        return Sample(values, TasksIn(cells).Count > 1);
    }

    private static double[] Sample(List<(string Task, double Value)> values, bool byTask)
    {
        var sample = new List<double>();
        if (!byTask)
        {
            foreach (var (_, value) in values) sample.Add(value);
            return [.. sample];
        }
        var groups = new OrderedDictionary<string, (double Sum, int Count)>();
        foreach (var (task, value) in values)
        {
            var (sum, count) = groups.GetValueOrDefault(task);
            groups[task] = (sum + value, count + 1);
        }
        foreach (var (sum, count) in groups.Values) sample.Add(sum / count);
        return [.. sample];
    }

    private static (long Parameters, double Seconds) Cost(IReadOnlyList<Cell> cells, int shots, string arm)
    {
        double parameters = 0, seconds = 0;
        var runs = 0;
        foreach (var cell in cells)
        {
            if (cell.Shots != shots || cell.Arm != arm) continue;
            parameters += cell.TrainedParameters;
            seconds += cell.Seconds;
            runs++;
        }
        return ((long)Math.Round(parameters / runs), seconds / runs);
    }

    private static void RefuseTwins(IReadOnlyList<Cell> cells)
    {
        var seen = new HashSet<(string, string, int, int)>();
        foreach (var c in cells)
        {
            if (!seen.Add((c.Task, c.Arm, c.Shots, c.Draw)))
            {
                throw new ArgumentException(
                    $"Summary: two cells for task '{c.Task}', arm '{c.Arm}', {c.Shots} shots, draw {c.Draw}; keep one of them", nameof(cells));
            }
        }
    }
}
