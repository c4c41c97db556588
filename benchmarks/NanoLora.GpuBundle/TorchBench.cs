using System.Diagnostics;
using System.Text.Json;

namespace NanoLora.GpuBundle;

/// <summary>The same work in PyTorch, by torch_bench.py, where python3 has it.</summary>
internal sealed record TorchBench(string Who, IReadOnlyList<string> Precisions, IReadOnlyDictionary<(string Work, string Precision), double> Milliseconds)
{
    /// <summary>A measurement, or null where there is none.</summary>
    public double? Find(string work, string precision) => Milliseconds.TryGetValue((work, precision), out var value) ? value : null;

    /// <summary>Runs the script; without PyTorch there are no figures, and it says so.</summary>
    public static TorchBench Run(bool quick, bool cuda)
    {
        try
        {
            var start = new ProcessStartInfo("python3") { RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (var word in (string[])[Path.Combine(AppContext.BaseDirectory, "torch_bench.py"), cuda ? "cuda" : "cpu", quick ? "quick" : "full"])
                start.ArgumentList.Add(word);
            using var process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync();
            var text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0) return None($"PyTorch: not measured ({errors.Result.Trim().Split('\n')[^1]})");
            using var json = JsonDocument.Parse(text);
            var rows = json.RootElement.GetProperty("rows").EnumerateArray()
                .ToDictionary(static r => (r.GetProperty("work").GetString()!, r.GetProperty("precision").GetString()!),
                    static r => r.GetProperty("ms").GetDouble());
            return new(json.RootElement.GetProperty("who").GetString()!, [.. rows.Keys.Select(static k => k.Item2).Distinct()], rows);
        }
        catch (Exception error) when (error is System.ComponentModel.Win32Exception or JsonException or KeyNotFoundException)
        {
            return None($"PyTorch: not measured ({error.Message})");
        }
    }

    private static TorchBench None(string why) => new(why, [], new Dictionary<(string, string), double>());
}
