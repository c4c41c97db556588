using System.Globalization;
using System.Text.Json;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;
using NanoLora.Tests.Data;
using static NanoLora.Tests.Cli.DemoTests;

namespace NanoLora.Tests.Cli;

public class CommandTests
{
    [Fact]
    public void Inspect_lists_tensors_sizes_and_metadata()
    {
        using var models = new MadeUpModels();
        var path = models.At("made.safetensors");
        TensorSource[] tensors = [new("a.weight", [3, 5], new float[15]), new("b", FileDType.U8, [7], new byte[7])];
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string> { ["note"] = "bell \a" });
        var text = CliRun.Of("inspect", path);
        Assert.Equal((0, ""), (text.Code, text.Error));
        Assert.Matches(@"a\.weight +F32 +\[3, 5\] +60 B", text.Out);
        Assert.Contains("2 tensors, 22 parameters, 67 B", text.Out);
        Assert.Contains(@"bell \u0007", text.Out);                            // a file must not ring the terminal

        using var json = JsonDocument.Parse(CliRun.Of("inspect", path, "--json").Out);
        Assert.Equal(22, json.RootElement.GetProperty("total_parameters").GetInt64());
        Assert.Equal(67, json.RootElement.GetProperty("total_bytes").GetInt64());
        var first = json.RootElement.GetProperty("tensors").EnumerateArray().Single(t => t.GetProperty("name").GetString() == "a.weight");
        Assert.Equal([3, 5], first.GetProperty("shape").EnumerateArray().Select(l => l.GetInt32()));
    }

    [Fact]
    public void Inspect_shows_models_and_adapters_and_refuses_the_rest()
    {
        using var models = new MadeUpModels();
        var model = CliRun.Of("inspect", models.Model);
        Assert.Matches("model_type +nano_vit", model.Out);
        Assert.Contains("one, two", model.Out);
        var adapter = CliRun.Of("inspect", models.ModuleAt("two"));
        Assert.Matches("peft_type +LORA", adapter.Out);
        Assert.Matches(@"lora_A\.weight +F32 +\[3, 8\]", adapter.Out);
        Fails(CliRun.Of("inspect", models.At("nothing")), "there is no such file or folder");
        File.WriteAllText(models.At("cut.safetensors"), "{");
        Fails(CliRun.Of("inspect", models.At("cut.safetensors")), "cut.safetensors");
    }

    [Fact]
    public void Predict_gives_the_models_own_probabilities_for_an_idx_file()
    {
        using var models = new MadeUpModels();
        var set = DataFiles.Set("x", 2, 2, 7);
        File.WriteAllBytes(models.At("images.gz"), DataFiles.GZip(DataFiles.Idx([4, 4, 4], set.Pixels)));
        using var backend = new CpuBackend(threads: 1);
        using var model = Vit.Load(models.Model, backend);
        using var scope = backend.Scope(grad: false);
        var expected = model.Forward(backend.Main.From(set.ToFloats(new(0.5f, 0.25f)), new Shape(4, 1, 4, 4))).Softmax().ToArray();

        var run = CliRun.Of("predict", models.Model, models.At("images.gz"), models.At("images.gz") + "#2");
        Assert.True(run.Code == 0, run.Error);
        var lines = run.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.Equal(5, lines.Length);
        Assert.Equal(lines[2], lines[4]);
        for (var i = 0; i < 4; i++)
        {
            var cat = FormattableString.Invariant($"cat {100 * expected[2 * i]:0.0} %");
            var dog = FormattableString.Invariant($"dog {100 * expected[2 * i + 1]:0.0} %");
            Assert.Equal($"{models.At("images.gz")}#{i}: {(expected[2 * i] >= expected[2 * i + 1] ? $"{cat}, {dog}" : $"{dog}, {cat}")}", lines[i]);
        }
    }

    [Fact]
    public void Predict_takes_pngs_of_any_size_and_task_files()
    {
        using var models = new MadeUpModels();
        File.WriteAllBytes(models.At("p.png"), DataFiles.Png(9, 7, (x, y) => x > y));
        var run = CliRun.Of("predict", models.Model, models.At("p.png"), models.TaskPath + "#38", "--top", "1");
        Assert.True(run.Code == 0, run.Error);
        Assert.Matches(@"p\.png: (cat|dog) \d+\.\d %\r?\n", run.Out);
        Fails(CliRun.Of("predict", models.Model, models.TaskPath + "#39"), "has no image 39; it has 39, from 0 on");
        Fails(CliRun.Of("predict", models.Model, models.At("p.png") + "#x"), "\"x\" is not the number of an image");
        File.WriteAllText(models.At("photo.jpg"), "JFIF and more");
        Fails(CliRun.Of("predict", models.Model, models.At("photo.jpg")), "this is no picture; PNG, JPEG, PGM and PPM files are read");
        Fails(CliRun.Of("predict", models.Model, "--adapter", models.At("nowhere"), models.At("p.png")), "there is no such folder");
    }

    [Fact]
    public void An_interrupted_training_ends_with_the_bytes_of_an_unbroken_one()
    {
        using var models = new MadeUpModels();
        string[] Words(string name) =>
            ["train", models.Model, "--task", models.TaskPath, "--out", models.At(name), "--steps", "6", "--rank", "2", "--dropout", "0.1"];
        var unbroken = CliRun.Of(Words("unbroken"));
        Assert.True(unbroken.Code == 0, unbroken.Error);
        Assert.Contains("Held Out", unbroken.Out);

        var first = CliRun.Interrupted(Words("broken"));
        Assert.Equal(130, first.Code);
        Assert.Contains("interrupted after step 1 of 6", first.Error);
        Fails(CliRun.Of(Words("broken")), "add --resume to go on with it");
        Fails(CliRun.Of([.. Words("broken"), "--resume", "--rate", "0.5"]), "rate: the interrupted run has \"0.003\", this one \"0.5\"");
        var second = CliRun.Of([.. Words("broken"), "--resume"]);
        Assert.True(second.Code == 0, second.Error);
        byte[] Weights(string name) => File.ReadAllBytes(models.At(name, "adapter_model.safetensors"));
        Assert.Equal(Weights("unbroken"), Weights("broken"));
        var files = Directory.GetFiles(models.At("broken")).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal);
        Assert.Equal(["README.md", "adapter_config.json", "adapter_model.safetensors"], files);
        Assert.Contains("15 test images", File.ReadAllText(models.At("broken", "README.md")));

        var measured = CliRun.Of("eval", models.Model, "--adapter", models.At("broken"), "--task", models.TaskPath);
        Assert.Matches(@"^Held Out: \d+\.\d % of 15 images \(\d+\)\r?\n$", measured.Out);
    }

    [Fact]
    public void Train_refuses_a_folder_of_other_things_and_an_unknown_task()
    {
        using var models = new MadeUpModels();
        Fails(CliRun.Of("train", models.Model, "--task", models.TaskPath, "--out", models.Models), "and is no adapter folder; name a new folder");
        Fails(CliRun.Of("train", models.Model, "--task", "Latin", "--out", models.At("x")), "\"Latin\" is neither a file nor a folder");
        Fails(CliRun.Of("train", models.Model, "--task", "Latin", "--data", models.At("nowhere"), "--out", models.At("x")), "is not a folder; name the folder");
        Fails(CliRun.Of("train", models.At("nowhere"), "--task", models.TaskPath, "--out", models.At("x")), "nowhere");
        Fails(CliRun.Of("train", models.Model, "--task", models.TaskPath, "--out", models.At("x"), "--pattern", "layers.*"), "no linear matches \"layers.*\"");
    }

    [Theory, InlineData("uniform"), InlineData("learned")]
    public void A_composition_and_its_export_name_the_same_images(string method)
    {
        using var models = new MadeUpModels();
        string[] words = ["compose", models.Model, models.Model + "/modules", "--method", method, "--task", models.TaskPath, "--shots", "2", "--draw", "1"];
        var saved = CliRun.Of([.. words, "--out", models.At("mix")]);
        Assert.True(saved.Code == 0, saved.Error);
        Assert.Contains($"{method} composition of 2 modules over 6 matrices", saved.Out);
        Assert.Matches(@"Held Out: \d+\.\d % of 15 test images of draw 1 \(\d+\), trained on 6", saved.Out);
        Assert.Equal(0, CliRun.Of([.. words, "--out", models.At("adapter"), "--export"]).Code);
        Fails(CliRun.Of([.. words, "--out", models.At("mix"), "--export"]), "has composition.json in it and is no adapter folder");
        Fails(CliRun.Of([.. words, "--out", models.At("adapter")]), "is an adapter folder");

        var (mix, adapter) = (Named("mix"), Named("adapter"));
        Assert.Equal(39, mix.Length);
        for (var i = 0; i < mix.Length; i++)
        {
            Assert.Equal(mix[i].Keys.Order(), adapter[i].Keys.Order());
            foreach (var (label, percent) in mix[i]) Assert.InRange(adapter[i][label], percent - 0.11, percent + 0.11);
        }

        Dictionary<string, double>[] Named(string folder)
        {
            var run = CliRun.Of("predict", models.Model, "--adapter", models.At(folder), models.TaskPath);
            Assert.True(run.Code == 0, run.Error);
            return [.. run.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Percents)];
        }
    }

    // "name: cat 97.3 %, dog 2.7 %"
    private static Dictionary<string, double> Percents(string line) => line[(line.IndexOf(": ", StringComparison.Ordinal) + 2)..].Split(", ")
        .Select(p => p[..^2]).ToDictionary(p => p[..p.LastIndexOf(' ')], p => double.Parse(p[(p.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));

    [Fact]
    public void What_does_not_fit_the_base_is_refused()
    {
        using var models = new MadeUpModels();
        using var backend = new CpuBackend(threads: 1);
        using (var wide = Vit.Create(MadeUpModels.Config with { HiddenSize = 12 }, backend, seed: 2)) wide.Save(models.At("wide"));
        Fails(CliRun.Of("compose", models.At("wide"), models.ModuleAt("one"), "--out", models.At("x")), "another base");
        Fails(CliRun.Of("compose", models.Model, models.Models, "--out", models.At("x")), "has neither adapter_config.json nor composition.json");
        Fails(CliRun.Of("eval", models.Model, "--task", models.TaskPath), "the head names 2 classes (cat, dog), Held Out has 3 classes");
        Fails(CliRun.Of("eval", models.Model, "--task", models.TaskPath, "--probe", "--shots", "9"), "9 shots need 9");
        var probe = CliRun.Of("eval", models.Model, "--task", models.TaskPath, "--probe", "--shots", "2");
        Assert.Matches(@"^Held Out: \d+\.\d % of 15 images", probe.Out);
        Fails(CliRun.Of("verify", models.At("nowhere")), "there is no such folder");
    }
}
