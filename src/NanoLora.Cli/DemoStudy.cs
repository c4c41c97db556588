using System.Globalization;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>The few-shot comparison on a held-out task: what it starts from, the cells it has, and the files it leaves.</summary>
internal sealed class DemoStudy
{
    private static readonly TimeSpan SavePause = TimeSpan.FromSeconds(2);

    private readonly Protocol _protocol;
    private readonly LabelledTask _task;
    private readonly ArmKit _kit;
    private readonly string _model, _device;
    private readonly IReadOnlyList<string> _modules, _matrices;
    private readonly IReadOnlyList<Fact> _settings;

    /// <summary>Reads base, modules and task, and makes sure that they fit and that every draw can be made.</summary>
    public DemoStudy(BundledModels models, StudyBase base_, string taskFile, Protocol protocol, string device)
    {
        (_protocol, _device) = (protocol, device);
        using var backend = new CpuBackend(threads: 1);
        using var model = base_.Open(backend);
        _task = base_.Fit(base_.ReadFile(taskFile));
        foreach (var shots in protocol.Shots)
            for (var draw = 0; draw < protocol.Draws; draw++) Pools.Check(FewShot.Draw(_task, shots, protocol.Seed, draw));

        _model = base_.Name;
        Parameters = model.Parameters().Sum(p => (long)p.Value.Value.Count);
        var modules = Lora.LoadAll(models.Modules, model);
        var mixture = Compose.Uniform(model, modules);
        _modules = [.. modules.Select(m => m.Name)];
        _kit = new ArmKit(base_, [.. modules.Select(m => m.Folder!)]);
        _matrices = [.. mixture.Compositions.Select(c => c.Key)];
        mixture.Detach();
        foreach (var module in modules) module.Dispose();
        _settings = [new("task", _task.Name), new("base and modules", Digest(models)), .. protocol.Facts(),
            new("arms", string.Join(", ", protocol.Arms.Select(a => a.Name))), .. Devices.Facts(device)];
    }

    /// <summary>The number of the base's parameters.</summary>
    public long Parameters { get; }

    /// <summary>The held-out task.</summary>
    public LabelledTask Task => _task;

    /// <summary>The base's name.</summary>
    public string Model => _model;

    /// <summary>The modules' names.</summary>
    public IReadOnlyList<string> Modules => _modules;

    /// <summary>The number of runs in all.</summary>
    public int Total => FewShotStudy.Plan(_protocol).Count;

    /// <summary>The runs that an interrupted study in the folder has done.</summary>
    /// <exception cref="CommandException">There is none, or it had other settings.</exception>
    public IReadOnlyList<Cell> Done(string folder)
    {
        var path = ResultsPath(folder);
        if (!File.Exists(path)) throw new CommandException($"{path} is not there, so there is nothing to resume; run without --resume.");
        var before = Results.LoadJson(path);
        RunSettings.Match(path, Settings(before), Settings(Of([])));
        return before.Cells;
    }

    /// <summary>Refuses to write over what an interrupted study in the folder has done.</summary>
    /// <exception cref="CommandException">It says how to go on with it.</exception>
    public static void RefuseInterrupted(string folder)
    {
        var path = ResultsPath(folder);
        if (!File.Exists(path)) return;
        var before = Results.LoadJson(path);
        if (before.Cells.Count < before.Planned)
        {
            throw new CommandException(
                $"{path} has {before.Cells.Count} of the {before.Planned} runs of an interrupted demo; add --resume to go on with it, or delete it.");
        }
    }

    /// <summary>Runs what is missing, and keeps results.json up to date on the way.</summary>
    public Results Run(Session session, string folder, IReadOnlyList<Cell> done)
    {
        var cells = done.ToList();
        var saved = TimeProvider.System.GetTimestamp();
        var workers = Devices.Workers(_device);
        using (var progress = session.Progress("demo", Total - done.Count))
        {
            return Of(FewShotStudy.Run(_protocol, _task, _kit, done, Finished, workers, session.Cancellation));

            void Finished(Cell cell)
            {
                cells.Add(cell);
                var (shots, draw, arm) = (cell.Shots, cell.Draw + 1, ArmNames.Label(cell.Arm));
                progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"{shots}-shot, draw {draw}, {arm}: {100 * cell.Accuracy:0.0} %"));
                if (TimeProvider.System.GetElapsedTime(saved) < SavePause) return;
                Of(cells).SaveJson(ResultsPath(folder));
                saved = TimeProvider.System.GetTimestamp();
            }
        }
    }

    /// <summary>Where the results of a folder are.</summary>
    public static string ResultsPath(string folder) => Path.Combine(folder, "results.json");

    private Results Of(IReadOnlyList<Cell> cells)
    {
        var title = $"{_task.Name} from a few {_task.Train.Noun}s: composing {_modules.Count} LoRA modules";
        var results = new Results(title, _model, _modules, _matrices, Machine.Facts(), _protocol.Seed, DateTimeOffset.UtcNow, _settings, cells, Planned: Total);
        return results with { Conclusion = Conclusion.Of(results) };
    }

    private static IReadOnlyList<Fact> Settings(Results results) => [.. results.Settings, new("seed", results.Seed.ToString(CultureInfo.InvariantCulture))];

    // Results of other weights are not to be mixed in.
    private static string Digest(BundledModels models)
    {
        string[] folders = [models.Model, .. Directory.GetDirectories(models.Modules).Order(StringComparer.Ordinal)];
        return $"SHA-256 {StudyFolder.Digest(folders.SelectMany(f => Directory.GetFiles(f, "*.safetensors").Order(StringComparer.Ordinal)))}";
    }
}
