using NanoLora.Data;

namespace NanoLora.Experiments;

/// <summary>The tasks of a plan, read and held against each other and against what the base has seen.</summary>
/// <param name="Tasks">All tasks, in the order of the plan.</param>
/// <param name="LeftOut">How many images were left out because another task has them.</param>
/// <param name="Compared">How many images the base has seen, if the plan says.</param>
public sealed record StudyTasks(IReadOnlyList<ImageTask> Tasks, int LeftOut, int Compared)
{
    // As of a folder of pictures that does not say.
    private const double ASixth = 1.0 / 6;

    /// <summary>Reads and checks the tasks of a plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="processor">How the base wants its images.</param>
    /// <param name="data">The folder of raw sources, for tasks that are given by name.</param>
    /// <param name="options">Who is told of what, and who ends the reading.</param>
    /// <exception cref="ArgumentException">A task is unknown, or a draw cannot be made.</exception>
    /// <exception cref="InvalidDataException">A file is malformed, or two pools share an image: both are named.</exception>
    public static StudyTasks Load(StudyPlan plan, ImageProcessor processor, string? data, UserTaskOptions? options = null)
    {
        var sources = new Lazy<IReadOnlyList<ImageTask>>(() => data is not null ? UserTask.Sources(data)
            : throw new InvalidDataException($"{plan.Source}: data: tasks that are only named are read from a folder of raw image sets; "
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
        return new(tasks, before - tasks.Sum(t => t.Train.Count + t.Test.Count), seen);

        void Check(FewShotDraw draw)
        {
            if (draw.Test.Count == 0) throw new InvalidDataException($"{plan.Source}: tasks: {draw.Task.Name} has no images to test with.");
            Pools.Check(draw);
        }

        ImageTask Read(TaskSpec spec)
        {
            if (spec.Images is null)
            {
                return ModelImages.Fit(sources.Value.FirstOrDefault(t => t.Name == spec.Name) ?? throw new InvalidDataException(
                    $"{plan.Source}: tasks: \"{spec.Name}\" is not a task of {data}; known are {string.Join(", ", sources.Value.Select(t => t.Name))}. "
                        + "For images of your own, add \"images\"."), processor);
            }
            var paths = Directory.Exists(plan.Resolve(spec.Images)) || File.Exists(plan.Resolve(spec.Images)) ? [spec.Images] : spec.Images.Split(',');
            return UserTask.Read(string.Join(',', paths.Select(plan.Resolve)), spec.Name, processor,
                (options ?? new()) with { Invert = spec.Invert, TestShare = spec.TestShare ?? ASixth });
        }
    }
}
