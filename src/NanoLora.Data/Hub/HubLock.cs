namespace NanoLora.Data;

/// <summary>Files that one process has for itself. The hub's own client locks the same files, so neither disturbs the other.</summary>
internal static class HubLock
{
    /// <summary>Opens a file, and makes it if need be, once no other process holds it.</summary>
    /// <param name="path">The file, in a folder that is there.</param>
    /// <param name="timing">How often to look.</param>
    /// <param name="waits">Is called once if there is something to wait for.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    public static async Task<FileStream> OpenAsync(string path, HubTiming timing, Action waits, CancellationToken cancellation)
    {
        for (var told = false; ; told = true)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                var stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
                if (File.Exists(path)) return stream;                                   // else its holder has just deleted or renamed it
                stream.Dispose();
                continue;
            }
            catch (IOException e) when (IsHeld(e)) { }
            if (!told) waits();
            await Task.Delay(timing.LockPause, cancellation).ConfigureAwait(false);
        }
    }

    // EWOULDBLOCK of Linux and of macOS; sharing and lock violations of Windows.
    private static bool IsHeld(IOException e) => (e.HResult & 0xFFFF) is 11 or 35 or 32 or 33;
}
