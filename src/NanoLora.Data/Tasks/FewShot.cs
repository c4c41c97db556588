using System.Runtime.InteropServices;

namespace NanoLora.Data;

/// <summary>One few-shot problem: a handful of labelled samples per class, and the samples that measure what was learned from them.</summary>
/// <param name="Task">The task it was drawn from.</param>
/// <param name="Shots">The number of support samples per class.</param>
/// <param name="Draw">The number of the draw.</param>
/// <param name="Support">[classes x shots], class by class.</param>
/// <param name="Test">The test samples.</param>
public sealed record FewShotDraw<TSet>(LabelledTask Task, int Shots, int Draw, TSet Support, TSet Test) where TSet : LabelledSet;

/// <summary>
/// Draws few-shot problems. The same (seed, task name, draw) gives the same problem, for any number of shots the same test set, and the k-shot support
/// lies inside that of more shots.
/// </summary>
/// <remarks>
/// If the samples say who made them, people are held out: their order is drawn, the last <see cref="TestGroups"/> of it make the test set, and supports come
/// from the others, in this order for every class, so that one shot is one person's hand. Otherwise supports are drawn class by class from the training
/// samples and the test set is the task's own.
/// </remarks>
public static class FewShot
{
    /// <summary>How many of a task's people make the test set of a draw.</summary>
    public const int TestGroups = 10;

    /// <summary>The number of shots that stands for all samples that a draw leaves to learn from.</summary>
    public const int AllShots = 0;

    /// <summary>Draws one problem.</summary>
    /// <param name="task">The task.</param>
    /// <param name="shots">Support samples per class, or <see cref="AllShots"/>.</param>
    /// <param name="seed">Names the study.</param>
    /// <param name="draw">The number of the draw.</param>
    /// <param name="testPerClass">If given, only so many test samples of each class, chosen once for all draws of a seed when the test set is the task's
    /// own.</param>
    /// <exception cref="ArgumentException">A class has too few samples for so many shots, or too few people are there.</exception>
    public static FewShotDraw<ImageSet> Draw(ImageTask task, int shots, ulong seed, int draw, int? testPerClass = null) =>
        Draw<ImageSet>(task, shots, seed, draw, testPerClass);

    /// <inheritdoc cref="Draw(ImageTask, int, ulong, int, int?)"/>
    public static FewShotDraw<LabelledSet> Draw(LabelledTask task, int shots, ulong seed, int draw, int? testPerClass = null) =>
        Draw<LabelledSet>(task, shots, seed, draw, testPerClass);

    /// <summary>How many samples the smallest class of a draw has to learn from: the most shots that can be asked for.</summary>
    public static int MostShots(LabelledTask task, ulong seed, int draw)
    {
        var (_, candidates, _) = task.HasGroups ? ByGroup(task, seed, draw) : BySample(task, seed, draw);
        return candidates.Min(c => c.Count);
    }

    /// <summary>The people of a task, in the order of a draw; the last <see cref="TestGroups"/> make the test set.</summary>
    public static int[] GroupOrder(LabelledTask task, ulong seed, int draw)
    {
        if (!task.HasGroups) throw new ArgumentException($"Few-shot: {task.Name} does not say who made its {task.Train.Noun}s.");
        int[] order = [.. task.Train.Groups!.Concat(task.Test.Groups!).Distinct().Order()];
        if (order.Length <= TestGroups)
        {
            throw new ArgumentException(
                $"Few-shot: {task.Name} has {task.Train.Noun}s by {order.Length} people; {TestGroups} for the test set and one more are needed.");
        }
        new Philox(seed, Stream(task.Name, draw, -1)).Shuffle(order.AsSpan());
        return order;
    }

    // The sets of a task are all of one type, so what is drawn from them is, too.
    private static FewShotDraw<TSet> Draw<TSet>(LabelledTask task, int shots, ulong seed, int draw, int? testPerClass) where TSet : LabelledSet
    {
        if (shots < AllShots || draw < 0 || testPerClass < 1)
        {
            throw new ArgumentException(
                $"Few-shot: {task.Name}: {shots} shots, draw {draw}, {testPerClass} test {task.Train.Noun}s a class; a number is too small.");
        }
        var (pool, candidates, test) = task.HasGroups ? ByGroup(task, seed, draw) : BySample(task, seed, draw);
        var which = task.HasGroups ? $"by people outside the {TestGroups} of the test set" : "to learn from";
        var support = Take(task.Name, pool.Classes, pool.Noun, candidates, shots, which);
        var chosen = testPerClass is { } most ? Limit(task, test, most, seed) : test;
        var name = $"{task.Name}, {(shots == AllShots ? "all" : shots)} shots, draw {draw}";
        return new(task, shots, draw, (TSet)pool.Subset(support, name), (TSet)chosen);
    }

    /// <summary>Candidates of each class in the order of the drawn people, and the samples of the last people.</summary>
    private static (LabelledSet Pool, List<int>[] Candidates, LabelledSet Test) ByGroup(LabelledTask task, ulong seed, int draw)
    {
        var order = GroupOrder(task, seed, draw);
        var place = new Dictionary<int, int>();
        for (var i = 0; i < order.Length; i++) place.Add(order[i], i);

        var all = task.All();
        var candidates = Lists(all.Classes.Length);
        var test = new List<int>();
        for (var i = 0; i < all.Count; i++)
        {
            if (place[all.Groups![i]] < order.Length - TestGroups) candidates[all.Labels[i]].Add(i);
            else test.Add(i);
        }

        // The same person may have made several samples of a class: their order is drawn first, then kept among equals by a stable sort.
        for (var c = 0; c < candidates.Length; c++)
        {
            Shuffle(candidates[c], seed, Stream(task.Name, draw, c));
            candidates[c] = [.. candidates[c].OrderBy(i => place[all.Groups![i]])];
        }
        return (all, candidates, all.Subset([.. test], $"{task.Name}, test set of draw {draw}"));
    }

    private static (LabelledSet Pool, List<int>[] Candidates, LabelledSet Test) BySample(LabelledTask task, ulong seed, int draw)
    {
        var candidates = Candidates(task.Name, task.Train.Labels, task.Classes.Length, seed, draw);
        return (task.Train, candidates, task.Test);
    }

    /// <summary>The samples of each class, in the order of a draw.</summary>
    internal static List<int>[] Candidates(string task, ReadOnlySpan<int> labels, int classes, ulong seed, int draw)
    {
        var candidates = Lists(classes);
        for (var i = 0; i < labels.Length; i++) candidates[labels[i]].Add(i);
        for (var c = 0; c < candidates.Length; c++) Shuffle(candidates[c], seed, Stream(task, draw, c));
        return candidates;
    }

    /// <summary>The first samples of each class, or all of them: class by class.</summary>
    /// <param name="task">Names the task in errors.</param>
    /// <param name="classes">The names of the classes.</param>
    /// <param name="noun">What one sample is called.</param>
    /// <param name="candidates">The samples of each class, in the order of a draw.</param>
    /// <param name="shots">Samples of each class, or <see cref="AllShots"/>.</param>
    /// <param name="which">Which samples the candidates are, in errors.</param>
    internal static int[] Take(
        string task, IReadOnlyList<string> classes, string noun, List<int>[] candidates, int shots, string which = "to learn from")
    {
        if (shots == AllShots)
        {
            if (Array.FindIndex(candidates, c => c.Count == 0) is var empty and >= 0)
                throw new ArgumentException($"Few-shot: {task}: class {classes[empty]} has no {noun} to learn from.");
            return [.. candidates.SelectMany(c => c)];
        }
        var taken = new int[checked(candidates.Length * shots)];
        for (var c = 0; c < candidates.Length; c++)
        {
            if (candidates[c].Count < shots)
                throw new ArgumentException($"Few-shot: {task}: class {classes[c]} has {candidates[c].Count} {noun}s {which}; {shots} shots need {shots}.");
            candidates[c].CopyTo(0, taken, c * shots, shots);
        }
        return taken;
    }

    /// <summary>At most so many test samples of each class, in their old order.</summary>
    private static LabelledSet Limit(LabelledTask task, LabelledSet test, int most, ulong seed)
    {
        var classes = Lists(test.Classes.Length);
        for (var i = 0; i < test.Count; i++) classes[test.Labels[i]].Add(i);
        var kept = new List<int>();
        for (var c = 0; c < classes.Length; c++)
        {
            Shuffle(classes[c], seed, Stream(task.Name, -1, c));
            kept.AddRange(classes[c].Take(most));
        }
        kept.Sort();
        return test.Subset([.. kept]);
    }

    private static List<int>[] Lists(int count)
    {
        var lists = new List<int>[count];
        for (var i = 0; i < count; i++) lists[i] = [];
        return lists;
    }

    private static void Shuffle(List<int> items, ulong seed, ulong stream) => new Philox(seed, stream).Shuffle(CollectionsMarshal.AsSpan(items));

    /// <summary>One stream for each task, draw and class: FNV-1a over the name and both numbers.</summary>
    private static ulong Stream(string task, int draw, int label)
    {
        var hash = Philox.StreamOf(task);
        hash = (hash ^ (uint)draw) * 1099511628211;
        return (hash ^ (uint)label) * 1099511628211;
    }
}
