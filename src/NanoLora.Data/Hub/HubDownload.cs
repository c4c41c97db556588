using System.Net;

namespace NanoLora.Data;

/// <summary>
/// One file on its way: bytes go to a partial file that is locked, are hashed as they come, and get their name when all of them are there and right.
/// </summary>
internal sealed class HubDownload(HubHttp http, HubTiming timing, string repository, Uri uri, HubFile file) : IDisposable
{
    private readonly Dictionary<string, string> _tags = new(StringComparer.Ordinal);
    private HubDigest _digest = new(file);
    private FileStream? _partial;
    private long _done, _furthest;
    private bool _whole;                        // the server does not give parts as they are asked for

    /// <summary>Is told how many bytes are there.</summary>
    public Action<long>? Progress { get; init; }

    /// <summary>Is told of pauses and of what begins anew.</summary>
    public Action<string>? Note { get; init; }

    /// <summary>Downloads what is missing of the file.</summary>
    /// <param name="path">Its name; a file that has it is replaced.</param>
    /// <param name="partial">Where its bytes rest until all are there.</param>
    /// <param name="cancellation">Ends it; what has arrived stays.</param>
    /// <exception cref="HubException">The server does not give it, or gives something else.</exception>
    public async Task ToAsync(string path, string partial, CancellationToken cancellation)
    {
        _partial = await HubLock.OpenAsync(partial, timing, () => Note?.Invoke($"{file.Name}: another process downloads it; waiting"), cancellation)
            .ConfigureAwait(false);
        var found = Resume(cancellation);
        while (true)
        {
            await timing.RetryAsync(async () => { await FillAsync(cancellation).ConfigureAwait(false); return true; }, () => _furthest, Note, cancellation)
                .ConfigureAwait(false);
            var hash = _digest.End();
            if (hash == file.Hash) break;
            Restart();
            if (!found)
            {
                throw Refused(partial, $"the bytes that came have the hash {hash}, the listing says {file.Hash}; they were deleted, run the command again.");
            }
            Note?.Invoke($"{file.Name}: what was left of an earlier download is damaged; beginning anew");
            found = false;
        }
        _partial.Flush(flushToDisk: true);
        _partial.Dispose();
        File.Move(partial, path, overwrite: true);
    }

    public void Dispose()
    {
        _digest.Dispose();
        _partial?.Dispose();
    }

    // Whether an earlier download has left bytes that count.
    private bool Resume(CancellationToken cancellation)
    {
        if (_partial!.Length > file.Size) _partial.SetLength(0);
        _digest.Append(_partial, cancellation);
        Advance(_partial.Length);
        return _done > 0;
    }

    private async Task FillAsync(CancellationToken cancellation)
    {
        if (_done == file.Size) return;
        // The hub's own ETag is the hash; what others say is known from their last answer. Without one, the hash in the end tells.
        if (!file.IsLarge) _tags.TryAdd(uri.Authority, $"\"{file.Hash}\"");
        using var answer = await http.SendAsync(repository, HttpMethod.Get, uri, new(_whole ? 0 : _done, _tags), cancellation).ConfigureAwait(false);
        if (answer.Response.Headers.ETag is { IsWeak: false, Tag: var tag }) _tags[answer.Uri.Authority] = tag;
        Begin(answer);
        var start = _done;
        await http.CopyAsync(repository, answer, (part, _) =>
        {
            if (_done + part.Length > file.Size)
            {
                Restart();
                throw Refused(_partial!.Name, $"{answer.Uri.Host} sends more than the {file.Size} bytes of the listing; they were deleted.");
            }
            _partial!.Write(part.Span);
            _digest.Append(part.Span);
            Advance(_done + part.Length);
        }, cancellation).ConfigureAwait(false);
        if (_done < file.Size) throw Passing($"{answer.Uri.Host} ends after {_done} of {file.Size} bytes");
    }

    // Sees that the body is what was asked for, or the whole file.
    private void Begin(HubAnswer answer)
    {
        var (response, host) = (answer.Response, answer.Uri.Host);
        var content = response.Content.Headers;
        if (answer.Size is { } linked && linked != file.Size) throw Wrong($"the hub says {linked} bytes, its listing {file.Size}");
        if (content.ContentEncoding.Any(static e => !e.Equals("identity", StringComparison.OrdinalIgnoreCase)))
            throw Wrong($"{host} packs the file ({string.Join(", ", content.ContentEncoding)}), which nobody asked for");
        var whole = response.StatusCode == HttpStatusCode.OK;
        if (!whole)
        {
            if (_whole || response.StatusCode != HttpStatusCode.PartialContent) throw WholeNextTime(host);
            if (content.ContentRange is not { Unit: "bytes", From: { } from } range || from != _done || (range.Length ?? file.Size) != file.Size)
                throw WholeNextTime(host);
        }
        var left = whole ? file.Size : file.Size - _done;
        if (content.ContentLength is { } length && length != left) throw Wrong($"{host} announces {length} bytes, the listing {left}");
        if (whole) Restart();
    }

    private Exception WholeNextTime(string host)
    {
        if (_whole) return Wrong($"{host} gives parts of the file though the whole was asked for");
        _whole = true;
        return Passing($"{host} gives another part of {file.Name} than was asked for");
    }

    private void Restart()
    {
        _partial!.SetLength(0);
        _partial.Position = 0;
        _digest.Dispose();
        _digest = new(file);
        Advance(0);
    }

    private void Advance(long done)
    {
        _done = done;
        _furthest = Math.Max(_furthest, done);
        Progress?.Invoke(done);
    }

    private HubException Refused(string partial, string message)
    {
        _partial!.Dispose();
        File.Delete(partial);
        return new(repository, $"{HubNames.Shown(file.Name)}: {message}");
    }

    private HubException Wrong(string what) =>
        new(repository, $"{HubNames.Shown(file.Name)}: {what}; something answers in the hub's place, check HF_ENDPOINT and the proxy.");

    private PassingException Passing(string what) =>
        new(new(repository, $"{HubNames.Shown(file.Name)}: {what}; what has arrived is kept, run the command again to go on."), what);
}
