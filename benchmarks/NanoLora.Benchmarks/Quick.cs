using System.Diagnostics;
using System.Runtime.InteropServices;

namespace NanoLora.Benchmarks;

/// <summary>
/// `quick`: NanoLora beside TorchSharp, and beside itself, in one run of some minutes. Each entrant is a process; in every round all have a turn, never at
/// the same time, and who comes first changes. Those that are compared load the same files, and their results are compared before their times are.
/// </summary>
internal sealed class Quick : IDisposable
{
    /// <summary>The word that starts this program as NanoLora's half.</summary>
    public const string HalfCommand = "quick-half";

    // How far the first results may be apart, relative to their size, and the losses of later steps, where each update adds its rounding.
    private const double Parity = 1e-4, LaterParity = 1e-3;

    // The share of the cores that other programs may have in a run whose tables are kept.
    private const double Quiet = 0.1;

    private readonly string _files = Path.Combine(Path.GetTempPath(), $"nanolora-quick-{Guid.NewGuid():N}");
    private readonly QuickMachine _machine = new();
    private readonly List<QuickProcess> _idle = [];
    private string? _torchSharp, _reason;
    private string _who = "", _nothing = "";
    private bool _differs;

    /// <summary>
    /// Runs the comparison and prints it. Exit code 0; 1 where a target is missed, or where the halves gave different results, so that their times are worth
    /// nothing; 3 where TorchSharp cannot run here.
    /// </summary>
    /// <param name="keep">Whether to keep the tables in benchmarks/README.md, and the chart beside it.</param>
    /// <param name="json">A file to write all measurements to, or null.</param>
    /// <param name="only">What the title of a row must contain to be measured, with those of its rounds; empty for all.</param>
    public static int Run(bool keep, string? json, string only)
    {
        using var quick = new Quick();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => quick.Dispose());
        using var end = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => quick.Dispose());
        return quick.All(keep, json, only);
    }

    /// <summary>Removes the files that both halves loaded; also where the run is broken off.</summary>
    public void Dispose()
    {
        if (Directory.Exists(_files)) Directory.Delete(_files, recursive: true);
    }

    private int All(bool keep, string? json, string only)
    {
        if (!QuickWorks.Products().Concat(QuickWorks.Operations()).Concat(QuickWorks.Models(_files, 16, beside: true)).Any(IsAsked))
            throw new QuickException($"quick: no row has \"{only}\" in its title; benchmarks/README.md has all titles.");
        FindTorchSharp();
        var (clock, before) = (Stopwatch.StartNew(), QuickMachine.Work());                     // after the build and its download
        Console.Error.WriteLine("writing the models that both halves load");
        QuickWorks.WriteFiles(_files);
        _machine.MeasurePeak();
        _machine.MeasureBandwidth();
        List<QuickRow> rows = [.. QuickWorks.Products().Concat(QuickWorks.Operations()).Where(IsAsked).SelectMany(Hold)];
        _machine.MeasureBandwidth();
        foreach (var process in _idle) process.Dispose();
        var batch = 16;
        while (batch > 1 && MemoryOfCompositions(batch) > QuickMachine.FreeMemory()) batch /= 2;
        foreach (var contest in QuickWorks.Models(_files, batch, _torchSharp is not null).Where(IsAsked)) rows.AddRange(Hold(contest));
        var seconds = clock.Elapsed.TotalSeconds;
        return Tell(new QuickResults(rows, _machine, _who, _nothing, Others(before, seconds), seconds, _torchSharp is not null), keep, json);

        bool IsAsked(QuickContest contest) => contest.Pairs.Any(pair => pair.Title.Contains(only, StringComparison.OrdinalIgnoreCase));
    }

    private int Tell(QuickResults results, bool keep, string? json)
    {
        var text = QuickTable.Text(results);
        Console.WriteLine();
        Console.WriteLine(text);
        if (json is not null) QuickJson.Write(json, results, Page.Folder);
        var missed = results.Missed().ToList();
        if (missed.Count > 0) Console.WriteLine($"\nMissed:\n  {string.Join("\n  ", missed)}");
        if (_reason is not null)
        {
            Console.WriteLine($"\nNo TorchSharp: {_reason.TrimEnd('.')}.");
            return QuickProtocol.Unavailable;
        }
        if (_differs) return 1;
        if (results.Others > Quiet)
            Console.WriteLine("\nNot kept: the machine was not quiet. "
                + "While one thread waits for a core its team waits too, and the halves bear that differently.");
        else if (keep)
        {
            var page = Page.Keep("quick", text, ("TorchSharp's time over NanoLora's", "quick.svg", QuickChart.Svg(results)),
                ("Products under the roof of bandwidth and multiply-adds", "roofline.svg", QuickRoofline.Svg(results)));
            Console.WriteLine($"\nKept in {page}.");
        }
        return missed.Count > 0 ? 1 : 0;
    }

    // The share of the cores that other programs had since a look at the machine.
    private static double? Others((double All, double Ours, int Cores)? before, double seconds) =>
        (before, QuickMachine.Work()) is ({ } a, { } b) ? Math.Max(0, (b.All - a.All - (b.Ours - a.Ours)) / (seconds * b.Cores)) : null;

    // What all six of ViT-S/16's entrants want together: 9 GiB at a batch of 16, most of it TorchSharp's loop; and 1 GiB to spare.
    private static long MemoryOfCompositions(int batch) => (long)((0.6 * batch + 1) * (1L << 30));

    private void FindTorchSharp()
    {
        Console.Error.WriteLine("building TorchSharp's half (the first time, its native library of some 130 MB is downloaded)");
        try
        {
            var program = QuickProcess.BuildTorchSharp(Page.Folder);
            using var process = QuickProcess.TorchSharp(program);
            (_torchSharp, _who, _nothing) = (program, process.Who, $", TorchSharp {process.Peak():0}");
        }
        catch (QuickException error)
        {
            _reason = error.Message;
            Console.Error.WriteLine($"no TorchSharp: {_reason}");
        }
        using var ours = QuickProcess.NanoLora();
        _who = _who.Length > 0 ? $"{ours.Who}; {_who}" : ours.Who;
        _nothing = $"NanoLora {ours.Peak():0}{_nothing}";
    }

    private List<QuickRow> Hold(QuickContest contest)
    {
        Console.Error.WriteLine(contest.Pairs[0].Title);
        var seats = contest.Entrants.Where(e => e.Side == QuickSide.NanoLora || _torchSharp is not null)
            .Select(entrant => new QuickSeat(entrant, Process(entrant.Side, contest.OwnProcesses))).ToList();
        List<QuickRow> rows = [.. contest.Pairs.Select(pair => new QuickRow(pair, Seat(pair.First)!, Seat(pair.Second)))];
        foreach (var seat in seats) seat.Open();
        Turns(seats, seat => seat.Run(1));
        Same(rows, row => row.Difference, Parity);
        if (contest.WarmUps > 0) Turns(seats, seat => seat.Run(contest.WarmUps));
        // The JIT counts calls only after a pause of 100 ms, and compiles a loop twice more: before it has, a loop is not what it will be.
        for (var pause = 0; pause < contest.Pauses; pause++)
        {
            Thread.Sleep(150);
            Turns(seats, seat => seat.Run(contest.WarmUps));
        }
        if (contest.OwnProcesses) foreach (var seat in seats) seat.Begin();
        var clock = Stopwatch.StartNew();
        for (var round = 0; round < contest.Rounds && (round < 3 || clock.Elapsed.TotalSeconds < contest.Seconds); round++)
        {
            Turns(round % 2 == 0 ? seats : Enumerable.Reverse(seats), seat => seat.Time(contest.First, contest.Runs));
            _machine.MeasurePeak();
        }
        Same(rows, row => row.LaterDifference, LaterParity);
        if (contest.OwnProcesses) foreach (var seat in seats) seat.End();
        foreach (var seat in seats)
        {
            if (contest.OwnProcesses || seat.Lost is not null) seat.Process.Dispose();
            else _idle.Add(seat.Process);
        }
        return rows;

        QuickSeat? Seat(QuickEntrant entrant) => seats.Find(seat => seat.Entrant == entrant);
    }

    private static void Turns(IEnumerable<QuickSeat> seats, Action<QuickSeat> turn)
    {
        foreach (var seat in seats) turn(seat);
    }

    // Times of different work are worth nothing.
    private void Same(List<QuickRow> rows, Func<QuickRow, double> difference, double most)
    {
        foreach (var row in rows)
        {
            if (!(difference(row) > most) || row.Lost is not null) continue;
            _differs = true;
            row.Second!.Lost = $"its result is {row.Second.Results[^1]:R} where NanoLora's is {row.First.Results[^1]:R}: not the same work";
            Console.Error.WriteLine(row.Lost);
        }
    }

    // A new process, or one that has nothing to do.
    private QuickProcess Process(QuickSide side, bool own)
    {
        if (!own && _idle.Find(process => process.Side == side) is { } idle)
        {
            _idle.Remove(idle);
            return idle;
        }
        return side == QuickSide.NanoLora ? QuickProcess.NanoLora() : QuickProcess.TorchSharp(_torchSharp!);
    }
}
