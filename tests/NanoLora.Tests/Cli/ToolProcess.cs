using System.Diagnostics;
using System.Runtime.InteropServices;
using NanoLora.Cli;

namespace NanoLora.Tests.Cli;

/// <summary>The tool in a process of its own, which can be killed.</summary>
internal static class ToolProcess
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>Runs a command line to its end, or kills it (SIGKILL) after a while.</summary>
    /// <param name="args">The words after the tool's name.</param>
    /// <param name="kill">When to kill it; null to let it end.</param>
    /// <param name="variables">Environment variables that it has besides, or instead; null takes one away.</param>
    /// <returns>What it gave, and whether the kill found it alive.</returns>
    public static (CliRun Run, bool Killed) Run(string[] args, TimeSpan? kill = null, params (string Name, string? Value)[] variables)
    {
        var start = new ProcessStartInfo(Host(), ["exec", typeof(Program).Assembly.Location, .. args]);
        (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
        foreach (var (name, value) in variables) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        var killed = !process.WaitForExit(kill ?? Patience);
        if (killed) process.Kill();
        process.WaitForExit();
        if (killed && kill is null) Assert.Fail($"the tool did not end in {Patience}: {string.Join(' ', args)}\n{error.Result}");
        return (new(process.ExitCode, output.Result, error.Result), killed);
    }

    // The program that runs this one's runtime: <root>/shared/Microsoft.NETCore.App/<version>/ lies beside it.
    private static string Host() =>
        Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet"));
}
