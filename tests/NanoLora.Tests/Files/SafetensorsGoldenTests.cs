using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>Valid, malformed and sharded safetensors files, held against what the reference library says of them.</summary>
public class SafetensorsGoldenTests
{
    private const string Format = "safetensors";

    public static TheoryData<string> Valid => GoldenFormats.Names(Format, "valid", "file");
    public static TheoryData<string> Malformed => GoldenFormats.Names(Format, "malformed", "file");
    public static TheoryData<string> Sharded => GoldenFormats.Names(Format, "sharded", "folder");

    [Theory, MemberData(nameof(Valid))]
    public void LoadsWithTheValuesOfTheReference(string name)
    {
        var golden = GoldenFormats.Case(Format, "valid", "file", name);
        using var file = Checkpoint.Open(Path.Combine(GoldenFormats.Folder(Format), name));
        Assert.IsType<SafetensorsFile>(file);
        Assert.Equal(golden.GetProperty("tensors").EnumerateObject().Count(), file.Entries.Count);
        foreach (var tensor in golden.GetProperty("tensors").EnumerateObject()) HoldTensor(file, tensor.Name, tensor.Value);
        var metadata = golden.GetProperty("metadata");
        if (metadata.ValueKind == JsonValueKind.Null) Assert.Empty(file.Metadata);
        else Assert.Equal(metadata.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!), file.Metadata);
    }

    [Theory, MemberData(nameof(Malformed))]
    public void HoldsTheVerdict(string name) =>
        GoldenFormats.Hold(GoldenFormats.Case(Format, "malformed", "file", name), Path.Combine(GoldenFormats.Folder(Format), name));

    [Theory, MemberData(nameof(Sharded))]
    public void HoldsTheVerdictOfAFolder(string name)
    {
        var golden = GoldenFormats.Case(Format, "sharded", "folder", name);
        var path = Path.Combine(GoldenFormats.Folder(Format), name, "model.safetensors.index.json");
        GoldenFormats.Hold(golden, path);
        if (!golden.TryGetProperty("tensors", out var tensors)) return;
        using var file = Checkpoint.Open(Path.GetDirectoryName(path)!);
        Assert.IsType<ShardedCheckpoint>(file);
        Assert.Equal(tensors.EnumerateObject().Select(t => t.Name), file.Entries.Select(e => e.Name));
        foreach (var tensor in tensors.EnumerateObject()) HoldTensor(file, tensor.Name, tensor.Value);
    }

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

    private static void HoldTensor(Checkpoint file, string name, JsonElement golden)
    {
        var entry = file[name];
        Assert.Equal(golden.GetProperty("shape").EnumerateArray().Select(a => a.GetInt64()), entry.Shape);
        if (golden.TryGetProperty("dtype", out var dtype)) Assert.Equal(dtype.GetString(), entry.DType.FileName());
        if (golden.TryGetProperty("bytes_hex_first", out var hex)) Assert.StartsWith(hex.GetString()!, Convert.ToHexStringLower(file.Bytes(entry)));
        var values = new float[entry.Count];
        if (!golden.TryGetProperty("values_first", out var first))
        {
            Assert.Contains(entry.DType.FileName(), Assert.Throws<CheckpointException>(() => file.CopyTo(entry, values)).Message, StringComparison.Ordinal);
            return;
        }
        file.CopyTo(entry, values);
        var expected = first.EnumerateArray().Select(GoldenFormats.Number).ToArray();
        Assert.Equal(Math.Min(entry.Count, expected.Length), expected.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], values[i]);   // NaN equals NaN
            if (!double.IsNaN(expected[i])) Assert.Equal(double.IsNegative(expected[i]), float.IsNegative(values[i]));   // and 0 is not -0
        }
        if (Nn.Widening.ToIntegers(entry.DType)) Assert.Equal(expected, file.ReadInt64(entry).Take(expected.Length).Select(v => (double)v));
    }
}
