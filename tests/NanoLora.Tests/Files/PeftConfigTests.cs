using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>The rules by which a config names modules, and the patterns that are refused.</summary>
public sealed class PeftConfigTests : IDisposable
{
    private readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("nanolora-").FullName, PeftConfig.FileName);

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);

    [Theory]
    [InlineData("""["q_proj"]""", "model.layers.0.q_proj", true)]
    [InlineData("""["proj"]""", "model.layers.0.q_proj", false)]                          // whole words between dots
    [InlineData("""["layers.0.q_proj"]""", "model.layers.10.q_proj", false)]
    [InlineData("""["q_proj"]""", "q_proj", true)]
    [InlineData("\"q_proj\"", "model.layers.0.q_proj", false)]                            // a pattern must match the full name
    [InlineData("\".*q_proj|v_proj\"", "model.layers.0.v_proj", false)]
    [InlineData("\".*(q|v)_proj\"", "model.layers.0.v_proj", true)]
    [InlineData("\"all-linear\"", "anything", true)]
    public void Targets(string targets, string module, bool expected) =>
        Assert.Equal(expected, Read($"\"target_modules\": {targets}").Targets(module, allLinear: true));

    [Theory]
    [InlineData("\"layers_to_transform\": [1]", "model.layers.1.q_proj", true)]
    [InlineData("\"layers_to_transform\": [1]", "model.layers.11.q_proj", false)]
    [InlineData("\"layers_to_transform\": 1", "model.layers.1.q_proj", true)]
    [InlineData("\"layers_to_transform\": []", "model.layers.0.q_proj", true)]            // empty means all
    [InlineData("\"layers_to_transform\": [1], \"layers_pattern\": \"h\"", "model.layers.1.q_proj", false)]
    [InlineData("\"layers_to_transform\": [1], \"layers_pattern\": [\"h\", \"layers\"]", "model.layers.1.q_proj", true)]
    [InlineData("\"layers_to_transform\": [1]", "q_proj", true)]                          // a full name, whatever its layer
    [InlineData("\"layers_to_transform\": [1]", "model.q_proj", false)]
    [InlineData("\"exclude_modules\": [\"layers.1.q_proj\"]", "model.layers.1.q_proj", false)]
    [InlineData("\"exclude_modules\": \"layers.1.q_proj\"", "model.layers.1.q_proj", true)]
    [InlineData("\"exclude_modules\": \".*[.]1[.].*\"", "model.layers.1.q_proj", false)]
    [InlineData("\"modules_to_save\": [\"q_proj\"]", "model.layers.1.q_proj", false)]
    [InlineData("\"modules_to_save\": [\"layers\"]", "model.layers.1.q_proj", false)]
    [InlineData("\"modules_to_save\": [\"proj\"]", "model.layers.1.q_proj", true)]
    public void TargetsOfQProj(string field, string module, bool expected) =>
        Assert.Equal(expected, Read($"\"target_modules\": [\"q_proj\"], {field}").Targets(module, allLinear: true));

    [Theory]
    [InlineData("""{"q_proj": 9}""", "model.layers.0.q_proj", 9)]
    [InlineData("""{"proj": 9}""", "model.layers.0.q_proj", 4)]                           // from a dot on
    [InlineData("""{"layers.0.q_proj": 9, "q_proj": 5}""", "model.layers.0.q_proj", 9)]
    [InlineData("""{"q_proj": 5, "layers.0.q_proj": 9}""", "model.layers.0.q_proj", 5)]   // the first that fits
    [InlineData("""{"^model.layers.0.q_proj": 9}""", "model.layers.0.q_proj", 9)]
    [InlineData("""{"k_proj|q_proj": 9}""", "model.layers.0.q_proj", 9)]
    [InlineData("""{"layers.[0-3].q_proj": 9}""", "model.layers.4.q_proj", 4)]
    public void Ranks(string pattern, string module, int expected) =>
        Assert.Equal(expected, Read($"\"target_modules\": [\"q_proj\"], \"rank_pattern\": {pattern}").RankOf(module));

    [Theory]
    [InlineData("(?<=a)b")]
    [InlineData("(a)\\\\1")]
    [InlineData("a)(b")]
    [InlineData("(?P<x>a)")]
    [InlineData("[a-z-[b]]")]
    [InlineData("a{,3}")]
    [InlineData("((a{1000}){1000}){1000}")]
    [InlineData("((a{1000,}){1000,}){1000,}")]
    public void APatternThatCannotBeTrustedIsRefused(string pattern)
    {
        foreach (var field in (ReadOnlySpan<string>)[$"\"target_modules\": \"{pattern}\"",
            $"\"target_modules\": [\"q\"], \"rank_pattern\": {{\"{pattern}\": 2}}", $"\"target_modules\": [\"q\"], \"exclude_modules\": \"{pattern}\""])
            Assert.Contains("pattern", Assert.Throws<CheckpointException>(() => Read(field)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void APatternThatWouldTakeForeverElsewhereTakesNoTime()
    {
        var config = Read("\"target_modules\": \"(.*)*(.*)*(.*)*x\"");
        Assert.False(config.Targets(new string('a', 5000), allLinear: true));
    }

    [Theory]
    [InlineData("\"target_modules\": \"q\", \"layers_to_transform\": [1]", "layers_to_transform")]
    [InlineData("\"target_modules\": [\"q\"], \"layers_pattern\": \"h\"", "layers_pattern")]
    [InlineData("\"target_modules\": [\"q\"], \"lora_dropout\": 1", "lora_dropout")]
    [InlineData("\"target_modules\": [\"q\", 3]", "target_modules")]
    [InlineData("\"target_modules\": [\"q\"], \"use_rslora\": 1", "use_rslora")]
    [InlineData("\"target_modules\": [\"q\"], \"rank_pattern\": {\"q\": 2.5}", "rank_pattern \"q\"")]
    [InlineData("\"target_modules\": [\"q\"], \"lora_alpha\": 1", "file")]                // there twice
    [InlineData("\"target_modules\": [\"q\\ud800\"]", "file")]
    public void Contradictions(string fields, string field) => Assert.Equal(field, Assert.Throws<CheckpointException>(() => Read(fields)).Field);

    private PeftConfig Read(string fields)
    {
        File.WriteAllText(_path, $$"""{"peft_type": "LORA", "r": 4, "lora_alpha": 8, {{fields}}}""");
        return PeftConfig.Read(_path);
    }
}
