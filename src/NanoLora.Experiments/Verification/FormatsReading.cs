using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>One attempt to read a weight file or folder whole: how it ended, and what it cost.</summary>
/// <param name="Refusal">The refusal that readers document; null if the file loads.</param>
/// <param name="Wrong">Any other exception, which no reader may throw.</param>
/// <param name="Allocated">Bytes on the managed heap.</param>
internal readonly record struct FormatsReading(CheckpointException? Refusal, Exception? Wrong, long Allocated)
{
    private const long MostAllocated = 64L << 20;   // beyond the file's own size
    private const int MostShown = 160;

    /// <summary>Reads.</summary>
    internal static FormatsReading Of(Action read)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        (CheckpointException? refusal, Exception? wrong) = (null, null);
        try { read(); }
        catch (CheckpointException e) { refusal = e; }
        catch (Exception e) when (e is not OutOfMemoryException) { wrong = e; }   // the very thing that is looked for: reported below
        return new FormatsReading(refusal, wrong, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>Reads a weight file whole: every tensor's bytes.</summary>
    internal static FormatsReading OfFile(string path) => Of(() =>
    {
        using var file = Checkpoint.Open(path);
        foreach (var entry in file.Entries) _ = file.Bytes(entry).ToArray();
    });

    /// <summary>Holds the case's verdict against what happened. Gives true if the file loads and may, so that its values can be compared.</summary>
    /// <param name="report">Where it is told.</param>
    /// <param name="folder">The golden folder.</param>
    /// <param name="case">The case: verdict, and what it is about.</param>
    /// <param name="place">The file or folder that was read; a refusal must name it or something in it.</param>
    internal bool Hold(GoldenReport report, GoldenFolder folder, JsonElement @case, string place)
    {
        var verdict = folder.Field(@case, "verdict", JsonValueKind.String).GetString()!;
        var about = @case.TryGetProperty("about", out var text) ? $" ({text.GetString()})" : "";
        if (verdict is not ("load" or "error" or "either" or "support"))
            throw folder.Error("verdict", $"\"{verdict}\" is none of load, error, either, support.");
        var size = File.Exists(place) ? new FileInfo(place).Length : 0;
        if (Wrong is not null) report.Fail($"{Wrong.GetType().Name} where only a refusal may come{about}: {OneLine(Wrong.Message)}");
        else if (Allocated > size + MostAllocated) report.Fail($"{Allocated} bytes were allocated for a file of {size}{about}");
        else if (Refusal is null && verdict == "error") report.Fail($"loads, and must be refused{about}");
        else if (Refusal is not null && verdict == "load") report.Fail($"is refused, and must load{about}: {OneLine(Refusal.Message)}");
        else if (Refusal is not null && Unclear(Refusal, place) is { } why) report.Fail($"the refusal {why}: {OneLine(Refusal.Message)}");
        else if (Refusal is not null) report.Pass($"refused: {OneLine(Refusal.Message[(Refusal.Path.Length + 2)..])}");
        else return true;
        return false;
    }

    /// <summary>A text from a file that nobody vouches for, on one line.</summary>
    internal static string OneLine(string text)
    {
        var line = string.Concat(text.Select(static c => char.IsControl(c) ? $"\\u{(int)c:x4}" : $"{c}"));
        return line.Length > MostShown ? line[..(MostShown - 1)] + "…" : line;
    }

    // It names a file at the place, a field, and says what is wrong.
    private static string? Unclear(CheckpointException refusal, string place)
    {
        if (!refusal.Path.StartsWith(place, StringComparison.Ordinal) && refusal.Path != Path.GetDirectoryName(place)) return "does not name the file";
        return refusal.Message.Length < refusal.Path.Length + Math.Min(refusal.Field.Length, 300) + 20 ? "does not say what is wrong" : null;
    }
}
