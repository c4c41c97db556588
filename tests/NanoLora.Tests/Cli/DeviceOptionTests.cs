namespace NanoLora.Tests.Cli;

/// <summary>What <c>--device</c> and <c>doctor</c> say where there is no such device.</summary>
public sealed class DeviceOptionTests : IDisposable
{
    private readonly MadeUpModels _models = new();

    public void Dispose() => _models.Dispose();

    [Theory]
    [InlineData("demo", "--draws", "2")]
    [InlineData("doctor")]
    [InlineData("predict", "MODEL", "nothing.png")]
    [InlineData("eval", "MODEL", "--task", "TASK")]
    [InlineData("train", "MODEL", "--task", "TASK", "--out", "OUT")]
    [InlineData("compose", "MODEL", "MODULES", "--out", "OUT")]
    [InlineData("verify", "MODEL")]
    public void A_device_that_is_not_there_is_refused_with_what_was_looked_for(params string[] words)
    {
        var output = _models.At("written");
        string[] args = [.. words.Select(word => word switch
        {
            "MODEL" => _models.Model, "TASK" => _models.TaskPath, "MODULES" => Path.Combine(_models.Model, "modules"), "OUT" => output, _ => word,
        })];
        if (words[0] == "demo") args = [.. args, "--models", _models.At("models"), "--out", output];
        var run = CliRun.Of([.. args, "--device", "no such card"]);
        Assert.Equal(1, run.Code);
        Assert.Contains("--device: no device 'no such card'", run.Error, StringComparison.Ordinal);
        Assert.Contains("libOpenCL.so.1", run.Error, StringComparison.Ordinal);
        Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public void The_doctor_checks_the_processor()
    {
        var run = CliRun.Of("doctor", "--device", "cpu", "--json", "--models", RepositoryRoot.Folder + "/models");
        Assert.True(run.Code == 0, run.Out + run.Error);
        using var json = System.Text.Json.JsonDocument.Parse(run.Out);
        var findings = json.RootElement.GetProperty("checked")[0].GetProperty("findings");
        Assert.True(findings.GetArrayLength() > 90);
        Assert.All(findings.EnumerateArray(), static finding => Assert.True(finding.GetProperty("ok").GetBoolean()));
    }
}
