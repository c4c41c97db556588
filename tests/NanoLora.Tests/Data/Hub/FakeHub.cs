using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using NanoLora.Data;

namespace NanoLora.Tests.Data.Hub;

/// <summary>A hub with one repository, its storage on another port as the real one has it on another host, and an empty cache to pull into.</summary>
internal sealed class FakeHub : IDisposable
{
    public const string Name = "org/name", Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly Dictionary<string, byte[]> _files = new(StringComparer.Ordinal);
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-hub-").FullName;

    // What this machine's variables say of a proxy is not for loopback.
    static FakeHub() => HttpClient.DefaultProxy = new WebProxy();

    public FakeHub(params (string Name, int Length)[] files) : this(certificate: null, files) { }

    /// <summary>With a certificate, hub and storage speak TLS.</summary>
    public FakeHub(X509Certificate2? certificate, params (string Name, int Length)[] files)
    {
        foreach (var (name, length) in files) this[name] = Bytes(length, name.Length);
        Server = new(request => Odd?.Invoke(request) ?? Usual(request), certificate);
        Storage = new(request => OddStorage?.Invoke(request) ?? Stored(request), certificate);
    }

    public HubServer Server { get; }

    public HubServer Storage { get; }

    /// <summary>What the hub does other than usual; null for the usual.</summary>
    public Func<Request, Answer?>? Odd { get; set; }

    /// <summary>The same of the storage.</summary>
    public Func<Request, Answer?>? OddStorage { get; set; }

    /// <summary>The listing, to be changed by a test.</summary>
    public Action<JsonObject>? Edit { get; set; }

    public List<string> Notes { get; } = [];

    public byte[] this[string name] { get => _files[name]; set => _files[name] = value; }

    public string Cache => Path.Combine(_folder, "cache");

    public string At(params string[] parts) => Path.Combine([_folder, .. parts]);

    public string Repository(params string[] parts) => Path.Combine([Cache, "models--org--name", .. parts]);

    public string Blob(string name) => Repository("blobs", Hash(name));

    /// <summary>Whether a file lies in the storage; the others are in git.</summary>
    public static bool IsLarge(string name) => name.EndsWith(".safetensors", StringComparison.Ordinal) || name.EndsWith(".bin", StringComparison.Ordinal);

    public string Hash(string name) => Convert.ToHexStringLower(IsLarge(name) ? SHA256.HashData(this[name])
        : CryptographicOperations.HashData(HashAlgorithmName.SHA1, [.. Encoding.ASCII.GetBytes($"blob {this[name].Length}\0"), .. this[name]]));

    /// <summary>Pulls, less patiently than users do.</summary>
    public async Task<HubSnapshot> PullAsync(HubPullOptions? options = null, string? token = null, string name = Name, CancellationToken cancellation = default)
    {
        var settings = new HubSettings { Endpoint = new(Server.Address), CacheFolder = Cache, Token = token };
        var timing = new HubTiming
        {
            Attempts = 3, Pause = TimeSpan.FromMilliseconds(2), Silence = TimeSpan.FromMilliseconds(400), LockPause = TimeSpan.FromMilliseconds(5),
            LongestWait = TimeSpan.FromSeconds(3),
        };
        using var client = new HubClient(settings, timing);
        options ??= new();
        return await client.PullAsync(name, new()
        {
            Revision = options.Revision, Folder = options.Folder, Include = options.Include, Exclude = options.Exclude, Progress = options.Progress,
            Note = line => { lock (Notes) Notes.Add(line); },
        }, cancellation);
    }

    /// <summary>The message of a pull that is refused; it is one line.</summary>
    public async Task<string> RefusedAsync(HubPullOptions? options = null, string? token = null)
    {
        var error = await Assert.ThrowsAsync<HubException>(() => PullAsync(options, token));
        Assert.StartsWith("org/name: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message;
    }

    /// <summary>What the hub gives.</summary>
    public Answer Usual(Request request)
    {
        if (request.Target.StartsWith("/api/models/org/name/revision/", StringComparison.Ordinal))
            return new(200, Encoding.UTF8.GetBytes(Listing().ToJsonString()));
        var prefix = $"/org/name/resolve/{Commit}/";
        var name = Uri.UnescapeDataString(request.Target[Math.Min(prefix.Length, request.Target.Length)..]);
        if (!request.Target.StartsWith(prefix, StringComparison.Ordinal) || !_files.TryGetValue(name, out var bytes)) return new(404, []);
        if (!IsLarge(name)) return Part(request, bytes, $"\"{Hash(name)}\"").With(("X-Repo-Commit", Commit));
        return new(302, [], ("Location", $"{Storage.Address}/{Hash(name)}?signed"), ("X-Linked-Etag", $"\"{Hash(name)}\""),
            ("X-Linked-Size", $"{bytes.Length}"), ("X-Repo-Commit", Commit));
    }

    /// <summary>What the storage gives.</summary>
    public Answer Stored(Request request)
    {
        var name = _files.Keys.FirstOrDefault(n => request.Target == $"/{Hash(n)}?signed");
        return name is null ? new(403, []) : Part(request, this[name], $"\"stored-{Hash(name)[..8]}\"");
    }

    public JsonObject Listing()
    {
        var files = _files.Keys.Select(name =>
        {
            var entry = new JsonObject { ["rfilename"] = name, ["size"] = this[name].Length };
            if (IsLarge(name)) entry["lfs"] = new JsonObject { ["sha256"] = Hash(name), ["size"] = this[name].Length, ["pointerSize"] = 134 };
            entry["blobId"] = IsLarge(name) ? new string('b', 40) : Hash(name);
            return (JsonNode)entry;
        });
        var listing = new JsonObject { ["id"] = Name, ["sha"] = Commit, ["siblings"] = new JsonArray([.. files]) };
        Edit?.Invoke(listing);
        return listing;
    }

    public void Dispose()
    {
        Server.Dispose();
        Storage.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static Answer Part(Request request, byte[] bytes, string tag)
    {
        var from = request["If-Range"] is { } known && known != tag ? 0 : request.From;
        if (from == 0) return new(200, bytes, ("ETag", tag));
        return from >= bytes.Length ? new(416, [], ("Content-Range", $"bytes */{bytes.Length}"))
            : new(206, bytes[from..], ("ETag", tag), ("Content-Range", $"bytes {from}-{bytes.Length - 1}/{bytes.Length}"));
    }

    private static byte[] Bytes(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
