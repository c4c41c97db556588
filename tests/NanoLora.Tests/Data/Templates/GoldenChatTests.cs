using NanoLora.Experiments.Verification;

namespace NanoLora.Tests.Data.Templates;

/// <summary>Renderings of transformers and of jinja2.</summary>
public sealed class GoldenChatTests : EngineTest
{
    [Theory]
    [InlineData("chat", 315), InlineData("chat-idioms", 700)]
    public void Agrees_with_the_reference(string name, int atLeast)
    {
        using var backend = new CpuBackend(threads: 1);
        var text = new StringWriter();
        var result = Verifier.Run([Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers", name)], backend, text);
        Assert.True(result.ExitCode == 0, $"{result.FirstDeviation}\n{string.Join('\n', text.ToString().Split('\n').Where(static l => l.Contains("FAIL")))}");
        Assert.InRange(result.Ok, atLeast, int.MaxValue);
    }

    // The vectors' own check: what is wrong is found.
    [Theory]
    [InlineData("\"rendered\":\"<|im_start|>user\\nHi!", "\"rendered\":\"<|im_start|>user\\nHo!", "differs at character")]
    [InlineData("\"error\":\"this model has no system role\"", "\"error\":\"something else\"", "with other words")]
    [InlineData("\"rendered\":\"<|im_start|>user\\nHi!<|im_end|>\\n\"", "\"error\":\"x\"", "must fail")]
    [InlineData("\"error\":\"this model has no system role\"", "\"rendered\":\"x\"", "must render")]
    public void Finds_what_deviates(string old, string with, string words)
    {
        var folder = Directory.CreateTempSubdirectory("nanolora-chat-").FullName;
        try
        {
            foreach (var file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers", "chat")))
            {
                var content = File.ReadAllText(file);
                File.WriteAllText(Path.Combine(folder, Path.GetFileName(file)), file.EndsWith(".jsonl", StringComparison.Ordinal)
                    ? content.Replace(old, with) : content);
            }
            using var backend = new CpuBackend(threads: 1);
            var text = new StringWriter();
            Assert.Equal(Verifier.Deviates, Verifier.Run([folder], backend, text).ExitCode);
            Assert.Contains(words, text.ToString());
        }
        finally { Directory.Delete(folder, recursive: true); }
    }
}
