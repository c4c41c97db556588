using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Xunit.Abstractions;

namespace NanoLora.Tests.Cli;

/// <summary>
/// What is killed (SIGKILL) at any moment and started again ends with the bits of what ran unbroken, and leaves nothing else behind. Twenty kills in all, at
/// moments that are other ones in each run of the tests; a failure names their seed.
/// </summary>
public sealed partial class KillTests(ITestOutputHelper output)
{
    [Fact]
    public void A_killed_training_ends_with_the_bytes_of_an_unbroken_one()
    {
        using var models = new MadeUpModels();
        string[] Words(string folder) =>
        [
            "train", models.Model, "--task", models.TaskPath, "--out", folder, "--steps", "3000", "--batch", "8", "--dropout", "0.1", "--rank", "2",
            "--checkpoint-every", "20",
        ];
        var steps = Kill(8, "module", models.At, Words, ["--resume"], Bytes, ResumedAfterStep);
        Assert.Contains(steps, step => step > 0);
    }

    [Fact]
    public void A_killed_pretraining_ends_with_the_bytes_of_an_unbroken_one()
    {
        using var sources = new MadeUpSources();
        string[] Words(string folder) => ["pretrain", "--data", sources.Folder, "--out", folder, "--steps", "80", "--batch", "4", "--checkpoint-every", "4"];
        var steps = Kill(5, "base", parts => Path.Combine([sources.Folder, "made", .. parts]), Words, ["--resume"], Bytes, ResumedAfterStep);
        Assert.Contains(steps, step => step > 0);
    }

    [Fact]
    public void A_killed_study_ends_with_the_results_of_an_unbroken_one()
    {
        using var study = new MadeUpStudyPlan("\"linear-probe\", \"uniform\", \"learned\", \"lora\"", "\"shots\": [1, 2], \"draws\": 8");
        study.Edit("\"modules\": { \"steps\": 5", "\"modules\": { \"steps\": 200");
        study.Edit("\"settings\": { \"steps\": 3", "\"settings\": { \"steps\": 40");
        var units = Kill(7, "results", study.At, folder => ["study", study.PlanPath, "--out", folder, "--threads", "2"], [], Results, ResumedUnits);
        Assert.Contains(units, done => done > 0);

        static IReadOnlyList<string> Results(string folder) =>
        [
            .. MadeUpStudyPlan.Bits(NanoLora.Experiments.Results.LoadJson(Path.Combine(folder, "results.json"))),
            .. Names(folder),
        ];
    }

    // Starts a command, kills it, starts it again, and so on; whenever one ends before its kill, compares what it leaves and begins with a new folder. Gives
    // what the starts after a kill said of where they went on.
    private List<int> Kill(
        int kills, string name, Func<string[], string> at, Func<string, string[]> words, string[] again, Func<string, IReadOnlyList<string>> left,
        Func<CliRun, int?> resumed)
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var clock = Stopwatch.StartNew();
        var unbroken = Folder("unbroken");
        var run = ToolProcess.Run(words(unbroken)).Run;
        var length = clock.Elapsed;
        Assert.True(run.Code == 0, run.Error);
        var expected = left(unbroken);

        List<int> wentOn = [];
        for (var (killed, chain, begun) = (0, 0, false); begun || Wants(killed);)
        {
            var folder = Folder($"chain-{chain}");
            TimeSpan? moment = Wants(killed) ? random.NextDouble() * length : null;
            clock.Restart();
            var (made, wasKilled) = ToolProcess.Run(begun ? [.. words(folder), .. again] : words(folder), moment);
            if (!begun && !wasKilled && clock.Elapsed < length) length = clock.Elapsed;       // the machine has become quicker
            if (begun && resumed(made) is { } place) wentOn.Add(place);
            var end = wasKilled ? $"killed after {moment!.Value.TotalSeconds:0.000} s of {length.TotalSeconds:0.000}" : "ended";
            output.WriteLine($"chain {chain}: went on from {resumed(made)?.ToString(CultureInfo.InvariantCulture) ?? "the start"}, {end}");
            begun = wasKilled;
            if (wasKilled)
            {
                killed++;
                continue;
            }
            Assert.True(made.Code == 0, $"seed {seed}: {made.Error}");
            var got = left(folder);
            Assert.True(expected.SequenceEqual(got),
                $"seed {seed}, chain {chain}: {string.Join(", ", got.Except(expected))} not {string.Join(", ", expected.Except(got))}");
            chain++;
        }
        return wentOn;

        // Kills that all came before any work would show nothing: then there are more.
        bool Wants(int killed) => killed < kills || (killed < 4 * kills && !wentOn.Exists(place => place > 0));

        string Folder(string of)
        {
            Directory.CreateDirectory(at([of]));
            return at([of, name]);
        }
    }

    private static IEnumerable<string> Names(string folder) =>
        Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(folder, path)).Order(StringComparer.Ordinal);

    private static IReadOnlyList<string> Bytes(string folder) =>
        [.. Names(folder).Select(name => $"{name} {Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(folder, name))))}")];

    private static int? ResumedAfterStep(CliRun run) => AfterStep().Match(run.Error) is { Success: true } match ? Number(match.Groups[1].ValueSpan) : null;

    private static int? ResumedUnits(CliRun run) => UnitsDone().Match(run.Out) is { Success: true } match ? Number(match.Groups[1].ValueSpan) : null;

    private static int Number(ReadOnlySpan<char> text) => int.Parse(text, NumberStyles.AllowThousands, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"resumed after step (\d+) of")]
    private static partial Regex AfterStep();

    [GeneratedRegex(@"resumed: ([\d,]+) of")]
    private static partial Regex UnitsDone();
}
