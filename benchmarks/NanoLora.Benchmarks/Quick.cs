using System.Diagnostics;
using System.Runtime.InteropServices;

namespace NanoLora.Benchmarks;

/// <summary>
/// `quick`: NanoLora beside TorchSharp in one run of some minutes. Each half is a process of its own, with as many threads as the other; in every round
/// both have a turn, never at the same time, and who comes first changes. Both load the same files, and their results are compared before their times are.
/// </summary>
internal sealed class Quick : IDisposable
{
    /// <summary>The word that starts this program as NanoLora's half.</summary>
    public const string HalfCommand = "quick-half";

    // How far the first results may be apart, relative to their size, and the losses of later steps, where each update adds its rounding.
    private const double Parity = 1e-4, LaterParity = 1e-3;

    // The share of the cores that other programs may have in a run whose tables are kept.
    private const double Quiet = 0.1;

    private readonly string _benchmarks = Folder();
    private readonly string _files = Path.Combine(Path.GetTempPath(), $"nanolora-quick-{Guid.NewGuid():N}");
    private readonly QuickMachine _machine = new();
    private string? _torchSharp, _reason;
    private string _who = "", _idle = "";
    private bool _differs;

    /// <summary>
    /// Runs the comparison and prints it. Exit code 0; 1 where the halves gave different results, so that their times are worth nothing; 3 where TorchSharp
    /// cannot run here.
    /// </summary>
    /// <param name="keep">Whether to keep the tables in benchmarks/README.md.</param>
    public static int Run(bool keep)
    {
        using var quick = new Quick();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => quick.Dispose());
        using var end = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => quick.Dispose());
        return quick.All(keep);
    }

    /// <summary>Removes the files that both halves loaded; also where the run is broken off.</summary>
    public void Dispose()
    {
        if (Directory.Exists(_files)) Directory.Delete(_files, recursive: true);
    }

    private int All(bool keep)
    {
        FindTorchSharp();
        var (clock, before) = (Stopwatch.StartNew(), QuickMachine.Work());                     // after the build and its download
        Console.Error.WriteLine("writing the models that both halves load");
        QuickWorks.WriteFiles(_files);
        _machine.MeasureBandwidth();
        _machine.MeasurePeak();
        var products = Products();
        var batch = 16;
        while (batch > 1 && _torchSharp is not null && MemoryOfLoop(batch) > QuickMachine.FreeMemory()) batch /= 2;
        var models = new List<QuickRow>();
        foreach (var work in QuickWorks.Models(_files, batch, _torchSharp is not null)) models.Add(Model(work));
        _machine.MeasureBandwidth();
        var others = Others(before, clock.Elapsed.TotalSeconds);
        var text = new QuickTable(_machine, _who, _idle, others, _torchSharp is not null).Text(products, models, clock.Elapsed.TotalSeconds);
        Console.WriteLine();
        Console.WriteLine(text);
        if (_reason is not null)
        {
            Console.WriteLine($"\nNo TorchSharp: {_reason}.");
            return QuickProtocol.Unavailable;
        }
        if (_differs) return 1;
        if (others > Quiet)
            Console.WriteLine("\nNot kept: the machine was not quiet. "
                + "While one thread waits for a core its team waits too, and the halves bear that differently.");
        else if (keep) Console.WriteLine($"\nKept in {QuickTable.Keep(_benchmarks, text)}.");
        return 0;
    }

    // The share of the cores that other programs had since a look at the machine.
    private static double? Others((double All, double Ours, int Cores)? before, double seconds) =>
        (before, QuickMachine.Work()) is ({ } a, { } b) ? Math.Max(0, (b.All - a.All - (b.Ours - a.Ours)) / (seconds * b.Cores)) : null;

    // What TorchSharp's loop wants for 8 modules on ViT-S/16: 11.3 GiB at a batch of 16, measured; and 1 GiB to spare.
    private static long MemoryOfLoop(int batch) => (long)((0.7 * batch + 1) * (1L << 30));

    private void FindTorchSharp()
    {
        Console.Error.WriteLine("building TorchSharp's half (the first time, its native library of some 130 MB is downloaded)");
        try
        {
            var program = QuickProcess.BuildTorchSharp(_benchmarks);
            using var process = QuickProcess.TorchSharp(program);
            (_torchSharp, _who, _idle) = (program, process.Who, $", TorchSharp {process.Peak():0}");
        }
        catch (QuickException error)
        {
            _reason = error.Message;
            Console.Error.WriteLine($"no TorchSharp: {_reason}");
        }
        using var ours = QuickProcess.NanoLora();
        _who = _who.Length > 0 ? $"{ours.Who}; {_who}" : ours.Who;
        _idle = $"NanoLora {ours.Peak():0}{_idle}";
    }

    private List<QuickRow> Products()
    {
        using var ours = QuickProcess.NanoLora();
        using var theirs = _torchSharp is null ? null : QuickProcess.TorchSharp(_torchSharp);
        return [.. QuickWorks.Products().Select(work => Compare(work, ours, theirs))];
    }

    private QuickRow Model(QuickWork work)
    {
        using var ours = QuickProcess.NanoLora();
        using var theirs = _torchSharp is null ? null : QuickProcess.TorchSharp(_torchSharp);
        var row = Compare(work, ours, theirs);
        row.OurPeak = ours.Peak();
        if (theirs is not null && row.Lost is null) row.TheirPeak = theirs.Peak();
        return row;
    }

    private QuickRow Compare(QuickWork work, QuickProcess ours, QuickProcess? theirs)
    {
        Console.Error.WriteLine(work.Title);
        var row = new QuickRow(work);
        ours.Open(work.Request);
        if (theirs is not null) Try(() => theirs.Open(work.TorchRequest));
        Round(1, timed: false);
        Same(Parity, row.Difference);
        Round(work.WarmUps, timed: false);
        var clock = Stopwatch.StartNew();
        for (var round = 0; round < work.Rounds && (round < 3 || clock.Elapsed.TotalSeconds < work.Seconds); round++)
        {
            Round(work.Runs, timed: true, theirsFirst: (round & 1) == 1);
            _machine.MeasurePeak();
        }
        Same(LaterParity, row.LaterDifference);
        return row;

        // Times of different work are worth nothing.
        void Same(double most, double difference)
        {
            if (!(difference > most) || row.Lost is not null) return;
            _differs = true;
            row.Lost = $"its result is {row.TheirResult:R} where NanoLora's is {row.OurResult:R}: not the same work";
            Console.Error.WriteLine(row.Lost);
        }

        void Round(int runs, bool timed, bool theirsFirst = false)
        {
            (double, double)? theirRun = null;
            if (theirsFirst) Try(() => theirRun = theirs!.Run(runs));
            var ourRun = ours.Run(runs);
            if (!theirsFirst) Try(() => theirRun = theirs!.Run(runs));
            row.Add(ourRun, theirRun, timed);
        }

        // Where TorchSharp's half fails, NanoLora's goes on.
        void Try(Action turn)
        {
            if (theirs is null || row.Lost is not null) return;
            try { turn(); }
            catch (QuickException error) { row.Lost = error.Message; }
        }
    }

    // benchmarks, above the program.
    private static string Folder()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "NanoLora.sln"))) return Path.Combine(at.FullName, "benchmarks");
        throw new QuickException($"quick: no NanoLora.sln above {AppContext.BaseDirectory}; run it from its repository.");
    }
}
