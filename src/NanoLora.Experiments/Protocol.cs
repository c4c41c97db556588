using System.Globalization;
using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// The settings of a few-shot comparison. Each arm's rates on images are the best of three or four on the upstream tasks Greek, Korean and Tagalog (three
/// draws, the task's own module left out); no held-out image had a part in it.
/// </summary>
public sealed record Protocol
{
    /// <summary>What holds for texts: rates that were the best of three on six upstream tasks of CLINC150 dealt by class, two draws of another seed.</summary>
    public static Protocol ForTexts { get; } = new()
    {
        Arms = Arm.OfTheTextDemo, Steps = 40, MixingRate = new(0.1, 0.03), LoraRate = new(1e-2, 3e-3), FullRate = new(3e-4, 3e-4),
    };

    /// <summary>Support samples per class.</summary>
    public IReadOnlyList<int> Shots { get; init; } = [1, 5];

    /// <summary>Draws of the support set.</summary>
    public int Draws { get; init; } = 5;

    /// <summary>The arms.</summary>
    public IReadOnlyList<Arm> Arms { get; init; } = Arm.OfTheDemo;

    /// <summary>Steps of the optimiser, the same for all arms.</summary>
    public int Steps { get; init; } = 60;

    /// <summary>Steps where all training samples are used; <see cref="Steps"/> if not given.</summary>
    public int? StepsForAll { get; init; }

    /// <summary>If given, only so many test samples of each class.</summary>
    public int? TestPerClass { get; init; }

    /// <summary>Samples in a batch.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>The head's rate, the same for all arms.</summary>
    public double HeadRate { get; init; } = 3e-3;

    /// <summary>From how many shots on an arm's second rate holds.</summary>
    public int ManyShots { get; init; } = 5;

    /// <summary>The rate of mixing weights.</summary>
    public ShotRates MixingRate { get; init; } = new(0.01, 0.1);

    /// <summary>The rate of a LoRA from scratch.</summary>
    public ShotRates LoraRate { get; init; } = new(1e-3, 1e-2);

    /// <summary>The rank of a LoRA from scratch: that of the modules.</summary>
    public int LoraRank { get; init; } = 4;

    /// <summary>Which linears a LoRA from scratch adapts: those of the modules.</summary>
    public string LoraPattern { get; init; } = "blocks.*";

    /// <summary>The rate of full fine-tuning.</summary>
    public ShotRates FullRate { get; init; } = new(1e-4, 3e-4);

    /// <summary>Of draws, orders and starts.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Whether the base answers in words, so that there is no head: then it can be an arm as it is.</summary>
    public bool HasAnswers => Arms.Any(static arm => arm.Method == ArmMethod.Base);

    /// <summary>The settings for a report.</summary>
    public IReadOnlyList<Fact> Facts() =>
    [
        new("shots per class", string.Join(", ", Shots.Select(s => s == Cell.AllShots ? "all" : Text(s)))), new("draws of the support set", Text(Draws)),
        new("steps, all arms", StepsForAll is { } all ? $"{Text(Steps)}; {Text(all)} where all samples are used" : Text(Steps)), new("batch", Text(BatchSize)),
        HasAnswers ? new("answers", "the classes' names in words; the likeliest per token counts, all arms")
            : new("head", $"nearest class mean, then AdamW at {Text(HeadRate)}, all arms"),
        new("mixing weights", $"AdamW at {Text(MixingRate)}"), new("LoRA from scratch", $"rank {LoraRank} on {LoraPattern}, AdamW at {Text(LoraRate)}"),
        new("full fine-tuning", $"AdamW at {Text(FullRate)}"),
        new("schedule", "cosine to 0, gradients clipped to norm 1"),
    ];

    /// <summary>The rate for a number of shots.</summary>
    public double At(ShotRates rates, int shots) => shots != Cell.AllShots && shots < ManyShots ? rates.Few : rates.Many;

    /// <summary>The rate of what an arm trains beside its head.</summary>
    public ShotRates RatesOf(Arm arm) => arm.Rates ?? arm.Method switch
    {
        ArmMethod.Lora => LoraRate,
        ArmMethod.FullFinetune => FullRate,
        _ => MixingRate,
    };

    /// <summary>The number of steps for a number of shots.</summary>
    public int StepsAt(int shots) => shots == Cell.AllShots ? StepsForAll ?? Steps : Steps;

    /// <summary>An arm for a report: what it does and at which rates.</summary>
    public ArmFact FactOf(Arm arm) => new(arm.Name, arm.Label, arm.TrainsBelowHead ? $"{arm.Doing}, AdamW at {Text(RatesOf(arm))}" : arm.Doing);

    private string Text(ShotRates rates) => rates.Few == rates.Many ? Text(rates.Few) : $"{Text(rates.Few)}, from {ManyShots} shots on at {Text(rates.Many)}";

    private static string Text(double value) => value.ToString("0.######", CultureInfo.InvariantCulture);
}

/// <summary>A rate for few shots and one for more.</summary>
public readonly record struct ShotRates(double Few, double Many);

/// <summary>One cell to run: an arm on one draw.</summary>
/// <param name="Arm">The arm.</param>
/// <param name="Shots">Support samples per class.</param>
/// <param name="Draw">The number of the draw.</param>
/// <param name="Training">Which training of the modules, or null where there is only one or the arm uses none.</param>
public readonly record struct CellKey(Arm Arm, int Shots, int Draw, int? Training = null);

/// <summary>The comparison of arms on one held-out task.</summary>
public static class FewShotStudy
{
    /// <summary>Every cell of a protocol, the cheap arms of a draw first.</summary>
    public static IReadOnlyList<CellKey> Plan(Protocol protocol) =>
        [.. from draw in Enumerable.Range(0, protocol.Draws) from shots in protocol.Shots from arm in protocol.Arms select new CellKey(arm, shots, draw)];

    /// <summary>
    /// Runs the cells that are not done yet, side by side, one thread each: a cell's bits depend on its key and the protocol alone. What is done when
    /// <paramref name="cancellation"/> comes is returned.
    /// </summary>
    /// <param name="protocol">The settings.</param>
    /// <param name="task">The held-out task.</param>
    /// <param name="kit">Makes base and modules on a backend.</param>
    /// <param name="done">Cells from an earlier run.</param>
    /// <param name="finished">Told of each cell as it is done.</param>
    /// <param name="workers">Who runs them; the processor's cores if not given.</param>
    /// <param name="cancellation">Ends the run after the cells that are under way.</param>
    public static IReadOnlyList<Cell> Run(Protocol protocol, LabelledTask task, ArmKit kit, IReadOnlyList<Cell> done, Action<Cell>? finished = null,
        Workers? workers = null, CancellationToken cancellation = default)
    {
        workers ??= Workers.Cores();
        var cells = done.ToDictionary(c => (c.Arm, c.Shots, c.Draw));
        var open = new Queue<CellKey>(Plan(protocol).Where(key => !cells.ContainsKey(Name(key))));
        var gate = new Lock();
        Exception? failure = null;
        var threads = Enumerable.Range(0, Math.Max(1, Math.Min(workers.Count, open.Count))).Select(_ => new Thread(Work) { IsBackground = true }).ToList();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        if (failure is not null) throw new InvalidOperationException(failure.Message, failure);
        return [.. Plan(protocol).Select(Name).Where(cells.ContainsKey).Select(name => cells[name])];

        static (string Arm, int Shots, int Draw) Name(CellKey key) => (key.Arm.Name, key.Shots, key.Draw);

        void Work()
        {
            try
            {
                using var backend = workers.Open();
                while (true)
                {
                    CellKey key;
                    lock (gate)
                    {
                        if (cancellation.IsCancellationRequested || failure is not null || !open.TryDequeue(out key)) return;
                    }
                    var cell = Experiments.Arms.Run(key, protocol, FewShot.Draw(task, key.Shots, protocol.Seed, key.Draw, protocol.TestPerClass), kit, backend);
                    lock (gate)
                    {
                        cells[Name(key)] = cell;
                        finished?.Invoke(cell);
                    }
                }
            }
            catch (Exception error)
            {
                lock (gate) failure ??= error;
            }
        }
    }
}
