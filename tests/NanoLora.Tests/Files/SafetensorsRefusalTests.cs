using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>What refusals of safetensors files and of indices say; that they are refused at all is for <see cref="GoldenFormatsTests"/>.</summary>
public class SafetensorsRefusalTests
{
    private const string Format = "safetensors";

    [Theory]
    [InlineData("bad-lfs-pointer.safetensors", "git lfs pull")]
    [InlineData("bad-html.safetensors", "web page")]
    [InlineData("bad-npz.safetensors", "zip")]
    [InlineData("bad-dtype-unknown.safetensors", "F31")]
    [InlineData("bad-offset-far.safetensors", "cut short")]
    [InlineData("sharded-missing-shard/model.safetensors.index.json", "model-00002-of-00002.safetensors is missing")]
    [InlineData("sharded-outside/model.safetensors.index.json", "only files beside the index")]
    public void TheRefusalSaysWhatIsWrong(string name, string words) =>
        Assert.Contains(words, GoldenFormats.Refusal(Path.Combine(GoldenFormats.Folder(Format), name))!.Message, StringComparison.Ordinal);

    /// <summary>Half a surrogate pair passes a JSON parser, and only shows when the text is taken.</summary>
    [Theory]
    [InlineData("""{"weight\ud800_map": {}}""")]
    [InlineData("""{"weight_map": {"a\udc00": "one.safetensors"}}""")]
    [InlineData("""{"weight_map": {"a": "\ud800.safetensors"}}""")]
    [InlineData("""{"weight_map": {}, "metadata": {"\ud800": 1}}""")]
    [InlineData("""{"weight_map": {}, "metadata": {"total": "\ud800"}}""")]
    public void TextThatIsNoUnicodeIsRefusedInAnIndex(string json)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, json);
            GoldenFormats.Refuses($"{path}: file: holds a text that is no valid Unicode", () => Checkpoint.Open(path));
        }
        finally { File.Delete(path); }
    }
}
