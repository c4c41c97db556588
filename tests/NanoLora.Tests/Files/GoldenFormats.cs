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

    /// <summary>The names in a list of the golden file, for a theory.</summary>
    public static TheoryData<string> Names(string format, string list, string key) =>
        [.. Read(format).GetProperty(list).EnumerateArray().Select(c => c.GetProperty(key).GetString()!)];

    /// <summary>The case of that name.</summary>
    public static JsonElement Case(string format, string list, string key, string name) =>
        Read(format).GetProperty(list).EnumerateArray().Single(c => c.GetProperty(key).GetString() == name);

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

    /// <summary>Holds the verdict against what the reader does: an error must name file and field, and say what is wrong.</summary>
    public static void Hold(JsonElement golden, string path)
    {
        var verdict = golden.GetProperty("verdict").GetString();
        var refusal = Refusal(path);
        if (verdict == "error") Assert.NotNull(refusal);
        if (verdict == "load") Assert.Null(refusal);
        if (refusal is null) return;
        Assert.NotEmpty(refusal.Path);
        Assert.StartsWith($"{refusal.Path}: {refusal.Field}: ", refusal.Message);
        Assert.True(refusal.Message.Length > refusal.Path.Length + refusal.Field.Length + 20, refusal.Message);
    }

    /// <summary>A number of the golden file, where infinities and NaN are texts.</summary>
    public static double Number(JsonElement value) => value.ValueKind == JsonValueKind.Number ? value.GetDouble() : value.GetString() switch
    {
        "inf" => double.PositiveInfinity,
        "-inf" => double.NegativeInfinity,
        "nan" => double.NaN,
        var text => throw new InvalidDataException(text),
    };
}
