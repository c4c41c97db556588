namespace NanoLora.Experiments;

// The cells by shots and arm, so that a comparison of many arms does not search all cells each time. The trainings of a (task, draw) are averaged here:
// a value below is the accuracy of an arm on one draw of one task.
internal sealed class CellIndex
{
    private const int KeptLayouts = 8;

    private readonly Dictionary<(int Shots, string Arm), Group> _groups = [];
    private readonly Dictionary<string, Bootstrap> _layouts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ArmFact> _facts = new(StringComparer.Ordinal);
    private readonly HashSet<string> _composed = new(StringComparer.Ordinal);
    private readonly ulong _seed;

    /// <summary>Runs of one arm at one number of shots.</summary>
    public sealed class Group
    {
        /// <summary>Accuracies by task (its place in <see cref="Tasks"/>) and draw: their sum and number over trainings.</summary>
        public SortedDictionary<(int Task, int Draw), (double Sum, int Count)> Values { get; } = [];

        public SortedSet<int> Trainings { get; } = [];

        public int Runs { get; set; }

        public double Parameters { get; set; }

        public double Seconds { get; set; }
    }

    public CellIndex(Results results) : this(results.Cells, results.Arms, results.Seed)
    {
        foreach (var weights in results.MeanWeights ?? []) _composed.Add(weights.Arm);
    }

    public CellIndex(IReadOnlyList<Cell> cells, IReadOnlyList<ArmFact>? facts = null, ulong seed = 1)
    {
        (Cells, _seed) = (cells, seed);
        foreach (var fact in facts ?? []) _facts[fact.Name] = fact;
        var (tasks, shots, draws) = (new OrderedDictionary<string, int>(), new HashSet<int>(), new HashSet<int>());
        var seen = new HashSet<(string, string, int, int, int?)>();
        foreach (var c in cells)
        {
            if (!seen.Add((c.Task, c.Arm, c.Shots, c.Draw, c.Training))) throw Twins(c);
            tasks.TryAdd(c.Task, tasks.Count);
            shots.Add(c.Shots);
            draws.Add(c.Draw);
            if (c.Training is not null || c.Weights is not null) _composed.Add(c.Arm);
            if (!_groups.TryGetValue((c.Shots, c.Arm), out var group)) _groups[(c.Shots, c.Arm)] = group = new Group();
            var key = (tasks[c.Task], c.Draw);
            var (sum, count) = group.Values.GetValueOrDefault(key);
            group.Values[key] = (sum + c.Accuracy, count + 1);
            if (c.Training is { } training) group.Trainings.Add(training);
            (group.Runs, group.Parameters, group.Seconds) = (group.Runs + 1, group.Parameters + c.TrainedParameters, group.Seconds + c.Seconds);
        }
        Tasks = [.. tasks.Keys];
        Shots = [.. shots.OrderBy(static n => n == Cell.AllShots ? int.MaxValue : n)];
        Draws = draws.Count;
        var present = ArmNames.In(cells);
        Arms = facts is null ? present : [.. facts.Select(f => f.Name).Where(present.Contains), .. present.Where(arm => !_facts.ContainsKey(arm))];
    }

    public IReadOnlyList<Cell> Cells { get; }

    /// <summary>In the order of their first cell.</summary>
    public IReadOnlyList<string> Tasks { get; }

    /// <summary>Ascending, all training samples last.</summary>
    public IReadOnlyList<int> Shots { get; }

    /// <summary>The arms that have cells, in the order in which they are shown.</summary>
    public IReadOnlyList<string> Arms { get; }

    /// <summary>The arm that differences are taken to: the linear probe, or where the base has no head to train, the base as it is.</summary>
    public string Reference => Arms.Contains(ArmNames.Base) && !Arms.Contains(ArmNames.LinearProbe) ? ArmNames.Base : ArmNames.LinearProbe;

    /// <summary>What it is called in a sentence.</summary>
    public string ReferenceName => Reference == ArmNames.LinearProbe ? "the linear probe" : Label(Reference);

    /// <summary>What it is called where it was named before.</summary>
    public string ReferenceShort => Reference == ArmNames.LinearProbe ? "the probe" : ReferenceName;

    /// <summary>How many draws occur.</summary>
    public int Draws { get; }

    /// <summary>Whether intervals are over tasks; with one task they are over its draws.</summary>
    public bool ByTask => Tasks.Count > 1;

    /// <summary>What an interval is over: "5 draws" of the only task, or "8 tasks".</summary>
    public string Sample => ByTask ? $"{Tasks.Count} tasks" : Draws == 1 ? "1 draw" : $"{Draws} draws";

    public string Label(string arm) => _facts.TryGetValue(arm, out var fact) ? fact.Label : ArmNames.Label(arm);

    /// <summary>Whether the arm mixes upstream modules or starts from them.</summary>
    public bool Composes(string arm) => arm != ArmNames.RandomModules && (arm is ArmNames.Uniform or ArmNames.Learned || _composed.Contains(arm));

    public Group? Of(int shots, string arm) => _groups.GetValueOrDefault((shots, arm));

    /// <summary>Mean accuracy with its interval; null where there is no cell.</summary>
    public Estimate? Accuracy(int shots, string arm)
    {
        if (Of(shots, arm) is not { } group) return null;
        var (keys, values) = (new List<int>(), new List<double>());
        foreach (var ((task, _), (sum, count)) in group.Values)
        {
            keys.Add(task);
            values.Add(sum / count);
        }
        return Estimate([.. values], keys);
    }

    /// <summary>The accuracies whose spread the interval speaks of: one per draw of the only task, or one per task.</summary>
    public double[] Spread(int shots, string arm)
    {
        if (Of(shots, arm) is not { } group) return [];
        var values = group.Values.Select(v => (v.Key.Task, Value: v.Value.Sum / v.Value.Count));
        return ByTask ? [.. values.GroupBy(v => v.Task).Select(g => g.Average(v => v.Value))] : [.. values.Select(v => v.Value)];
    }

    /// <summary>One arm less another on the tasks and draws that both have, or on one task only; null where there is none.</summary>
    public Paired? Compare(int shots, string arm, string reference, string? task = null)
    {
        if (Of(shots, arm) is not { } group || Of(shots, reference) is not { } other) return null;
        var (keys, found) = (new List<int>(), new List<double>());
        foreach (var (key, (sum, count)) in group.Values)
        {
            if (!other.Values.TryGetValue(key, out var o) || (task is not null && Tasks[key.Task] != task)) continue;
            keys.Add(key.Task);
            found.Add(sum / count - o.Sum / o.Count);
        }
        if (found.Count == 0) return null;
        double[] values = [.. found];
        var byTask = ByTask && task is null;
        var sample = Array.ConvertAll(byTask ? Layout(keys).TaskMeans(values) : values, Tied);
        return new Paired(shots, arm, reference, byTask ? Estimate(values, keys) : Statistics.Estimate(values), byTask,
            SignTest.Of(sample), SignedRank.Of(sample), SignTest.Of(Array.ConvertAll(values, Tied)));

        // Equal accuracies are ties, whatever the order of their sums.
        static double Tied(double difference) => Math.Round(difference, 12);
    }

    // Over the draws of one task by Student's t, over several tasks by the bootstrap.
    private Estimate Estimate(double[] values, List<int> tasks) => ByTask ? Layout(tasks).Estimate(values) : Statistics.Estimate(values);

    private Bootstrap Layout(List<int> tasks)
    {
        var draws = tasks.CountBy(static task => task).Select(static n => n.Value).ToArray();
        var name = string.Join(',', draws);
        if (_layouts.TryGetValue(name, out var known)) return known;
        if (_layouts.Count == KeptLayouts) _layouts.Clear();
        return _layouts[name] = new Bootstrap(draws, _seed);
    }

    private static ArgumentException Twins(Cell c)
    {
        var training = c.Training is { } t ? $", training {t}" : "";
        return new($"Summary: two cells for task '{c.Task}', arm '{c.Arm}', {Text.Shots(c.Shots)}, draw {c.Draw}{training}; keep one of them");
    }
}
