using System.Globalization;

namespace NanoLora.Data;

/// <summary>Whether what is to come fits the disk, before any of it comes.</summary>
internal static class HubSpace
{
    /// <summary>Refuses what does not fit.</summary>
    /// <param name="repository">The repository.</param>
    /// <param name="folder">Where it goes; the folder need not be there.</param>
    /// <param name="bytes">How many bytes are to come.</param>
    /// <exception cref="HubException">They are more than are free.</exception>
    public static void Check(string repository, string folder, Int128 bytes)
    {
        var free = Free(folder) ?? HubFile.MostBytes;
        if (bytes <= free) return;
        throw new HubException(repository, string.Create(CultureInfo.InvariantCulture,
            $"{bytes:N0} bytes are to come, {free:N0} are free where {folder} is; make room, or name another disk with --out or HF_HOME. Nothing came yet."));
    }

    private static long? Free(string folder)
    {
        var there = new DirectoryInfo(Path.GetFullPath(folder));
        while (!there.Exists && there.Parent is { } parent) there = parent;
        try { return new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(there.FullName)! : there.FullName).AvailableFreeSpace; }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException) { return null; }    // a disk that does not say
    }
}
