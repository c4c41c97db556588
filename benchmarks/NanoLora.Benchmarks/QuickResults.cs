namespace NanoLora.Benchmarks;

/// <summary>All that `quick` has measured.</summary>
/// <param name="Rows">In the order of the run.</param>
/// <param name="Machine">The rooflines.</param>
/// <param name="Who">Names and versions of both halves.</param>
/// <param name="Nothing">The memory of processes that have done nothing, MiB.</param>
/// <param name="Others">The share of the cores that other programs had, or null.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Beside">Whether TorchSharp was there.</param>
internal sealed record QuickResults(
    IReadOnlyList<QuickRow> Rows, QuickMachine Machine, string Who, string Nothing, double? Others, double Seconds, bool Beside)
{
    /// <summary>The rows of a table.</summary>
    public IEnumerable<QuickRow> Of(QuickKind kind) => Rows.Where(row => row.Pair.Kind == kind);

    /// <summary>NanoLora's works, each once, with a title: what a steady step asks of the system is told of all.</summary>
    public IEnumerable<(string Title, QuickSeat Seat)> Steady()
    {
        var told = new HashSet<QuickSeat>();
        foreach (var row in Rows)
            foreach (var seat in (QuickSeat?[])[row.First, row.Second])
                if (seat is { Entrant.Side: QuickSide.NanoLora, Peak: > 0 } && told.Add(seat)) yield return (Title(row, seat), seat);
    }

    /// <summary>Whether a work asks for no more than it may.</summary>
    public static bool IsSteady(QuickSeat seat) => seat.Growth <= QuickTargets.MostNative && seat.Managed <= QuickTargets.MostManaged;

    /// <summary>A line for each target that is missed.</summary>
    public IEnumerable<string> Missed()
    {
        foreach (var row in Rows)
            foreach (var (text, met) in row.Pair.Target.Judge(row, Machine))
                if (met == false) yield return $"{row.Pair.Title}: {text}";
        foreach (var (title, seat) in Steady())
            if (!IsSteady(seat)) yield return $"{title}: took {seat.Growth} native bytes, {seat.Managed:0} managed ones a run";
    }

    // What a row tells of TorchSharp, or of what else stands in it, is not part of the work.
    private static string Title(QuickRow row, QuickSeat seat)
    {
        var title = row.Pair.Title;
        foreach (var end in (ReadOnlySpan<string>)[" (TorchSharp", ", beside", ": one"])
            if (title.IndexOf(end, StringComparison.Ordinal) is >= 0 and var at) title = title[..at];
        return seat.Entrant.Threads == QuickProtocol.Threads ? title : $"{title}, {seat.Entrant.Threads} thread";
    }
}
