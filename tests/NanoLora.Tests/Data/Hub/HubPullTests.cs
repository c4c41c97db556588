using System.Text.Json.Nodes;
using NanoLora.Data;

namespace NanoLora.Tests.Data.Hub;

/// <summary>What a pull asks for, and what it leaves.</summary>
public sealed class HubPullTests
{
    private static readonly (string, int)[] Model = [("config.json", 700), ("model.safetensors", 300_000), ("README.md", 0)];

    [Fact]
    public async Task The_cache_is_the_one_of_the_hubs_own_client()
    {
        using var hub = new FakeHub(Model);
        var pulled = await hub.PullAsync();
        Assert.Equal(hub.Repository("snapshots", FakeHub.Commit), pulled.Folder);
        Assert.Equal((300_700L, 300_700L), (pulled.Bytes, pulled.Downloaded));
        Assert.Equal(FakeHub.Commit, File.ReadAllText(hub.Repository("refs", "main")));
        foreach (var name in pulled.Files)
        {
            var file = Path.Combine(pulled.Folder, name);
            Assert.Equal(hub[name], File.ReadAllBytes(file));
            Assert.Equal(hub[name], File.ReadAllBytes(hub.Blob(name)));
            if (File.ResolveLinkTarget(file, false) is not null) Assert.Equal($"../../blobs/{hub.Hash(name)}", new FileInfo(file).LinkTarget);
        }
        Assert.Equal(3, Directory.GetFiles(hub.Repository("blobs")).Length);
        Assert.Equal(pulled.Folder, new HubCache(hub.Cache).Find(FakeHub.Name));
        Assert.Equal(pulled.Folder, new HubCache(hub.Cache).Find(FakeHub.Name, FakeHub.Commit));
        Assert.Null(new HubCache(hub.Cache).Find(FakeHub.Name, "other"));
        Assert.Null(new HubCache(hub.Cache).Find("../org"));
    }

    [Fact]
    public async Task What_is_there_does_not_come_again()
    {
        using var hub = new FakeHub(Model);
        await hub.PullAsync();
        File.Delete(hub.Repository("snapshots", FakeHub.Commit, "config.json"));
        var asked = hub.Server.Requests.Count;
        var again = await hub.PullAsync();
        Assert.Equal(0, again.Downloaded);
        Assert.Equal(asked + 1, hub.Server.Requests.Count);                             // the listing
        Assert.Equal(hub["config.json"], File.ReadAllBytes(Path.Combine(again.Folder, "config.json")));
    }

    [Theory]
    [InlineData("config.json model.safetensors",
        "config.json model.safetensors pytorch_model.bin model.fp16.safetensors consolidated.safetensors flax_model.msgpack")]
    [InlineData("model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json",
        "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json pytorch_model.bin consolidated.safetensors")]
    [InlineData("config.json pytorch_model.bin vocab.txt", "config.json pytorch_model.bin vocab.txt tf_model.h5 training_args.bin")]
    [InlineData("adapter_config.json adapter_model.safetensors", "adapter_config.json adapter_model.safetensors adapter_model.bin optimizer.pt")]
    [InlineData("adapter_config.json adapter_model.bin pytorch_model.bin", "adapter_config.json adapter_model.bin pytorch_model.bin")]
    [InlineData("other.safetensors", "other.safetensors sub/model.safetensors notes.txt")]
    [InlineData("LICENSE.txt additional_chat_templates/rag.jinja chat_template.jinja",
        "LICENSE.txt chat_template.jinja additional_chat_templates/rag.jinja sub/config.json")]
    public void Without_patterns_come_the_files_that_are_read_here(string chosen, string names) =>
        Assert.Equal(chosen.Split(' '), HubSelection.Of(names.Split(' '), [], []));

    [Theory]
    [InlineData("onnx/*", "", "onnx/a onnx/sub/b")]
    [InlineData("onnx/", "*/b", "onnx/a")]
    [InlineData("*.json", "", "config.json sub/config.json")]
    [InlineData("config.jso?", "", "config.json")]
    [InlineData("CONFIG.json", "", "")]
    public void Patterns_choose(string include, string exclude, string chosen)
    {
        string[] names = ["config.json", "sub/config.json", "onnx/a", "onnx/sub/b"];
        Assert.Equal(chosen, string.Join(' ', HubSelection.Of(names, [include], exclude.Length > 0 ? [exclude] : [])));
    }

    [Theory]
    [InlineData("v1.0", "/api/models/org/name/revision/v1.0?blobs=true")]
    [InlineData("refs/pr/1", "/api/models/org/name/revision/refs%2Fpr%2F1?blobs=true")]
    public async Task A_revision_is_remembered_by_its_name(string revision, string target)
    {
        using var hub = new FakeHub(Model);
        await hub.PullAsync(new() { Revision = revision });
        Assert.Equal(target, hub.Server.Requests[0].Target);
        Assert.Equal(FakeHub.Commit, File.ReadAllText(hub.Repository("refs", revision)));
        Assert.NotNull(new HubCache(hub.Cache).Find(FakeHub.Name, revision));
        Assert.Null(new HubCache(hub.Cache).Find(FakeHub.Name));
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("/x")]
    [InlineData("")]
    [InlineData("a\nb")]
    public async Task A_revision_that_is_none_is_not_asked_for(string revision)
    {
        using var hub = new FakeHub(Model);
        await Assert.ThrowsAsync<ArgumentException>(() => hub.PullAsync(new() { Revision = revision }));
        Assert.Empty(hub.Server.Requests);
    }

    [Fact]
    public async Task A_folder_gets_the_files_themselves()
    {
        using var hub = new FakeHub(Model);
        Directory.CreateDirectory(hub.At("out"));
        File.WriteAllBytes(hub.At("out", "config.json"), new byte[700]);                // as long, and another
        var pulled = await hub.PullAsync(new() { Folder = hub.At("out") });
        Assert.Equal(hub.At("out"), pulled.Folder);
        foreach (var name in pulled.Files) Assert.Equal(hub[name], File.ReadAllBytes(hub.At("out", name)));
        Assert.False(Directory.Exists(hub.Cache));
        Assert.DoesNotContain(Directory.GetFiles(hub.At("out"), "*", SearchOption.AllDirectories), f => f.EndsWith(".incomplete", StringComparison.Ordinal));
        Assert.Equal(0, (await hub.PullAsync(new() { Folder = hub.At("out") })).Downloaded);
    }

    [Fact]
    public async Task A_folder_takes_from_the_cache_what_is_there()
    {
        using var hub = new FakeHub(Model);
        await hub.PullAsync();
        await hub.PullAsync(new() { Folder = hub.At("out") });
        Assert.Single(hub.Storage.Requests);
        Assert.Equal(hub["model.safetensors"], File.ReadAllBytes(hub.At("out", "model.safetensors")));
    }

    [Fact]
    public async Task The_token_goes_to_the_hub_and_to_nobody_else()
    {
        using var hub = new FakeHub(Model);
        await hub.PullAsync(token: "hf_secret");
        Assert.All(hub.Server.Requests, r => Assert.Equal("Bearer hf_secret", r["Authorization"]));
        Assert.NotEmpty(hub.Storage.Requests);
        Assert.All(hub.Storage.Requests, r => Assert.Null(r["Authorization"]));
    }

    [Fact]
    public async Task A_model_that_has_moved_is_followed_with_the_token()
    {
        using var hub = new FakeHub(Model);
        hub.Odd = r => r.Target.Contains("/old/", StringComparison.Ordinal) || r.Target.StartsWith("/old", StringComparison.Ordinal)
            ? new(307, [], ("Location", r.Target.Replace("old", "org/name", StringComparison.Ordinal))) : null;
        var pulled = await hub.PullAsync(token: "hf_secret", name: "old");
        Assert.Equal("models--old", Path.GetFileName(Path.GetDirectoryName(Path.GetDirectoryName(pulled.Folder))));
        Assert.All(hub.Server.Requests, r => Assert.Equal("Bearer hf_secret", r["Authorization"]));
    }

    [Fact]
    public async Task Where_the_listing_has_names_alone_each_file_is_asked_for_its_hash()
    {
        using var hub = new FakeHub(Model);
        hub.Edit = listing =>
        {
            foreach (var entry in listing["siblings"]!.AsArray().Cast<JsonObject>())
                foreach (var field in (string[])["size", "lfs", "blobId"]) entry.Remove(field);
        };
        var pulled = await hub.PullAsync(token: "hf_secret");
        Assert.Equal(hub["model.safetensors"], File.ReadAllBytes(Path.Combine(pulled.Folder, "model.safetensors")));
        Assert.Equal(3, hub.Server.Requests.Count(r => r.Method == "HEAD"));
        Assert.DoesNotContain(hub.Storage.Requests, r => r.Method == "HEAD");
    }

    [Fact]
    public async Task Two_that_pull_the_same_share_the_work()
    {
        using var hub = new FakeHub(Model);
        using var both = new CountdownEvent(2);
        var came = 0;
        hub.Odd = r =>
        {
            if (!r.Target.StartsWith("/api", StringComparison.Ordinal)) return null;
            if (Interlocked.Increment(ref came) <= 2) both.Signal();           // an attempt that took too long comes again
            both.Wait(TimeSpan.FromMilliseconds(100));
            return null;
        };
        var pulls = await Task.WhenAll(Task.Run(() => hub.PullAsync()), Task.Run(() => hub.PullAsync()));
        Assert.Single(hub.Storage.Requests);
        Assert.Equal(pulls[0].Folder, pulls[1].Folder);
        Assert.Equal(hub["model.safetensors"], File.ReadAllBytes(Path.Combine(pulls[0].Folder, "model.safetensors")));
    }

    [Fact]
    public async Task What_another_holds_is_waited_for()
    {
        using var hub = new FakeHub(("model.safetensors", 1000));
        Directory.CreateDirectory(Path.Combine(hub.Cache, ".locks", "models--org--name"));
        var path = Path.Combine(hub.Cache, ".locks", "models--org--name", hub.Hash("model.safetensors") + ".lock");
        Task<HubSnapshot> pull;
        using (new FileStream(path, FileMode.Create, FileAccess.ReadWrite, FileShare.None))
        {
            pull = hub.PullAsync();
            await Task.Delay(100);
            Assert.False(pull.IsCompleted);
            Assert.Empty(hub.Storage.Requests);
        }
        await pull;
        Assert.Contains(hub.Notes, n => n.Contains("another process", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Progress_ends_with_all_bytes()
    {
        using var hub = new FakeHub(Model);
        var told = new List<HubProgress>();
        await hub.PullAsync(new() { Progress = told.Add });
        Assert.Equal(("model.safetensors", 300_700L, 300_700L), (told[^1].File, told[^1].Done, told[^1].Total));
        Assert.Equal(told.Select(t => t.Done), told.Select(t => t.Done).Order());
    }
}
