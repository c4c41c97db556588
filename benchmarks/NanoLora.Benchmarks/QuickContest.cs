namespace NanoLora.Benchmarks;

/// <summary>Whose a process is.</summary>
internal enum QuickSide { NanoLora, TorchSharp }

/// <summary>In which table a row stands.</summary>
internal enum QuickKind { Product, Operation, Work, Itself }

/// <summary>One that takes turns: a process of a half, and what it is asked for; <see cref="QuickProtocol"/>.</summary>
internal sealed record QuickEntrant(QuickSide Side, string Request)
{
    /// <summary>The threads it has.</summary>
    public int Threads { get; init; } = QuickProtocol.Threads;
}

/// <summary>A row: two entrants side by side. Ratios of time are the second's over the first's of the same round.</summary>
/// <param name="Title">What it is.</param>
/// <param name="First">NanoLora; in a row of <see cref="QuickKind.Itself"/> what the second is told beside.</param>
/// <param name="Second">TorchSharp, or NanoLora at something more.</param>
internal sealed record QuickPair(string Title, QuickEntrant First, QuickEntrant Second)
{
    /// <summary>In which table it stands.</summary>
    public QuickKind Kind { get; init; }

    /// <summary>Floating-point operations of one run that no method can do without; the same for both.</summary>
    public double Flops { get; init; }

    /// <summary>Bytes that one run must move at least.</summary>
    public double Bytes { get; init; }

    /// <summary>Whether both compute the same function, so that their results must agree.</summary>
    public bool SameResult { get; init; } = true;

    /// <summary>What it is to reach.</summary>
    public QuickTarget Target { get; init; } = QuickTarget.None;
}

/// <summary>What takes turns in the same rounds: all entrants of some rows, each once a round.</summary>
/// <param name="WarmUps">Runs that are not timed, after the first.</param>
/// <param name="Runs">Runs in a turn.</param>
/// <param name="Rounds">The most rounds.</param>
/// <param name="Seconds">No further round begins after this time, once there are three.</param>
/// <param name="Pairs">The rows.</param>
internal sealed record QuickContest(int WarmUps, int Runs, int Rounds, double Seconds, params QuickPair[] Pairs)
{
    /// <summary>Whether each entrant has a new process, whose memory is told; otherwise it takes one that has done other work before.</summary>
    public bool OwnProcesses { get; init; }

    /// <summary>
    /// Runs in a turn before those that are timed: some 20 ms. Some kernels put a thread that wakes on the core of the one that woke it, where both wait
    /// for each other until the system moves one: with 5 ms of pause before, two threads were no faster than one in most turns of 5 ms.
    /// </summary>
    public int First { get; init; }

    /// <summary>Pauses, each followed by as many warm-ups again.</summary>
    public int Pauses { get; init; }

    /// <summary>Each entrant once.</summary>
    public IEnumerable<QuickEntrant> Entrants => Pairs.SelectMany(pair => (QuickEntrant[])[pair.First, pair.Second]).Distinct();
}

/// <summary>An entrant at its process, and what has been measured of it.</summary>
internal sealed class QuickSeat(QuickEntrant entrant, QuickProcess process)
{
    private (int Runs, long Native, long Managed) _before;

    public QuickEntrant Entrant => entrant;

    public QuickProcess Process => process;

    /// <summary>Seconds of one run, in each timed round.</summary>
    public List<double> Seconds { get; } = [];

    /// <summary>The numbers that entrants of the same function must agree on: of the first run, then one a round.</summary>
    public List<double> Results { get; } = [];

    /// <summary>The most memory of the process, MiB; 0 where it was not alone in it.</summary>
    public double Peak { get; private set; }

    /// <summary>Native bytes taken from the system during the timed runs.</summary>
    public long Growth { get; private set; }

    /// <summary>Managed bytes that each timed run allocated.</summary>
    public double Managed { get; private set; }

    /// <summary>Runs so far.</summary>
    public int Runs { get; private set; }

    /// <summary>Those between <see cref="Begin"/> and <see cref="End"/>.</summary>
    public int Steps { get; private set; }

    /// <summary>Why it did not finish, or null.</summary>
    public string? Lost { get; set; }

    public void Open() => Try(() =>
    {
        process.Threads(entrant.Threads);
        process.Open(entrant.Request);
    });

    public void Run(int runs) => Try(() => Note(process.Run(0, runs), runs));

    public void Time(int first, int runs) => Try(() => Seconds.Add(Note(process.Run(first, runs), first + runs)));

    /// <summary>Notes what the process holds before the timed runs.</summary>
    public void Begin() => Try(() =>
    {
        var (native, managed) = process.Held();
        _before = (Runs, native, managed);
    });

    /// <summary>Notes what the process held in the end.</summary>
    public void End() => Try(() =>
    {
        var (native, managed) = process.Held();
        (Peak, Steps, Growth) = (process.Peak(), Runs - _before.Runs, native - _before.Native);
        Managed = (managed - _before.Managed) / (double)Steps;
    });

    private double Note((double Seconds, double Result) run, int runs)
    {
        Results.Add(run.Result);
        Runs += runs;
        return run.Seconds;
    }

    // Where TorchSharp fails, NanoLora goes on.
    private void Try(Action turn)
    {
        if (Lost is not null) return;
        try { turn(); }
        catch (QuickException error) when (entrant.Side == QuickSide.TorchSharp) { Lost = error.Message; }
    }
}
