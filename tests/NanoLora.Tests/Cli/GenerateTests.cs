using NanoLora.Models;
using NanoLora.Nn;
using NanoLora.Tests.Models;

namespace NanoLora.Tests.Cli;

/// <summary><c>nanolora generate</c> with the bundled language model.</summary>
public sealed class GenerateTests : IDisposable
{
    private const string Story = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
        + "One day, she saw a big, red ball.";

    private static readonly string Stories = Path.Combine(RepositoryRoot.Folder, "models", "stories260K");

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_text_and_nothing_else_goes_to_the_output()
    {
        var run = CliRun.Of("generate", Stories, "--prompt", "Once upon a time", "--max-tokens", "70");
        Assert.Equal(0, run.Code);
        Assert.StartsWith(Story["Once upon a time".Length..], run.Out);
        Assert.EndsWith(Environment.NewLine, run.Out);
        Assert.Matches(@"^5 tokens read, 70 written in \d+\.\d\d s, \d+\.\d tokens/s; the likeliest tokens; ended by: --max-tokens\r?\n$", run.Error);
        var file = Path.Combine(_folder.Path, "prompt.txt");
        File.WriteAllText(file, "Once upon a time\n");
        Assert.Equal(run.Out, CliRun.Of("generate", Stories, "--prompt-file", file, "--max-tokens", "70").Out);
        Assert.Equal(run.Out, CliRun.Of("generate", Path.Combine(Stories, "stories260K.bin"), "--prompt-file", file, "--max-tokens", "70").Out);
        Assert.Equal("Once upon a time" + run.Out, CliRun.Of("generate", Stories, "--prompt-file", file, "--max-tokens", "70", "--echo").Out);
    }

    [Fact]
    public void The_prompt_comes_from_standard_input_where_none_is_given()
    {
        var run = CliRun.Fed("", "generate", Stories, "--stop", " She wanted");
        Assert.Equal((0, Story + Environment.NewLine), (run.Code, run.Out));
        Assert.Contains("a text of --stop came", run.Error);
        Assert.StartsWith(", there was", CliRun.Fed("Once upon a time\n", "generate", Stories, "--max-tokens", "9").Out);
        var line = CliRun.Fed("", "generate", Stories, "--stop", @"\n").Out;
        Assert.Single(line.TrimEnd().Split('\n'));
        Assert.EndsWith("it was too high." + Environment.NewLine, line);
    }

    [Fact]
    public void A_seed_tells_its_own_story()
    {
        string[] drawn = ["generate", Stories, "--prompt", "Once", "--temperature", "1", "--top-k", "40", "--top-p", "0.95", "--min-p", "0.01",
            "--repetition-penalty", "1.1", "--no-repeat-ngram", "4", "--max-tokens", "50", "--seed"];
        var run = CliRun.Of([.. drawn, "7"]);
        Assert.Equal(0, run.Code);
        Assert.Contains("seed 7", run.Error);
        Assert.Equal(run.Out, CliRun.Of([.. drawn, "7"]).Out);
        Assert.NotEqual(run.Out, CliRun.Of([.. drawn, "8"]).Out);
    }

    [Fact]
    public void Adapters_are_mixed()
    {
        string one = Adapter("one", 1), two = Adapter("two", 2);
        string[] plain = ["generate", Stories, "--prompt", "Once upon a time", "--max-tokens", "40"];
        string Out(params string[] more)
        {
            var run = CliRun.Of([.. plain, .. more]);
            Assert.True(run.Code == 0, run.Error);
            return run.Out;
        }
        var (alone, mixed) = (Out("--adapter", one), Out("--adapter", one, "--adapter", two));
        Assert.NotEqual(Out(), alone);
        Assert.NotEqual(mixed, alone);
        Assert.Equal(alone, Out("--adapter", one, "--adapter", two, "--weights", "1,0"));
        Assert.Equal(mixed, Out("--adapter", one, "--adapter", two, "--weights", "0.5,0.5"));
        Assert.Equal(mixed, Out("--adapter", _folder.Path));                            // all that are in a folder
        Failed("2 numbers for 1 adapters", [.. plain, "--adapter", one, "--weights", "1,2"]);
        Failed("there is no such folder", [.. plain, "--adapter", one + "x"]);
        Assert.Equal(2, CliRun.Of([.. plain, "--weights", "1"]).Code);
    }

    [Fact]
    public void What_cannot_be_is_told_in_one_line()
    {
        Failed("there is no such folder or file", "generate", Stories + "x", "--prompt", "a");
        Failed("there is no tokenizer in this folder", "generate", _folder.Path, "--prompt", "a");
        Failed("has no chat template; leave --system out", "generate", Stories, "--prompt", "a", "--system", "b");
        var file = Path.Combine(_folder.Path, "long.txt");
        File.WriteAllText(file, string.Concat(Enumerable.Repeat("and then ", 400)));
        Failed("tokens and the context 512", "generate", Stories, "--prompt-file", file);
        File.WriteAllText(Path.Combine(_folder.Path, "stories.bin"), "no checkpoint of anything, but long enough");
        File.Copy(Path.Combine(Stories, "tok512.bin"), Path.Combine(_folder.Path, "tok512.bin"));
        Failed("is no size of a model", "generate", _folder.Path, "--prompt", "a");
    }

    private static void Failed(string why, params string[] args)
    {
        var run = CliRun.Of(args);
        Assert.Equal((1, ""), (run.Code, run.Out));
        Assert.Contains(why, run.Error, StringComparison.Ordinal);
        Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    private string Adapter(string name, ulong seed)
    {
        using var backend = new CpuBackend(1);
        using var model = LanguageModel.Load(Stories, backend);
        var module = Attach.Lora(model, "*.attn.(q|v)", rank: 2, alpha: 4, seed: seed, name: name);
        foreach (var update in module.Updates.Values)
        {
            var (random, values) = (new Philox(seed, 99), update.B.Value.ToArray());
            for (var i = 0; i < values.Length; i++) values[i] = 0.4f * random.Normal((ulong)i);
            backend.Upload<float>(values, update.B);
        }
        var folder = Path.Combine(_folder.Path, name);
        PeftFolder.Save(folder, module, model);
        return folder;
    }
}
