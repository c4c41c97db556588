using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>All that `quick` has measured, as JSON.</summary>
internal static class QuickJson
{
    /// <summary>Writes the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="results">What was measured.</param>
    /// <param name="repository">A folder of the repository, whose commit is named where there is one.</param>
    public static void Write(string path, QuickResults results, string repository)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("date", DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
            if (Commit(repository) is { Length: > 0 } commit) json.WriteString("commit", commit);
            json.WriteString("machine", QuickMachine.Name());
            json.WriteString("halves", results.Who);
            json.WriteNumber("peak_gflops", results.Machine.Peak);
            json.WriteNumber("read_bandwidth_gbs", results.Machine.Bandwidth);
            if (results.Others is { } others) json.WriteNumber("share_of_others", others);
            json.WriteNumber("seconds", results.Seconds);
            json.WriteStartArray("rows");
            foreach (var row in results.Rows) Row(json, row, results.Machine);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        AtomicFile.Write(path, stream => stream.Write(buffer.GetBuffer().AsSpan(0, (int)buffer.Length)));
    }

    private static void Row(Utf8JsonWriter json, QuickRow row, QuickMachine machine)
    {
        json.WriteStartObject();
        json.WriteString("title", row.Pair.Title);
        json.WriteString("table", row.Pair.Kind.ToString().ToLowerInvariant());
        if (row.Pair.Flops > 0) json.WriteNumber("flops", row.Pair.Flops);
        if (row.Pair.Bytes > 0) json.WriteNumber("bytes", row.Pair.Bytes);
        Seat(json, "first", row.First);
        if (row.Second is { } second) Seat(json, "second", second);
        Numbers(json, "ratios", row.Ratios);
        Number(json, "ratio", row.Ratio.Median);
        Number(json, "memory_ratio", row.Memory);
        Number(json, "difference", row.Difference);
        Number(json, "later_difference", row.LaterDifference);
        if (row.Lost is { } reason) json.WriteString("lost", reason);
        json.WriteStartArray("targets");
        foreach (var (text, met) in row.Pair.Target.Judge(row, machine))
        {
            json.WriteStartObject();
            json.WriteString("target", text);
            if (met is { } known) json.WriteBoolean("met", known);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Seat(Utf8JsonWriter json, string name, QuickSeat seat)
    {
        json.WriteStartObject(name);
        json.WriteString("half", seat.Entrant.Side.ToString());
        // Of a model's request the folder, a temporary one, is left out.
        json.WriteString("request", string.Join(' ', seat.Entrant.Request.Split(' ', 5).TakeWhile(word => !Path.IsPathRooted(word))));
        json.WriteNumber("threads", seat.Entrant.Threads);
        Numbers(json, "seconds", seat.Seconds);
        if (seat.Peak > 0)
        {
            json.WriteNumber("peak_mib", seat.Peak);
            if (seat.Entrant.Side == QuickSide.NanoLora) json.WriteNumber("native_growth_bytes", seat.Growth);
            json.WriteNumber("managed_bytes_a_run", seat.Managed);
        }
        json.WriteEndObject();
    }

    private static void Numbers(Utf8JsonWriter json, string name, List<double> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values) json.WriteNumberValue(value);
        json.WriteEndArray();
    }

    // JSON has no NaN: what was not measured is not there.
    private static void Number(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value)) json.WriteNumber(name, value);
    }

    private static string? Commit(string folder)
    {
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", ["-C", folder, "rev-parse", "--short", "HEAD"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            var line = git.StandardOutput.ReadToEnd().Trim();
            git.WaitForExit();
            return git.ExitCode == 0 ? line : null;
        }
        catch (Win32Exception)
        {
            return null;                                                                        // no git here
        }
    }
}
