using NanoLora.Data;
using NanoLora.Tests.Data.Hub;

namespace NanoLora.Tests.Cli;

/// <summary><c>nanolora pull</c> in processes of its own, as settings are environment variables.</summary>
public sealed class PullTests : IDisposable
{
    private readonly MadeUpModels _models = new();
    private readonly FakeHub _hub = new();

    public PullTests()
    {
        foreach (var file in Directory.GetFiles(_models.Model)) _hub[Path.GetFileName(file)] = File.ReadAllBytes(file);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _models.Dispose();
    }

    [Fact]
    public void A_model_comes_through_the_proxy_and_is_named_as_on_the_hub_from_then_on()
    {
        // The proxy is asked for the whole address, of a host that is not there.
        using var proxy = new HubServer(r => r.Target.StartsWith("http://hub.invalid/", StringComparison.Ordinal)
            ? _hub.Usual(r with { Target = r.Target["http://hub.invalid".Length..] }) : new(502, []));
        var run = Tool(["pull", FakeHub.Name],
            ("HF_ENDPOINT", "http://hub.invalid"), ("http_proxy", proxy.Address), ("no_proxy", "127.0.0.1"), ("HF_TOKEN", "hf_secret"));
        Assert.True(run.Code == 0, run.Error);
        var folder = run.Out.Trim();
        Assert.Equal(_hub.Repository("snapshots", FakeHub.Commit), folder);
        Assert.All(proxy.Requests, r => Assert.Null(r["Authorization"]));               // in clear text to another machine: not the token
        Assert.NotEmpty(_hub.Storage.Requests);                                          // no_proxy: asked without the proxy

        run = Tool(["inspect", FakeHub.Name], ("HF_ENDPOINT", "http://hub.invalid"));
        Assert.True(run.Code == 0, run.Error);
        Assert.Contains("model.safetensors", run.Out, StringComparison.Ordinal);
        run = Tool(["eval", FakeHub.Name, "--task", _models.TaskPath, "--probe", "--shots", "1"]);
        Assert.True(run.Code == 0, run.Error);
    }

    [Fact]
    public void What_was_not_pulled_is_said_with_the_command_that_does()
    {
        var run = Tool(["eval", "org/other", "--task", "task"]);
        Assert.Equal(1, run.Code);
        Assert.Contains("nanolora pull org/other", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_refusal_is_one_line()
    {
        _hub.Odd = _ => new Answer(403, []).With(("X-Error-Code", "GatedRepo"));
        var run = Tool(["pull", FakeHub.Name], ("HF_ENDPOINT", _hub.Server.Address));
        Assert.Equal((1, ""), (run.Code, run.Out));
        Assert.StartsWith("nanolora pull: org/name: the model is gated", Assert.Single(run.Error.TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    private CliRun Tool(string[] args, params (string Name, string? Value)[] variables)
    {
        (string, string?)[] own =
            [("HF_HUB_CACHE", _hub.Cache), ("HF_HOME", _hub.At("home")), ("HF_TOKEN", null), ("HUGGING_FACE_HUB_TOKEN", null), ("no_proxy", "127.0.0.1")];
        return ToolProcess.Run(args, variables: [.. own, .. variables]).Run;
    }
}
