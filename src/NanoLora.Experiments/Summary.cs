namespace NanoLora.Experiments;

/// <summary>One arm at one number of shots, over all of its tasks and draws.</summary>
/// <param name="Shots">Training examples per class; <see cref="Cell.AllShots"/> for all there are.</param>
/// <param name="Arm">The way of adapting.</param>
/// <param name="Accuracy">Accuracy, 0 to 1, with its interval.</param>
/// <param name="Difference">
/// Accuracy less that of the linear probe, or of a base that answers as it is, on the same draws; null for that arm itself, or where no draw has both.
/// </param>
/// <param name="TrainedParameters">Numbers that training could change, mean over the runs.</param>
/// <param name="Seconds">Wall-clock time of one run, mean over the runs.</param>
/// <param name="Runs">How many runs there are.</param>
/// <remarks>
/// The sample of an interval is the draws of the task (Student's t), or, where the cells span several tasks, the tasks and within them the draws
/// (<see cref="Bootstrap"/>): draws of one task share its modules and its samples, so they do not count as independent witnesses of what another task would
/// show. Trainings of the modules are averaged within a draw.
/// </remarks>
public sealed record Summary(int Shots, string Arm, Estimate Accuracy, Paired? Difference, long TrainedParameters, double Seconds, int Runs)
{
    /// <summary>A row per number of shots and arm, ordered by shots, then by <see cref="Results.Arms"/>.</summary>
    /// <exception cref="ArgumentException">Two cells have the same task, arm, shots, draw and training.</exception>
    public static IReadOnlyList<Summary> Of(Results results)
    {
        ArgumentNullException.ThrowIfNull(results);
        return Of(new CellIndex(results));
    }

    /// <summary>A row per number of shots and arm, ordered by shots, then by <see cref="ArmNames.Order"/>.</summary>
    /// <exception cref="ArgumentException">Two cells have the same task, arm, shots, draw and training.</exception>
    public static IReadOnlyList<Summary> Of(IReadOnlyList<Cell> cells) => Of(new CellIndex(cells));

    internal static IReadOnlyList<Summary> Of(CellIndex index)
    {
        var rows = new List<Summary>();
        foreach (var shots in index.Shots)
        {
            foreach (var arm in index.Arms)
            {
                if (index.Of(shots, arm) is not { } group) continue;
                var difference = arm == index.Reference ? null : index.Compare(shots, arm, index.Reference);
                rows.Add(new Summary(shots, arm, index.Accuracy(shots, arm)!.Value, difference,
                    (long)Math.Round(group.Parameters / group.Runs), group.Seconds / group.Runs, group.Runs));
            }
        }
        return rows;
    }

    /// <summary>Accuracy of one arm less that of another on the same task, shots and draw; null where no draw has both.</summary>
    public static Paired? Compare(IReadOnlyList<Cell> cells, int shots, string arm, string reference) => new CellIndex(cells).Compare(shots, arm, reference);

    /// <summary>The numbers of shots that occur, ascending, all training samples last.</summary>
    public static IReadOnlyList<int> ShotsIn(IReadOnlyList<Cell> cells) => new CellIndex(cells).Shots;

    /// <summary>The tasks that occur, in the order of their first cell.</summary>
    public static IReadOnlyList<string> TasksIn(IReadOnlyList<Cell> cells) => new CellIndex(cells).Tasks;
}
