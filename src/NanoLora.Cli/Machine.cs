using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using NanoLora.Experiments;

namespace NanoLora.Cli;

/// <summary>What the seconds of a study depend on.</summary>
internal static class Machine
{
    /// <summary>Processor, vector width, threads, system and runtime.</summary>
    public static IReadOnlyList<Fact> Facts() =>
    [
        new("processor", Processor()),
        new("vectors", Vectors()),
        new("threads", Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture)),
        new("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}"),
        new("runtime", RuntimeInformation.FrameworkDescription),
    ];

    private static string Vectors() =>
        Vector512.IsHardwareAccelerated ? "512 bits" : Vector256.IsHardwareAccelerated ? "256 bits" : Vector128.IsHardwareAccelerated ? "128 bits" : "none";

    private static string Processor()
    {
        const string linux = "/proc/cpuinfo", key = "model name";
        try
        {
            if (File.Exists(linux) && File.ReadLines(linux).FirstOrDefault(l => l.StartsWith(key, StringComparison.Ordinal)) is { } line)
                return Printable.Of(line[(line.IndexOf(':') + 1)..].Trim());
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The name is a nicety; the study goes on without.
        }
        return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
