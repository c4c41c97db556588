using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Tests.Data;

namespace NanoLora.Tests.Cli;

public class DemoTests
{
    private static readonly string[] Small = ["--draws", "2", "--steps", "3", "--shots", "1,2"];

    // More cells than there are cores to work on them at once.
    private static readonly string[] Many = ["--draws", "40", "--steps", "3", "--shots", "1,2", "--arms", "linear-probe,learned,lora"];
    private const int AllOfMany = 40 * 2 * 3;

    private static string[] Words(MadeUpModels models, string folder, string[] size) =>
        ["demo", "--models", models.Models, "--out", models.At(folder), .. size];

    private static CliRun Demo(MadeUpModels models, params string[] more) => CliRun.Of([.. Words(models, "out", Small), .. more]);

    [Fact]
    public void All_arms_run_and_leave_table_sentence_and_three_files()
    {
        using var models = new MadeUpModels();
        var run = Demo(models);
        Assert.True(run.Code == 0, run.Error);
        Assert.Contains("held-out task: Held Out, 3 classes, 39 images", run.Out);
        Assert.Contains("2 upstream modules: one, two", run.Out);
        Assert.Contains("pools: 39 held-out images compared by content with 16 of pretraining and 0 upstream: none in common", run.Out);
        Assert.Contains("On Held Out, over 2 draws", run.Out);
        Assert.EndsWith("report.html", run.Out.TrimEnd());
        foreach (var arm in ArmNames.Order) Assert.Contains(ArmNames.Label(arm), run.Out);

        var results = Results.LoadJson(models.At("out", "results.json"));
        Assert.Equal(2 * 2 * ArmNames.Order.Count, results.Cells.Count);
        Assert.Equal(["one", "two"], results.Modules);
        Assert.All(results.Cells, c => Assert.Equal(15, c.Tested));
        Assert.Equal(results.Cells.Count + 1, File.ReadAllLines(models.At("out", "results.csv")).Length);
        Assert.Contains("</html>", File.ReadAllText(models.At("out", "report.html")));
    }

    [Fact]
    public void An_interrupted_demo_resumes_with_the_cells_that_are_missing()
    {
        using var models = new MadeUpModels();
        var first = CliRun.Interrupted(Words(models, "out", Many));
        Assert.Equal(130, first.Code);
        Assert.Contains("--resume", first.Error);
        var partial = Results.LoadJson(models.At("out", "results.json")).Cells;
        Assert.InRange(partial.Count, 1, AllOfMany - 1);
        Assert.False(File.Exists(models.At("out", "report.html")));
        Fails(CliRun.Of([.. Words(models, "out", Many), "--resume", "--seed", "2"]), "seed: the interrupted run has \"1\", this one \"2\"");

        var second = CliRun.Of([.. Words(models, "out", Many), "--resume"]);
        Assert.True(second.Code == 0, second.Error);
        Assert.Contains($"resumed: {partial.Count} of {AllOfMany} runs were done", second.Out);
        var resumed = Results.LoadJson(models.At("out", "results.json")).Cells;
        Assert.Superset(Timed(partial), Timed(resumed));                               // what was done was not done again

        Assert.Equal(0, CliRun.Of(Words(models, "unbroken", Many)).Code);
        Assert.Equal(Counted(Results.LoadJson(models.At("unbroken", "results.json")).Cells), Counted(resumed));

        static HashSet<(string, int, int, double)> Timed(IReadOnlyList<Cell> cells) => [.. cells.Select(c => (c.Arm, c.Shots, c.Draw, c.Seconds))];
        static List<(string, int, int, int)> Counted(IReadOnlyList<Cell> cells) => [.. cells.Select(c => (c.Arm, c.Shots, c.Draw, c.Correct))];
    }

    [Fact]
    public void A_task_that_was_seen_before_is_refused()
    {
        using var models = new MadeUpModels();
        PoolHashes.Write(models.At("models", "pools.safetensors"), [], [new ImageTask("Leak", models.Task.Test, models.Task.Test.Subset([]), Pool.Upstream)]);
        Fails(Demo(models), "test image 0 (class class 0) of Held Out (HeldOut) is among the upstream images; images of this kind: 15");
    }

    [Fact]
    public void What_cannot_work_is_refused_before_any_work()
    {
        using var models = new MadeUpModels();
        Fails(CliRun.Of(Words(models, "out", ["--shots", "1,9"])), "class class 0 has 8 images to learn from; 9 shots need 9");
        Fails(Demo(models, "--resume"), "nothing to resume");
        Fails(Demo(models, "--task", "Latin"), "\"Latin\" is not a task in", "held-out");
        File.WriteAllText(models.At("file"), "");
        Fails(CliRun.Of("demo", "--models", models.Models, "--out", models.At("file")), "is a file; name a folder");
        Fails(CliRun.Of("demo", "--models", models.At("nowhere"), "--out", models.At("out")), "has no nano-vit/config.json in it");
        var arm = Demo(models, "--arms", "lora,magic");
        Assert.Equal(2, arm.Code);
        Assert.Contains("\"magic\" is not an arm; known are pixel-probe, linear-probe", arm.Error);
        File.WriteAllText(Path.Combine(models.ModuleAt("two"), "adapter_config.json"), "{ broken");
        Fails(Demo(models), "adapter_config.json");
    }

    internal static void Fails(CliRun run, params string[] parts)
    {
        Assert.Equal(1, run.Code);
        var line = Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("nanolora ", line);
        foreach (var part in parts) Assert.Contains(part, line);
    }
}
