using NanoLora.Experiments.Verification;

namespace NanoLora.Tests.Data.Text;

/// <summary>Ids, tokens, offsets, decoded text, pairs and streams of the tokenizers library and of SentencePiece.</summary>
public sealed class GoldenTokenizersTests : EngineTest
{
    [Theory]
    [InlineData("added-tokens", 270), InlineData("albert", 230), InlineData("bert-cased", 460), InlineData("bert-uncased", 1050), InlineData("byte-bpe", 430)]
    [InlineData("clip", 220), InlineData("gemma", 490), InlineData("llama2", 520), InlineData("llama3", 520), InlineData("mistral", 490),
        InlineData("qwen2", 490)]
    [InlineData("roberta", 530), InlineData("starcoder", 190), InlineData("t5", 530), InlineData("unigram", 260), InlineData("sentencepiece", 860)]
    public void Agrees_with_the_reference(string name, int atLeast)
    {
        var text = new StringWriter();
        var result = Verifier.Run([Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers", name)], Backend, text);
        var failures = text.ToString().Split('\n').Where(static l => l.Contains("FAIL"));
        Assert.True(result.ExitCode == 0, $"{result.FirstDeviation}\n{string.Join('\n', failures.Take(20))}");
        Assert.InRange(result.Ok, atLeast, int.MaxValue);
    }

    [Fact]
    public void A_wrong_id_is_found()
    {
        var folder = Directory.CreateTempSubdirectory("nanolora-tokenizers-").FullName;
        foreach (var file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers", "starcoder"))) File.Copy(file,
            Path.Combine(folder, Path.GetFileName(file)));
        var cases = Path.Combine(folder, "cases.jsonl");
        var first = File.ReadLines(cases).First();
        File.WriteAllText(cases, first.Replace("\"ids\":[", "\"ids\":[1,", StringComparison.Ordinal) + "\n");
        var result = Verifier.Run([folder], Backend, TextWriter.Null);
        Directory.Delete(folder, recursive: true);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("cases.jsonl:1: ids [0]", result.FirstDeviation);
    }
}
