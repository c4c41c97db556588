namespace NanoLora.Tests.Cli;

public class UsageTests
{
    [Fact]
    public void Without_words_the_tool_says_what_it_is_and_what_to_try()
    {
        var run = CliRun.Of();
        Assert.Equal(0, run.Code);
        Assert.Contains("nanolora demo", run.Out);
        Assert.Contains("nanolora inspect", run.Out);
        Assert.Empty(run.Error);
    }

    [Theory]
    [InlineData("is empty", "inspect", "")]
    [InlineData("1000", "demo", "--draws", "2147483647")]
    [InlineData("--probe or --draw", "eval", "model", "--task", "task.safetensors", "--shots", "3")]
    public void Words_that_cannot_be_meant_are_wrong_usage(string message, params string[] words)
    {
        var run = CliRun.Of(words);
        Assert.Equal(2, run.Code);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_version_is_one_line()
    {
        var run = CliRun.Of("--version");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Matches(@"^nanolora \d+\.\d+\.\d+\r?\n$", run.Out);
    }

    [Fact]
    public void The_overview_has_a_line_for_each_command()
    {
        var run = CliRun.Of("--help");
        Assert.Equal(0, run.Code);
        foreach (var command in Commands) Assert.Matches($@"\n  {command} .*\.\r?\n", run.Out);
    }

    [Theory, MemberData(nameof(Commands))]
    public void Each_command_has_help_with_examples(string command)
    {
        var run = CliRun.Of(command, "--help");
        Assert.Equal((0, ""), (run.Code, run.Error));
        var examples = run.Out[run.Out.IndexOf("Examples:", StringComparison.Ordinal)..];
        Assert.Contains($"  nanolora {command} ", examples + " ");
        Assert.DoesNotMatch(@"\n {2}-\S+[^\n]*  \r?\n", run.Out);             // every option says what it does
    }

    public static TheoryData<string> Commands =>
        ["demo", "pretrain", "train", "bundle", "compose", "eval", "predict", "generate", "chat", "inspect", "verify", "study", "doctor", "pull"];

    [Theory]
    [InlineData("nanolora: ", "'polish'", "polish")]
    [InlineData("nanolora demo: ", "--draws: \"-1\" is not a whole number from 1 on", "demo", "--draws", "-1")]
    [InlineData("nanolora demo: ", "--steps: \"ten\" is not a whole number from 1 on", "demo", "--steps", "ten")]
    [InlineData("nanolora demo: ", "--shots: \"1,0\" is not different whole numbers from 1 on", "demo", "--shots", "1,0")]
    [InlineData("nanolora demo: ", "--shots: \"5,5\" is not", "demo", "--shots", "5,5")]
    [InlineData("nanolora demo: ", "--seed: \"-3\" is not a whole number from 0 on", "demo", "--seed", "-3")]
    [InlineData("nanolora train: ", "--rate: \"-0.1\" is not a positive number", "train", "m", "--task", "t", "--out", "o", "--rate", "-0.1")]
    [InlineData("nanolora train: ", "--rate: \"NaN\" is not a positive number", "train", "m", "--task", "t", "--out", "o", "--rate", "NaN")]
    [InlineData("nanolora train: ", "--dropout: \"1\" is not a number from 0 to less than 1", "train", "m", "--task", "t", "--out", "o", "--dropout", "1")]
    [InlineData("nanolora train: ", "either --task or --all-upstream", "train", "m", "--out", "o")]
    [InlineData("nanolora train: ", "--data", "train", "m", "--out", "o", "--all-upstream")]
    [InlineData("nanolora train: ", "--out", "train", "m", "--task", "t")]
    [InlineData("nanolora compose: ", "\"best\" is not a method; known are uniform, learned", "compose", "m", "a", "--out", "o", "--method", "best")]
    [InlineData("nanolora compose: ", "give --task", "compose", "m", "a", "--out", "o", "--method", "learned")]
    [InlineData("nanolora compose: ", "either --shots or --all", "compose", "m", "a", "--out", "o", "--task", "t")]
    [InlineData("nanolora inspect: ", "inspect", "inspect")]
    [InlineData("nanolora generate: ", "--top-p: \"1.5\" is more than 1", "generate", "m", "--prompt", "a", "--top-p", "1.5")]
    [InlineData("nanolora generate: ", "--min-p: \"2\" is more than 1", "generate", "m", "--prompt", "a", "--min-p", "2")]
    [InlineData("nanolora generate: ", "--temperature: \"-1\" is not a number from 0", "generate", "m", "--prompt", "a", "--temperature", "-1")]
    [InlineData("nanolora generate: ", "--weights: \"1,x\" is not numbers", "generate", "m", "--prompt", "a", "--adapter", "b", "--weights", "1,x")]
    [InlineData("nanolora generate: ", "--prompt and --prompt-file", "generate", "m", "--prompt", "a", "--prompt-file", "b")]
    [InlineData("nanolora chat: ", "--max-tokens: \"0\" is not a whole number from 1 on", "chat", "m", "--max-tokens", "0")]
    public void Wrong_usage_is_told_in_one_line_with_code_2(string start, string part, params string[] args)
    {
        var run = CliRun.Of(args);
        Assert.Equal((2, ""), (run.Code, run.Out));
        var lines = run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.Equal(2, lines.Length);
        Assert.StartsWith(start, lines[0]);
        Assert.Contains(part, lines[0]);
        Assert.StartsWith("See nanolora", lines[1]);
    }
}
