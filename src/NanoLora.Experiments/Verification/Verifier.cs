namespace NanoLora.Experiments.Verification;

/// <summary>What a verification may be told.</summary>
public sealed class VerifyOptions
{
    /// <summary>Where data sets and published weights lie, for the cases that name one; null if there is no such folder.</summary>
    public string? DataFolder { get; init; }

    /// <summary>The kinds of golden vectors to recognise, tried in this order.</summary>
    public IReadOnlyList<IGoldenArea> Areas { get; init; } = Verifier.Areas;
}

/// <summary>What a verification found.</summary>
/// <param name="ExitCode">1: something deviates or a folder is unusable; 3: something is not built; 0: all agrees. The worst of all folders, in this
/// order.</param>
/// <param name="Ok">Tensors that agree.</param>
/// <param name="Failed">Tensors that deviate, and what else went wrong.</param>
/// <param name="NotBuilt">Cases that need what is not built.</param>
/// <param name="FirstDeviation">The first deviation: folder, case and tensor; empty if there is none.</param>
public sealed record VerifyResult(int ExitCode, int Ok, int Failed, int NotBuilt, string FirstDeviation);

/// <summary>
/// Runs golden vectors, made by the reference implementations, through the engine: a line per tensor, and a verdict.
/// The command <c>nanolora verify</c> and the tests are this code.
/// </summary>
public static class Verifier
{
    /// <summary>Something deviates, or a folder is unusable.</summary>
    public const int Deviates = 1;

    /// <summary>Nothing deviates, but something is not built.</summary>
    public const int NotBuilt = 3;

    /// <summary>The kinds that are known.</summary>
    public static IReadOnlyList<IGoldenArea> Areas { get; } =
    [
        new OpsArea(), new ModelsArea(), new TrainingArea(), new CompositionArea(), new ImagesArea(), new FormatsArea(), new TokenizersArea(), new ChatArea(),
    ];

    /// <summary>
    /// Verifies folders: each is one of golden vectors (it has a golden.json) or one with such folders below it, which are taken in ordinal order of their
    /// paths.
    /// </summary>
    public static VerifyResult Run(IEnumerable<string> folders, Backend backend, TextWriter output, VerifyOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(folders);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(output);
        options ??= new VerifyOptions();
        var reports = new List<GoldenReport>();
        foreach (var folder in folders)
        {
            foreach (var (path, name) in Below(folder)) reports.Add(One(path, name, backend, output, options));
        }
        output.WriteLine();
        foreach (var report in reports) output.WriteLine(report.Summary());
        var result = Sum(reports);
        output.WriteLine($"total: {reports.Count} folders, {result.Ok} ok, {result.Failed} FAIL, {result.NotBuilt} not built, exit {result.ExitCode}");
        return result;
    }

    private static GoldenReport One(string path, string name, Backend backend, TextWriter output, VerifyOptions options)
    {
        var report = new GoldenReport(name, output);
        try
        {
            using var folder = new GoldenFolder(path);
            if (Area(folder, options) is { } area) area.Run(folder, backend, options, report);
            else report.Missing("a reader for this kind of golden.json");
        }
        catch (NotBuiltException e) { report.Missing(e.Message); }
        catch (GoldenException e) { report.Fail(e.Message); }
        report.End();
        return report;
    }

    private static IGoldenArea? Area(GoldenFolder folder, VerifyOptions options)
    {
        foreach (var area in options.Areas) if (area.Recognises(folder)) return area;
        return null;
    }

    // The folder itself, or those below it; one that has none is given as it is, and its report says what is wrong with it.
    private static List<(string Path, string Name)> Below(string folder)
    {
        var root = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        if (!Directory.Exists(folder) || File.Exists(Path.Combine(folder, "golden.json"))) return [(folder, root)];
        var found = new List<(string, string)>();
        foreach (var file in Directory.EnumerateFiles(folder, "golden.json", SearchOption.AllDirectories))
        {
            var path = Path.GetDirectoryName(file)!;
            found.Add((path, $"{root}/{Path.GetRelativePath(folder, path).Replace('\\', '/')}"));
        }
        found.Sort(static (a, b) => string.CompareOrdinal(a.Item2, b.Item2));
        return found.Count > 0 ? found : [(folder, root)];
    }

    private static VerifyResult Sum(List<GoldenReport> reports)
    {
        int exit = reports.Count > 0 ? 0 : Deviates, ok = 0, failed = 0, missing = 0;
        var first = "";
        foreach (var report in reports)
        {
            if (exit != Deviates && report.ExitCode != 0) exit = report.ExitCode;
            ok += report.Ok;
            failed += report.Failed;
            missing += report.NotBuilt;
            if (first.Length == 0 && report.Failed > 0) first = $"{report.Folder}/{report.FirstDeviation}";
        }
        return new VerifyResult(exit, ok, failed, missing, first);
    }
}
