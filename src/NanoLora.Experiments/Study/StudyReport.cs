using System.Globalization;

namespace NanoLora.Experiments;

/// <summary>Makes the results of a study from its plan and its raw cells.</summary>
public static class StudyReport
{
    /// <summary>Results with the plan's settings and a conclusion.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="cells">The raw cells; some may be missing.</param>
    /// <param name="similarities">How near the modules are to the tasks.</param>
    /// <param name="modules">The modules' names, as in the cells' weights.</param>
    /// <param name="matrices">The matrices' names, as in the cells' weights.</param>
    /// <param name="machine">What the seconds depend on.</param>
    public static Results Results(
        StudyPlan plan, IReadOnlyList<Cell> cells, IReadOnlyList<Similarity> similarities, IReadOnlyList<string> modules, IReadOnlyList<string> matrices, IReadOnlyList<Fact> machine)
    {
        var protocol = plan.Protocol;
        var base_ = Path.GetFileName(Path.TrimEndingDirectorySeparator(plan.Resolve(plan.Model)));
        Fact[] settings =
        [
            new("held out in turn", string.Join(", ", plan.HeldOutNames())), new("modules", Modules(plan)), .. protocol.Facts().Where(f => f.Name is not ("mixing weights" or "LoRA from scratch" or "full fine-tuning")),
        ];
        var results = new Results(plan.Title, base_, modules, matrices, machine, plan.Seed, DateTimeOffset.UtcNow, settings, cells,
            Arms: [.. plan.Arms.Select(protocol.FactOf)], Similarities: similarities);
        return results with { Conclusion = Conclusion.Of(results) };
    }

    private static string Modules(StudyPlan plan) => plan.Modules.Folder is { } folder ? $"those of {Path.GetFileName(Path.TrimEndingDirectorySeparator(folder))}"
        : string.Create(CultureInfo.InvariantCulture, $"one a task, trained {plan.Trainings} times: LoRA of rank {plan.Modules.Rank} on {plan.Modules.Pattern}, {plan.Modules.Steps} steps of {plan.Modules.Batch}, AdamW at {plan.Modules.Rate} (head {plan.Modules.HeadRate})");
}
