namespace NanoLora.Data;

/// <summary>
/// The folder of downloaded models, laid out as the hub's own client does it, so that both use the same files:
/// <c>models--ORG--NAME</c> with <c>blobs/HASH</c>, <c>snapshots/COMMIT/FILE</c>, links to them, and <c>refs/REVISION</c>, a commit.
/// </summary>
public sealed class HubCache
{
    private const string Prefix = "models--", Snapshots = "snapshots";

    /// <summary>The cache in a folder, which may not be there yet.</summary>
    public HubCache(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        Folder = Path.GetFullPath(folder);
    }

    /// <summary>Where it is.</summary>
    public string Folder { get; }

    /// <summary>The cache of this user: <c>HF_HUB_CACHE</c>, or <c>hub</c> in <c>HF_HOME</c> or in <c>~/.cache/huggingface</c>.</summary>
    /// <exception cref="ArgumentException">No variable is set, and the user has no home folder.</exception>
    public static HubCache FromEnvironment() => new(HubSettings.Cache(Environment.GetEnvironmentVariable));

    /// <summary>Whether a text can be the name of a model on the hub: <c>org/name</c>, or an old one without organisation.</summary>
    public static bool IsName(string text) => HubNames.IsRepository(text);

    /// <summary>The folder of a model's files, or null if it was never downloaded; the network is not used.</summary>
    /// <param name="repository">Its name, <c>org/name</c>.</param>
    /// <param name="revision">A branch or a tag as it was when it was downloaded last, or a whole commit.</param>
    public string? Find(string repository, string revision = "main")
    {
        ArgumentNullException.ThrowIfNull(repository);
        ArgumentNullException.ThrowIfNull(revision);
        if (!HubNames.IsRepository(repository) || !HubNames.IsRevision(revision)) return null;
        var commit = Read(Path.Combine(Of(repository), "refs", revision)) ?? revision;
        var folder = Path.Combine(Of(repository), Snapshots, commit);
        return HubNames.IsCommit(commit) && Directory.Exists(folder) ? folder : null;
    }

    /// <summary>The name of the model whose downloaded files are in a folder, or null if it is no folder of a cache.</summary>
    /// <param name="folder">As <see cref="Find"/> gives it: <c>…/models--ORG--NAME/snapshots/COMMIT</c>.</param>
    public static string? NameOf(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var snapshot = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var snapshots = Path.GetDirectoryName(snapshot);
        if (Path.GetFileName(snapshots) != Snapshots || !HubNames.IsCommit(Path.GetFileName(snapshot))) return null;
        var repository = Path.GetFileName(Path.GetDirectoryName(snapshots));
        if (repository is null || !repository.StartsWith(Prefix, StringComparison.Ordinal)) return null;
        var name = repository[Prefix.Length..].Replace("--", "/", StringComparison.Ordinal);
        return HubNames.IsRepository(name) ? name : null;
    }

    /// <summary>The folder of a repository.</summary>
    internal string Of(string repository) => Path.Combine(Folder, Name(repository));

    /// <summary>Where the locks of a repository are.</summary>
    internal string Locks(string repository) => Path.Combine(Folder, ".locks", Name(repository));

    private static string Name(string repository) => Prefix + repository.Replace("/", "--", StringComparison.Ordinal);

    private static string? Read(string path)
    {
        if (!File.Exists(path)) return null;
        using var reader = new StreamReader(path);
        var text = new char[64];
        return new string(text, 0, reader.ReadBlock(text)).Trim();
    }
}
