using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using NanoLora.Models;
using NanoLora.Nn;
using static NanoLora.Tests.Cli.DemoTests;

namespace NanoLora.Tests.Cli;

/// <summary>train, eval, compose and predict on texts: a tiny Llama of random weights with a real tokenizer learns short rules.</summary>
public sealed class TextTaskTests : IDisposable
{
    private static readonly string Tokenizers = Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers");
    private static readonly string[] Colours = ["red", "green", "blue"], Things = ["ball", "car", "hat", "dog", "cup", "tree", "book", "fish"];

    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-text-tasks-").FullName;

    public TextTaskTests()
    {
        var config = new LlamaConfig
        {
            Vocabulary = 1000, HiddenSize = 32, Layers = 2, Heads = 4, KeyHeads = 2, HeadSize = 8, IntermediateSize = 64, MaxPositions = 96,
        };
        using var backend = new CpuBackend(threads: 1);
        using var model = Llama.Create(config, backend, seed: 5);
        ulong stream = 0;
        foreach (var (_, parameter) in model.Parameters())
            if (parameter.Shape.Rank > 1) backend.Upload<float>(Tiny.Normal(parameter.Value.Count, stream++, 0.15f), parameter.Value);
        model.Save(Base);
        foreach (var name in new[] { "tokenizer.json", "tokenizer_config.json" })
            File.Copy(Path.Combine(Tokenizers, "llama2", name), Path.Combine(Base, name));
    }

    private string Base => At("llama");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(string name) => Path.Combine(_folder, name);

    private string Write(string name, IEnumerable<string> lines)
    {
        File.WriteAllLines(At(name), lines);
        return At(name);
    }

    // "a red ball" → " red", which a model can find by looking back
    private string Answers(string name = "answers.jsonl") => Write(name,
        from thing in Things from colour in Colours select $"{{\"prompt\": \"I have a {colour} {thing}. It is\", \"completion\": \" {colour}.\"}}");

    private string Topics(string name = "topics.csv") => Write(name,
        ["text,label", .. (from thing in Things from colour in Colours select $"I have a {colour} {thing},{colour}")]);

    private static CliRun Done(params string[] words)
    {
        var run = CliRun.Of(words);
        Assert.True(run.Code == 0, run.Error);
        return run;
    }

    private string[] Train(string task, string folder, params string[] more) =>
    [
        "train", Base, "--task", task, "--out", At(folder), "--rank", "4", "--batch", "4", "--rate", "0.01",
        .. more.Contains("--steps") ? Array.Empty<string>() : ["--steps", "12"], .. more,
    ];

    private byte[] Weights(string folder) => File.ReadAllBytes(Path.Combine(At(folder), "adapter_model.safetensors"));

    private static double Number(string text, string pattern) => double.Parse(Regex.Match(text, pattern).Groups[1].Value, CultureInfo.InvariantCulture);

    private static double Perplexity(string text) => Number(text, @"Perplexity (\d+\.\d+)");

    [Fact]
    public void A_completion_is_learned_measured_and_written_as_an_adapter()
    {
        var task = Answers();
        var run = Done(Train(task, "out", "--steps", "60", "--eval-every", "30", "--sample", "I have a red hat. It is"));
        Assert.Matches(@"^\S+out: answers, [\d,]+ values; Perplexity \d+\.\d+ over [\d,]+ tokens of 4 test samples", run.Out);
        var (after, before) = (Perplexity(run.Out.Split('\n')[0]), Perplexity(run.Out.Split('\n')[1]));
        Assert.True(after < before / 4, run.Out);
        Assert.Matches(@"step 30: Perplexity .* completions written exactly", run.Error);
        Assert.Matches(@"step 30: I have a red hat\. It is → ", run.Error);

        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(At("out"), "adapter_config.json")));
        Assert.Equal("LORA", config.RootElement.GetProperty("peft_type").GetString());
        using (var file = Checkpoint.Open(Path.Combine(At("out"), "adapter_model.safetensors")))
            Assert.All(file.Entries, e => Assert.StartsWith("base_model.model.model.layers.", e.Name));
        var card = File.ReadAllText(Path.Combine(At("out"), "README.md"));
        Assert.Contains("Trained on answers: 20 texts.", card);
        Assert.Contains("- learns: completion", card);
        Assert.DoesNotContain(_folder, card.Replace(Base, "", StringComparison.Ordinal));
        Assert.False(File.Exists(Path.Combine(At("out"), TrainingState.FileName)));

        var measured = Done("eval", Base, "--adapter", At("out"), "--task", task);
        Assert.Equal(after, Perplexity(measured.Out));
        Assert.Equal(before, Perplexity(Done("eval", Base, "--task", task).Out));
        Assert.Contains("of 24 test samples", Done("eval", Base, "--task", task, "--test-share", "0").Out);
    }

    [Fact]
    public void A_killed_training_ends_with_the_bits_of_an_unbroken_one_and_looking_at_tests_changes_none()
    {
        var task = Answers();
        string[] more = ["--dropout", "0.1", "--accumulate", "2", "--checkpoint-every", "1"];
        Done(Train(task, "whole", more));
        Assert.Equal(130, CliRun.Interrupted(Train(task, "broken", more)).Code);
        Assert.True(File.Exists(Path.Combine(At("broken"), TrainingState.FileName)));
        Fails(CliRun.Of(Train(task, "broken", [.. more, "--resume", "--pack"])), "packed: the interrupted run has \"no\", this one \"yes\"");
        Fails(CliRun.Of(Train(task, "broken", [.. more, "--resume", "--max-length", "20"])), "tokens of a sample: the interrupted run has");
        Assert.Contains("resumed after step", Done(Train(task, "broken", [.. more, "--resume"])).Error);
        Assert.Equal(Weights("whole"), Weights("broken"));
        Done(Train(task, "looked", [.. more, "--eval-every", "2"]));
        Assert.Equal(Weights("whole"), Weights("looked"));
    }

    [Fact]
    public void Packing_conversations_and_plain_texts_train()
    {
        Done(Train(Answers(), "packed", "--pack", "--max-length", "64"));
        Assert.Contains("- packed: yes", File.ReadAllText(Path.Combine(At("packed"), "README.md")));
        var chat = Write("chat.jsonl", Things.Select(t => $"{{\"messages\": [{{\"role\": \"user\", \"content\": \"Say {t}\"}}, "
            + $"{{\"role\": \"assistant\", \"content\": \"{t}\"}}]}}"));
        Assert.Contains("of 1 test samples", Done(Train(chat, "chat")).Out);
        var texts = Write("texts.jsonl", Things.Select(t => $"{{\"text\": \"The {t} is here.\"}}"));
        Assert.Contains("of 1 test samples", Done(Train(texts, "texts", "--max-length", "4")).Out);
        Assert.Contains("7 of 7 training samples have more than 4 tokens and are cut", Done(Train(texts, "cut", "--max-length", "4")).Error);
    }

    [Fact]
    public void Labels_are_learned_by_a_head_and_named_by_predict()
    {
        var task = Topics();
        var run = Done(Train(task, "out", "--steps", "60"));
        Assert.Matches(@"out: topics, [\d,]+ values; \d+\.\d % of 3 test texts are named rightly", run.Out);
        var measured = Done("eval", Base, "--adapter", At("out"), "--task", task, "--test-share", "0");
        Assert.True(Number(measured.Out, @"topics: (\d+\.\d) % of 24 test texts") > 80, measured.Out);
        Assert.Contains("Trained on topics: 21 texts, 3 classes.", File.ReadAllText(Path.Combine(At("out"), "README.md")));

        var named = Done("predict", Base, "--adapter", At("out"), "I have a green hat", "I have a red car", "--top", "1").Out.Split('\n');
        Assert.Matches(@"^I have a green hat: (red|green|blue) \d+\.\d %$", named[0]);
        Assert.Matches(@"^I have a red car: ", named[1]);
        Fails(CliRun.Of("predict", Base, "x"), "has no head; give an adapter that has one");
        Fails(CliRun.Of("eval", Base, "--task", task), "has no head; give an adapter that has one, --probe, or --rank-answers");
        Assert.Contains("% of 3 test texts", Done("eval", Base, "--task", task, "--probe", "--shots", "2").Out);
        var other = Write("other.csv", ["text,label", "a,red", "b,pink", "c,red"]);
        Fails(CliRun.Of("eval", Base, "--adapter", At("out"), "--task", other),
            "line 3: label: \"pink\" is no class of the model's head; known are blue, green, red");
    }

    [Fact]
    public void Classes_are_ranked_by_the_likelihood_of_their_names()
    {
        var task = Topics();
        string[] ranked = ["--rank-answers", "--template", @"{text}\nIt is {label}"];
        Assert.Matches(@"topics: \d+\.\d % of 3 test texts are named rightly \(\d\)\. Perplexity", Done(["eval", Base, "--task", task, .. ranked]).Out);
        var run = Done(Train(task, "out", [.. ranked, "--steps", "60"]));
        Assert.Matches(@"named rightly \(\d\)\. Perplexity", run.Out);
        Assert.DoesNotContain("modules_to_save\": [", File.ReadAllText(Path.Combine(At("out"), "adapter_config.json")));
        Assert.Contains(@"- template: {text}\nIt is {label}", File.ReadAllText(Path.Combine(At("out"), "README.md")));
        var measured = Done(["eval", Base, "--adapter", At("out"), "--task", task, "--test-share", "0", .. ranked]);
        Assert.Matches(@"(8|9)\d\.\d %|100\.0 %", measured.Out);
    }

    [Fact]
    public void Modules_of_texts_are_composed()
    {
        var (answers, topics) = (Answers(), Topics());
        Done(Train(answers, "one"));
        Done(Train(answers, "two", "--seed", "2"));
        var uniform = Done("compose", Base, At("one"), At("two"), "--out", At("mix"));
        Assert.Contains("uniform composition of 2 modules over 14 matrices", uniform.Out);
        string[] mixed = ["compose", Base, At("one"), At("two"), "--method", "learned", "--steps", "6"];
        var learned = Done([.. mixed, "--task", answers, "--all", "--out", At("learned")]);
        Assert.Matches(@"answers: Perplexity .* Trained on 20\.", learned.Out);
        Assert.Equal(Perplexity(learned.Out), Perplexity(Done("eval", Base, "--adapter", At("learned"), "--task", answers).Out));
        var classes = Done([.. mixed, "--task", topics, "--shots", "3", "--out", At("classes"), "--export"]);
        Assert.Matches(@"topics: \d+\.\d % of 3 test texts are named rightly \(\d\)\. Trained on 9\.", classes.Out);
        Assert.Contains("% of 3 test texts", Done("eval", Base, "--adapter", At("classes"), "--task", topics).Out);
        Fails(CliRun.Of("compose", Base, At("one"), "--method", "learned", "--task", answers, "--shots", "3", "--out", At("no")), "have no labels");
        Assert.False(Directory.Exists(At("no")));
    }

    [Fact]
    public void Other_kinds_of_update_are_trained_and_come_back()
    {
        var task = Answers();
        foreach (var kind in new[] { "--dora", "--pissa" })
        {
            var run = Done(Train(task, kind, kind));
            var measured = Perplexity(Done("eval", Base, "--adapter", At(kind), "--task", task).Out);
            Assert.InRange(measured / Perplexity(run.Out.Split('\n')[0]), 0.999, 1.001);
        }
        Assert.Contains("\"use_dora\": true", File.ReadAllText(Path.Combine(At("--dora"), "adapter_config.json")));
        Assert.Contains("\"r\": 8", File.ReadAllText(Path.Combine(At("--pissa"), "adapter_config.json")));
    }

    [Fact]
    public void Bad_input_is_one_line_and_leaves_nothing()
    {
        var bad = Write("bad.jsonl", ["{\"prompt\": \"a\", \"completion\": \"b\"}", "{\"prompt\": \"a\"}"]);
        Fails(CliRun.Of(Train(bad, "out")), "bad.jsonl: line 2: completion is missing");
        Fails(CliRun.Of(Train(At("none.jsonl"), "out")), "none.jsonl: there is no such file");
        Fails(CliRun.Of(Train(Answers(), "out", "--max-length", "97")), "is made for texts of 96 tokens, not 97");
        Fails(CliRun.Of(Train(Answers(), "out", "--pattern", "nothing")), "no linear matches \"nothing\"");
        Fails(CliRun.Of("eval", Base, "--task", _folder), "is a folder; a task on texts is");
        var topics = Topics();
        File.Delete(Path.Combine(Base, "tokenizer.json"));
        Fails(CliRun.Of(Train(topics, "out")), "there is no tokenizer in this folder");
        Assert.False(Directory.Exists(At("out")));
    }

    [Theory]
    [InlineData("--invert goes with images", "--invert")]
    [InlineData("--sample goes with --eval-every", "--sample", "x")]
    [InlineData("either --dora or --pissa", "--dora", "--pissa")]
    [InlineData("--template goes with --rank-answers", "--template", "{text}{label}")]
    [InlineData("--rank-answers goes with texts that have labels", "--rank-answers")]
    [InlineData("--fields: \"prompt\" is not of the form", "--fields", "prompt")]
    public void Options_that_do_not_go_together_are_wrong_usage(string message, params string[] words)
    {
        var run = CliRun.Of(Train(Answers(), "out", words));
        Assert.Equal(2, run.Code);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_of_texts_do_not_go_with_images()
    {
        using var models = new MadeUpModels();
        foreach (var option in new[] { "--pack", "--rank-answers", "--dora" })
        {
            var run = CliRun.Of("train", models.Model, "--task", models.TaskPath, "--out", At("out"), option);
            Assert.Equal(2, run.Code);
            Assert.Contains($"{option} goes with texts, and the model is one of images", run.Error, StringComparison.Ordinal);
        }
    }
}
