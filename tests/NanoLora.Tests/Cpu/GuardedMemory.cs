using System.Runtime.InteropServices;

namespace NanoLora.Tests.Cpu;

/// <summary>A theory that needs guard pages, and is skipped by name where there are none.</summary>
public sealed class GuardedTheoryAttribute : TheoryAttribute
{
    public GuardedTheoryAttribute() => Skip = GuardedMemory.Missing;
}

/// <summary>Memory whose last byte lies against a page that may not be touched: reading or writing one byte too many ends the process.</summary>
internal sealed unsafe partial class GuardedMemory : IDisposable
{
    private readonly nint _map;
    private readonly nuint _bytes;

    /// <summary>Why this machine has no guard pages, or null.</summary>
    public static string? Missing => OperatingSystem.IsLinux() ? null : "guard pages are made with Linux's mmap";

    public GuardedMemory(int bytes)
    {
        var page = (nuint)Environment.SystemPageSize;
        var room = ((nuint)bytes + page - 1) / page * page;
        _bytes = room + page;
        _map = Map(0, _bytes, protection: 3, flags: 0x22, file: -1, offset: 0);           // read and write; private, anonymous
        Assert.NotEqual(-1, _map);
        Assert.Equal(0, Protect(_map + (nint)room, page, protection: 0));
        Start = (byte*)_map + room - (nuint)bytes;
    }

    public byte* Start { get; }

    public void Dispose() => _ = Unmap(_map, _bytes);

    [LibraryImport("libc", EntryPoint = "mmap")] private static partial nint Map(nint address, nuint bytes, int protection, int flags, int file, nint offset);
    [LibraryImport("libc", EntryPoint = "mprotect")] private static partial int Protect(nint address, nuint bytes, int protection);
    [LibraryImport("libc", EntryPoint = "munmap")] private static partial int Unmap(nint address, nuint bytes);
}
