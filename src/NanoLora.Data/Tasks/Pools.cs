namespace NanoLora.Data;

/// <summary>Where a sample stands: a task, its training or test part, and the index there.</summary>
public readonly record struct SampleId(LabelledTask Task, bool InTest, int Index)
{
    /// <summary>The set that holds the sample.</summary>
    public LabelledSet Set => InTest ? Task.Test : Task.Train;

    /// <summary>As in "test image 17 (class 3) of MNIST (Pretraining)".</summary>
    public override string ToString() =>
        $"{(InTest ? "test" : "training")} {Set.Noun} {Index} (class {Set.Classes[Set.Labels[Index]]}) of {Task.Name} ({Task.Pool})";
}

/// <summary>Two samples of equal content that must not both be there.</summary>
public readonly record struct Overlap(SampleId First, SampleId Second)
{
    /// <summary>Names both samples.</summary>
    public override string ToString() => $"{First} is the same {First.Set.Noun} as {Second}";
}

/// <summary>
/// Checks, by the content of every sample, that none is in two pools, and that no few-shot task has one both to learn from and to measure with.
/// Copies within one pool are allowed, between the training and test samples of pretraining sets too: nothing is claimed about these.
/// </summary>
public static class Pools
{
    /// <summary>Refuses tasks whose samples overlap.</summary>
    /// <exception cref="InvalidDataException">At least one forbidden pair; the message counts them and names the first.</exception>
    public static void Check(IEnumerable<LabelledTask> tasks)
    {
        var overlaps = Overlaps(tasks);
        if (overlaps.Count > 0)
            throw new InvalidDataException($"Pools: {overlaps[0]}; copies of this kind: {overlaps.Count}. Leave them out with Pools.Separate.");
    }

    /// <summary>Checks one draw: no sample of its support is a test sample.</summary>
    /// <exception cref="InvalidDataException">A sample is on both sides; the message names the task and both places.</exception>
    public static void Check<TSet>(FewShotDraw<TSet> draw) where TSet : LabelledSet
    {
        var name = $"{draw.Task.Name}, draw {draw.Draw} with {draw.Shots} shots";
        var support = new Dictionary<UInt128, int>();
        for (var i = 0; i < draw.Support.Count; i++) support.TryAdd(draw.Support.ContentHash(i), i);
        for (var i = 0; i < draw.Test.Count; i++)
        {
            if (support.TryGetValue(draw.Test.ContentHash(i), out var same))
                throw new InvalidDataException($"Pools: {name}: support {draw.Test.Noun} {same} is the same as test {draw.Test.Noun} {i}.");
        }
    }

    /// <summary>All forbidden pairs: each offending sample with the first one of the same content that it clashes with.</summary>
    /// <param name="tasks">The tasks.</param>
    /// <param name="eachItsOwn">Whether every task is a pool of its own, as where each is held out in turn.</param>
    public static List<Overlap> Overlaps(IEnumerable<LabelledTask> tasks, bool eachItsOwn = false)
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

    /// <summary>The same tasks without the later sample of each forbidden pair: give first the task that may keep its copies.</summary>
    /// <param name="tasks">The tasks.</param>
    /// <param name="eachItsOwn">Whether every task is a pool of its own, as where each is held out in turn.</param>
    public static List<TTask> Separate<TTask>(IReadOnlyList<TTask> tasks, bool eachItsOwn = false) where TTask : LabelledTask
    {
        var leftOut = new HashSet<SampleId>();
        foreach (var overlap in Overlaps(tasks, eachItsOwn)) leftOut.Add(overlap.Second);
        return [.. tasks.Select(task => (TTask)task.Where((inTest, i) => !leftOut.Contains(new(task, inTest, i))))];
    }

    private static bool Forbidden(SampleId a, SampleId b, bool eachItsOwn) =>
        a.Task.Pool != b.Task.Pool || (eachItsOwn && a.Task != b.Task) || (a.Task == b.Task && a.InTest != b.InTest && a.Task.Pool != Pool.Pretraining);
}
