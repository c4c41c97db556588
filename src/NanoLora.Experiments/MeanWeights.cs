namespace NanoLora.Experiments;

/// <summary>The mixing weights that an arm ended with on a task, mean over its draws and over the trainings of the modules.</summary>
/// <param name="Task">The held-out task.</param>
/// <param name="Arm">The arm.</param>
/// <param name="Shots">Training examples per class.</param>
/// <param name="Runs">How many runs the mean is over.</param>
/// <param name="Weights">[matrices][modules] in the order of <see cref="Results.Matrices"/> and <see cref="Results.Modules"/>, 0 for a module that is not in
/// the mix.</param>
public sealed record MeanWeights(string Task, string Arm, int Shots, int Runs, float[][] Weights)
{
    /// <summary>Those of some results: as they are given there, otherwise from the cells.</summary>
    /// <exception cref="InvalidDataException">Weights are not a row per matrix and a column per module.</exception>
    public static IReadOnlyList<MeanWeights> Of(Results results)
    {
        ArgumentNullException.ThrowIfNull(results);
        if (results.MeanWeights is { } given)
        {
            foreach (var w in given) Check(w.Weights, results, $"task '{w.Task}', arm '{w.Arm}', {Text.Shots(w.Shots)}");
            return given;
        }
        var sums = new OrderedDictionary<(string Task, string Arm, int Shots), (double[][] Sum, int Runs)>();
        foreach (var c in results.Cells)
        {
            if (c.Weights is null) continue;
            Check(c.Weights, results, $"task '{c.Task}', arm '{c.Arm}', {Text.Shots(c.Shots)}, draw {c.Draw}");
            var (sum, runs) = sums.GetValueOrDefault((c.Task, c.Arm, c.Shots));
            sum ??= [.. results.Matrices.Select(_ => new double[results.Modules.Count])];
            for (var i = 0; i < sum.Length; i++)
            {
                for (var j = 0; j < sum[i].Length; j++) sum[i][j] += c.Weights[i][j];
            }
            sums[(c.Task, c.Arm, c.Shots)] = (sum, runs + 1);
        }
        return [.. sums.Select(s => new MeanWeights(s.Key.Task, s.Key.Arm, s.Key.Shots, s.Value.Runs,
            [.. s.Value.Sum.Select(row => Array.ConvertAll(row, w => (float)(w / s.Value.Runs)))]))];
    }

    private static void Check(float[][] weights, Results results, string where)
    {
        if (weights.Length == results.Matrices.Count && weights.All(row => row.Length == results.Modules.Count)) return;
        throw new InvalidDataException(
            $"Report: the weights of {where} are not [{results.Matrices.Count}][{results.Modules.Count}], "
            + "a row per name in Matrices and a column per name in Modules; make the names and the weights agree");
    }
}
