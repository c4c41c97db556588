using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using NanoLora.Data;
using NanoLora.Tests.Files;

namespace NanoLora.Tests.Data.Hub;

/// <summary>Connections that break and servers that lie: what can be mended is, the rest is said in a line, and nothing wrong gets into the cache.</summary>
public sealed class HubFaultTests
{
    private const string Weights = "model.safetensors";
    private const int Length = 300_000, Half = 150_000;

    private static FakeHub Hub() => new(("config.json", 10), (Weights, Length));

    [Fact]
    public async Task A_download_that_is_cut_goes_on_where_it_was()
    {
        using var hub = Hub();
        hub.OddStorage = r => r.From == 0 ? hub.Stored(r) with { Cut = Half } : null;
        await Whole(hub, hub.PullAsync());
        Assert.Equal(2, hub.Storage.Requests.Count);
        Assert.Equal(Half, hub.Storage.Requests[1].From);
        Assert.Equal($"\"stored-{hub.Hash(Weights)[..8]}\"", hub.Storage.Requests[1]["If-Range"]);
        Assert.Contains("was lost", Assert.Single(hub.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Getting_further_each_time_is_no_reason_to_give_up()
    {
        using var hub = Hub();
        hub.OddStorage = r => hub.Stored(r) with { Cut = 40_000 };
        await Whole(hub, hub.PullAsync());
        Assert.Equal(8, hub.Storage.Requests.Count);
    }

    [Fact]
    public async Task A_download_that_gets_no_further_is_kept_for_the_next_time()
    {
        using var hub = Hub();
        hub.OddStorage = r => r.From == 0 ? hub.Stored(r) with { Cut = Half } : new(503, []);
        Assert.Contains("fails (503); what has arrived is kept", await hub.RefusedAsync(), StringComparison.Ordinal);
        Assert.Equal(Half, new FileInfo(hub.Blob(Weights) + ".incomplete").Length);
        Assert.False(Directory.Exists(hub.Repository("refs")));
        hub.OddStorage = null;
        Assert.Equal(Half, (await Whole(hub, hub.PullAsync())).Downloaded);
        Assert.Equal(Half, hub.Storage.Requests[^1].From);
    }

    [Fact]
    public async Task One_that_is_cancelled_is_kept_too()
    {
        using var hub = Hub();
        using var source = new CancellationTokenSource();
        hub.OddStorage = r => hub.Stored(r) with { Cut = Half, Silent = true };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => hub.PullAsync(
            new() { Progress = p => { if (p.Done == Half + 10) source.Cancel(); } }, cancellation: source.Token));
        Assert.Equal(Half, new FileInfo(hub.Blob(Weights) + ".incomplete").Length);
        hub.OddStorage = null;
        Assert.Equal(Half, (await Whole(hub, hub.PullAsync())).Downloaded);
    }

    [Fact]
    public async Task A_server_that_falls_silent_is_asked_again()
    {
        using var hub = Hub();
        hub.OddStorage = r => r.From == 0 ? hub.Stored(r) with { Cut = Half, Silent = true } : null;
        await Whole(hub, hub.PullAsync());
        Assert.Contains("silent", Assert.Single(hub.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_knows_no_ranges_sends_it_all_again()
    {
        using var hub = Hub();
        var first = true;
        hub.OddStorage = r =>
        {
            var answer = new Answer(200, hub[Weights]) { Cut = first ? Half : null };
            first = false;
            return answer;
        };
        await Whole(hub, hub.PullAsync());
        Assert.Equal(2, hub.Storage.Requests.Count);
    }

    [Fact]
    public async Task Another_part_than_was_asked_for_is_not_taken()
    {
        using var hub = Hub();
        hub.OddStorage = r => r.From == 0 ? hub.Storage.Requests.Count == 1 ? hub.Stored(r) with { Cut = Half } : null
            : new(206, hub[Weights][1000..], ("Content-Range", $"bytes 1000-{Length - 1}/{Length}"));
        await Whole(hub, hub.PullAsync());
        Assert.Equal([0, Half, 0], hub.Storage.Requests.Select(r => r.From));
    }

    [Fact]
    public async Task A_file_that_changes_on_the_way_begins_anew()
    {
        using var hub = Hub();
        hub.OddStorage = r => r["If-Range"] is not null ? new(200, hub[Weights], ("ETag", "\"other\"")) : hub.Stored(r) with { Cut = Half };
        await Whole(hub, hub.PullAsync());
    }

    [Fact]
    public async Task What_is_left_and_damaged_begins_anew()
    {
        using var hub = Hub();
        Directory.CreateDirectory(hub.Repository("blobs"));
        foreach (var length in (int[])[100, Length, Length + 5])
        {
            File.Delete(hub.Blob(Weights));
            File.WriteAllBytes(hub.Blob(Weights) + ".incomplete", new byte[length]);
            await Whole(hub, hub.PullAsync());
        }
        Assert.Equal(2, hub.Notes.Count(n => n.Contains("damaged", StringComparison.Ordinal)));   // what is too long is not even tried
    }

    [Theory]
    [InlineData("announces 299999 bytes")]
    [InlineData("announces 300001 bytes")]
    public async Task A_length_that_is_not_the_listings_is_refused(string said)
    {
        using var hub = Hub();
        var length = said.Contains("299999", StringComparison.Ordinal) ? Length - 1 : Length + 1;
        hub.OddStorage = r => new(200, new byte[length]);
        Assert.Contains(said, await hub.RefusedAsync(), StringComparison.Ordinal);
        Nothing(hub);
    }

    [Fact]
    public async Task A_body_without_end_is_not_read_to_its_end()
    {
        using var hub = Hub();
        hub.OddStorage = r => new(200, [.. hub[Weights], .. new byte[1_000_000]]) { Open = true };
        Assert.Contains("more than the 300000 bytes", await hub.RefusedAsync(), StringComparison.Ordinal);
        Nothing(hub);
    }

    [Fact]
    public async Task A_body_that_ends_early_is_not_whole()
    {
        using var hub = Hub();
        hub.OddStorage = r => new(200, hub[Weights][..1000]) { Open = true };
        Assert.Contains("ends after 1000 of 300000 bytes", await hub.RefusedAsync(), StringComparison.Ordinal);
        Assert.False(File.Exists(hub.Blob(Weights)));
    }

    [Theory]
    [InlineData(Weights)]
    [InlineData("config.json")]
    public async Task Wrong_bytes_never_get_their_name(string name)
    {
        using var hub = Hub();
        Answer Wrong() { var bytes = (byte[])hub[name].Clone(); bytes[^1] ^= 1; return new(200, bytes); }
        if (name == Weights) hub.OddStorage = r => Wrong();
        else hub.Odd = r => r.Target.EndsWith(name, StringComparison.Ordinal) ? Wrong() : null;
        Assert.Contains($"{name}: the bytes that came have the hash", await hub.RefusedAsync(), StringComparison.Ordinal);
        Assert.False(File.Exists(hub.Blob(name)));
        Assert.False(File.Exists(hub.Blob(name) + ".incomplete"));
        Assert.Null(new HubCache(hub.Cache).Find(FakeHub.Name));
    }

    [Fact]
    public async Task A_file_that_comes_packed_is_refused()
    {
        using var hub = Hub();
        hub.OddStorage = r => new Answer(200, hub[Weights]).With(("Content-Encoding", "gzip"));
        Assert.Contains("gzip", await hub.RefusedAsync(), StringComparison.Ordinal);
        Nothing(hub);
    }

    [Theory]
    [InlineData(401, "", "", "no such model at 127.0.0.1, or it is not for everybody (401); check the name, and set HF_TOKEN")]
    [InlineData(401, "", "hf_x", "that the token of HF_TOKEN may read it")]
    [InlineData(401, "GatedRepo", "", "gated: accept its terms at http://127.0.0.1")]
    [InlineData(403, "GatedRepo", "hf_x", "gated: accept its terms at http://127.0.0.1")]
    [InlineData(403, "", "hf_x", "refuses access (403)")]
    [InlineData(404, "RepoNotFound", "", "no such model")]
    [InlineData(404, "RevisionNotFound", "", "no such revision")]
    [InlineData(404, "", "", "no such model")]
    [InlineData(418, "", "", "answers 418")]
    [InlineData(429, "", "", "too many requests (429)")]
    [InlineData(500, "", "", "fails (500)")]
    [InlineData(503, "", "", "fails (503)")]
    public async Task A_refusal_says_what_to_do(int status, string code, string token, string said)
    {
        using var hub = Hub();
        hub.Odd = r => new Answer(status, Encoding.UTF8.GetBytes("<html>")).With(("X-Error-Code", code), ("X-Error-Message", "said \u0007 so"));
        var message = await hub.RefusedAsync(token: token.Length > 0 ? token : null);
        Assert.Contains(said, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\a', message);
        Assert.DoesNotContain("hf_x", message, StringComparison.Ordinal);
        Assert.Equal(status is 429 or >= 500 ? 3 : 1, hub.Server.Requests.Count);
        Assert.False(Directory.Exists(hub.Cache));
    }

    [Fact]
    public async Task A_file_that_is_gone_is_named()
    {
        using var hub = Hub();
        hub.Odd = r => r.Target.Contains("/resolve/", StringComparison.Ordinal) ? new Answer(404, []).With(("X-Error-Code", "EntryNotFound")) : null;
        Assert.Contains("a file of the listing is not there", await hub.RefusedAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_asks_for_a_pause_gets_it()
    {
        using var hub = Hub();
        hub.Odd = r => hub.Server.Requests.Count == 1 ? new Answer(429, []).With(("Retry-After", "0")) : null;
        hub.OddStorage = r => hub.Storage.Requests.Count == 1 ? new Answer(403, []) : null;               // and an address that is signed for a while
        await Whole(hub, hub.PullAsync());
        Assert.Equal(2, hub.Notes.Count);
    }

    [Fact]
    public async Task A_pause_that_is_too_long_is_told_instead()
    {
        using var hub = Hub();
        hub.Odd = r => new Answer(429, []).With(("Retry-After", "3600"));
        Assert.Contains("It asks for 3600 s.", await hub.RefusedAsync(), StringComparison.Ordinal);
        Assert.Single(hub.Server.Requests);
    }

    [Theory]
    [InlineData("/api/models/org/name/revision/main?blobs=true", "in a circle")]
    [InlineData("ftp://127.0.0.1/x", "redirects to ftp://127.0.0.1")]
    [InlineData("file:///etc/passwd", "redirects to file://")]
    [InlineData(null, "redirects to nowhere")]
    public async Task Redirections_that_lead_nowhere_are_not_followed(string? target, string said)
    {
        using var hub = Hub();
        hub.Odd = r => new Answer(302, []).With(target is null ? [] : [("Location", target)]);
        Assert.Contains(said, await hub.RefusedAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("<html>Sign in</html>", "no JSON")]
    [InlineData("", "no JSON")]
    [InlineData("[]", "sha")]
    [InlineData("{\"sha\": \"main\", \"siblings\": []}", "sha")]
    [InlineData("{\"sha\": \"../../../../0123456789abcdef0123456789abcdef\", \"siblings\": []}", "sha")]
    [InlineData("{\"sha\": \"0123456789abcdef0123456789abcdef01234567\"}", "siblings")]
    [InlineData("{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": []}", "no files")]
    [InlineData("{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": [3]}", "siblings.rfilename")]
    [InlineData("{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": [{\"rfilename\": \"\\ud800\"}]}", "siblings.rfilename")]
    [InlineData("{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": [{\"rfilename\": \"a\", \"size\": -1}]}", "a: size")]
    [InlineData("{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": [{\"rfilename\": \"a\", \"size\": 1e300}]}", "a: size")]
    [InlineData("{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": [{\"rfilename\": \"a\", \"blobId\": \"../x\"}]}", "a: hash")]
    public async Task A_listing_that_is_none_is_refused(string json, string said)
    {
        using var hub = Hub();
        hub.Odd = r => new(200, Encoding.UTF8.GetBytes(json));
        Assert.Contains(said, await hub.RefusedAsync(), StringComparison.Ordinal);
        Assert.False(Directory.Exists(hub.Cache));
    }

    [Theory, MemberData(nameof(HubNamesTests.Hostile), MemberType = typeof(HubNamesTests))]
    public async Task A_hostile_name_is_refused_and_nothing_is_written(string name)
    {
        using var hub = Hub();
        hub.Edit = listing => listing["siblings"]!.AsArray().Add(new JsonObject { ["rfilename"] = name, ["size"] = 1, ["blobId"] = new string('a', 40) });
        await hub.RefusedAsync(new() { Include = ["*"] });
        Assert.False(Directory.Exists(hub.Cache));
        Assert.Single(hub.Server.Requests);
    }

    [Theory]
    [InlineData("CONFIG.json")]
    [InlineData("config.json")]
    [InlineData("config.json/x")]
    public async Task Two_names_that_some_systems_take_for_one_are_refused(string name)
    {
        using var hub = Hub();
        hub.Edit = listing => listing["siblings"]!.AsArray().Add(new JsonObject { ["rfilename"] = name, ["size"] = 1, ["blobId"] = new string('a', 40) });
        Assert.Contains(name, await hub.RefusedAsync(new() { Include = ["*"] }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_does_not_fit_the_disk_is_refused_before_it_comes()
    {
        using var hub = Hub();
        hub.Edit = listing => listing["siblings"]![1]!["lfs"]!["size"] = 1L << 52;
        Assert.Contains("4,503,599,627,370,506 bytes are to come", await hub.RefusedAsync(), StringComparison.Ordinal);
        Assert.False(Directory.Exists(hub.Cache));
        Assert.Empty(hub.Storage.Requests);
    }

    [FullDiskFact]
    public async Task A_small_disk_is_seen_to_be_small()
    {
        using var hub = Hub();
        using var disk = new SmallDisk();
        Assert.Contains("are free where", await hub.RefusedAsync(new() { Folder = Path.Combine(disk.Folder, "out") }), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(disk.Folder));
    }

    [Fact]
    public async Task A_hub_that_is_not_there_is_said_at_once()
    {
        using var hub = Hub();
        hub.Server.Dispose();
        Assert.Contains("127.0.0.1 cannot be reached", await hub.RefusedAsync(), StringComparison.Ordinal);
        Assert.Empty(hub.Notes);
    }

    [Fact]
    public async Task A_folder_that_cannot_be_written_is_named()
    {
        using var hub = Hub();
        File.WriteAllText(hub.At("file"), "");
        Assert.Contains("cannot be written", await hub.RefusedAsync(new() { Folder = hub.At("file", "out") }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Offline_nothing_is_asked()
    {
        using var client = new HubClient(new HubSettings { CacheFolder = "cache", Offline = true });
        Assert.Contains("HF_HUB_OFFLINE", (await Assert.ThrowsAsync<HubException>(() => client.PullAsync("org/name"))).Message, StringComparison.Ordinal);
    }

    private static async Task<HubSnapshot> Whole(FakeHub hub, Task<HubSnapshot> pull)
    {
        var pulled = await pull;
        foreach (var name in pulled.Files) Assert.Equal(hub[name], File.ReadAllBytes(Path.Combine(pulled.Folder, name)));
        Assert.DoesNotContain(Directory.GetFiles(hub.Repository("blobs")), f => f.EndsWith(".incomplete", StringComparison.Ordinal));
        return pulled;
    }

    // Of the weights there is no byte, and the model is not one that could be loaded.
    private static void Nothing(FakeHub hub)
    {
        Assert.False(File.Exists(hub.Blob(Weights)));
        Assert.True(!File.Exists(hub.Blob(Weights) + ".incomplete") || new FileInfo(hub.Blob(Weights) + ".incomplete").Length == 0);
        Assert.Null(new HubCache(hub.Cache).Find(FakeHub.Name));
    }
}
