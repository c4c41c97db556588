using System.Globalization;
using System.Text;

namespace NanoLora.Benchmarks;

/// <summary>The tables of `quick`: Markdown that reads well on a console, so that what is printed is what is kept.</summary>
internal static class QuickTable
{
    /// <summary>All tables, and the conditions they hold under.</summary>
    public static string Text(QuickResults results)
    {
        var (text, machine, beside) = (new StringBuilder(), results.Machine, results.Beside);
        var busy = results.Others is null ? "" : $"; other programs had {100 * results.Others:0} % of its cores meanwhile";
        var today = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
        text.AppendLine($"{today}, {QuickMachine.Name()}{busy}.");
        text.AppendLine($"{results.Who}.");
        text.Append($"FMA peak of {QuickProtocol.Threads} threads {machine.Peak:0} GFLOP/s; read bandwidth {machine.Bandwidth:0} GB/s; float32; ");
        text.AppendLine($"{results.Seconds:0} s in all.");
        text.AppendLine();
        if (beside) text.Append("Ratios of time are TorchSharp over NanoLora of the same round: above 1, NanoLora is faster; ");
        if (beside) text.Append("of memory, NanoLora over TorchSharp. ");
        text.AppendLine("Medians over the rounds; in brackets the middle half.");
        text.AppendLine();
        Table(text, ["y = x Wᵀ (rows x in x out)", "NanoLora, GFLOP/s", "of peak", .. Theirs("TorchSharp, GFLOP/s", "of peak", "ratio"), "target"],
            results.Of(QuickKind.Product).Select(r => (string[])
            [
                r.Pair.Title, Rate(r, r.Ours), Share(r, r.Ours), .. Theirs(Rate(r, r.Theirs), Share(r, r.Theirs), Ratio(r)), Target(r),
            ]));
        Table(text, ["operation, forward and backward", "NanoLora, ms", "GB/s", "of bandwidth", .. Theirs("TorchSharp, ms", "ratio"), "target"],
            results.Of(QuickKind.Operation).Select(r => (string[])
            [
                r.Pair.Title, Time(r.Ours), $"{r.Bandwidth:0.0}", $"{100 * r.Bandwidth / machine.Bandwidth:0} %",
                .. Theirs(Time(r.Theirs), Ratio(r)), Target(r),
            ]));
        Table(text,
            ["work", "NanoLora, ms", "of peak", "peak MiB", .. Theirs("TorchSharp, ms", "of peak", "peak MiB", "ratio of time", "of memory"), "target"],
            results.Of(QuickKind.Work).Select(r => (string[])
            [
                r.Pair.Title, Time(r.Ours), Share(r, r.Ours), Size(r.First),
                .. Theirs(Time(r.Theirs), Share(r, r.Theirs), Size(r.Second), Ratio(r), Memory(r)), Target(r),
            ]));
        Table(text, ["NanoLora: this, beside that", "this, ms", "that, ms", "ratio of time", "of memory", "target"],
            results.Of(QuickKind.Itself).Select(r => (string[])[r.Pair.Title, Time(r.Theirs), Time(r.Ours), Ratio(r), Memory(r), Target(r)]));
        Table(text, ["NanoLora, once it runs steadily", "runs", "native growth, bytes", "managed KiB a run", "target"],
            results.Steady().Select(s => (string[])
            [
                s.Title, $"{s.Seat.Steps}", $"{s.Seat.Growth}", $"{s.Seat.Managed / 1024:0}", Verdict("no growth", QuickResults.IsSteady(s.Seat)),
            ]));
        Notes(text, results);
        return text.ToString();

        string[] Theirs(params string[] columns) => beside ? columns : [];

        string Share(QuickRow row, double seconds) => double.IsNaN(seconds) ? "–" : $"{100 * row.Pair.Flops / seconds / 1e9 / machine.Peak:0} %";

        string Target(QuickRow row) => string.Join(", ", row.Pair.Target.Judge(row, machine).Select(t => Verdict(t.Text, t.Met)));
    }

    private static void Notes(StringBuilder text, QuickResults results)
    {
        List<QuickRow> works = [.. results.Of(QuickKind.Work)];
        List<(string Name, List<QuickRow> Rows)> kinds =
            [("the products", [.. results.Of(QuickKind.Product)]), ("the operations", [.. results.Of(QuickKind.Operation)]), ("the works", works)];
        kinds.RemoveAll(kind => kind.Rows.Count == 0);
        text.Append($"Rounds: {string.Join(", ", kinds.Select(kind => $"{Rounds(kind.Rows)} of {kind.Name}"))}. ");
        text.Append($"Memory is the most that a process of its own had; one that has done nothing: {results.Nothing} MiB.");
        if (results.Beside)
        {
            text.AppendLine();
            var differences = string.Join(", ", kinds.Select(kind => $"{kind.Rows.Max(r => r.Difference):0.0e+0} of {kind.Name}"));
            text.Append($"Relative differences of results: {differences}");
            if (works.Count > 0) text.Append($"; after up to {works.Max(r => r.First.Runs)} steps of training {works.Max(r => r.LaterDifference):0.0e+0}");
            text.Append('.');
        }
        foreach (var row in results.Rows) if (row.Lost is { } reason) text.Append($"\nTorchSharp did not finish \"{row.Pair.Title}\": {reason}.");

        static string Rounds(List<QuickRow> rows)
        {
            var (least, most) = (rows.Min(r => r.First.Seconds.Count), rows.Max(r => r.First.Seconds.Count));
            return least == most ? $"{most}" : $"{least} to {most}";
        }
    }

    private static string Verdict(string text, bool? met) => met is null ? text : $"{text} {(met.Value ? "ok" : "**missed**")}";

    private static string Rate(QuickRow row, double seconds) =>
        double.IsNaN(seconds) ? "–" : row.Pair.Flops / seconds < 1e10 ? $"{row.Pair.Flops / seconds / 1e9:0.0}" : $"{row.Pair.Flops / seconds / 1e9:0}";

    private static string Time(double seconds) =>
        double.IsNaN(seconds) ? "–" : seconds < 0.01 ? $"{1000 * seconds:0.00}" : seconds < 0.1 ? $"{1000 * seconds:0.0}" : $"{1000 * seconds:0}";

    private static string Size(QuickSeat? seat) => seat is { Peak: > 0 } ? $"{seat.Peak:0}" : "–";

    private static string Ratio(QuickRow row) =>
        double.IsNaN(row.Ratio.Median) ? "–" : $"{row.Ratio.Median:0.00} [{row.Ratio.Low:0.00}, {row.Ratio.High:0.00}]";

    private static string Memory(QuickRow row) => double.IsNaN(row.Memory) ? "–" : $"{row.Memory:0.00}";

    // The first column to the left, numbers to the right; none without rows.
    private static void Table(StringBuilder text, string[] head, IEnumerable<string[]> rows)
    {
        List<string[]> all = [head, .. rows];
        if (all.Count == 1) return;
        var widths = Enumerable.Range(0, head.Length).Select(c => all.Max(r => r[c].Length)).ToArray();
        for (var r = 0; r < all.Count; r++)
        {
            for (var c = 0; c < head.Length; c++) text.Append("| ").Append(c == 0 ? all[r][c].PadRight(widths[c]) : all[r][c].PadLeft(widths[c])).Append(' ');
            text.AppendLine("|");
            if (r > 0) continue;
            for (var c = 0; c < head.Length; c++) text.Append(c == 0 ? $"|{new string('-', widths[c] + 2)}" : $"|{new string('-', widths[c] + 1)}:");
            text.AppendLine("|");
        }
        text.AppendLine();
    }
}
