using NanoLora.Experiments;
using NanoLora.Nn;

namespace NanoLora.Tests.Experiments;

public class StudyPlanTests
{
    private const string Least = """ "title": "t", "model": "m", "tasks": ["a", "b"] """;

    private static StudyPlan Plan(string more = "") => StudyPlan.Parse($"{{ {Least} {(more.Length > 0 ? "," : "")} {more} }}", "plan.json");

    private static string Refused(string json) => Assert.Throws<InvalidDataException>(() => StudyPlan.Parse(json, "plan.json")).Message;

    [Fact]
    public void What_a_plan_leaves_out_has_defaults()
    {
        var plan = Plan(""" "modules": { "steps": 60 }, "settings": { "testPerClass": 50 } """);
        Assert.Equal(["a", "b"], plan.Tasks.Select(t => t.Name));
        Assert.Equal(["a", "b"], plan.HeldOutNames());
        Assert.Equal([1, 5], plan.Shots);
        Assert.Equal((10, 1, 1ul), (plan.Draws, plan.Trainings, plan.Seed));
        Assert.Equal((60, 4, 3e-3), (plan.Modules.Steps, plan.Modules.Rank, plan.Modules.Rate));
        Assert.Equal((60, 32, 50), (plan.Settings.Steps, plan.Settings.Batch, plan.Settings.TestPerClass));
        Assert.Equal(Arm.OfTheDemo, plan.Arms);
    }

    [Fact]
    public void Every_kind_of_arm_and_task_can_be_written_and_comes_back()
    {
        var plan = Plan("""
            "heldOut": ["mine"], "tasks": ["a", { "name": "mine", "images": "photos", "invert": true, "testShare": 0.5 }], "shots": [2, "all"],
            "overlaps": "leave-out",
            "arms": ["learned", "uniform-double", "best-module", { "name": "u3", "method": "uniform", "scale": 3, "label": "uniform × 3" },
                     { "name": "free", "method": "learned", "scale": "free", "weights": "block", "rates": [0.01, 0.2] },
                     { "name": "learned-global", "rates": [0.5] }, { "name": "f", "method": "full-finetune", "from": "uniform" },
                     { "name": "r", "method": "uniform", "modules": "random" }]
            """);
        Assert.Equal(new TaskSpec("mine", "photos", Invert: true, TestShare: 0.5), plan.Tasks[1]);
        Assert.Equal([2, Cell.AllShots], plan.Shots);
        Assert.Equal(Overlaps.LeaveOut, plan.Overlaps);
        Assert.Equal((3f, "uniform × 3"), (plan.Arms[3].Scale, plan.Arms[3].Label));
        Assert.Equal((true, Sharing.Block, new ShotRates(0.01, 0.2)), (plan.Arms[4].FreeScale, plan.Arms[4].Sharing, plan.Arms[4].Rates!.Value));
        Assert.Equal((Sharing.Model, new ShotRates(0.5, 0.5)), (plan.Arms[5].Sharing, plan.Arms[5].Rates!.Value));
        Assert.True(plan.Arms[6].FromUniform && plan.Arms[6].UsesModules && plan.Arms[6].TrainsBelowHead);
        Assert.True(plan.Arms[7].RandomModules && !plan.Arms[7].TrainsBelowHead);

        var again = StudyPlan.Parse(plan.ToJson());
        Assert.Equal(plan.Arms, again.Arms);
        Assert.Equal(plan.Tasks, again.Tasks);
        Assert.Equal(plan.ToJson(), again.ToJson());
    }

    [Fact]
    public void Rates_that_a_plan_leaves_out_are_those_of_its_kind_of_samples()
    {
        const string arms = """ "arms": ["linear-probe", "learned", "lora", "full-finetune", { "name": "mine", "method": "lora", "rates": 0.5 }] """;
        Assert.Equal(Rates(new Protocol()), Rates(Plan(arms).Protocol));
        Assert.Equal(Rates(new Protocol()), Rates(Plan(""" "tasks": ["a", { "name": "b", "images": "x" }] """).Protocol));
        var texts = Plan($$""" "tasks": ["a", { "name": "b", "texts": "x" }], "settings": { "steps": 7 }, "draws": 3, {{arms}} """);
        Assert.Equal(Rates(Protocol.ForTexts), Rates(texts.Protocol));
        Assert.Equal((7, 3, 5), (texts.Protocol.Steps, texts.Protocol.Draws, texts.Protocol.Arms.Count));
        Assert.EndsWith("AdamW at 0.1, from 5 shots on at 0.03", texts.Protocol.FactOf(texts.Arms[1]).Settings);
        Assert.EndsWith("AdamW at 0.5", texts.Protocol.FactOf(texts.Arms[4]).Settings);

        // Tasks by name: the arm without a model says it, else the config of the base.
        Assert.Equal(Rates(Protocol.ForTexts), Rates(Plan(""" "arms": ["bag-of-words", "lora"] """).Protocol));
        var folder = Directory.CreateTempSubdirectory("nanolora-plan-");
        try
        {
            File.WriteAllText(Path.Combine(folder.FullName, "config.json"), """{ "vocab_size": 7 }""");
            var plan = StudyPlan.Parse($$"""{ "title": "t", "model": "{{folder.FullName.Replace('\\', '/')}}", "tasks": ["a", "b"], {{arms}} }""");
            Assert.Equal(Rates(Protocol.ForTexts), Rates(plan.Protocol));
        }
        finally { folder.Delete(recursive: true); }

        static (ShotRates, ShotRates, ShotRates) Rates(Protocol p) => (p.MixingRate, p.LoraRate, p.FullRate);
    }

    [Fact]
    public void A_task_on_texts_can_be_written_and_comes_back()
    {
        var plan = Plan(""" "tasks": ["clinc150-class/0", { "name": "mine", "texts": "mine.csv", "testShare": 0.25 }], "arms": ["bag-of-words", "uniform"] """);
        Assert.Equal(new TaskSpec("mine", TestShare: 0.25, Texts: "mine.csv"), plan.Tasks[1]);
        Assert.Equal(ArmMethod.BagOfWords, plan.Arms[0].Method);
        Assert.Equal(plan.ToJson(), StudyPlan.Parse(plan.ToJson()).ToJson());
        Assert.Contains("do not go together", Refused($$"""{ {{Least}}, "tasks": [{ "name": "a", "images": "x", "texts": "y" }] }"""));
        Assert.Contains("invert goes with images", Refused($$"""{ {{Least}}, "tasks": [{ "name": "a", "texts": "y", "invert": true }] }"""));
    }

    // Folders of a study that is under way are joined by the plan's digest.
    [Fact]
    public void The_plan_of_the_image_study_has_the_digest_that_its_folders_have()
    {
        var plan = StudyPlan.Read(Path.Combine(RepositoryRoot.Folder, "src", "NanoLora.Experiments", "image-study.json"));
        Assert.Equal("e1544f71df45d325", StudyFolder.Digest((plan with { Model = "", Pools = null, Data = null }).ToJson()));
    }

    [Theory, InlineData("domain"), InlineData("class"), InlineData("mixed")]
    public void The_plans_on_texts_can_be_read(string name)
    {
        var plan = StudyPlan.Read(Path.Combine(RepositoryRoot.Folder, "src", "NanoLora.Experiments", $"text-study-{name}.json"));
        Assert.Equal(10, plan.Tasks.Count);
        Assert.Equal(11, plan.Arms.Count);
        Assert.DoesNotContain(plan.Arms, static arm => arm.Method == ArmMethod.PixelProbe || arm is { TrainsBelowHead: true, Rates: null });
    }

    [Fact]
    public void The_plan_from_text_to_text_can_be_read_and_comes_back()
    {
        var plan = StudyPlan.Read(Path.Combine(RepositoryRoot.Folder, "src", "NanoLora.Experiments", "text-to-text-study.json"));
        Assert.Equal(10, plan.Tasks.Count);
        Assert.Contains(plan.Arms, static arm => arm.Method == ArmMethod.Base);
        Assert.DoesNotContain(plan.Arms, static arm => arm.Method == ArmMethod.LinearProbe || arm is { TrainsBelowHead: true, Rates: null });
        Assert.Equal(plan.ToJson(), StudyPlan.Parse(plan.ToJson()).ToJson());
        Assert.Equal("*.blocks.*", plan.Protocol.LoraPattern);
    }

    [Theory]
    [InlineData("null", "plan.json: ", "null")]
    [InlineData("{", "plan.json (line 1): ", "")]
    [InlineData("""{ "title": "t", "tasks": ["a", "b"] }""", "plan.json", "missing: 'model'")]
    [InlineData("""{ "title": "t", "model": "m", "tasks": [] }""", "tasks: ", "at least one")]
    [InlineData("""{ "title": "t", "model": "m", "tasks": ["a", "a"] }""", "tasks: ", "\"a\" is there twice")]
    [InlineData("""{ "title": "t", "model": "m", "tasks": ["a b", "a-b"] }""", "tasks: ", "share the file name a-b")]
    [InlineData("""{ "title": "t", "model": "m", "tasks": ["a"] }""", "tasks: ", "one task alone")]
    [InlineData("""{ "title": "t", "model": "m", "tasks": [""] }""", "tasks[0]: ", "the name is missing or empty")]
    public void A_plan_that_lacks_something_is_refused(string json, string field, string why)
    {
        var message = Refused(json);
        Assert.Contains(field, message);
        Assert.Contains(why, message);
    }

    [Theory]
    [InlineData(""" "shotz": [1] """, "shotz: ",
        "known are title, model, tasks, heldOut, data, pools, overlaps, shots, draws, trainings, seed, modules, settings, arms, rates.")]
    [InlineData(""" "modules": { "stepz": 1 } """, "modules.stepz: ", "known are folder, pattern, rank")]
    [InlineData(""" "rates": [{ "heldOut": ["a"], "arms": {}, "x": 1 }] """, "rates[0].x: ", "known are heldOut, arms")]
    [InlineData(""" "draws": "ten" """, "draws: ", "a whole number is expected")]
    [InlineData(""" "draws": 0 """, "draws: ", "1 to 1000")]
    [InlineData(""" "shots": [0] """, "shots", "from 1 on")]
    [InlineData(""" "shots": [1, 1] """, "shots: ", "\"1\" is there twice")]
    [InlineData(""" "heldOut": ["c"] """, "heldOut: ", "\"c\" is not one of the tasks; they are a, b")]
    [InlineData(""" "arms": ["learnt"] """, "arms[0]: ", "\"learnt\" is not an arm; known are pixel-probe")]
    [InlineData(""" "arms": [{ "name": "x", "method": "lora", "scale": "free" }] """, "arms[0]: ", "only a learned mix")]
    [InlineData(""" "arms": [{ "name": "x", "method": "learned", "from": "uniform" }] """, "arms[0]: ", "only lora and full-finetune")]
    [InlineData(""" "arms": [{ "name": "x", "method": "learned", "rates": [-1] }] """, "arms[0]: ", "a positive number is expected")]
    [InlineData(""" "arms": [{ "name": "x", "method": "learned", "speed": 1 }] """, "arms[0]: ", "there is no field \"speed\"")]
    [InlineData(""" "modules": { "folder": "f" }, "trainings": 2 """, "trainings: ", "trained once")]
    [InlineData(""" "overlaps": "ignore" """, "overlaps: ", "\"ignore\" is neither")]
    public void A_field_that_makes_no_sense_is_named(string more, string field, string why)
    {
        var message = Assert.Throws<InvalidDataException>(() => Plan(more)).Message;
        Assert.Contains(field, message);
        Assert.Contains(why, message);
    }
}
