using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Tests.Data;
using NanoLora.Tests.Experiments;

namespace NanoLora.Tests.Cli;

/// <summary>A study and a pretraining from text to text, on made-up texts.</summary>
public class TextToTextStudyTests
{
    private const string AllArms = "\"bag-of-words\", \"base\", \"full-finetune\", \"lora\", \"uniform\", \"uniform-double\", \"learned\", "
        + "\"learned-free-scale\", \"learned-block\", \"learned-global\", \"random-modules\", \"best-module\", \"lora-from-uniform\", \"full-from-uniform\"";

    // Three tasks whose classes are "class 0" and so on, and a T5 that knows these words.
    private static string Plan(MadeUpTextModels models, string arms)
    {
        string[] names = ["north", "south", "east"];
        string[] vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "class", "0", "1", "2", .. TopicTexts.Vocabulary];
        using var backend = new CpuBackend(threads: 1);
        var config = new T5Config
        {
            Vocabulary = vocabulary.Length, HiddenSize = 12, Heads = 2, HeadSize = 6, IntermediateSize = 16, EncoderLayers = 1, DecoderLayers = 1,
            EndToken = 3, InitialFactor = 0.5f,
        };
        using (var model = T5.Create(config, backend, seed: 1)) model.Save(models.At("t5"));
        File.WriteAllLines(models.At("t5", "vocab.txt"), vocabulary);
        for (var t = 0; t < names.Length; t++) models.WriteCsv($"{names[t]}.csv", TopicTexts.Task(names[t], 3, 6, 4, seed: (ulong)(10 * t)));
        var path = models.At("plan.json");
        File.WriteAllText(path, $$"""
            { "title": "Three winds", "model": "t5", "shots": [1, 2], "draws": 1, "settings": { "steps": 8, "batch": 6 },
              "modules": { "pattern": "*.blocks.*", "steps": 4, "rank": 2, "batch": 6 },
              "tasks": [{{string.Join(", ", names.Select(n => $$"""{ "name": "{{n}}", "texts": "{{n}}.csv" }"""))}}], "arms": [{{arms}}] }
            """);
        return path;
    }

    [Fact]
    public void Every_arm_runs_without_a_head_and_the_bits_do_not_depend_on_threads()
    {
        using var models = new MadeUpTextModels();
        var plan = Plan(models, AllArms);
        var run = CliRun.Of("study", plan, "--out", models.At("out"), "--threads", "1");
        Assert.True(run.Code == 0, run.Error);
        var results = Results.LoadJson(models.At("out", "results.json"));
        Assert.Equal(3 * 2 * 14, results.Cells.Count);
        Assert.Equal(3, results.Similarities!.Count);
        Assert.All(results.Cells, static c => Assert.Equal(12, c.Tested));
        Assert.All(results.Cells.Where(static c => c.Arm is "base" or "uniform" or "best-module"), static c => Assert.Equal(0, c.TrainedParameters));
        // As it is, the base says the same whatever it was shown.
        foreach (var task in results.Cells.Where(static c => c.Arm == "base").GroupBy(static c => c.Task))
            Assert.Single(task.Select(static c => c.Correct).Distinct());
        var count = results.Cells.Single(static c => c is { Arm: "full-finetune", Shots: 1, Task: "north" }).TrainedParameters;
        using (var backend = new CpuBackend(1))
        using (var model = T5.Load(models.At("t5"), backend)) Assert.Equal(model.Parameters().Sum(static p => (long)p.Value.Value.Count), count);
        Assert.Contains("to the base as it is, points", run.Out);
        var report = File.ReadAllText(models.At("out", "report.html"));
        Assert.Contains("Difference to the base as it is", report);
        Assert.Contains("the likeliest per token", report);
        Assert.DoesNotContain("linear probe", report);

        Assert.Equal(0, CliRun.Of("study", plan, "--out", models.At("again"), "--threads", "2").Code);
        Assert.Equal(Counted(results), Counted(Results.LoadJson(models.At("again", "results.json"))));

        static List<(string, string, int, int, int)> Counted(Results r) => [.. r.Cells.Select(c => (c.Task, c.Arm, c.Shots, c.Draw, c.Correct))];
    }

    [Fact]
    public void Training_finds_the_word_that_tells_the_class()
    {
        using var models = new MadeUpTextModels();
        var plan = Plan(models, "\"base\", { \"name\": \"full-finetune\", \"rates\": [0.03] }");
        File.WriteAllText(plan, File.ReadAllText(plan).Replace("\"steps\": 8, \"batch\": 6", "\"steps\": 60, \"batch\": 6", StringComparison.Ordinal)
            .Replace("[1, 2]", "[5]", StringComparison.Ordinal));
        var run = CliRun.Of("study", plan, "--out", models.At("out"));
        Assert.True(run.Code == 0, run.Error);
        var cells = Results.LoadJson(models.At("out", "results.json")).Cells;
        Assert.InRange(cells.Where(static c => c.Arm == "full-finetune").Average(static c => c.Accuracy), 0.7, 1);
    }

    [Theory]
    [InlineData("t5", "linear-probe", "\"linear-probe\" trains a head, and the base has none to train: it answers in words; use \"base\"")]
    [InlineData("models/nano-text", "base", "\"base\" trains nothing, and the base cannot name a class before a head is trained; use \"linear-probe\"")]
    [InlineData("t5", "pixel-probe", "\"pixel-probe\" is not for texts")]
    public void An_arm_that_does_not_fit_the_base_is_refused(string model, string arm, string error)
    {
        using var models = new MadeUpTextModels();
        var plan = Plan(models, $"\"{arm}\"");
        File.WriteAllText(plan, File.ReadAllText(plan).Replace("\"model\": \"t5\"", $"\"model\": \"{model}\"", StringComparison.Ordinal));
        var run = CliRun.Of("study", plan, "--out", models.At("out"));
        Assert.Equal(1, run.Code);
        Assert.Contains(error, run.Error);
        Assert.False(Directory.Exists(models.At("out")));
    }

    [Fact]
    public void A_base_is_made_and_one_that_is_interrupted_ends_with_the_same_bytes()
    {
        using var texts = new MadeUpTexts();
        var run = CliRun.Of(Words("whole"));
        Assert.Equal((0, ""), (run.Code, run.Code == 0 ? "" : run.Error));
        Assert.Contains("| mean |", run.Out);

        var half = CliRun.Interrupted(Words("broken"));
        Assert.NotEqual(0, half.Code);
        Assert.Contains("--resume", half.Error);
        var rest = CliRun.Of([.. Words("broken"), "--resume"]);
        Assert.Equal((0, ""), (rest.Code, rest.Code == 0 ? "" : rest.Error));
        foreach (var file in (string[])["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
            Assert.Equal(File.ReadAllBytes(At("whole", file)), File.ReadAllBytes(At("broken", file)));
        var card = File.ReadAllText(At("whole", "README.md"));
        Assert.Contains("in T5's architecture", card);
        Assert.Contains("nanolora pretrain --text-to-text", card);

        Assert.Contains("give one of them", CliRun.Of([.. Words("both"), "--text"]).Error);

        string At(params string[] parts) => Path.Combine([texts.Folder, .. parts]);
        string[] Words(string folder) =>
            ["pretrain", "--text-to-text", "--data", texts.Folder, "--out", At(folder), "--steps", "3", "--checkpoint-every", "1"];
    }
}
