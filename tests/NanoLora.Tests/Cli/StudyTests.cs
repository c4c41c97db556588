using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Tests.Data;

namespace NanoLora.Tests.Cli;

/// <summary>A plan over tiny made-up tasks: four of them, every kind of arm.</summary>
public sealed class MadeUpStudyPlan : IDisposable
{
    private const string AllArms =
        "\"pixel-probe\", \"linear-probe\", \"full-finetune\", \"lora\", \"uniform\", \"learned\", \"random-modules\", \"uniform-double\", "
        + "\"learned-free-scale\", \"learned-block\", \"learned-global\", \"best-module\", \"lora-from-uniform\", \"full-from-uniform\"";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nanolora-study-");

    public MadeUpStudyPlan(string arms = AllArms, string more = "\"shots\": [1, 2], \"draws\": 2, \"trainings\": 2")
    {
        using (var backend = new CpuBackend(threads: 1))
        using (var model = Vit.Create(MadeUpModels.Config, backend, seed: 1)) model.Save(At("base"));
        string[] names = ["north", "south", "east", "west"];
        for (var t = 0; t < names.Length; t++)
        {
            var seed = (ulong)(100 * t);
            TaskFile.Write(At($"{names[t]}.safetensors"),
                new(names[t], DataFiles.Set(names[t], 3, 8, seed + 1), DataFiles.Set(names[t], 3, 5, seed + 2), Pool.Upstream));
        }
        Write($$"""
            { "title": "Four winds", "model": "base", {{more}}, "modules": { "steps": 5, "rank": 2, "batch": 8 }, "settings": { "steps": 3, "batch": 8 },
              "tasks": [{{string.Join(", ", names.Select(n => $$"""{ "name": "{{n}}", "images": "{{n}}.safetensors" }"""))}}], "arms": [{{arms}}] }
            """);
    }

    public string PlanPath => At("plan.json");

    public string At(params string[] parts) => Path.Combine([_folder.FullName, .. parts]);

    public void Write(string json) => File.WriteAllText(PlanPath, json);

    public void Edit(string old, string by) => Write(File.ReadAllText(PlanPath).Replace(old, by, StringComparison.Ordinal));

    public CliRun Run(string folder = "out", params string[] more) => CliRun.Of(["study", PlanPath, "--out", At(folder), .. more]);

    /// <summary>What a study left, the mixing weights of every cell included.</summary>
    public Results Results(string folder = "out")
    {
        var results = NanoLora.Experiments.Results.LoadJson(At(folder, "results.json"));
        var kept = new StudyFolder(At(folder));
        var cells = Directory.GetFiles(At(folder, "cells")).SelectMany(f => kept.CellsOf(Path.GetFileNameWithoutExtension(f)));
        var byKey = cells.ToDictionary(c => (c.Task, c.Arm, c.Shots, c.Draw, c.Training));
        return results with { Cells = [.. results.Cells.Select(c => byKey[(c.Task, c.Arm, c.Shots, c.Draw, c.Training)])] };
    }

    /// <summary>All that must not depend on who did it, when and in which order.</summary>
    public static IEnumerable<string> Bits(Results results) =>
        results.Cells
            .Select(c => $"{c.Task} {c.Arm} {c.Shots} {c.Draw} {c.Training} {c.Correct}/{c.Tested} {string.Join(',', c.Weights?.SelectMany(w => w) ?? [])}")
            .Concat((results.Similarities ?? []).Select(s => $"{s.Task} {s.Training} {string.Join(',', s.Cka)}"));

    public void Dispose() => _folder.Delete(recursive: true);
}

public class StudyTests
{
    [Fact]
    public void Every_task_is_held_out_in_turn_and_the_report_can_be_made_again()
    {
        using var study = new MadeUpStudyPlan();
        var run = study.Run();
        Assert.True(run.Code == 0, run.Error);
        var results = study.Results();
        // tasks, draws, shots; four arms without modules, ten with two trainings
        Assert.Equal(4 * 2 * 2 * (4 + 2 * 10), results.Cells.Count);
        Assert.Equal(4 * 2, results.Similarities!.Count);
        Assert.Equal(["north", "south", "east", "west"], results.Modules);
        Assert.Contains("4 tasks held out in turn, 384 cells", run.Out);

        // A task's own module has no part in its mix.
        foreach (var cell in results.Cells.Where(c => c.Weights is not null))
        {
            var own = results.Modules.ToList().IndexOf(cell.Task);
            Assert.All(cell.Weights!, row => Assert.Equal(0, row[own]));
            Assert.Equal(results.Matrices.Count, cell.Weights!.Length);
        }
        foreach (var cell in results.Cells.Where(c => c.Arm == "uniform")) Assert.All(cell.Weights!, row => Assert.Equal(1, row.Sum(), 1e-6));
        foreach (var cell in results.Cells.Where(c => c.Arm == "uniform-double")) Assert.All(cell.Weights!, row => Assert.Equal(2, row.Sum(), 1e-6));
        foreach (var cell in results.Cells.Where(c => c.Arm == "best-module")) Assert.All(cell.Weights!, row => Assert.Single(row, w => w == 1));

        var report = File.ReadAllText(study.At("out", "report.html"));
        var again = study.Run("out", "--report");
        Assert.True(again.Code == 0, again.Error);
        Assert.Equal(MadeUpStudyPlan.Bits(results), MadeUpStudyPlan.Bits(study.Results()));
        Assert.Equal(Undated(report), Undated(File.ReadAllText(study.At("out", "report.html"))));

        // From plan and raw tables alone, elsewhere.
        Directory.CreateDirectory(study.At("elsewhere"));
        foreach (var table in (string[])["results.csv", "weights.csv", "similarities.csv"]) File.Copy(study.At("out", table), study.At("elsewhere", table));
        Directory.Delete(study.At("base"), recursive: true);
        var made = study.Run("made", "--tables", study.At("elsewhere"));
        Assert.True(made.Code == 0, made.Error);
        Assert.Equal(again.Out[again.Out.IndexOf('─')..again.Out.IndexOf("report:", StringComparison.Ordinal)],
            made.Out[made.Out.IndexOf('─')..made.Out.IndexOf("report:", StringComparison.Ordinal)]);
        foreach (var table in (string[])["results.csv", "weights.csv", "similarities.csv"])
            Assert.Equal(File.ReadAllText(study.At("out", table)), File.ReadAllText(study.At("made", table)));
    }

    private static string Undated(string report) => System.Text.RegularExpressions.Regex.Replace(report, "[0-9]{4}-[0-9]{2}-[0-9]{2}[^<]*", "");

    [Fact]
    public async Task Processes_share_the_work_and_the_bits_are_those_of_one()
    {
        using var study = new MadeUpStudyPlan("\"linear-probe\", \"uniform\", \"learned\"");
        Assert.Equal(0, study.Run("alone", "--threads", "1").Code);
        var runs = Enumerable.Range(0, 3).Select(_ => Task.Run(() => study.Run("shared", "--threads", "1"))).ToArray();
        var ended = await Task.WhenAll(runs);
        Assert.All(ended, r => Assert.True(r.Code == 0, r.Error));
        Assert.Equal(MadeUpStudyPlan.Bits(study.Results("alone")), MadeUpStudyPlan.Bits(study.Results("shared")));
    }

    [Fact]
    public void What_is_done_is_not_done_again()
    {
        using var study = new MadeUpStudyPlan("\"linear-probe\", \"learned\"");
        Assert.Equal(0, study.Run().Code);
        var before = study.Results().Cells.Select(c => c.Seconds).ToList();
        File.Delete(study.At("out", "cells", "south-draw-1-training-0.json"));
        Assert.Equal(0, study.Run().Code);
        var cells = study.Results().Cells;
        for (var i = 0; i < cells.Count; i++)
        {
            var redone = cells[i] is { Task: "south", Draw: 1, Training: 0 };
            if (!redone) Assert.Equal(before[i], cells[i].Seconds);
            else Assert.NotEqual(before[i], cells[i].Seconds);
        }
    }

    [Fact]
    public void A_folder_belongs_to_one_plan_one_base_and_one_version()
    {
        using var study = new MadeUpStudyPlan("\"linear-probe\"");
        Assert.Equal(0, study.Run().Code);
        File.WriteAllText(study.At("out", "study.json"), File.ReadAllText(study.At("out", "study.json")).Replace("\"version\": \"", "\"version\": \"9."));
        Fails(study.Run(), "study.json: version: the study was begun with 9.", "run the version that began it");

        study.Edit("\"draws\": 2", "\"draws\": 3");
        Directory.Delete(study.At("out"), recursive: true);
        Assert.Equal(0, study.Run().Code);
        study.Edit("\"draws\": 3", "\"draws\": 2");
        Fails(study.Run(), "study.json: plan: the study was begun with");
        study.Edit("\"draws\": 2", "\"draws\": 3");
        using (var backend = new CpuBackend(threads: 1))
        using (var model = Vit.Create(MadeUpModels.Config, backend, seed: 2)) model.Save(study.At("base"));
        Fails(study.Run(), "study.json: model: the study was begun with");
    }

    [Fact]
    public void Modules_that_were_trained_elsewhere_serve_one_task_alone()
    {
        using var models = new MadeUpModels();
        using var study = new MadeUpStudyPlan();
        study.Write($$"""
            { "title": "One", "model": "{{models.Model}}", "tasks": [{ "name": "north", "images": "north.safetensors" }],
              "pools": "{{models.At("models", "pools.safetensors")}}",
              "modules": { "folder": "{{models.Model}}/modules" }, "draws": 2, "settings": { "steps": 2 }, "arms": ["linear-probe", "learned"] }
            """);
        var run = study.Run();
        Assert.True(run.Code == 0, run.Error);
        Assert.Equal(["one", "two"], study.Results().Modules);
        Assert.Contains("held against the 16 images that the base has seen", run.Out);
    }

    [Theory]
    [InlineData("\"images\": \"north.safetensors\"", "\"images\": \"nowhere\"", "nowhere")]
    [InlineData("{ \"name\": \"north\", \"images\": \"north.safetensors\" }", "\"Klingon\"",
        "tasks that are only named are read from a folder of raw image sets")]
    [InlineData("\"images\": \"north.safetensors\"", "\"images\": \"south.safetensors\"", "is the same image as")]
    [InlineData("\"shots\": [1, 2]", "\"shots\": [99]", "99 shots need 99")]
    [InlineData("\"model\": \"base\"", "\"model\": \"bass\"", "bass")]
    [InlineData("\"learned\"", "\"lerned\"", "\"lerned\" is not an arm")]
    public void A_plan_that_cannot_be_carried_out_leaves_nothing_behind(string old, string by, string error)
    {
        using var study = new MadeUpStudyPlan("\"linear-probe\", \"learned\"");
        study.Edit(old, by);
        Fails(study.Run(), error);
        Assert.False(Directory.Exists(study.At("out")));
    }

    [Fact]
    public void Damaged_cells_are_named()
    {
        using var study = new MadeUpStudyPlan("\"linear-probe\"");
        Assert.Equal(0, study.Run().Code);
        File.WriteAllText(study.At("out", "cells", "east-draw-0.json"), "{");
        Fails(study.Run(), "east-draw-0.json: it is damaged", "Delete it, and what it held is run again");
    }

    private static void Fails(CliRun run, params string[] parts)
    {
        Assert.Equal(1, run.Code);
        Assert.All(parts, part => Assert.Contains(part, run.Error));
        Assert.DoesNotContain("   at ", run.Error);
    }
}
