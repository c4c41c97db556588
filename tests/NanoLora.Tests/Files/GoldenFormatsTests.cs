using System.Text.Json.Nodes;
using NanoLora.Experiments.Verification;

namespace NanoLora.Tests.Files;

/// <summary>
/// Weight files of the reference libraries, good and bad, run by the verifier that <c>nanolora verify</c> is; and that it sees what is wrong.
/// </summary>
public class GoldenFormatsTests : EngineTest
{
    [Theory]
    [InlineData("safetensors")]
    [InlineData("pytorch")]
    [InlineData("peft")]
    public void Agrees(string format)
    {
        var (result, lines) = Verify(GoldenFormats.Folder(format));
        Assert.True(result.ExitCode == 0 && result.Ok > 100, string.Join('\n', lines.Where(static line => !line.EndsWith("ok", StringComparison.Ordinal))));
    }

    [Theory]
    [InlineData("safetensors", "malformed", "file", "bad-overlap.safetensors", "verdict", "\"load\"", "is refused, and must load")]
    [InlineData("safetensors", "valid", "file", "scalar.safetensors", "verdict", "\"error\"", "loads, and must be refused")]
    [InlineData("safetensors", "valid", "file", "scalar.safetensors", "tensors", "{}", "where 0 are expected")]
    [InlineData("safetensors", "valid", "file", "metadata.safetensors", "metadata", "{\"a\": \"b\"}", "metadata \"a\" is \"missing\"")]
    [InlineData("pytorch", "hostile", "file", "hostile/stack-underflow.pt", "verdict", "\"load\"", "is refused, and must load")]
    [InlineData("pytorch", "cases", "file", "valid/tied.pt", "expected", "\"expected/valid__views.safetensors\"", "is not in the file")]
    [InlineData("pytorch", "cases", "file", "valid/checkpoint.pt", "other_values", "{\"epoch\": 8}", "is \"7\", expected \"8\"")]
    [InlineData("peft", "cases", "folder", "rank-pattern", "tensor", "\"plain/logits\"", "FAIL")]
    [InlineData("peft", "cases", "folder", "bad-config-r-other", "verdict", "\"load\"", "is refused, and must load")]
    public void SeesWhatIsWrong(string format, string list, string key, string name, string field, string value, string words)
    {
        using var copy = new TemporaryFolder();
        var golden = GoldenFormats.Folder(format);
        foreach (var folder in Directory.GetDirectories(golden)) Directory.CreateSymbolicLink(Path.Combine(copy.Path, Path.GetFileName(folder)), folder);
        foreach (var file in Directory.GetFiles(golden)) File.Copy(file, Path.Combine(copy.Path, Path.GetFileName(file)));
        var path = Path.Combine(copy.Path, "golden.json");
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        json[list]!.AsArray().Single(c => (string)c![key]! == name)![field] = JsonNode.Parse(value);
        File.WriteAllText(path, json.ToJsonString());

        var (result, lines) = Verify(copy.Path);

        Assert.Equal(Verifier.Deviates, result.ExitCode);
        Assert.StartsWith($"{Path.GetFileName(copy.Path)}/{name}: ", result.FirstDeviation, StringComparison.Ordinal);
        Assert.Contains(lines, line => line.Contains(name, StringComparison.Ordinal) && line.Contains(words, StringComparison.Ordinal));
    }

    [Fact]
    public void ADataSetThatIsNotThereIsSkippedByName()
    {
        using var copy = new TemporaryFolder();
        File.WriteAllText(Path.Combine(copy.Path, "golden.json"), """{"cases": [{"file": "DATA/no-such-set/x.pt", "verdict": "load"}], "hostile": []}""");
        var (result, lines) = Verify(copy.Path);
        Assert.Equal((0, 0, Verifier.Deviates), (result.Ok, result.Failed, result.ExitCode));   // a folder in which nothing was compared has failed
        Assert.Contains(lines, static line => line.EndsWith("skipped: the data set no-such-set is not there", StringComparison.Ordinal));
    }

    private (VerifyResult Result, string[] Lines) Verify(string folder)
    {
        using var output = new StringWriter();
        var result = Verifier.Run([folder], Backend, output);
        return (result, output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
    }
}
