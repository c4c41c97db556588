using System.Diagnostics;

namespace NanoLora.Tests.Files;

/// <summary>A test that needs a small disk of its own, and is skipped by name where none can be had.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class FullDiskFactAttribute : FactAttribute
{
    public FullDiskFactAttribute() => Skip = SmallDisk.Missing;
}

/// <summary>A disk of 64 KiB in memory.</summary>
internal sealed class SmallDisk : IDisposable
{
    /// <summary>Why there can be none, or null.</summary>
    public static string? Missing { get; } = Try();

    public SmallDisk()
    {
        Folder = Directory.CreateTempSubdirectory("nanolora-disk-").FullName;
        if (Run("mount", "-t", "tmpfs", "-o", "size=64k", "nanolora-test", Folder) is { } error) throw new InvalidOperationException(error);
    }

    public string Folder { get; }

    public void Dispose()
    {
        if (Run("umount", Folder) is { } error) throw new InvalidOperationException(error);
        Directory.Delete(Folder);
    }

    private static string? Try()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess) return "a small disk is made with Linux's tmpfs, by root";
        try
        {
            new SmallDisk().Dispose();
            return null;
        }
        catch (InvalidOperationException e) { return $"no small disk can be mounted here: {e.Message}"; }
    }

    // Null, or what the command says.
    private static string? Run(string command, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? null : $"{command}: {error.Trim()}";
    }
}
