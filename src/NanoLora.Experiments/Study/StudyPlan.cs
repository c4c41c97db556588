using System.Text.Json;
using System.Text.Json.Serialization;
using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// A study as it is written down: a JSON file that names base, tasks, arms and settings. Every task is held out in turn, and the modules of all others are
/// its upstream. Paths are relative to the file.
/// </summary>
/// <remarks>Properties have setters, not initialisers: the generated JSON reader would overwrite the defaults of fields that a plan leaves out.</remarks>
public sealed record StudyPlan
{
    /// <summary>A headline for the report.</summary>
    public required string Title { get; set; }

    /// <summary>The folder of the base model.</summary>
    public required string Model { get; set; }

    /// <summary>The tasks.</summary>
    public required IReadOnlyList<TaskSpec> Tasks { get; set; }

    /// <summary>The tasks that are held out in turn, by name; all of them if not given. The others only train modules.</summary>
    public IReadOnlyList<string>? HeldOut { get; set; }

    /// <summary>The folder of raw sources, for tasks that are given by name; the command line may name another.</summary>
    public string? Data { get; set; }

    /// <summary>The hashes of the samples that the base has seen (<see cref="PoolHashes"/>): no task may have one of them.</summary>
    public string? Pools { get; set; }

    /// <summary>Whether samples that two pools would share end the study, or stay with the first task that has them.</summary>
    public Overlaps Overlaps { get; set; }

    /// <summary>Support samples per class; "all" for all there are.</summary>
    public IReadOnlyList<int> Shots { get; set; } = [1, 5];

    /// <summary>Draws of the support set.</summary>
    public int Draws { get; set; } = 10;

    /// <summary>How often the modules are trained, each time from another start.</summary>
    public int Trainings { get; set; } = 1;

    /// <summary>Of draws, orders and starts.</summary>
    public ulong Seed { get; set; } = 1;

    /// <summary>How the modules are made, or where they are.</summary>
    public ModulePlan Modules { get; set; } = new();

    /// <summary>How every arm trains.</summary>
    public ArmSettings Settings { get; set; } = new();

    /// <summary>The arms: names of known ones, or arms of their own.</summary>
    public IReadOnlyList<Arm> Arms { get; set; } = Arm.OfTheDemo;

    /// <summary>Other rates for some of the held-out tasks, such as those that were chosen without them.</summary>
    public IReadOnlyList<RatesOfTasks> Rates { get; set; } = [];

    /// <summary>The file it was read from.</summary>
    [JsonIgnore]
    public string Source { get; init; } = "plan";

    /// <summary>
    /// Whether the samples are texts. Its tasks say so, or the arm that has no model; where they leave it open, the config of the base.
    /// </summary>
    [JsonIgnore]
    public bool IsOfTexts => Tasks.Any(t => t.Texts is not null)
        || Tasks.All(t => t.Images is null) && (Arms.FirstOrDefault(a => a.IsRaw) is { } raw ? raw.Method == ArmMethod.BagOfWords
            : TextStudyBase.Reads(Resolve(Model)));

    /// <summary>The protocol that the plan sets; rates that it does not name are those of its kind of samples.</summary>
    [JsonIgnore]
    public Protocol Protocol => (IsOfTexts ? Protocol.ForTexts : new()) with
    {
        Shots = Shots,
        Draws = Draws,
        Arms = Arms,
        Seed = Seed,
        Steps = Settings.Steps,
        StepsForAll = Settings.StepsForAll,
        BatchSize = Settings.Batch,
        HeadRate = Settings.HeadRate,
        ManyShots = Settings.ManyShots,
        TestPerClass = Settings.TestPerClass,
        LoraPattern = Modules.Pattern,
        LoraRank = Modules.Rank,
    };

    /// <summary>A path of the plan, from where the plan lies.</summary>
    public string Resolve(string path) => Path.GetFullPath(path, Path.GetDirectoryName(Path.GetFullPath(Source))!);

    /// <summary>An arm as it is run on a held-out task: with the rates for this task, if there are any.</summary>
    public Arm ArmOn(Arm arm, string task)
    {
        foreach (var rates in Rates)
        {
            if (rates.HeldOut.Contains(task) && rates.Arms.TryGetValue(arm.Name, out var values))
                return arm with { Rates = new ShotRates(values[0], values[^1]) };
        }
        return arm;
    }

    /// <summary>Reads a plan.</summary>
    /// <exception cref="InvalidDataException">It is no plan: file, field and what was expected are named.</exception>
    public static StudyPlan Read(string path) => Parse(File.ReadAllText(path), path);

    /// <summary>Reads a plan from its text.</summary>
    public static StudyPlan Parse(string json, string source = "plan")
    {
        try
        {
            var plan = JsonSerializer.Deserialize(json, StudyJson.Default.StudyPlan) ?? throw new JsonException("the file holds null instead of a plan.");
            return (plan with { Source = source }).Checked();
        }
        catch (JsonException error)
        {
            var line = error.LineNumber is { } number ? $" (line {number + 1})" : "";
            throw new InvalidDataException($"{source}{line}: {Field(error.Path)}{StudyJson.InWords(error)}", error);
        }
    }

    /// <summary>The plan as indented JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, StudyJson.Default.StudyPlan) + "\n";

    /// <summary>The names of the tasks that are held out.</summary>
    public IReadOnlyList<string> HeldOutNames() => HeldOut ?? [.. Tasks.Select(t => t.Name)];

    private StudyPlan Checked()
    {
        if (Tasks.Count == 0) throw Error("tasks", "the list is empty; name at least one task.");
        Once("tasks", Tasks.Select(t => t.Name));
        if (Tasks.GroupBy(t => TaskFile.BaseName(t.Name)).FirstOrDefault(g => g.Count() > 1) is { } same)
            throw Error("tasks", $"{string.Join(" and ", same.Select(t => $"\"{t.Name}\""))} would share the file name {same.Key}; rename one.");
        foreach (var name in HeldOut ?? [])
            if (Tasks.All(t => t.Name != name))
                throw Error("heldOut", $"\"{name}\" is not one of the tasks; they are {string.Join(", ", Tasks.Select(t => t.Name))}.");
        Once("heldOut", HeldOut ?? []);
        if (HeldOut is { Count: 0 }) throw Error("heldOut", "the list is empty; name a task, or leave the field out to hold out each in turn.");
        if (Shots.Count == 0) throw Error("shots", "the list is empty; give numbers from 1 on, or \"all\".");
        Once("shots", Shots.Select(s => s == Cell.AllShots ? "all" : $"{s}"));
        if (Arms.Count == 0) throw Error("arms", "the list is empty; name at least one arm.");
        Once("arms", Arms.Select(a => a.Name));
        if (Draws is < 1 or > 1000) throw Error("draws", $"it is {Draws}; 1 to 1000 are possible.");
        if (Trainings is < 1 or > 100) throw Error("trainings", $"it is {Trainings}; 1 to 100 are possible.");
        if (Modules.Folder is not null && Trainings > 1) throw Error("trainings", "modules from a folder were trained once; leave the field out.");
        if (Modules.Folder is null && Tasks.Count < 2 && Arms.Any(a => a.UsesModules))
            throw Error("tasks", "one task alone has no upstream tasks to train modules on; add tasks, or name a folder of modules in modules.folder.");
        if (Modules.Rank < 1 || Modules.Steps < 1 || Modules.Batch < 1 || !(Modules.Rate > 0) || !(Modules.HeadRate > 0))
            throw Error("modules", "rank, steps, batch, rate and headRate must be positive.");
        if (Settings.Steps < 1 || Settings.StepsForAll < 1 || Settings.Batch < 1 || Settings.ManyShots < 1
            || Settings.TestPerClass < 1 || !(Settings.HeadRate > 0))
            throw Error("settings", "steps, stepsForAll, batch, headRate, manyShots and testPerClass must be positive.");
        foreach (var (at, rates) in Rates.Index())
        {
            foreach (var name in rates.HeldOut) if (!HeldOutNames().Contains(name)) throw Error($"rates[{at}].heldOut", $"\"{name}\" is not held out.");
            foreach (var (name, values) in rates.Arms)
            {
                if (Arms.All(a => a.Name != name)) throw Error($"rates[{at}].arms", $"\"{name}\" is not one of the arms.");
                if (values.Count is < 1 or > 2 || !values.All(v => v > 0))
                    throw Error($"rates[{at}].arms.{name}", "a positive rate, or one for few shots and one for many, is expected.");
            }
        }
        return this;
    }

    private void Once(string field, IEnumerable<string> names)
    {
        var seen = new HashSet<string>();
        foreach (var name in names) if (!seen.Add(name)) throw Error(field, $"\"{name}\" is there twice.");
    }

    private InvalidDataException Error(string field, string message) => new($"{Source}: {field}: {message}");

    private static string Field(string? path) => path is null or "$" ? "" : $"{path.TrimStart('$').TrimStart('.')}: ";
}

/// <summary>What becomes of a sample that is in two pools.</summary>
public enum Overlaps
{
    /// <summary>The study ends before it begins, and names the sample.</summary>
    Refuse,

    /// <summary>The sample stays with the first task that has it; what was left out is counted.</summary>
    LeaveOut,
}

/// <summary>One task of a plan: the name of a bundled source, or a name and where its images or texts are.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Images">A folder with a folder per class, a CSV index, a task file, or IDX files with commas between; null for a source by name.</param>
/// <param name="Invert">Whether dark drawings on a light ground are turned to light on dark.</param>
[JsonConverter(typeof(TaskSpecJson))]
/// <param name="TestShare">The share of each class that is for tests, where the images are not divided; a sixth if not given.</param>
/// <param name="Texts">A CSV file or lines of JSON with the fields text and label, or a task file of texts.</param>
public sealed record TaskSpec(string Name, string? Images = null, bool Invert = false, double? TestShare = null, string? Texts = null)
{
    /// <summary>Where its samples are; null for a source by name.</summary>
    public string? Path => Images ?? Texts;
}

/// <summary>Rates of some arms on some of the held-out tasks.</summary>
/// <param name="HeldOut">The tasks.</param>
/// <param name="Arms">For each arm one rate, or one for few shots and one for many.</param>
public sealed record RatesOfTasks(IReadOnlyList<string> HeldOut, IReadOnlyDictionary<string, IReadOnlyList<double>> Arms);

/// <summary>How the upstream modules of a study are made.</summary>
public sealed record ModulePlan
{
    /// <summary>A folder of trained modules to use as they are; null to train them.</summary>
    public string? Folder { get; set; }

    /// <summary>Which linears, by path.</summary>
    public string Pattern { get; set; } = "blocks.*";

    /// <summary>The rank.</summary>
    public int Rank { get; set; } = 4;

    /// <summary>Steps of the optimiser.</summary>
    public int Steps { get; set; } = 700;

    /// <summary>Samples in a batch.</summary>
    public int Batch { get; set; } = 32;

    /// <summary>AdamW's rate for A and B.</summary>
    public double Rate { get; set; } = 3e-3;

    /// <summary>AdamW's rate for the module's own head.</summary>
    public double HeadRate { get; set; } = 1e-2;

    /// <summary>The settings of one training.</summary>
    internal ModuleOptions Options(ulong seed) =>
        new() { Pattern = Pattern, Rank = Rank, Steps = Steps, BatchSize = Batch, Rate = Rate, HeadRate = HeadRate, Seed = seed };
}

/// <summary>How every arm of a study trains.</summary>
public sealed record ArmSettings
{
    /// <summary>Steps of the optimiser.</summary>
    public int Steps { get; set; } = 60;

    /// <summary>Steps where all training samples are used; <see cref="Steps"/> if not given.</summary>
    public int? StepsForAll { get; set; }

    /// <summary>Samples in a batch.</summary>
    public int Batch { get; set; } = 32;

    /// <summary>The head's rate.</summary>
    public double HeadRate { get; set; } = 3e-3;

    /// <summary>From how many shots on an arm's second rate holds.</summary>
    public int ManyShots { get; set; } = 5;

    /// <summary>If given, only so many test samples of each class.</summary>
    public int? TestPerClass { get; set; }
}
