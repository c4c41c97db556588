namespace NanoLora.Data;

/// <summary>What is downloaded of a model, and to where.</summary>
public sealed class HubPullOptions
{
    /// <summary>A branch, a tag or a commit.</summary>
    public string Revision { get; init; } = "main";

    /// <summary>A folder for the files themselves; null for the cache.</summary>
    public string? Folder { get; init; }

    /// <summary>Which files: patterns with * (any characters, / too) and ?, or a folder and /. Without any, those that are read here.</summary>
    public IReadOnlyList<string> Include { get; init; } = [];

    /// <summary>Which of them not.</summary>
    public IReadOnlyList<string> Exclude { get; init; } = [];

    /// <summary>Is told how far it is; a server that sends a file anew brings <see cref="HubProgress.Done"/> down again.</summary>
    public Action<HubProgress>? Progress { get; init; }

    /// <summary>Is told, in a line, of pauses and of what begins anew.</summary>
    public Action<string>? Note { get; init; }
}

/// <summary>How far a download is.</summary>
/// <param name="File">The file that comes now.</param>
/// <param name="Done">The bytes of all files that are there, those from earlier among them.</param>
/// <param name="Total">The bytes of all files.</param>
public readonly record struct HubProgress(string File, long Done, long Total);

/// <summary>A model that is there: its files at one commit.</summary>
/// <param name="Repository">Its name.</param>
/// <param name="Commit">The commit.</param>
/// <param name="Folder">Where the files are.</param>
/// <param name="Files">Their names within the folder.</param>
/// <param name="Bytes">Their length together.</param>
/// <param name="Downloaded">How many bytes had to come for it.</param>
public sealed record HubSnapshot(string Repository, string Commit, string Folder, IReadOnlyList<string> Files, long Bytes, long Downloaded);
