using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>What must be equal among all processes that work on a study.</summary>
/// <param name="Version">The version of the program.</param>
/// <param name="Bits">What a small training gives on this machine, as a hash: machines that compute other bits do not mix.</param>
/// <param name="Plan">A hash of the plan.</param>
/// <param name="Model">A hash of the base, and of modules that are used as they are.</param>
public sealed record StudyStamp(string Version, string Bits, string Plan, string Model);

/// <summary>The cells of one job.</summary>
internal sealed record JobCells(IReadOnlyList<Cell> Cells);

/// <summary>Where a study keeps what it has done: the plan and its stamp, <c>modules/</c>, <c>cells/</c>, <c>similarity/</c> and <c>claims/</c>.</summary>
public sealed class StudyFolder
{
    private const string StampName = "study.json";

    // The probes of Claims live for a moment: one of this age was left by a process that was killed in it.
    private static readonly TimeSpan Forgotten = TimeSpan.FromHours(1);

    /// <summary>A folder, which is made if need be.</summary>
    public StudyFolder(string path)
    {
        Path = System.IO.Path.GetFullPath(path);
        foreach (var part in (ReadOnlySpan<string>)["cells", "modules", "similarity", "claims"]) Directory.CreateDirectory(In(part));
        foreach (var left in Directory.GetFiles(ClaimsFolder, ".clock-*"))
        {
            if (DateTime.UtcNow - File.GetLastWriteTimeUtc(left) > Forgotten) File.Delete(left);
        }
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>Where claims are.</summary>
    public string ClaimsFolder => In("claims");

    /// <summary>A path within the folder.</summary>
    public string In(params ReadOnlySpan<string> parts) => System.IO.Path.Combine([Path, .. parts]);

    /// <summary>The module of a task.</summary>
    public string ModuleFolder(int training, string task) => In("modules", $"training-{training}", TaskFile.BaseName(task));

    /// <summary>Whether the module of a task is there: its config comes last.</summary>
    public bool HasModule(int training, string task) => File.Exists(System.IO.Path.Combine(ModuleFolder(training, task), "adapter_config.json"));

    /// <summary>Makes the folder this study's, or checks that it is.</summary>
    /// <exception cref="InvalidDataException">It belongs to another study: the message says what differs.</exception>
    public void Join(StudyStamp stamp, StudyPlan plan)
    {
        var path = In(StampName);
        if (!File.Exists(path))
        {
            AtomicFile.WriteText(In("plan.json"), plan.ToJson());
            // the first to come names the study
            AtomicFile.WriteNew(path, stream => JsonSerializer.Serialize(stream, stamp, StudyJson.Default.StudyStamp));
        }
        var before = Read(path, StudyJson.Default.StudyStamp);
        Same("version", before.Version, stamp.Version, "run the version that began it, or choose another --out");
        Same("plan", before.Plan, stamp.Plan, "give the plan it was begun with, or choose another --out");
        Same("model", before.Model, stamp.Model, "the base or the modules have changed; choose another --out");
        Same("bits", before.Bits, stamp.Bits,
            "this machine computes other bits than the one that began it, so their cells must not be mixed; choose another --out");

        void Same(string field, string old, string now, string advice)
        {
            if (old != now) throw new InvalidDataException($"{path}: {field}: the study was begun with {old}, this is {now}: {advice}.");
        }
    }

    /// <summary>The cells that a job has done so far.</summary>
    internal IReadOnlyList<Cell> CellsOf(string job) => File.Exists(CellsPath(job)) ? Read(CellsPath(job), StudyJson.Default.JobCells).Cells : [];

    /// <summary>Keeps a job's cells.</summary>
    internal void Save(string job, IReadOnlyList<Cell> cells) =>
        AtomicFile.WriteText(CellsPath(job), JsonSerializer.Serialize(new JobCells(cells), StudyJson.Default.JobCells));

    /// <summary>The similarities of a job, or null.</summary>
    internal Similarity? SimilarityOf(string job) =>
        File.Exists(In("similarity", job + ".json")) ? Read(In("similarity", job + ".json"), StudyJson.Default.Similarity) : null;

    /// <summary>Keeps similarities.</summary>
    internal void Save(string job, Similarity similarity) =>
        AtomicFile.WriteText(In("similarity", job + ".json"), JsonSerializer.Serialize(similarity, StudyJson.Default.Similarity));

    /// <summary>Names some files by their content: 16 hexadecimal digits.</summary>
    public static string Digest(IEnumerable<string> files)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in files) hash.AppendData(File.ReadAllBytes(file));
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }

    /// <summary>Names a text: 16 hexadecimal digits.</summary>
    public static string Digest(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..16];

    private string CellsPath(string job) => In("cells", job + ".json");

    private static T Read<T>(string path, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), type) ?? throw new JsonException("it holds null.");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{path}: it is damaged: {error.Message} Delete it, and what it held is run again.", error);
        }
    }
}
