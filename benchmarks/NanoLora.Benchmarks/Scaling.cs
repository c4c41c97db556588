using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace NanoLora.Benchmarks;

/// <summary>
/// `scaling`: how the time and memory of a training step of ViT-Ti/16 grow with the batch, with the tokens of an image, with the modules that are composed,
/// with the rank of a LoRA, and with the threads. Each point is a process of its own; those of a curve take turns.
/// </summary>
internal sealed class Scaling : IDisposable
{
    private const int Rounds = 7, Rows = 8;

    private sealed record Point(int At, string Request, int Threads = QuickProtocol.Threads)
    {
        public List<double> Seconds { get; } = [];

        public double Time => QuickRow.Quantile(Seconds, 0.5);

        public double Memory { get; set; }
    }

    private sealed record Curve(string Title, Point[] Points);

    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"nanolora-scaling-{Guid.NewGuid():N}");

    /// <summary>Measures all curves, prints them, and keeps them in benchmarks/README.md with a chart.</summary>
    public static int Run(bool keep)
    {
        using var scaling = new Scaling();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => scaling.Dispose());
        using var end = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => scaling.Dispose());
        var curves = scaling.Curves();
        foreach (var curve in curves) Measure(curve);
        var text = Text(curves);
        Console.WriteLine(text);
        if (!keep) return 0;
        Console.WriteLine($"\nKept in {Page.Keep("scaling", text, ("Time and memory of a step against its size", "scaling.svg", Svg(curves)))}.");
        return 0;
    }

    /// <summary>Removes the models.</summary>
    public void Dispose()
    {
        if (Directory.Exists(_folder)) Directory.Delete(_folder, recursive: true);
    }

    private Curve[] Curves()
    {
        Console.Error.WriteLine("writing the models");
        const int modules = 64, most = 32;
        int[] powers = [1, 2, 4, 8, 16, 32], sides = [4, 7, 10, 14, 20], ranks = [2, 4, 8, 16, 32, 64];
        var tiny = At("tiny");
        QuickFiles.Write(tiny, QuickWorks.Tiny, modules, most);
        foreach (var side in sides) QuickFiles.Write(At($"{side}"), QuickWorks.Tiny with { ImageSize = 16 * side }, 1, Rows);
        foreach (var rank in ranks) QuickFiles.Write(At($"rank-{rank}"), QuickWorks.Tiny, 1, Rows, rank);
        return
        [
            new("images in a batch (LoRA)", [.. powers.Select(n => new Point(n, $"vit lora {n} 1 {tiny}"))]),
            new($"tokens of an image (LoRA, batch {Rows})", [.. sides.Select(n => new Point(n * n + 1, $"vit lora {Rows} 1 {At($"{n}")}"))]),
            new($"modules (learned composition, batch {Rows})",
                [.. powers.Append(modules).Select(n => new Point(n, $"vit learned {Rows} {n} {tiny}"))]),
            new($"rank (LoRA, batch {Rows})", [.. ranks.Select(n => new Point(n, $"vit lora {Rows} 1 {At($"rank-{n}")}"))]),
            new($"threads (LoRA, batch {Rows})", [.. powers.Where(static n => n <= Environment.ProcessorCount)
                .Select(n => new Point(n, $"vit lora {Rows} 1 {tiny}", n))]),
        ];

        string At(string name) => Path.Combine(_folder, name);
    }

    private static void Measure(Curve curve)
    {
        Console.Error.WriteLine(curve.Title);
        var processes = new List<QuickProcess>();
        try
        {
            foreach (var point in curve.Points)
            {
                var process = QuickProcess.NanoLora();
                processes.Add(process);
                process.Threads(point.Threads);
                process.Open(point.Request);
                process.Run(0, 2);
            }
            for (var round = 0; round < Rounds; round++)
                for (var i = 0; i < processes.Count; i++) curve.Points[i].Seconds.Add(processes[i].Run(0, 1).Seconds);
            for (var i = 0; i < processes.Count; i++) curve.Points[i].Memory = processes[i].Peak();
        }
        finally
        {
            foreach (var process in processes) process.Dispose();
        }
    }

    private static string Text(Curve[] curves)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:yyyy-MM-dd}, {QuickMachine.Name()}; {Gemm.Kernel}; ");
        text.AppendLine(CultureInfo.InvariantCulture, $"medians of {Rounds} steps, in turns.\n");
        text.AppendLine("| a step of ViT-Ti/16 against | | | | | | | |\n|---|---:|---:|---:|---:|---:|---:|---:|");
        foreach (var (title, points) in curves)
        {
            Row($"**{title}**", static p => $"**{p.At}**");
            Row("ms", static p => p.Time < 0.1 ? $"{1000 * p.Time:0.0}" : $"{1000 * p.Time:0}");
            Row("MiB", static p => $"{p.Memory:0}");

            void Row(string name, Func<Point, string> cell) =>
                text.AppendLine($"| {name} | {string.Join(" | ", Enumerable.Range(0, 7).Select(i => i < points.Length ? cell(points[i]) : ""))} |");
        }
        return text.ToString().TrimEnd();
    }

    // A panel for each curve: both axes count doublings, so that what grows in proportion runs along the diagonal.
    private static string Svg(Curve[] curves)
    {
        const int panel = 170, gap = 30, top = 40, doublings = 6;
        const double step = panel / (double)doublings;
        var width = curves.Length * (panel + gap);
        var svg = new StringBuilder();
        for (var c = 0; c < curves.Length; c++)
        {
            var (left, bottom) = (c * (panel + gap) + gap / 2, top + panel);
            var (first, points) = (curves[c].Points[0], curves[c].Points);
            svg.AppendLine($"""<text class="head" x="{left}" y="16">{curves[c].Title.Split(" (")[0]}</text>""");
            svg.AppendLine($"""<rect class="frame" x="{left}" y="{top}" width="{panel}" height="{panel}"/>""");
            svg.AppendLine($"""<line class="diagonal" x1="{left}" y1="{bottom}" x2="{left + panel}" y2="{top}"/>""");
            svg.AppendLine($"""<polyline class="time" points="{Line(p => p.Time / first.Time)}"/>""");
            svg.AppendLine($"""<polyline class="memory" points="{Line(p => p.Memory / first.Memory)}"/>""");
            foreach (var p in points)
                svg.AppendLine($"""<text class="tick" text-anchor="middle" x="{X(p)}" y="{bottom + 16}">{p.At}</text>""");

            string X(Point p) => Number(left + step * Math.Log2((double)p.At / first.At));

            string Line(Func<Point, double> ratio) => string.Join(' ', points.Select(p => $"{X(p)},{Number(bottom - step * Math.Log2(ratio(p)))}"));
        }
        const string style = "text{font:13px system-ui,sans-serif;fill:#1b1b18}.head{font-weight:600}.tick{fill:#6a6a62;font-size:11px}"
            + ".frame{fill:none;stroke:#d8d8cc}.diagonal{stroke:#d8d8cc}.time,.memory{fill:none;stroke-width:2}.time{stroke:#2a7ab0}"
            + ".memory{stroke:#d0702a;stroke-dasharray:5 3}"
            + "@media(prefers-color-scheme:dark){text{fill:#e6e5dc}.tick{fill:#a09f94}.frame,.diagonal{stroke:#3b3b37}}";
        return $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + panel + 50}" role="img" """
            + $"""aria-label="Time and memory of a training step against its size, in doublings"><style>{style}</style>{"\n"}{svg}"""
            + $"""<text class="tick" x="15" y="{top + panel + 40}">"""
            + "blue: time, dashed: memory, of the first point, in doublings; the diagonal is proportion</text></svg>\n";

        static string Number(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);
    }
}
