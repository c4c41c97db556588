using NanoLora.Data;

namespace NanoLora.Experiments;

/// <summary>The tasks of a plan, read and held against each other and against what the base has seen.</summary>
/// <param name="Base">The base that they are for.</param>
/// <param name="Tasks">All tasks, in the order of the plan.</param>
/// <param name="LeftOut">How many samples were left out because another task has them.</param>
/// <param name="Compared">How many samples the base has seen, if the plan says.</param>
public sealed record StudyTasks(StudyBase Base, IReadOnlyList<LabelledTask> Tasks, int LeftOut, int Compared)
{
    // As of a folder or file that does not say.
    private const double ASixth = 1.0 / 6;

    /// <summary>Reads and checks the tasks of a plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="base_">The base.</param>
    /// <param name="data">The folder of raw sources, for tasks that are given by name.</param>
    /// <param name="options">Who is told of what, and who ends the reading.</param>
    /// <exception cref="ArgumentException">A task is unknown, or a draw cannot be made.</exception>
    /// <exception cref="InvalidDataException">A file is malformed, or two pools share a sample: both are named.</exception>
    public static StudyTasks Load(StudyPlan plan, StudyBase base_, string? data, UserTaskOptions? options = null)
    {
        if (plan.Arms.Select(base_.Refusal).FirstOrDefault(static why => why is not null) is { } refusal)
            throw new InvalidDataException($"{plan.Source}: arms: {refusal}");
        if (plan.Tasks.FirstOrDefault(t => (base_.Noun == "text" ? t.Images : t.Texts) is not null) is { } other)
            throw new InvalidDataException($"{plan.Source}: tasks: \"{other.Name}\" is not of {base_.Noun}s, which the base reads.");
        var sources = new Lazy<TaskSource>(() => data is not null ? base_.Sources(data)
            : throw new InvalidDataException($"{plan.Source}: data: tasks that are only named are read from a folder of raw {base_.Noun} sets; "
                + "name it here or with --data."));
        var tasks = plan.Tasks.Select(Read).ToList();
        var before = tasks.Sum(t => t.Train.Count + t.Test.Count);
        if (plan.Overlaps == Overlaps.LeaveOut) tasks = Pools.Separate(tasks, eachItsOwn: true);
        else if (Pools.Overlaps(tasks, eachItsOwn: true) is [var first, ..] all)
            throw new InvalidDataException($"{plan.Source}: tasks: {first}; copies of this kind: {all.Count}. "
                + "Take them out, or set \"overlaps\": \"leave-out\".");
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
                foreach (var shots in plan.Shots) Check(FewShot.Draw(task, shots, plan.Seed, draw, plan.Settings.TestPerClass));
        }
        return new(base_, tasks, before - tasks.Sum(t => t.Train.Count + t.Test.Count), seen);

        void Check(FewShotDraw<LabelledSet> draw)
        {
            if (draw.Test.Count == 0) throw new InvalidDataException($"{plan.Source}: tasks: {draw.Task.Name} has no {draw.Test.Noun}s to test with.");
            Pools.Check(draw);
        }

        LabelledTask Read(TaskSpec spec)
        {
            if (spec.Path is not null) return base_.Read(spec, plan.Resolve, (options ?? new()) with { TestShare = spec.TestShare ?? ASixth });
            if (sources.Value.Names.Contains(spec.Name)) return base_.Fit(sources.Value.Read(spec.Name));
            var known = string.Join(", ", sources.Value.Names);
            throw new InvalidDataException($"{plan.Source}: tasks: \"{spec.Name}\" is not a task of {data}; known are {known}. "
                + $"For {base_.Noun}s of your own, add \"{base_.Noun}s\".");
        }
    }
}
