using System.Globalization;
using System.Text;

namespace NanoLora.Experiments;

/// <summary>
/// Who works on what, among processes that share a folder. A claim is a file that its owner keeps open, locked, and writes to every ten seconds.
/// </summary>
/// <remarks>
/// A process that dies loses its lock, and its claims are free at once to others on the same machine. Where locks do not reach other machines (some network
/// file systems), a claim that was not renewed for 60 seconds is taken over; an owner that merely slept finds another's name in its claim and gives up.
/// Claim files are left in place while a study runs: a file that was deleted and made anew could be locked twice.
/// </remarks>
public sealed class Claims : IDisposable
{
    private readonly string _folder, _me, _host;
    private readonly TimeSpan _renewal, _expiry;
    private readonly TimeProvider _time;
    private readonly Dictionary<string, Claim> _mine = [];
    private readonly Lock _gate = new();
    private readonly ITimer _timer;

    /// <summary>Claims in a folder, which is made if need be.</summary>
    /// <param name="folder">The folder of claim files.</param>
    /// <param name="renewal">How often claims are renewed; every 10 seconds if not given.</param>
    /// <param name="expiry">After how long without renewal a claim is free; 60 seconds if not given.</param>
    /// <param name="host">The name of this machine; of use to tests only.</param>
    /// <param name="time">The clock of the renewals.</param>
    public Claims(string folder, TimeSpan? renewal = null, TimeSpan? expiry = null, string? host = null, TimeProvider? time = null)
    {
        (_folder, _renewal, _expiry, _host) = (folder, renewal ?? TimeSpan.FromSeconds(10), expiry ?? TimeSpan.FromSeconds(60),
            host ?? Environment.MachineName);
        _me = $"{_host} {Environment.ProcessId} {Guid.NewGuid():N}";
        _time = time ?? TimeProvider.System;
        Directory.CreateDirectory(folder);
        _timer = _time.CreateTimer(_ => Renew(), null, _renewal, _renewal);
    }

    /// <summary>Claims a piece of work, or gives null if another has it.</summary>
    /// <param name="name">The work, as a file name.</param>
    public Claim? Take(string name)
    {
        lock (_gate) if (_mine.ContainsKey(name)) return null;
        var path = Path.Combine(_folder, name + ".claim");
        FileStream? file = null;
        try
        {
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
            var owner = Owner(file);
            if (owner.Length > 0 && !owner.StartsWith(_host + " ", StringComparison.Ordinal) && Age(path) < _expiry) return null;
            Write(file, _me);
            var claim = new Claim(this, name, file);
            lock (_gate) _mine.Add(name, claim);
            file = null;
            return claim;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException && File.Exists(path))
        {
            return null;                                                    // locked: its owner lives
        }
        finally
        {
            file?.Dispose();
        }
    }

    /// <summary>Lets all claims go.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        Claim[] mine;
        lock (_gate) mine = [.. _mine.Values];
        foreach (var claim in mine) claim.Dispose();
    }

    internal void Renew()
    {
        lock (_gate)
        {
            foreach (var claim in _mine.Values)
            {
                try
                {
                    if (Owner(claim.File) == _me) Write(claim.File, _me);
                    else claim.Lose();
                }
                catch (IOException)
                {
                    // A file system that is away for a moment; the next renewal is soon.
                }
            }
        }
    }

    internal void Release(Claim claim)
    {
        lock (_gate) if (!_mine.Remove(claim.Name)) return;
        try
        {
            if (!claim.IsLost) claim.File.SetLength(0);                     // nobody's
        }
        catch (IOException)
        {
            // It will be too old in a minute.
        }
        claim.File.Dispose();
    }

    // The age by the clock of the file system, which all machines share.
    private TimeSpan Age(string path)
    {
        var probe = Path.Combine(_folder, $".clock-{Guid.NewGuid():N}.tmp");
        File.WriteAllBytes(probe, []);
        try { return File.GetLastWriteTimeUtc(probe) - File.GetLastWriteTimeUtc(path); }
        finally { File.Delete(probe); }
    }

    private static string Owner(FileStream file)
    {
        var bytes = new byte[Math.Min(file.Length, 512)];
        file.Position = 0;
        return Encoding.UTF8.GetString(bytes, 0, file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)).Split('\n')[0];
    }

    private static void Write(FileStream file, string owner)
    {
        var text = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{owner}\n{DateTimeOffset.UtcNow:O}\n"));
        file.Position = 0;
        file.Write(text);
        file.SetLength(text.Length);
        file.Flush();
    }
}

/// <summary>A piece of work that is this process's until it is disposed.</summary>
public sealed class Claim : IDisposable
{
    private readonly Claims _claims;
    private readonly CancellationTokenSource _lost = new();

    internal Claim(Claims claims, string name, FileStream file) => (_claims, Name, File) = (claims, name, file);

    /// <summary>The work.</summary>
    public string Name { get; }

    /// <summary>Set when another process has taken the work over.</summary>
    public CancellationToken Lost => _lost.Token;

    /// <summary>Whether another process has taken the work over.</summary>
    public bool IsLost => _lost.IsCancellationRequested;

    internal FileStream File { get; }

    internal void Lose() => _lost.Cancel();

    /// <inheritdoc/>
    public void Dispose()
    {
        _claims.Release(this);
        _lost.Dispose();
    }
}
