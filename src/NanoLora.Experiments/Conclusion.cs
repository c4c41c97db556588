namespace NanoLora.Experiments;

/// <summary>Says in one sentence what the cells show, whichever way the study came out.</summary>
/// <remarks>
/// "Beats" and "falls behind" need a paired difference whose 95 % interval excludes 0; everything else is "no clear difference". A gain over the linear
/// probe counts as transfer only if the composition also beats the control: the same mixing over random modules.
/// </remarks>
public static class Conclusion
{
    private enum Verdict { Beats, Unclear, FallsBehind, Unmeasured }

    private static readonly string[] References = [ArmNames.LinearProbe, ArmNames.Lora, ArmNames.FullFinetune];
    private static readonly string[] Compositions = [ArmNames.Learned, ArmNames.Uniform];

    /// <summary>The sentence for a whole study.</summary>
    public static string Of(Results results)
    {
        ArgumentNullException.ThrowIfNull(results);
        return Of(results.Cells);
    }

    /// <summary>The sentence for some of its cells, one task for instance.</summary>
    public static string Of(IReadOnlyList<Cell> cells)
    {
        ArgumentNullException.ThrowIfNull(cells);
        var clauses = new List<string>();
        foreach (var shots in Summary.ShotsIn(cells))
        {
            if (Comparisons(cells, shots) is { Length: > 0 } comparisons) clauses.Add($"at {Text.Shots(shots)}, {comparisons}{Transfer(cells, shots)}");
        }
        if (clauses.Count == 0) return "There is nothing to conclude: no composition was run together with an arm to compare it with.";
        var tasks = Summary.TasksIn(cells);
        var where = tasks.Count == 1 ? $"On {tasks[0]}, over {Summary.SampleOf(cells)}" : $"Over {Summary.SampleOf(cells)}, each held out in turn";
        return $"{where} (differences in accuracy points, 95 % confidence): {string.Join("; ", clauses)}.";
    }

    // "learned composition beats the linear probe (+5.0), …, and uniform composition …"; one clause for both where their verdicts agree.
    private static string Comparisons(IReadOnlyList<Cell> cells, int shots)
    {
        var clauses = new List<string>();
        var learned = Compare(cells, shots, ArmNames.Learned);
        var uniform = Compare(cells, shots, ArmNames.Uniform);
        if (learned.Count > 0 && SameVerdicts(learned, uniform)) return "learned and uniform composition both " + Predicates(learned, uniform, plural: true);
        if (learned.Count > 0) clauses.Add("learned composition " + Predicates(learned, null, plural: false));
        if (uniform.Count > 0) clauses.Add("uniform composition " + Predicates(uniform, null, plural: false));
        return string.Join(", while ", clauses);
    }

    private static List<(string Arm, Estimate Difference)> Compare(IReadOnlyList<Cell> cells, int shots, string arm)
    {
        var found = new List<(string, Estimate)>();
        foreach (var reference in References)
        {
            if (Summary.Compare(cells, shots, arm, reference) is { } difference) found.Add((reference, difference));
        }
        return found;
    }

    private static bool SameVerdicts(List<(string Arm, Estimate Difference)> a, List<(string Arm, Estimate Difference)> b)
    {
        if (a.Count != b.Count) return false;
        for (var i = 0; i < a.Count; i++)
        {
            if (a[i].Arm != b[i].Arm || Judge(a[i].Difference) != Judge(b[i].Difference)) return false;
        }
        return true;
    }

    private static string Predicates(List<(string Arm, Estimate Difference)> first, List<(string Arm, Estimate Difference)>? second, bool plural)
    {
        var predicates = new List<string>();
        foreach (var verdict in Enum.GetValues<Verdict>())
        {
            var objects = new List<string>();
            for (var i = 0; i < first.Count; i++)
            {
                if (Judge(first[i].Difference) != verdict) continue;
                var points = Text.Points(first[i].Difference.Mean) + (second is null ? "" : ", " + Text.Points(second[i].Difference.Mean));
                objects.Add($"{Named(first[i].Arm)} ({points})");
            }
            if (objects.Count > 0) predicates.Add($"{Verb(verdict, plural)} {Text.Join(objects)}");
        }
        return Text.Join(predicates);
    }

    // Whether the control explains the gain. Only a gain needs an explanation.
    private static string Transfer(IReadOnlyList<Cell> cells, int shots)
    {
        var gains = new List<string>();
        foreach (var arm in Compositions)
        {
            if (Summary.Compare(cells, shots, arm, ArmNames.LinearProbe) is { } gain && Judge(gain) == Verdict.Beats) gains.Add(arm);
        }
        if (gains.Count == 0) return "";

        if (Summary.Compare(cells, shots, ArmNames.RandomModules, ArmNames.LinearProbe) is not { HasInterval: true } control)
        {
            return ", and without the control of random modules it stays open whether the gain is transfer";
        }
        List<string> shown = [], open = [];
        foreach (var arm in gains)
        {
            var over = Summary.Compare(cells, shots, arm, ArmNames.RandomModules);
            var said = over is { } o ? $"{Short(arm)} {Text.Points(o.Mean)}" : Short(arm);
            (over is { } e && Judge(e) == Verdict.Beats ? shown : open).Add(said);
        }
        if (shown.Count == 0) return $", but the gain is not shown to be transfer, as it is not clear over random modules ({Text.Join(open)})";
        var part = Judge(control) == Verdict.Beats
            ? $"part of the gain is transfer, as random modules also beat the probe ({Text.Points(control.Mean)}) but by less"
            : "the gain is transfer, as random modules do not have it";
        var doubt = open.Count == 0 ? "" : $", which is not shown for {Text.Join(open)}";
        return $", and {part} ({Text.Join(shown)} over them{doubt})";
    }

    private static Verdict Judge(Estimate difference) =>
        !difference.HasInterval ? Verdict.Unmeasured
        : !difference.ExcludesZero ? Verdict.Unclear
        : difference.Mean > 0 ? Verdict.Beats : Verdict.FallsBehind;

    private static string Verb(Verdict verdict, bool plural) => (verdict, plural) switch
    {
        (Verdict.Beats, false) => "beats",
        (Verdict.Beats, true) => "beat",
        (Verdict.Unclear, false) => "shows no clear difference from",
        (Verdict.Unclear, true) => "show no clear difference from",
        (Verdict.FallsBehind, false) => "falls behind",
        (Verdict.FallsBehind, true) => "fall behind",
        (_, false) => "has too few draws to be compared with",
        (_, true) => "have too few draws to be compared with",
    };

    private static string Named(string arm) => arm == ArmNames.LinearProbe ? "the linear probe" : ArmNames.Label(arm);

    private static string Short(string arm) => arm == ArmNames.Learned ? "learned" : "uniform";
}
