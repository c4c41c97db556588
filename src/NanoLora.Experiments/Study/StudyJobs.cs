using NanoLora.Data;

namespace NanoLora.Experiments;

/// <summary>A piece of a study that one thread does, and one process claims.</summary>
/// <param name="Name">As in file names.</param>
/// <param name="Task">The task that is trained on, or held out.</param>
/// <param name="Training">Which training of the modules; null where none has a part in it.</param>
internal abstract record StudyJob(string Name, string Task, int? Training);

/// <summary>Trains the module of a task.</summary>
internal sealed record ModuleJob(string Task, int Of) : StudyJob($"module-{TaskFile.BaseName(Task)}-training-{Of}", Task, Of);

/// <summary>Measures how near the modules are to a held-out task.</summary>
internal sealed record SimilarityJob(string Task, int Of) : StudyJob($"{TaskFile.BaseName(Task)}-training-{Of}", Task, Of);

/// <summary>All cells of a held-out task that share a draw and a training.</summary>
internal sealed record CellsJob(string Task, int Draw, int? Of, IReadOnlyList<CellKey> Keys)
    : StudyJob($"{TaskFile.BaseName(Task)}-draw-{Draw}{(Of is { } training ? $"-training-{training}" : "")}", Task, Of);

/// <summary>What there is to do for a plan.</summary>
internal static class StudyJobs
{
    /// <summary>The trainings of modules: none if they are given, or if no arm uses them.</summary>
    public static IReadOnlyList<ModuleJob> Modules(StudyPlan plan) => plan.Modules.Folder is not null || !plan.Arms.Any(a => a.UsesModules) ? []
        : [.. from training in Enumerable.Range(0, plan.Trainings) from task in plan.Tasks select new ModuleJob(task.Name, training)];

    /// <summary>The similarities: where every task has a module of its own to compare with.</summary>
    public static IReadOnlyList<SimilarityJob> Similarities(StudyPlan plan) =>
        [.. from module in Modules(plan) where plan.HeldOutNames().Contains(module.Task) select new SimilarityJob(module.Task, module.Of)];

    /// <summary>The cells, draw by draw over all tasks, so that a study that ends early has every task alike.</summary>
    /// <remarks>"All" samples are left out where a listed number of shots is all there is: it would be the same cells again.</remarks>
    public static IReadOnlyList<CellsJob> Cells(StudyPlan plan, IReadOnlyDictionary<string, LabelledTask> tasks)
    {
        var jobs = new List<CellsJob>();
        int?[] trainings = [null, .. plan.Arms.Any(a => a.UsesModules) ? Enumerable.Range(0, plan.Trainings).Select(t => (int?)t) : []];
        for (var draw = 0; draw < plan.Draws; draw++)
        {
            foreach (var training in trainings)
            {
                foreach (var name in plan.HeldOutNames())
                {
                    var keys = new List<CellKey>();
                    foreach (var shots in plan.Shots)
                    {
                        if (shots == Cell.AllShots && plan.Shots.Contains(FewShot.MostShots(tasks[name], plan.Seed, draw))
                            && AllAlike(tasks[name], plan.Seed, draw)) continue;
                        foreach (var arm in plan.Arms) if (arm.UsesModules == training is not null)
                            keys.Add(new CellKey(plan.ArmOn(arm, name), shots, draw, training));
                    }
                    if (keys.Count > 0) jobs.Add(new(name, draw, training, keys));
                }
            }
        }
        return jobs;
    }

    /// <summary>About how long a cell takes: a head alone is 1, training through the model 12 for 60 steps.</summary>
    public static int Cost(CellKey key, Protocol protocol) =>
        key.Arm.Method == ArmMethod.BestModule ? 9 : key.Arm.TrainsBelowHead ? 2 + protocol.StepsAt(key.Shots) / 6 : 1;

    // Whether every class has as many samples to learn from as the smallest.
    private static bool AllAlike(LabelledTask task, ulong seed, int draw) =>
        FewShot.Draw(task, FewShot.AllShots, seed, draw).Support.ClassCounts().Distinct().Count() == 1;
}
