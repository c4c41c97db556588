using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;
using NanoLora.Tests.Data;

namespace NanoLora.Tests.Cli;

/// <summary>A folder with a tiny made-up Llama, a tokenizer of whole words, two modules, and tasks on texts, as studies and the demo want it.</summary>
public sealed class MadeUpTextModels : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nanolora-text-");

    public MadeUpTextModels()
    {
        string[] vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", .. TopicTexts.Vocabulary];
        using var backend = new CpuBackend(threads: 1);
        var config = new LlamaConfig
        {
            Vocabulary = vocabulary.Length, HiddenSize = 12, Layers = 1, Heads = 2, KeyHeads = 2, HeadSize = 6, IntermediateSize = 16, MaxPositions = 32,
            TiedHead = true,
        };
        using (var model = Llama.Create(config, backend, seed: 1)) model.Save(Model);
        File.WriteAllLines(Path.Combine(Model, "vocab.txt"), vocabulary);
        foreach (var (name, rank) in new[] { ("one", 2), ("two", 3) }) Module(backend, name, rank);

        Directory.CreateDirectory(At("models", "text-tasks"));
        Task = TopicTexts.Task("Held Out", 3, 8, 5) with { Pool = Pool.HeldOut };
        TextTaskFile.Write(At("models", "text-tasks", "held-out.safetensors"), Task);
        PoolHashes.Write(At("models", "text-pools.safetensors"), [TopicTexts.Task("Seen", 2, 4, 4) with { Pool = Pool.Pretraining }], []);
    }

    public LabelledTextTask Task { get; }

    public string Models => At("models");

    public string Model => At("models", "nano-text");

    public string At(params string[] parts) => Path.Combine([_folder.FullName, .. parts]);

    /// <summary>Writes a CSV file of labelled texts.</summary>
    public void WriteCsv(string name, LabelledTextTask task)
    {
        var lines = new List<string> { "text,label,split" };
        foreach (var (set, part) in new[] { (task.Train, "train"), (task.Test, "test") })
        {
            for (var i = 0; i < set.Count; i++) lines.Add($"\"{set.Texts[i]}\",{set.Classes[set.Labels[i]]},{part}");
        }
        File.WriteAllLines(At(name), lines);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    // B is not zero, or composing would show nothing.
    private void Module(CpuBackend backend, string name, int rank)
    {
        using var model = TextClassifier.Load(Model, backend);
        var module = Attach.Lora(model, "blocks.*", rank, alpha: 2 * rank, seed: (ulong)rank, name: name);
        foreach (var update in module.Updates.Values)
        {
            var (random, values) = (new Philox((ulong)rank, 99), update.B.Value.ToArray());
            for (var i = 0; i < values.Length; i++) values[i] = 0.3f * random.Normal((ulong)i);
            backend.Upload<float>(values, update.B);
        }
        Directory.CreateDirectory(At("models", "nano-text", "modules"));
        PeftFolder.Save(At("models", "nano-text", "modules", name), module, model);
    }
}

public class TextStudyTests
{
    private static readonly string[] Names = ["north", "south", "east", "west"];

    private const string AllArms =
        "\"bag-of-words\", \"linear-probe\", \"full-finetune\", \"lora\", \"uniform\", \"learned\", \"random-modules\", \"uniform-double\", "
        + "\"learned-free-scale\", \"learned-block\", \"learned-global\", \"best-module\", \"lora-from-uniform\", \"full-from-uniform\"";

    // Two tasks from CSV files, one of lines of JSON, one task file.
    private static string Plan(MadeUpTextModels models, string arms, string more = "")
    {
        for (var t = 0; t < Names.Length; t++)
        {
            var task = TopicTexts.Task(Names[t], 3, 8, 5, seed: (ulong)(10 * t));
            if (t < 2) models.WriteCsv($"{Names[t]}.csv", task);
            else if (t == 3) TextTaskFile.Write(models.At("west.safetensors"), task);
            else
            {
                File.WriteAllLines(models.At("east.jsonl"), new[] { (Set: task.Train, Part: "train"), (Set: task.Test, Part: "test") }.SelectMany(p =>
                    p.Set.Texts.Select((text, i) => $$"""{"text": "{{text}}", "label": "{{task.Classes[p.Set.Labels[i]]}}", "split": "{{p.Part}}"}""")));
            }
        }
        string[] files = ["north.csv", "south.csv", "east.jsonl", "west.safetensors"];
        var path = models.At("plan.json");
        File.WriteAllText(path, $$"""
            { "title": "Four winds", "model": "models/nano-text", "shots": [1, 2], "draws": 2, "modules": { "steps": 4, "rank": 2, "batch": 8 },
              "settings": { "steps": 3, "batch": 8 }, {{more}}
              "tasks": [{{string.Join(", ", Names.Select((n, t) => $$"""{ "name": "{{n}}", "texts": "{{files[t]}}" }"""))}}], "arms": [{{arms}}] }
            """);
        return path;
    }

    private static CliRun Study(MadeUpTextModels models, string plan, string folder = "out", params string[] more) =>
        CliRun.Of(["study", plan, "--out", models.At(folder), .. more]);

    [Fact]
    public void Every_arm_runs_on_texts_and_the_bits_do_not_depend_on_threads()
    {
        using var models = new MadeUpTextModels();
        var plan = Plan(models, AllArms);
        var run = Study(models, plan, "out", "--threads", "1");
        Assert.True(run.Code == 0, run.Error);
        var results = Results.LoadJson(models.At("out", "results.json"));
        Assert.Equal(4 * 2 * 2 * 14, results.Cells.Count);
        Assert.Equal(4, results.Similarities!.Count);
        Assert.All(results.Cells, c => Assert.Equal(15, c.Tested));
        Assert.Equal("bag of words", results.Arms![0].Label);
        // The first word of each text tells its class, so words alone do better than chance by far.
        Assert.InRange(results.Cells.Where(c => c.Arm == ArmNames.BagOfWords).Average(c => c.Accuracy), 0.8, 1);
        var report = File.ReadAllText(models.At("out", "report.html"));
        Assert.Contains("bags of words", report);
        Assert.DoesNotContain("pixels", report);
        Assert.DoesNotContain("image", report);
        Assert.Contains("AdamW at 0.1", results.Arms.First(a => a.Name == ArmNames.Learned).Settings);
        Assert.Equal(results.Arms, StudyReport.FromTables(StudyPlan.Read(plan), models.At("out")).Arms);

        Assert.Equal(0, Study(models, plan, "again", "--threads", "2").Code);
        Assert.Equal(Counted(results), Counted(Results.LoadJson(models.At("again", "results.json"))));

        static List<(string, string, int, int, int)> Counted(Results r) => [.. r.Cells.Select(c => (c.Task, c.Arm, c.Shots, c.Draw, c.Correct))];
    }

    [Theory]
    [InlineData("\"pixel-probe\"", "", "arms: \"pixel-probe\" is not for texts, which the base reads")]
    [InlineData("\"linear-probe\"", "\"pools\": \"seen.safetensors\",", "is among the pretraining texts")]
    [InlineData("\"linear-probe\"", "\"data\": \"models\", \"heldOut\": [\"north\"],", "\"clinc\" is not a task of")]
    public void A_plan_that_does_not_fit_is_refused(string arms, string more, string error)
    {
        using var models = new MadeUpTextModels();
        var plan = Plan(models, arms, more);
        PoolHashes.Write(models.At("seen.safetensors"), [TopicTexts.Task("north", 3, 8, 5, seed: 0) with { Pool = Pool.Pretraining }], []);
        if (error.Contains("clinc", StringComparison.Ordinal))
            File.WriteAllText(plan, File.ReadAllText(plan).Replace("\"tasks\": [", "\"tasks\": [\"clinc\", ", StringComparison.Ordinal));
        var run = Study(models, plan);
        Assert.Equal(1, run.Code);
        Assert.Contains(error, run.Error);
        Assert.False(Directory.Exists(models.At("out")));
    }

    [Fact]
    public void The_demo_runs_on_texts()
    {
        using var models = new MadeUpTextModels();
        string[] words = ["demo", "--text", "--models", models.Models, "--out", models.At("demo"), "--draws", "2", "--shots", "1,2", "--steps", "3"];
        var run = CliRun.Of(words);
        Assert.True(run.Code == 0, run.Error);
        Assert.Contains("held-out task: Held Out, 3 classes, 39 texts", run.Out);
        Assert.Contains("pools: 39 held-out texts compared by content with 16 of pretraining and 0 upstream: none in common", run.Out);
        foreach (var arm in Arm.OfTheTextDemo) Assert.Contains(arm.Label, run.Out);
        var results = Results.LoadJson(models.At("demo", "results.json"));
        Assert.Equal(2 * 2 * 7, results.Cells.Count);
        Assert.Equal(ArmNames.BagOfWords, ArmNames.In(results.Cells)[0]);
        Assert.StartsWith("Held Out from a few texts", results.Title);

        DemoTests.Fails(CliRun.Of("demo", "--models", models.Models, "--out", models.At("no")), "has no nano-vit/config.json in it");
        PoolHashes.Write(models.At("models", "text-pools.safetensors"), [], [models.Task with { Pool = Pool.Upstream }]);
        DemoTests.Fails(CliRun.Of(words), "training text 0 (class class 0) of Held Out (HeldOut) is among the upstream texts; texts of this kind: 39");
    }

    [Fact]
    public void Tokens_are_left_out_in_training_only_and_never_the_first()
    {
        using var models = new MadeUpTextModels();
        using var backend = new CpuBackend(threads: 1);
        var texts = StudyBase.Of(models.Model);
        var (plain, moved) = (texts.Read(models.Task.Train), texts.Read(models.Task.Train, training: true));
        using var scope = backend.Scope(grad: false);
        int[] all = [.. Enumerable.Range(0, plain.Count)];
        var (whole, asked, dropped) = (plain.Read(backend.Main, all), moved.Read(backend.Main, all), moved.Read(backend.Main, all, new Philox(1, 2)));
        Assert.Equal(whole.Inputs.ToInts(), asked.Inputs.ToInts());
        Assert.Equal(dropped.Inputs.ToInts(), moved.Read(backend.Main, all, new Philox(1, 2)).Inputs.ToInts());
        var (width, gone) = (whole.Inputs.Shape[1], 0);
        for (var i = 0; i < all.Length; i++)
        {
            var before = whole.Inputs.ToInts()[(i * width)..((i + 1) * width)];
            var after = dropped.Inputs.ToInts().AsSpan(i * width, dropped.Lengths![i]).ToArray();
            Assert.Equal(before[0], after[0]);
            var at = 0;
            foreach (var token in before) if (at < after.Length && token == after[at]) at++;
            Assert.Equal(after.Length, at);                                            // what is left stands in its order
            gone += width - after.Length;
        }
        Assert.InRange((double)gone / (all.Length * width), 0.03, 0.17);
    }
}
