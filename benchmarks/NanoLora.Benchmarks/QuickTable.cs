using System.Globalization;
using System.Text;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>The tables of `quick`: Markdown that reads well on a console, so that what is printed is what is kept.</summary>
internal sealed class QuickTable(QuickMachine machine, string who, string idle, double? others, bool beside)
{
    private const string Begin = "<!-- quick -->", End = "<!-- /quick -->";

    /// <summary>Both tables, and the conditions they hold under.</summary>
    public string Text(IReadOnlyList<QuickRow> products, IReadOnlyList<QuickRow> models, double seconds)
    {
        var text = new StringBuilder();
        var busy = others is null ? "" : $"; other programs had {100 * others:0} % of its cores meanwhile";
        var today = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
        text.AppendLine($"{today}, {QuickMachine.Name()}{busy}.");
        text.AppendLine($"{who}.");
        text.Append($"FMA peak of {QuickProtocol.Threads} threads {machine.Peak:0} GFLOP/s; read bandwidth {machine.Bandwidth:0} GB/s; float32; ");
        text.AppendLine($"{seconds:0} s in all.");
        text.AppendLine();
        if (beside)
        {
            text.Append("Ratios are TorchSharp over NanoLora of the same round: above 1, NanoLora is faster or smaller. ");
            text.AppendLine("Medians over the rounds; in brackets the middle half.");
            text.AppendLine();
        }
        Table(text, ["y = x Wᵀ (rows x in x out)", "NanoLora, GFLOP/s", "of peak", .. Theirs("TorchSharp, GFLOP/s", "of peak", "ratio")],
            products.Select(r => (string[])[r.Work.Title, Rate(r, r.Ours), Share(r, r.Ours), .. Theirs(Rate(r, r.Theirs), Share(r, r.Theirs), Ratio(r))]));
        text.AppendLine();
        Table(text, ["work", "NanoLora, ms", "of peak", "peak MiB", .. Theirs("TorchSharp, ms", "of peak", "peak MiB", "ratio of time", "ratio of memory")],
            models.Select(r => (string[])
            [
                r.Work.Title, Time(r.Ours), Share(r, r.Ours), Size(r.OurPeak),
                .. Theirs(Time(r.Theirs), Share(r, r.Theirs), Size(r.TheirPeak), Ratio(r), MemoryRatio(r)),
            ]));
        text.AppendLine();
        text.Append($"Rounds: {products.Min(r => r.Rounds)} of each product; {string.Join(", ", models.Select(r => r.Rounds))} of the works. ");
        text.Append($"Memory is the most that a process of its own had; one that has done nothing: {idle} MiB.");
        if (beside)
        {
            text.AppendLine();
            var steps = models.Max(r => 1 + r.Work.WarmUps + r.Rounds * r.Work.Runs);
            text.Append($"Relative differences of results: products {products.Max(r => r.Difference):0.0e+0}, first losses and logits ");
            text.Append($"{models.Max(r => r.Difference):0.0e+0}, losses after up to {steps} steps of training {models.Max(r => r.LaterDifference):0.0e+0}.");
        }
        foreach (var row in products.Concat(models)) if (row.Lost is { } reason) text.Append($"\nTorchSharp did not finish \"{row.Work.Title}\": {reason}.");
        return text.ToString();
    }

    /// <summary>Puts the tables into benchmarks/README.md, in the place of the last ones, and gives its path.</summary>
    public static string Keep(string folder, string text)
    {
        var path = Path.Combine(folder, "README.md");
        var page = File.ReadAllText(path);
        var (begin, end) = (page.IndexOf(Begin, StringComparison.Ordinal), page.IndexOf(End, StringComparison.Ordinal));
        if (begin < 0 || end < begin) throw new QuickException($"{path}: the lines {Begin} and {End}, between which the tables are kept, are not there.");
        page = $"{page[..(begin + Begin.Length)]}\n{text.ReplaceLineEndings("\n")}\n{page[end..]}";
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(page)));
        return path;
    }

    private string[] Theirs(params string[] columns) => beside ? columns : [];

    private static string Rate(QuickRow row, double seconds) =>
        double.IsNaN(seconds) ? "–" : row.Work.Flops / seconds < 1e10 ? $"{row.Work.Flops / seconds / 1e9:0.0}" : $"{row.Work.Flops / seconds / 1e9:0}";

    private string Share(QuickRow row, double seconds) => double.IsNaN(seconds) ? "–" : $"{100 * row.Work.Flops / seconds / 1e9 / machine.Peak:0} %";

    private static string Time(double seconds) => double.IsNaN(seconds) ? "–" : seconds < 0.1 ? $"{1000 * seconds:0.0}" : $"{1000 * seconds:0}";

    private static string Size(double mebibytes) => mebibytes > 0 ? $"{mebibytes:0}" : "–";

    private static string Ratio(QuickRow row) =>
        double.IsNaN(row.Ratio.Median) ? "–" : $"{row.Ratio.Median:0.00} [{row.Ratio.Low:0.00}, {row.Ratio.High:0.00}]";

    private static string MemoryRatio(QuickRow row) => row.TheirPeak > 0 && row.OurPeak > 0 ? $"{row.TheirPeak / row.OurPeak:0.00}" : "–";

    // The first column to the left, numbers to the right.
    private static void Table(StringBuilder text, string[] head, IEnumerable<string[]> rows)
    {
        List<string[]> all = [head, .. rows];
        var widths = Enumerable.Range(0, head.Length).Select(c => all.Max(r => r[c].Length)).ToArray();
        for (var r = 0; r < all.Count; r++)
        {
            for (var c = 0; c < head.Length; c++) text.Append("| ").Append(c == 0 ? all[r][c].PadRight(widths[c]) : all[r][c].PadLeft(widths[c])).Append(' ');
            text.AppendLine("|");
            if (r > 0) continue;
            for (var c = 0; c < head.Length; c++) text.Append(c == 0 ? $"|{new string('-', widths[c] + 2)}" : $"|{new string('-', widths[c] + 1)}:");
            text.AppendLine("|");
        }
    }
}
