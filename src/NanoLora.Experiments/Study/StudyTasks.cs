using NanoLora.Data;

namespace NanoLora.Experiments;

/// <summary>The tasks of a plan, read and held against each other and against what the base has seen.</summary>
/// <param name="Tasks">All tasks, in the order of the plan.</param>
/// <param name="LeftOut">How many images were left out because another task has them.</param>
/// <param name="Compared">How many images the base has seen, if the plan says.</param>
public sealed record StudyTasks(IReadOnlyList<ImageTask> Tasks, int LeftOut, int Compared)
{
    /// <summary>Reads and checks the tasks of a plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="read">Reads one task, in the form that the base takes.</param>
    /// <exception cref="InvalidDataException">Two pools share an image, or a draw cannot be made: the task is named.</exception>
    public static StudyTasks Load(StudyPlan plan, Func<TaskSpec, ImageTask> read)
    {
        var tasks = plan.Tasks.Select(spec => Named(read(spec), spec.Name)).ToList();
        var before = tasks.Sum(t => t.Train.Count + t.Test.Count);
        if (plan.Overlaps == Overlaps.LeaveOut) tasks = Pools.Separate(tasks, eachItsOwn: true);
        else if (Pools.Overlaps(tasks, eachItsOwn: true) is [var first, ..] all)
            throw new InvalidDataException($"{plan.Source}: tasks: {first}; copies of this kind: {all.Count}. Take them out, or set \"overlaps\": \"leave-out\".");
        var seen = 0;
        if (plan.Pools is { } pools)
        {
            for (var t = 0; t < tasks.Count; t++)
            {
                if (plan.Overlaps == Overlaps.LeaveOut) tasks[t] = PoolHashes.Without(plan.Resolve(pools), tasks[t], plan.Modules.Folder is not null);
                seen = PoolHashes.Check(plan.Resolve(pools), tasks[t], plan.Modules.Folder is not null).Pretraining;
            }
        }
        foreach (var task in tasks.Where(t => plan.HeldOutNames().Contains(t.Name)))
        {
            for (var draw = 0; draw < plan.Draws; draw++)
                foreach (var shots in plan.Shots) Pools.Check(FewShot.Draw(task, shots, plan.Seed, draw, plan.Settings.TestPerClass));
        }
        return new(tasks, before - tasks.Sum(t => t.Train.Count + t.Test.Count), seen);
    }

    // The plan's name is the task's: draws depend on it.
    private static ImageTask Named(ImageTask task, string name) => task.Name == name ? task : new(name, task.Train, task.Test, task.Pool);
}
