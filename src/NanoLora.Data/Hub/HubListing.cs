using System.Text.Json;

namespace NanoLora.Data;

/// <summary>A file of a repository, and what its bytes must be.</summary>
/// <param name="Name">Its path within the repository.</param>
/// <param name="Size">Its length in bytes.</param>
/// <param name="Hash">SHA-256 of a large file (64 digits), or git's SHA-1 (40): also what it is called in the cache, and the server's ETag.</param>
internal sealed record HubFile(string Name, long Size, string Hash)
{
    /// <summary>The longest file that is believed: 2^53 bytes.</summary>
    public const long MostBytes = 1L << 53;

    /// <summary>Whether it lies in the storage for large files, and not in git.</summary>
    public bool IsLarge => Hash.Length == 64;
}

/// <summary>What a repository has at a commit.</summary>
/// <param name="Commit">The commit that the revision stands for.</param>
/// <param name="Files">All files; size and hash are null where the server does not tell them.</param>
internal sealed record HubListing(string Commit, IReadOnlyList<(string Name, long? Size, string? Hash)> Files)
{
    /// <summary>The most bytes of a listing.</summary>
    public const int MostBytes = 1 << 26;

    /// <summary>Reads the server's answer.</summary>
    /// <exception cref="HubException">It is no listing, or it has names that lead elsewhere.</exception>
    public static HubListing Parse(string repository, ReadOnlyMemory<byte> json)
    {
        JsonDocument document;
        try { document = JsonDocument.Parse(json); }
        catch (JsonException e)
        {
            throw new HubException(repository, "the listing is no JSON, so it was no hub that answered; check HF_ENDPOINT and the proxy.", e);
        }
        using (document)
        {
            var root = document.RootElement;
            var commit = Text(Field(root, "sha"));
            if (commit is null || !HubNames.IsCommit(commit)) throw Wrong(repository, "sha", "the hash of a commit");
            if (Field(root, "siblings") is not { ValueKind: JsonValueKind.Array } list) throw Wrong(repository, "siblings", "a list of files");
            return new(commit, [.. list.EnumerateArray().Select(entry => File(repository, entry))]);
        }
    }

    private static (string Name, long? Size, string? Hash) File(string repository, JsonElement entry)
    {
        var name = Text(Field(entry, "rfilename")) ?? throw Wrong(repository, "siblings.rfilename", "the name of a file");
        if (HubNames.Forged(name) is { } why)
            throw new HubException(repository, $"\"{HubNames.Shown(name)}\": {why}; this listing is forged, nothing was written.");
        var large = Field(entry, "lfs") is { ValueKind: JsonValueKind.Object } lfs ? lfs : (JsonElement?)null;
        var hash = large is { } l ? Text(Field(l, "sha256")) : Text(Field(entry, "blobId"));
        if (hash is not null && !HubNames.IsHash(hash, large is null ? 40 : 64)) throw Wrong(repository, $"{HubNames.Shown(name)}: hash", "SHA-1 or SHA-256");
        return (name, Size(repository, name, (large is { } sized ? Field(sized, "size") : null) ?? Field(entry, "size")), hash);
    }

    private static long? Size(string repository, string name, JsonElement? field)
    {
        if (field is not { } value) return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var size) && size is >= 0 and <= HubFile.MostBytes ? size
            : throw Wrong(repository, $"{HubNames.Shown(name)}: size", "a number of bytes");
    }

    private static JsonElement? Field(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    // Half a surrogate pair passes the parser, and throws when the text is taken.
    private static string? Text(JsonElement? element)
    {
        try { return element is { ValueKind: JsonValueKind.String } text ? text.GetString() : null; }
        catch (InvalidOperationException) { return null; }
    }

    private static HubException Wrong(string repository, string field, string expected) =>
        new(repository, $"the listing's {field} is missing or not {expected}, so it was no hub that answered; check HF_ENDPOINT.");
}
