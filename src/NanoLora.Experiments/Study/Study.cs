using System.Globalization;
using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// A comparison of arms over many tasks, each held out in turn. Any number of processes may work on one folder: each takes what nobody else has, and what is
/// done is never done again. A cell's bits depend on the plan and its key alone.
/// </summary>
public sealed class Study
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(2);

    private readonly StudyPlan _plan;
    private readonly Protocol _protocol;
    private readonly StudyFolder _folder;
    private readonly Dictionary<string, LabelledTask> _tasks;
    private readonly string[] _modules;
    private readonly IReadOnlyList<StudyJob> _jobs;
    private readonly StudyBase _base;
    private readonly Workers _workers;
    private readonly HashSet<string> _done = [];
    private readonly Lock _gate = new();

    /// <summary>Prepares a study: reads the base and the tasks, and makes the folder its own or joins it.</summary>
    /// <param name="plan">What to do.</param>
    /// <param name="tasks">The plan's tasks, from <see cref="StudyTasks.Load"/>.</param>
    /// <param name="folder">Where results go.</param>
    /// <param name="version">The version of the program.</param>
    /// <param name="workers">Who does the work; the processor's cores if not given.</param>
    /// <exception cref="InvalidDataException">The folder belongs to another study, or modules and tasks do not fit.</exception>
    public Study(StudyPlan plan, StudyTasks tasks, string folder, string version, Workers? workers = null)
    {
        (_plan, _protocol, _folder, _base, _workers) = (plan, plan.Protocol, new StudyFolder(folder), tasks.Base, workers ?? Workers.Cores());
        _tasks = tasks.Tasks.ToDictionary(t => t.Name);
        _modules = GivenModules() ?? [.. plan.Tasks.Select(t => t.Name)];
        var weights = _base.Files;
        if (plan.Modules.Folder is { } given)
            weights = weights.Concat(Directory.GetDirectories(plan.Resolve(given)).Order(StringComparer.Ordinal).SelectMany(StudyBase.Weights));
        _folder.Join(new(version, SmallTraining.Bits(_workers), StudyFolder.Digest((plan with { Model = "", Pools = null, Data = null }).ToJson()),
            StudyFolder.Digest(weights)), plan);
        _jobs = [.. StudyJobs.Modules(plan), .. StudyJobs.Similarities(plan), .. StudyJobs.Cells(plan, _tasks)];
        Total = _jobs.Sum(Units);
    }

    /// <summary>The units of work in all, for progress.</summary>
    public long Total { get; }

    /// <summary>The number of cells in all.</summary>
    public int Cells => _jobs.OfType<CellsJob>().Sum(j => j.Keys.Count);

    /// <summary>The units of work that are done, whoever did them.</summary>
    public long Done()
    {
        lock (_gate) return _jobs.Sum(j => IsDone(j) ? Units(j) : 0);
    }

    /// <summary>Works until all is done or <paramref name="cancellation"/> comes.</summary>
    /// <param name="advanced">Told how many units are done now, by whomever, and of what was done last.</param>
    /// <param name="cancellation">Ends the work after the cells that are under way.</param>
    /// <returns>Whether all is done.</returns>
    public bool Run(Action<long, string>? advanced = null, CancellationToken cancellation = default)
    {
        using var claims = new Claims(_folder.ClaimsFolder);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Exception? failure = null;
        var threads = Enumerable.Range(0, _workers.Count).Select(_ => new Thread(Work) { IsBackground = true }).ToList();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        if (failure is not null) throw new InvalidOperationException(failure.Message, failure);
        return _jobs.All(IsDoneNow);

        void Work()
        {
            try
            {
                using var backend = _workers.Open();
                while (!stop.IsCancellationRequested)
                {
                    if (Next(claims) is { } next)
                    {
                        using (next.Claim) Do(next.Job, backend, note => advanced?.Invoke(Done(), note), next.Claim, stop.Token);
                        advanced?.Invoke(Done(), next.Job.Name);
                    }
                    else if (_jobs.All(IsDoneNow)) return;
                    else
                    {
                        advanced?.Invoke(Done(), "waiting for other processes");
                        stop.Token.WaitHandle.WaitOne(Poll);
                    }
                }
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref failure, error, null);
                stop.Cancel();
            }
        }
    }

    /// <summary>What has been done so far, in the order of the plan.</summary>
    /// <param name="machine">What the seconds depend on.</param>
    public Results Results(IReadOnlyList<Fact> machine)
    {
        var cells = _jobs.OfType<CellsJob>().SelectMany(CellsOf).ToList();
        var similarities = _jobs.OfType<SimilarityJob>().Select(j => _folder.SimilarityOf(j.Name)).OfType<Similarity>().ToList();
        return StudyReport.Results(_plan, cells, similarities, _modules, Matrices(), machine) with { Planned = Cells };

        IEnumerable<Cell> CellsOf(CellsJob job)
        {
            var done = _folder.CellsOf(job.Name).ToDictionary(c => (c.Arm, c.Shots));
            return job.Keys.Select(k => done.GetValueOrDefault((k.Arm.Name, k.Shots))).OfType<Cell>();
        }
    }

    // The first job that is open, whose needs are met, and that nobody else has. Whoever held it before may just have done it.
    private (StudyJob Job, Claim Claim)? Next(Claims claims)
    {
        foreach (var job in _jobs)
        {
            if (IsDoneNow(job) || !IsReady(job) || claims.Take(job.Name) is not { } claim) continue;
            if (!IsDoneNow(job)) return (job, claim);
            claim.Dispose();
        }
        return null;
    }

    private bool IsDoneNow(StudyJob job)
    {
        lock (_gate) return IsDone(job);
    }

    private bool IsDone(StudyJob job)
    {
        if (_done.Contains(job.Name)) return true;
        var done = job switch
        {
            ModuleJob module => _folder.HasModule(module.Of, module.Task),
            SimilarityJob => _folder.SimilarityOf(job.Name) is not null,
            CellsJob cells => _folder.CellsOf(job.Name).Count == cells.Keys.Count,
            _ => throw new InvalidOperationException(job.Name),
        };
        if (done) _done.Add(job.Name);
        return done;
    }

    // What uses modules waits for all of their training.
    private bool IsReady(StudyJob job) =>
        job is ModuleJob || job.Training is not { } training || _jobs.OfType<ModuleJob>().All(m => m.Of != training || IsDoneNow(m));

    private int Units(StudyJob job) => job switch
    {
        ModuleJob => Math.Max(1, _plan.Modules.Steps / 6),
        CellsJob cells => cells.Keys.Sum(k => StudyJobs.Cost(k, _protocol)),
        _ => 2,
    };

    private void Do(StudyJob job, Backend backend, Action<string> note, Claim claim, CancellationToken cancellation)
    {
        switch (job)
        {
            case ModuleJob module: TrainModule(module, backend, cancellation); break;
            case SimilarityJob similarity:
                var folders = _plan.Tasks.Select(t => _folder.ModuleFolder(similarity.Of, t.Name)).ToList();
                var own = _plan.Tasks.ToList().FindIndex(t => t.Name == job.Task);
                _folder.Save(job.Name, new Similarity(job.Task, similarity.Of,
                    Similarities.Cka(_base, folders, own, _tasks[job.Task].Test, backend)));
                break;
            case CellsJob cells: RunCells(cells, backend, note, claim, cancellation); break;
        }
    }

    private void TrainModule(ModuleJob job, Backend backend, CancellationToken cancellation)
    {
        using var model = _base.Open(backend);
        var options = _plan.Modules.Options(_plan.Seed + (ulong)job.Of) with { Cancellation = cancellation };
        var (module, history) = _base.Over(model).Module(_tasks[job.Task].Train, job.Task, options);
        if (!history.Completed) return;
        var folder = _folder.ModuleFolder(job.Of, job.Task);
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
        PeftFolder.Save(folder, module, model);                                        // where another process was as quick, its bits are the same
    }

    private void RunCells(CellsJob job, Backend backend, Action<string> note, Claim claim, CancellationToken cancellation)
    {
        var task = _tasks[job.Task];
        var (names, folders) = UpstreamOf(job);
        var kit = new ArmKit(_base, folders);
        var cells = _folder.CellsOf(job.Name).ToList();
        foreach (var key in job.Keys)
        {
            if (cells.Exists(c => c.Arm == key.Arm.Name && c.Shots == key.Shots)) continue;
            if (cancellation.IsCancellationRequested || claim.IsLost) return;
            var draw = FewShot.Draw(task, key.Shots, _plan.Seed, key.Draw, _plan.Settings.TestPerClass);
            var cell = Arms.Run(key, _protocol, draw, kit, backend);
            if (claim.IsLost) return;
            cells.Add(cell with { Weights = InAllColumns(cell.Weights, names) });
            _folder.Save(job.Name, cells);
            note(string.Create(CultureInfo.InvariantCulture, $"{job.Name}, {Text.Shots(key.Shots)}, {key.Arm.Label}: {100 * cell.Accuracy:0.0} %"));
        }
    }

    // Names and folders of the modules that a held-out task may use: all but its own.
    private (IReadOnlyList<string> Names, IReadOnlyList<string> Folders) UpstreamOf(CellsJob job)
    {
        if (job.Of is not { } training) return ([], []);
        if (_plan.Modules.Folder is { } given) return (_modules, [.. _modules.Select(m => Path.Combine(_plan.Resolve(given), m))]);
        string[] names = [.. _plan.Tasks.Select(t => t.Name).Where(n => n != job.Task)];
        return (names, [.. names.Select(n => _folder.ModuleFolder(training, n))]);
    }

    // Columns for all modules of the study, 0 for those that are not in this mix.
    private float[][]? InAllColumns(float[][]? weights, IReadOnlyList<string> names) => weights is null ? null
        : [.. weights.Select(row => _modules.Select(m => names.ToList().IndexOf(m) is var n and >= 0 ? row[n] : 0f).ToArray())];

    private List<string> Matrices()
    {
        using var backend = new CpuBackend(threads: 1);
        using var model = _base.Open(backend);
        if (_plan.Modules.Folder is not { } given) return [.. Attach.Matching(model, _plan.Modules.Pattern).Select(l => l.Key)];
        using var module = Lora.Load(Path.Combine(_plan.Resolve(given), _modules[0]), model);
        return [.. model.Linears().Select(l => l.Key).Where(module.Updates.ContainsKey)];
    }

    // The names of modules from a folder; null if they are trained here.
    private string[]? GivenModules()
    {
        if (_plan.Modules.Folder is not { } given) return null;
        using var backend = new CpuBackend(threads: 1);
        using var model = _base.Open(backend);
        var modules = Lora.LoadAll(_plan.Resolve(given), model);
        string[] names = [.. modules.Select(m => Path.GetFileName(m.Folder!))];
        foreach (var module in modules) module.Dispose();
        return names;
    }
}
