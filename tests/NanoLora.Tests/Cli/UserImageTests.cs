using System.Globalization;
using System.Text.Json;
using NanoLora.Data;
using NanoLora.Nn;
using NanoLora.Tests.Data;
using NanoLora.Tests.Data.UserTasks;
using static NanoLora.Tests.Cli.DemoTests;

namespace NanoLora.Tests.Cli;

/// <summary>The commands on pictures of a user's own.</summary>
public sealed class UserImageTests : IDisposable
{
    private static readonly string Golden = Path.Combine(AppContext.BaseDirectory, "Golden", "photos");
    private static readonly string Vit = Path.Combine(Golden, "vit"), Photos = Path.Combine(Golden, "photos");
    private readonly PictureTree _tree = new();

    public void Dispose() => _tree.Dispose();

    private static CliRun Done(params string[] words)
    {
        var run = CliRun.Of(words);
        Assert.True(run.Code == 0, run.Error);
        return run;
    }

    // "path: ant 97.3 %, bee 2.7 %"
    private static Dictionary<string, double> Percents(string line) => line[(line.LastIndexOf(": ", StringComparison.Ordinal) + 2)..].Split(", ")
        .ToDictionary(p => p[..p.IndexOf(' ')], p => double.Parse(p.Split(' ')[1], CultureInfo.InvariantCulture));

    private static double Accuracy(string text, string task) => double.Parse(
        System.Text.RegularExpressions.Regex.Match(text, $@"{task}: (\d+\.\d) %").Groups[1].Value, CultureInfo.InvariantCulture);

    [Fact]
    public void Colour_photographs_get_the_probabilities_of_the_reference()
    {
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(Golden, "expected.json")));
        var expected = json.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.EnumerateArray().Select(v => 100 * v.GetDouble()).ToArray());
        Assert.Equal(30, expected.Count);
        var run = Done(["predict", Vit, .. expected.Keys.Select(f => Path.Combine(Photos, f))]);
        var lines = run.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        foreach (var (line, (file, values)) in lines.Zip(expected))
        {
            Assert.StartsWith(Path.Combine(Photos, file) + ": ", line);
            var shown = Percents(line);
            string[] labels = ["ant", "bee", "cat", "dog"];
            if (file.EndsWith("2.jpeg", StringComparison.Ordinal) || file.EndsWith("4.JPG", StringComparison.Ordinal))
            {
                // Half the chroma: the reference smooths it, this decoder repeats it, up to 16 levels apart. The verdict is the same where it is one.
                var best = Array.IndexOf(values, values.Max());
                if (values[best] > values.Where((_, c) => c != best).Max() + 5) Assert.Equal(labels[best], shown.MaxBy(s => s.Value).Key);
                continue;
            }
            // PNG decodes exactly, JPEG with the whole chroma to a few levels; the tool shows tenths.
            var tolerance = file.EndsWith("png", StringComparison.OrdinalIgnoreCase) ? 0.06 : 0.6;
            foreach (var (label, value) in labels.Zip(values)) Assert.InRange(shown[label], value - tolerance, value + tolerance);
        }
        Assert.Equal("", run.Error);
    }

    [Fact]
    public void A_lora_and_a_learned_composition_are_trained_on_colour_photographs()
    {
        string[] small = ["--steps", "60", "--batch", "8", "--rank", "2", "--pattern", "blocks.*"];
        var trained = Done(["train", Vit, "--task", Photos, "--out", _tree.At("photos-lora"), .. small]);
        Assert.InRange(Accuracy(File.ReadAllText(_tree.At("photos-lora/README.md")).Replace("\n\n", "\n", StringComparison.Ordinal)
            .Replace("## Measured\n", "measured: ", StringComparison.Ordinal), "measured"), 80, 100);
        Assert.Contains("photos-lora: photos, ", trained.Out);

        // The same photographs as an index, in colours of their own and in none: without colour the classes are the same.
        var rows = Directory.GetFiles(Photos, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Select(f => $"\"{f}\",{Path.GetFileName(Path.GetDirectoryName(f))},{Path.GetFileName(Path.GetDirectoryName(Path.GetDirectoryName(f)))}");
        _tree.AddText("index.csv", $"path,label,split\n{string.Join('\n', rows)}\n");
        Done(["train", Vit, "--task", _tree.At("index.csv"), "--out", _tree.At("index-lora"), "--seed", "2", .. small]);

        var eval = Done("eval", Vit, "--adapter", _tree.At("photos-lora"), "--task", Photos);
        Assert.Matches(@"^photos: \d+\.\d % of 12 images", eval.Out);
        var indexed = Done("eval", Vit, "--adapter", _tree.At("photos-lora"), "--task", _tree.At("index.csv"));
        Assert.Equal(eval.Out["photos".Length..], indexed.Out["index".Length..]);

        var composed = Done("compose", Vit, _tree.At("photos-lora"), _tree.At("index-lora"), "--method", "learned", "--task", Photos, "--shots", "4",
            "--steps", "40", "--out", _tree.At("mix"));
        Assert.InRange(Accuracy(composed.Out, "photos"), 80, 100);
        Assert.Contains("test images of draw 0", composed.Out);
        foreach (var colour in new[] { "amber", "teal", "violet" })
        {
            foreach (var file in new[] { "1.jpg", "photo 0.png" })
            {
                var named = Done("predict", Vit, "--adapter", _tree.At("mix"), Path.Combine(Photos, "test", colour, file), "--top", "1");
                Assert.Contains($"{file}: {colour} ", named.Out);
            }
        }
    }

    [Fact]
    public void A_folder_without_parts_is_divided_alike_by_all_commands()
    {
        using var models = new MadeUpModels();
        _tree.AddClass("drawings/cat", 12, 0).AddClass("drawings/dog", 12, 20);
        string[] task = ["--task", _tree.At("drawings")];
        var trained = Done(["train", models.Model, .. task, "--steps", "3", "--out", _tree.At("lora")]);
        Assert.Contains("% of 4 test images", trained.Out);
        var measured = Done(["eval", models.Model, "--adapter", _tree.At("lora"), .. task]);
        Assert.Matches(@"^drawings: \d+\.\d % of 4 images \((\d)\)", measured.Out);
        Assert.Contains(measured.Out.Split(' ')[1] + " %", File.ReadAllText(_tree.At("lora/README.md")));
        Assert.Matches("of 24 images", Done(["eval", models.Model, "--adapter", _tree.At("lora"), .. task, "--test-share", "0"]).Out);
        Assert.Matches("of 12 images", Done(["eval", models.Model, "--adapter", _tree.At("lora"), .. task, "--test-share", "0.5"]).Out);
        var composed = Done(["compose", models.Model, _tree.At("lora"), .. task, "--all", "--steps", "2", "--out", _tree.At("mix")]);
        Assert.Matches(@"drawings: \d+\.\d % of 4 test images \(\d\), trained on 20", composed.Out);
        Assert.Matches(@"drawings: \d+\.\d % of 4 images", Done(["eval", models.Model, "--adapter", _tree.At("mix"), .. task]).Out);
    }

    [Fact]
    public void Inverting_is_as_if_the_pictures_were_inverted()
    {
        using var models = new MadeUpModels();
        for (var i = 0; i < 12; i++)
        {
            var name = $"{"ab"[i % 2]}/{i:00}.png";
            _tree.AddBytes($"bright/t/{name}", PictureTree.Png(i));
            byte[] dark = [.. PictureTree.Pixels(i).Select(p => (byte)(255 - p))];
            _tree.AddBytes($"dark/t/{name}", DataFiles.Png(PictureTree.Side, PictureTree.Side, 8, 0, dark, y => 0));
        }
        Done("train", models.Model, "--task", _tree.At("bright/t"), "--steps", "3", "--out", _tree.At("one"));
        Done("train", models.Model, "--task", _tree.At("dark/t"), "--steps", "3", "--out", _tree.At("two"), "--invert");
        Done("train", models.Model, "--task", _tree.At("dark/t"), "--steps", "3", "--out", _tree.At("three"));
        byte[] Weights(string folder) => File.ReadAllBytes(_tree.At($"{folder}/adapter_model.safetensors"));
        Assert.Equal(Weights("one"), Weights("two"));
        Assert.NotEqual(Weights("one"), Weights("three"));
        Assert.Contains("- images: inverted", File.ReadAllText(_tree.At("two/README.md")));
        Assert.DoesNotContain("inverted", File.ReadAllText(_tree.At("one/README.md")));

        string Said(string file, params string[] more) => Done(["predict", models.Model, _tree.At(file), .. more]).Out.Split(": ")[1];
        Assert.Equal(Said("bright/t/a/00.png"), Said("dark/t/a/00.png", "--invert"));
        Assert.NotEqual(Said("bright/t/a/00.png"), Said("dark/t/a/00.png"));
        var eval = Done("eval", models.Model, "--adapter", _tree.At("one"), "--task", _tree.At("bright/t"));
        Assert.Equal(eval.Out, Done("eval", models.Model, "--adapter", _tree.At("one"), "--task", _tree.At("dark/t"), "--invert").Out);
    }

    [Fact]
    public void Bad_input_is_one_line_and_leaves_nothing()
    {
        using var models = new MadeUpModels();
        _tree.AddClass("d/a", 3, 0).AddClass("d/b", 3, 10).AddText("d/b/two\nlines.png", "no picture");
        Fails(CliRun.Of("train", models.Model, "--task", _tree.At("d"), "--out", _tree.At("out")), "two lines.png");
        Fails(CliRun.Of("compose", models.Model, models.ModuleAt("one"), "--task", _tree.At("d"), "--all", "--out", _tree.At("out")), "two lines.png");
        Fails(CliRun.Of("eval", models.Model, "--task", _tree.At("d"), "--probe"), "two lines.png");
        Fails(CliRun.Of("predict", models.Model, _tree.At("d/b/two\nlines.png")), "two lines.png: this is no picture");
        Fails(CliRun.Of("predict", models.Model, _tree.At("d")), "is a folder; give PNG and JPEG");
        Fails(CliRun.Of("predict", models.Model, _tree.At("none.jpg")), "none.jpg: there is no such file");
        Directory.CreateDirectory(_tree.At("d/empty"));
        Fails(CliRun.Of("train", models.Model, "--task", _tree.At("d"), "--out", _tree.At("out")), "empty: the class has no pictures");
        Assert.False(Directory.Exists(_tree.At("out")));
        Assert.Equal(2, CliRun.Of("train", models.Model, "--task", _tree.At("d"), "--test-share", "1", "--out", _tree.At("out")).Code);

        File.Move(_tree.At("d/b/00.png"), _tree.At("d/b/new\nline.png"));
        Assert.StartsWith($"{_tree.At("d/b/new\\u000aline.png")}: ", Done("predict", models.Model, _tree.At("d/b/new\nline.png")).Out);
    }

    [Fact]
    public void Many_pictures_show_progress_and_reading_them_can_be_interrupted()
    {
        using var models = new MadeUpModels();
        _tree.AddClass("d/a", 150, 0).AddClass("d/b", 150, 200);
        var run = CliRun.Interrupted("train", models.Model, "--task", _tree.At("d"), "--out", _tree.At("out"));
        Assert.Equal(130, run.Code);
        Assert.Contains("pictures", run.Error);
        Assert.Contains("nanolora train: interrupted; nothing was written.", run.Error);
        Assert.False(Directory.Exists(_tree.At("out")));
    }

    [Fact]
    public void A_training_is_not_resumed_with_other_pictures()
    {
        using var models = new MadeUpModels();
        _tree.AddClass("d/a", 6, 0).AddClass("d/b", 6, 20);
        string[] words = ["train", models.Model, "--task", _tree.At("d"), "--steps", "6", "--out", _tree.At("out")];
        Assert.Equal(130, CliRun.Interrupted(words).Code);
        _tree.Add("d/b/99.png", 99);
        Fails(CliRun.Of([.. words, "--resume"]), "training images: the interrupted run has \"10, SHA-256");
        File.Delete(_tree.At("d/b/99.png"));
        Done([.. words, "--resume"]);
    }
}
