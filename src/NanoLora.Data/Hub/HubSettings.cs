namespace NanoLora.Data;

/// <summary>Which hub is asked, as whom, and where its files are kept: the environment variables of the hub's own client.</summary>
/// <remarks>No record: what prints all properties would print the token.</remarks>
public sealed class HubSettings
{
    /// <summary>The hub that is asked where nothing else is said.</summary>
    public const string DefaultEndpoint = "https://huggingface.co";

    private readonly string? _token;
    private readonly Uri _endpoint = new(DefaultEndpoint);

    /// <summary>The hub: an address of http or https, without query.</summary>
    /// <exception cref="ArgumentException">It is another kind of address, or it holds a password.</exception>
    public Uri Endpoint
    {
        get => _endpoint;
        init => _endpoint = value is { IsAbsoluteUri: true, Scheme: "http" or "https", Query: "", Fragment: "", UserInfo: "" } ? value
            : throw new ArgumentException("HF_ENDPOINT: it is no plain address of a hub; give one like https://huggingface.co.");
    }

    /// <summary>The token of an account, for models that are private or gated; it goes to <see cref="Endpoint"/> and to nobody else.</summary>
    /// <exception cref="ArgumentException">It has characters that no token has.</exception>
    public string? Token
    {
        get => _token;
        init => _token = value is null || value.All(static c => c is > ' ' and < '\u007f') ? value
            : throw new ArgumentException("HF_TOKEN: it has characters that no token has; copy it again.");
    }

    /// <summary>The cache: a folder for each repository.</summary>
    public required string CacheFolder { get; init; }

    /// <summary>Whether the network must not be used.</summary>
    public bool Offline { get; init; }

    /// <summary>
    /// Reads <c>HF_ENDPOINT</c>, <c>HF_TOKEN</c> or <c>HUGGING_FACE_HUB_TOKEN</c> or the token file, <c>HF_HUB_CACHE</c> or <c>HF_HOME</c>, and
    /// <c>HF_HUB_OFFLINE</c>.
    /// </summary>
    /// <exception cref="ArgumentException">A variable holds what it cannot.</exception>
    public static HubSettings FromEnvironment() => From(Environment.GetEnvironmentVariable);

    internal static HubSettings From(Func<string, string?> variable) => new()
    {
        Endpoint = Uri.TryCreate((First(variable, "HF_ENDPOINT") ?? DefaultEndpoint).TrimEnd('/'), UriKind.Absolute, out var uri) ? uri
            : throw new ArgumentException("HF_ENDPOINT: it is no address; give one like https://huggingface.co."),
        Token = First(variable, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") ?? TokenFile(variable),
        CacheFolder = Cache(variable),
        Offline = First(variable, "HF_HUB_OFFLINE")?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE",
    };

    /// <summary>The cache alone: loading a model that is there asks for nothing else.</summary>
    internal static string Cache(Func<string, string?> variable) =>
        First(variable, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") is { } cache ? Full(cache) : Path.Combine(Home(variable), "hub");

    // The same folder on every system, so that all programs that use the hub share it.
    private static string Home(Func<string, string?> variable)
    {
        if (First(variable, "HF_HOME") is { } home) return Full(home);
        if (First(variable, "XDG_CACHE_HOME") is { } cache) return Path.Combine(Full(cache), "huggingface");
        return Full(Path.Combine("~", ".cache", "huggingface"));
    }

    private static string? TokenFile(Func<string, string?> variable)
    {
        var path = First(variable, "HF_TOKEN_PATH") is { } given ? Full(given) : Path.Combine(Home(variable), "token");
        try
        {
            if (!File.Exists(path)) return null;
            using var file = File.OpenRead(path);
            if (file.Length > 4096) throw new ArgumentException($"{path}: a token of {file.Length} bytes is none; write it again.");
            using var reader = new StreamReader(file);
            return reader.ReadToEnd().Trim() is { Length: > 0 } token ? token : null;
        }
        catch (UnauthorizedAccessException)
        {
            return null;                                                                // another user's: most models need none
        }
    }

    private static string? First(Func<string, string?> variable, params ReadOnlySpan<string> names)
    {
        foreach (var name in names) if (variable(name)?.Trim() is { Length: > 0 } value) return value;
        return null;
    }

    private static string Full(string path)
    {
        if (path is not (['~'] or ['~', '/' or '\\', ..])) return Path.GetFullPath(path);
        var user = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return user.Length > 0 ? Path.Combine(user, path[1..].TrimStart('/', '\\'))
            : throw new ArgumentException("HF_HOME: this user has no home folder; set HF_HOME to the folder for models.");
    }
}
