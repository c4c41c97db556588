namespace NanoLora.Experiments;

/// <summary>Says in one sentence what the cells show, whichever way the study came out.</summary>
/// <remarks>
/// "Beats" and "falls behind" need a clear paired difference (<see cref="Paired.Verdict"/>: an interval that excludes 0 and, over several tasks, a sign test
/// that agrees); everything else is "no clear difference". A gain over the linear probe, or over a base that answers as it is, counts as transfer only if the
/// composition also beats the control: the same mixing over random modules.
/// </remarks>
public static class Conclusion
{
    private static readonly string[] Compositions = [ArmNames.Learned, ArmNames.Uniform];

    /// <summary>The sentence for a whole study.</summary>
    public static string Of(Results results)
    {
        ArgumentNullException.ThrowIfNull(results);
        var sentence = Of(new CellIndex(results));
        return results.Planned <= results.Cells.Count ? sentence
            : $"So far, with {Text.Count(results.Cells.Count)} of {Text.Count(results.Planned)} runs: {char.ToLowerInvariant(sentence[0])}{sentence[1..]}";
    }

    /// <summary>The sentence for some of its cells, one task for instance.</summary>
    public static string Of(IReadOnlyList<Cell> cells)
    {
        ArgumentNullException.ThrowIfNull(cells);
        return Of(new CellIndex(cells));
    }

    internal static string Of(CellIndex index)
    {
        var clauses = new List<string>();
        foreach (var shots in index.Shots)
        {
            if (Comparisons(index, shots) is { Length: > 0 } comparisons) clauses.Add($"{Text.AtShots(shots)}, {comparisons}{Transfer(index, shots)}");
        }
        if (clauses.Count == 0) return "There is nothing to conclude: no composition was run together with an arm to compare it with.";
        var where = index.ByTask
            ? $"Over {index.Sample}, each held out in turn (differences in accuracy points and, where they are not clear, tasks won; clear is a 95 % bootstrap "
                + "interval that excludes 0 and a sign test over tasks with p < 0.05): "
            : $"On {index.Tasks[0]}, over {index.Sample} (differences in accuracy points, 95 % confidence): ";
        return $"{where}{string.Join("; ", clauses)}.";
    }

    // "learned composition beats the linear probe (+5.0), …, and uniform composition …"; one clause for both where their verdicts agree.
    private static string Comparisons(CellIndex index, int shots)
    {
        var clauses = new List<string>();
        var learned = Compare(index, shots, ArmNames.Learned);
        var uniform = Compare(index, shots, ArmNames.Uniform);
        if (learned.Count > 0 && SameVerdicts(learned, uniform)) return "learned and uniform composition both " + Predicates(index, learned, uniform);
        if (learned.Count > 0) clauses.Add("learned composition " + Predicates(index, learned, null));
        if (uniform.Count > 0) clauses.Add("uniform composition " + Predicates(index, uniform, null));
        return string.Join(", while ", clauses);
    }

    private static List<Paired> Compare(CellIndex index, int shots, string arm)
    {
        var found = new List<Paired>();
        foreach (var reference in (ReadOnlySpan<string>)[index.Reference, ArmNames.Lora, ArmNames.FullFinetune])
        {
            if (index.Compare(shots, arm, reference) is { } difference) found.Add(difference);
        }
        return found;
    }

    private static bool SameVerdicts(List<Paired> a, List<Paired> b)
    {
        if (a.Count != b.Count) return false;
        for (var i = 0; i < a.Count; i++)
        {
            if (a[i].Reference != b[i].Reference || a[i].Verdict != b[i].Verdict) return false;
        }
        return true;
    }

    // What one arm, or two of the same verdicts, show against each reference.
    private static string Predicates(CellIndex index, List<Paired> first, List<Paired>? second)
    {
        var predicates = new List<string>();
        foreach (var verdict in Enum.GetValues<Verdict>())
        {
            var objects = new List<string>();
            for (var i = 0; i < first.Count; i++)
            {
                if (first[i].Verdict != verdict) continue;
                var points = Said(first[i]) + (second is null ? "" : (first[i].ByTask && !first[i].IsClear ? " and " : ", ") + Said(second[i]));
                objects.Add($"{Named(index, first[i].Reference)} ({points})");
            }
            if (objects.Count > 0) predicates.Add($"{Verb(verdict, second is not null, first[0].ByTask)} {Text.Join(objects)}");
        }
        return Text.Join(predicates);
    }

    // "+5.0", and where it is not clear over several tasks, how many were won: "+1.2, 7 of 10".
    private static string Said(Paired p) => Text.Points(p.Estimate.Mean) + (p.ByTask && !p.IsClear ? $", {p.Sign.Wins} of {p.Sign.Count}" : "");

    // Whether the control explains the gain. Only a gain needs an explanation.
    private static string Transfer(CellIndex index, int shots)
    {
        var gains = new List<string>();
        foreach (var arm in Compositions)
        {
            if (index.Compare(shots, arm, index.Reference) is { Verdict: Verdict.Beats }) gains.Add(arm);
        }
        if (gains.Count == 0) return "";

        if (index.Compare(shots, ArmNames.RandomModules, index.Reference) is not { Estimate.HasInterval: true } control)
        {
            return ", and without the control of random modules it stays open whether the gain is transfer";
        }
        List<string> shown = [], open = [];
        foreach (var arm in gains)
        {
            var over = index.Compare(shots, arm, ArmNames.RandomModules);
            (over is { Verdict: Verdict.Beats } ? shown : open).Add(over is null ? Short(arm) : $"{Short(arm)} {Said(over)}");
        }
        if (shown.Count == 0) return $", but the gain is not shown to be transfer, as it is not clear over random modules ({Text.Join(open)})";
        var part = control.Verdict == Verdict.Beats
            ? $"part of the gain is transfer, as random modules also beat {index.ReferenceShort} ({Said(control)}) but by less"
            : "the gain is transfer, as random modules do not have it";
        var doubt = open.Count == 0 ? "" : $", which is not shown for {Text.Join(open)}";
        return $", and {part} ({Text.Join(shown)} over them{doubt})";
    }

    private static string Verb(Verdict verdict, bool plural, bool byTask) => (verdict, plural) switch
    {
        (Verdict.Beats, false) => "beats",
        (Verdict.Beats, true) => "beat",
        (Verdict.Unclear, false) => "shows no clear difference from",
        (Verdict.Unclear, true) => "show no clear difference from",
        (Verdict.FallsBehind, false) => "falls behind",
        (Verdict.FallsBehind, true) => "fall behind",
        (_, false) => $"has too few {(byTask ? "tasks" : "draws")} to be compared with",
        (_, true) => $"have too few {(byTask ? "tasks" : "draws")} to be compared with",
    };

    private static string Named(CellIndex index, string arm) => arm == index.Reference ? index.ReferenceName : index.Label(arm);

    private static string Short(string arm) => arm == ArmNames.Learned ? "learned" : "uniform";
}
