using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Tests.Experiments;

namespace NanoLora.Tests.Cli;

public sealed class PretrainTextsTests : IDisposable
{
    private readonly MadeUpTexts _texts = new();

    public void Dispose() => _texts.Dispose();

    private string At(string name) => Path.Combine(_texts.Folder, name);

    private string[] Words(string folder) => ["pretrain", "--text", "--data", _texts.Folder, "--out", folder, "--steps", "3", "--checkpoint-every", "1"];

    [Fact]
    public void A_base_for_texts_is_made_and_one_that_is_interrupted_ends_with_the_same_bytes()
    {
        var run = CliRun.Of(Words(At("whole")));
        Assert.Equal((0, ""), (run.Code, run.Code == 0 ? "" : run.Error));
        Assert.Contains("| bag of words (tf-idf) |", run.Out);

        var half = CliRun.Interrupted(Words(At("broken")));
        Assert.NotEqual(0, half.Code);
        Assert.Contains("--resume", half.Error);
        var rest = CliRun.Of([.. Words(At("broken")), "--resume"]);
        Assert.Equal((0, ""), (rest.Code, rest.Code == 0 ? "" : rest.Error));
        foreach (var file in (string[])["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(At("whole"), file)), File.ReadAllBytes(Path.Combine(At("broken"), file)));

        using var backend = new CpuBackend(1);
        using (var classifier = TextClassifier.Load(At("whole"), backend)) Assert.Equal(TextPooling.MeanThenNorm, classifier.Pooling);
        using var model = LanguageModel.Load(At("whole"), backend);
        Assert.Equal(Tokenizer.Load(At("whole")).VocabularySize, model.Vocabulary);
        var card = File.ReadAllText(Path.Combine(At("whole"), "README.md"));
        Assert.Contains("| BANKING77, training part | 12 | 12 |", card);
        Assert.Contains("were left out: 1.", card);
        Assert.Contains("nanolora pretrain --text", card);
    }

    [Fact]
    public void Raw_texts_become_a_base_modules_and_a_demo()
    {
        var (models, texts) = (At("models"), _texts.Folder);
        var (model, modules) = (Path.Combine(models, "nano-text"), Path.Combine(models, "nano-text", "modules"));
        Runs(Words(model));
        string[] train = ["train", model, "--all-upstream", "--data", texts, "--out", modules, "--steps", "3", "--rank", "2"];
        var trained = Runs(train);
        Assert.Equal(9, Directory.GetDirectories(modules).Length);                         // the first of the ten tasks is held out
        Assert.Contains("clinc150-class-1: clinc150-class/1, ", trained.Out);
        Assert.Contains("test texts are named rightly", File.ReadAllText(Path.Combine(modules, "clinc150-class-9", "README.md")));
        Assert.Contains("clinc150-class-9 is done", Runs([.. train, "--resume"]).Error);

        Runs(["bundle", "--text", "--data", texts, "--out", models]);
        var demo = Runs(["demo", "--text", "--models", models, "--out", At("demo"), "--draws", "2", "--steps", "2", "--shots", "1"]);
        Assert.Contains("held-out task: clinc150-class/0, 2 classes", demo.Out);
        Assert.Contains("9 upstream modules", demo.Out);
        Assert.Contains("none in common", demo.Out);
    }

    private static CliRun Runs(string[] words)
    {
        var run = CliRun.Of(words);
        Assert.Equal((0, ""), (run.Code, run.Code == 0 ? "" : run.Error));
        return run;
    }

    [Fact]
    public void A_batch_size_is_refused()
    {
        var run = CliRun.Of([.. Words(At("none")), "--batch", "3"]);
        Assert.Equal(2, run.Code);
        Assert.Contains("--batch", run.Error);
    }

    [Fact]
    public void A_missing_set_is_named()
    {
        Directory.Delete(At("text-e2e-nlg"), recursive: true);
        var run = CliRun.Of(Words(At("none")));
        Assert.Equal(1, run.Code);
        Assert.Contains("text-e2e-nlg", run.Error);
    }
}
