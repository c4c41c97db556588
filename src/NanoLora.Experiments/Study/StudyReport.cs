using System.Globalization;

namespace NanoLora.Experiments;

/// <summary>Makes the results of a study from its plan and its raw cells, and writes them.</summary>
public static class StudyReport
{
    private const string CellsName = "results.csv", WeightsName = "weights.csv", SimilaritiesName = "similarities.csv";

    /// <summary>Writes results.json, the raw tables (results.csv, weights.csv, similarities.csv) and report.html.</summary>
    /// <returns>The report's path.</returns>
    public static string Save(Results results, string folder)
    {
        results.WithMeanWeights().SaveJson(Path.Combine(folder, "results.json"));
        results.SaveCsv(Path.Combine(folder, CellsName));
        ResultsCsv.Save(Path.Combine(folder, WeightsName), ResultsCsv.Weights(results));
        ResultsCsv.Save(Path.Combine(folder, SimilaritiesName), ResultsCsv.Similarities(results));
        var report = Path.Combine(folder, "report.html");
        if (results.Cells.Count > 0) Report.Save(results, report, CellsName);
        return report;
    }

    /// <summary>Results from a plan and the raw tables that <see cref="Save"/> wrote; nothing else is needed.</summary>
    /// <exception cref="InvalidDataException">A table is missing or malformed: file, line and field are named.</exception>
    public static Results FromTables(StudyPlan plan, string folder)
    {
        var cells = ResultsCsv.ReadCells(Text(CellsName), Path.Combine(folder, CellsName));
        var (modules, matrices, weights) = ResultsCsv.ReadWeights(Text(WeightsName), Path.Combine(folder, WeightsName));
        var (_, similarities) = ResultsCsv.ReadSimilarities(Text(SimilaritiesName), Path.Combine(folder, SimilaritiesName));
        return Results(plan, cells, similarities, modules, matrices, []) with { MeanWeights = weights };

        string Text(string name) => File.Exists(Path.Combine(folder, name)) ? File.ReadAllText(Path.Combine(folder, name))
            : throw new InvalidDataException($"{Path.Combine(folder, name)}: there is no such file; "
                + $"a study leaves {CellsName}, {WeightsName} and {SimilaritiesName}.");
    }

    /// <summary>Results with the plan's settings and a conclusion.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="cells">The raw cells; some may be missing.</param>
    /// <param name="similarities">How near the modules are to the tasks.</param>
    /// <param name="modules">The modules' names, as in the cells' weights.</param>
    /// <param name="matrices">The matrices' names, as in the cells' weights.</param>
    /// <param name="machine">What the seconds depend on.</param>
    public static Results Results(
        StudyPlan plan, IReadOnlyList<Cell> cells, IReadOnlyList<Similarity> similarities, IReadOnlyList<string> modules,
        IReadOnlyList<string> matrices, IReadOnlyList<Fact> machine)
    {
        var protocol = plan.Protocol;
        var base_ = Path.GetFileName(Path.TrimEndingDirectorySeparator(plan.Resolve(plan.Model)));
        Fact[] settings =
        [
            new("held out in turn", string.Join(", ", plan.HeldOutNames())), new("modules", Modules(plan)),
            .. protocol.Facts().Where(f => f.Name is not ("mixing weights" or "LoRA from scratch" or "full fine-tuning")),
        ];
        var results = new Results(plan.Title, base_, modules, matrices, machine, plan.Seed, DateTimeOffset.UtcNow, settings, cells,
            Arms: [.. plan.Arms.Select(protocol.FactOf)], Similarities: similarities);
        return results with { Conclusion = Conclusion.Of(results) };
    }

    private static string Modules(StudyPlan plan) => plan.Modules.Folder is { } folder
        ? $"those of {Path.GetFileName(Path.TrimEndingDirectorySeparator(folder))}"
        : string.Create(CultureInfo.InvariantCulture,
            $"one a task, trained {plan.Trainings} times: LoRA of rank {plan.Modules.Rank} on {plan.Modules.Pattern}, "
                + $"{plan.Modules.Steps} steps of {plan.Modules.Batch}, AdamW at {plan.Modules.Rate}")
            + (plan.Protocol.HasAnswers ? "" : string.Create(CultureInfo.InvariantCulture, $" (head {plan.Modules.HeadRate})"));
}
