using System.Collections.Concurrent;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>The golden weight files, each with its verdict: load, support, error or either.</summary>
internal static class GoldenFormats
{
    private static readonly ConcurrentDictionary<string, JsonElement> Golden = new();

    public static string Folder(string format) => Path.Combine(AppContext.BaseDirectory, "Golden", "formats", format);

    /// <summary>What golden.json says of a format; read once.</summary>
    public static JsonElement Read(string format) => Golden.GetOrAdd(format, static f =>
    {
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder(f), "golden.json")));
        return json.RootElement.Clone();
    });

    /// <summary>Reads every tensor and gives null, or gives the refusal; whatever else happens fails the test.</summary>
    public static CheckpointException? Refusal(string path)
    {
        try
        {
            using var file = Checkpoint.Open(path);
            foreach (var entry in file.Entries) _ = file.Bytes(entry).ToArray();
            return null;
        }
        catch (CheckpointException e)
        {
            return e;
        }
    }

    /// <summary>The action must be refused, in a message with these words.</summary>
    public static void Refuses(string words, Action action) =>
        Assert.Contains(words, Assert.Throws<CheckpointException>(action).Message, StringComparison.Ordinal);

    /// <inheritdoc cref="Refuses(string, Action)"/>
    public static void Refuses(string words, Func<object?> action) => Refuses(words, () => { _ = action(); });
}
