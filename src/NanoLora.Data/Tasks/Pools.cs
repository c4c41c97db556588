namespace NanoLora.Data;

/// <summary>Where an image stands: a task, its training or test part, and the index there.</summary>
public readonly record struct SampleId(ImageTask Task, bool InTest, int Index)
{
    /// <summary>The set that holds the image.</summary>
    public ImageSet Set => InTest ? Task.Test : Task.Train;

    /// <summary>As in "test image 17 (class 3) of MNIST (Pretraining)".</summary>
    public override string ToString() =>
        $"{(InTest ? "test" : "training")} image {Index} (class {Set.Classes[Set.Labels[Index]]}) of {Task.Name} ({Task.Pool})";
}

/// <summary>Two images of equal pixels that must not both be there.</summary>
public readonly record struct Overlap(SampleId First, SampleId Second)
{
    /// <summary>Names both images.</summary>
    public override string ToString() => $"{First} is the same image as {Second}";
}

/// <summary>
/// Checks, by the content of every image, that no image is in two pools, and that no few-shot task has an image both to learn from and to measure with.
/// Copies within one pool are allowed, between the training and test images of pretraining sets too: nothing is claimed about these.
/// </summary>
public static class Pools
{
    /// <summary>Refuses tasks whose images overlap.</summary>
    /// <exception cref="InvalidDataException">At least one forbidden pair; the message counts them and names the first.</exception>
    public static void Check(IEnumerable<ImageTask> tasks)
    {
        var overlaps = Overlaps(tasks);
        if (overlaps.Count > 0)
            throw new InvalidDataException($"Pools: {overlaps[0]}; copies of this kind: {overlaps.Count}. Leave them out with Pools.Separate.");
    }

    /// <summary>Checks one draw: no image of its support is a test image.</summary>
    /// <exception cref="InvalidDataException">An image is on both sides; the message names the task and both places.</exception>
    public static void Check(FewShotDraw draw)
    {
        var name = $"{draw.Task.Name}, draw {draw.Draw} with {draw.Shots} shots";
        var support = new Dictionary<UInt128, int>();
        for (var i = 0; i < draw.Support.Count; i++) support.TryAdd(draw.Support.ContentHash(i), i);
        for (var i = 0; i < draw.Test.Count; i++)
        {
            if (support.TryGetValue(draw.Test.ContentHash(i), out var same))
                throw new InvalidDataException($"Pools: {name}: support image {same} is the same as test image {i}.");
        }
    }

    /// <summary>All forbidden pairs: each offending image with the first image of the same content that it clashes with.</summary>
    /// <param name="tasks">The tasks.</param>
    /// <param name="eachItsOwn">Whether every task is a pool of its own, as where each is held out in turn.</param>
    public static List<Overlap> Overlaps(IEnumerable<ImageTask> tasks, bool eachItsOwn = false)
    {
        var seen = new Dictionary<UInt128, List<SampleId>>();
        var overlaps = new List<Overlap>();
        foreach (var task in tasks)
        {
            foreach (var inTest in (ReadOnlySpan<bool>)[false, true])
            {
                var set = inTest ? task.Test : task.Train;
                for (var i = 0; i < set.Count; i++)
                {
                    var id = new SampleId(task, inTest, i);
                    var hash = set.ContentHash(i);
                    if (!seen.TryGetValue(hash, out var same)) seen.Add(hash, same = []);
                    var clash = same.FindIndex(other => Forbidden(other, id, eachItsOwn));
                    if (clash >= 0) overlaps.Add(new(same[clash], id));
                    if (!same.Exists(other => other.Task == task && other.InTest == inTest)) same.Add(id);
                }
            }
        }
        return overlaps;
    }

    /// <summary>The same tasks without the later image of each forbidden pair: give first the task that may keep its copies.</summary>
    /// <param name="tasks">The tasks.</param>
    /// <param name="eachItsOwn">Whether every task is a pool of its own, as where each is held out in turn.</param>
    public static List<ImageTask> Separate(IReadOnlyList<ImageTask> tasks, bool eachItsOwn = false)
    {
        var leftOut = new HashSet<SampleId>();
        foreach (var overlap in Overlaps(tasks, eachItsOwn)) leftOut.Add(overlap.Second);
        return [.. tasks.Select(task => new ImageTask(task.Name, Without(task, inTest: false, leftOut), Without(task, inTest: true, leftOut), task.Pool))];
    }

    private static bool Forbidden(SampleId a, SampleId b, bool eachItsOwn) =>
        a.Task.Pool != b.Task.Pool || (eachItsOwn && a.Task != b.Task) || (a.Task == b.Task && a.InTest != b.InTest && a.Task.Pool != Pool.Pretraining);

    private static ImageSet Without(ImageTask task, bool inTest, HashSet<SampleId> leftOut)
    {
        var set = inTest ? task.Test : task.Train;
        return set.Where(i => !leftOut.Contains(new(task, inTest, i)));
    }
}
