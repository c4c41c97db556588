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
    public void A_hub_of_https_is_asked_for_its_certificate_through_the_proxy_too()
    {
        using var certificate = HubServer.SelfSigned("hub.invalid");
        using var hub = new FakeHub(certificate, ("config.json", 10), ("model.safetensors", 1000));
        using var proxy = new HubServer(hub.Usual, certificate, isProxy: true);
        var authority = hub.At("authority.pem");
        File.WriteAllText(authority, certificate.ExportCertificatePem());

        var run = Pull(("HF_ENDPOINT", hub.Server.Address), ("HTTPS_PROXY", proxy.Address), ("NO_PROXY", "127.0.0.1"));
        Assert.Equal((1, ""), (run.Code, run.Out));
        var line = Assert.Single(run.Error.TrimEnd().Split('\n'));
        Assert.StartsWith("nanolora pull: org/name: 127.0.0.1 cannot be reached, its certificate or encryption is not accepted; check", line,
            StringComparison.Ordinal);
        Assert.Contains("let this system trust its certificate, or on Linux name it in SSL_CERT_FILE", line, StringComparison.Ordinal);
        Assert.Empty(hub.Server.Requests);                                               // nothing is asked of a stranger
        Assert.Empty(proxy.Requests);

        if (!OperatingSystem.IsLinux()) return;
        run = Pull(("HF_ENDPOINT", "https://hub.invalid"), ("HTTPS_PROXY", proxy.Address), ("NO_PROXY", "127.0.0.1"), ("SSL_CERT_FILE", authority),
            ("HF_TOKEN", "hf_secret"));
        Assert.True(run.Code == 0, run.Error);
        Assert.Contains(proxy.Requests, r => (r.Method, r.Target) == ("CONNECT", "hub.invalid:443"));
        Assert.All(proxy.Requests, r => Assert.Equal(r.Method == "CONNECT" ? null : "Bearer hf_secret", r["Authorization"]));
        Assert.Single(hub.Storage.Requests);                                             // NO_PROXY: asked without the proxy, and without the token
        Assert.Null(hub.Storage.Requests[0]["Authorization"]);
        Assert.Empty(hub.Server.Requests);
        Assert.Equal(hub["model.safetensors"], File.ReadAllBytes(Path.Combine(run.Out.Trim(), "model.safetensors")));

        CliRun Pull(params (string, string?)[] variables) =>
            Tool(["pull", FakeHub.Name], [("HF_HUB_CACHE", hub.Cache), ("no_proxy", null), ("https_proxy", null), .. variables]);
    }

    [Fact]
    public void An_adapter_calls_a_base_of_the_cache_by_its_name_on_the_hub()
    {
        var run = Tool(["pull", FakeHub.Name], ("HF_ENDPOINT", _hub.Server.Address));
        Assert.True(run.Code == 0, run.Error);
        foreach (var model in new[] { FakeHub.Name, run.Out.Trim() })
        {
            var adapter = _hub.At("adapter");
            var trained = Tool(["train", model, "--task", _models.TaskPath, "--steps", "1", "--out", adapter]);
            Assert.True(trained.Code == 0, trained.Error);
            var config = File.ReadAllText(Path.Combine(adapter, "adapter_config.json"));
            Assert.Contains("\"base_model_name_or_path\": \"org/name\"", config, StringComparison.Ordinal);
            var card = File.ReadAllText(Path.Combine(adapter, "README.md"));
            Assert.Contains("\nbase_model: org/name\n", card, StringComparison.Ordinal);
            Assert.Contains(" values for name, with a head", card, StringComparison.Ordinal);
            Directory.Delete(adapter, recursive: true);
        }
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
