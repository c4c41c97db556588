using System.Net;
using System.Net.Http.Headers;

namespace NanoLora.Data;

/// <summary>Which part of a file is asked for, and by what each server knows that it is still the same file.</summary>
/// <param name="From">The first byte; 0 for the whole file.</param>
/// <param name="Tags">The ETag of each server, by its authority.</param>
internal sealed record HubRange(long From, IReadOnlyDictionary<string, string> Tags);

/// <summary>A server's answer after all redirections.</summary>
/// <param name="Response">The answer, its body not read yet.</param>
/// <param name="Uri">Who gave it.</param>
/// <param name="Hash">What the hub says of the bytes on the way: the hash that is their ETag.</param>
/// <param name="Size">Their number.</param>
internal sealed record HubAnswer(HttpResponseMessage Response, Uri Uri, string? Hash, long? Size) : IDisposable
{
    public void Dispose() => Response.Dispose();
}

/// <summary>Requests to a hub, one at a time: redirections are followed here, as the token must go to nobody but the hub.</summary>
internal sealed class HubHttp : IDisposable
{
    private const int MostHops = 10;
    private const HttpStatusCode RangeNotSatisfiable = HttpStatusCode.RequestedRangeNotSatisfiable;

    private static readonly string Agent = $"nanolora/{typeof(HubHttp).Assembly.GetName().Version?.ToString(3)}";

    private readonly HubSettings _settings;
    private readonly HubTiming _timing;
    private readonly HttpClient _client;
    private readonly string _root;
    private bool _reached;

    public HubHttp(HubSettings settings, HubTiming timing)
    {
        (_settings, _timing, _root) = (settings, timing, settings.Endpoint.AbsoluteUri.TrimEnd('/'));
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false, UseCookies = false, AutomaticDecompression = DecompressionMethods.None, ConnectTimeout = timing.Silence,
        };
        _client = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>The address of something on the hub.</summary>
    public Uri At(string path) => new($"{_root}/{path}");

    /// <summary>Asks, and follows where it is sent; the answer is a success, or 416 to a range.</summary>
    /// <exception cref="PassingException">It may go better the next time.</exception>
    /// <exception cref="HubException">It will not.</exception>
    public async Task<HubAnswer> SendAsync(string repository, HttpMethod method, Uri uri, HubRange? range, CancellationToken cancellation)
    {
        string? hash = null;
        long? size = null;
        for (var hops = 0; hops < MostHops; hops++)
        {
            var response = await SendOnceAsync(repository, method, uri, range, cancellation).ConfigureAwait(false);
            if (IsHub(uri))
            {
                hash ??= Header(response, "X-Linked-Etag") is { } tag ? Bare(tag) : null;
                size ??= long.TryParse(Header(response, "X-Linked-Size"), out var linked) ? linked : null;
            }
            var target = (int)response.StatusCode is 301 or 302 or 303 or 307 or 308 ? Target(repository, uri, response) : null;
            if (target is null || (method == HttpMethod.Head && !IsHub(target)))
            {
                if (target is not null || response.IsSuccessStatusCode || (response.StatusCode == RangeNotSatisfiable && range is { From: > 0 }))
                    return new(response, uri, hash ?? (response.Headers.ETag?.Tag is { } own ? Bare(own) : null), size);
                using (response) throw HubErrors.Of(repository, _settings, response, IsHub(uri) ? null : uri, SendsToken(uri));
            }
            response.Dispose();
            uri = target;
        }
        throw new HubException(repository, $"{uri.Host} redirects in a circle; check HF_ENDPOINT and the proxy.");
    }

    /// <summary>The body of a listing, at most so long.</summary>
    /// <exception cref="PassingException">It may go better the next time.</exception>
    /// <exception cref="HubException">It will not.</exception>
    public async Task<byte[]> ReadAsync(string repository, Uri uri, int most, CancellationToken cancellation)
    {
        using var answer = await SendAsync(repository, HttpMethod.Get, uri, null, cancellation).ConfigureAwait(false);
        using var bytes = new MemoryStream();
        await CopyAsync(repository, answer, (part, _) =>
        {
            if (bytes.Length + part.Length > most) throw new HubException(repository, $"the listing has more than {most} bytes; check HF_ENDPOINT.");
            bytes.Write(part.Span);
        }, cancellation).ConfigureAwait(false);
        return bytes.ToArray();
    }

    /// <summary>Gives the body of an answer in parts, until it ends; a body that is cut, or comes no further, is a failure that may pass.</summary>
    public async Task CopyAsync(string repository, HubAnswer answer, Action<ReadOnlyMemory<byte>, long> take, CancellationToken cancellation)
    {
        var buffer = new byte[1 << 17];
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        long read = 0;
        try
        {
            await using var body = await answer.Response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
            while (true)
            {
                int count;
                try
                {
                    silence.CancelAfter(_timing.Silence);
                    count = await body.ReadAsync(buffer, silence.Token).ConfigureAwait(false);
                }
                catch (Exception e) when (IsNetwork(e) && !cancellation.IsCancellationRequested)
                {
                    throw Passing(repository, answer.Uri, e);
                }
                if (count == 0) return;
                read += count;
                take(buffer.AsMemory(0, count), read);
            }
        }
        catch (HttpRequestException e) when (!cancellation.IsCancellationRequested)
        {
            throw Passing(repository, answer.Uri, e);
        }
    }

    public void Dispose() => _client.Dispose();

    private async Task<HttpResponseMessage> SendOnceAsync(string repository, HttpMethod method, Uri uri, HubRange? range, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, uri);
        request.Headers.TryAddWithoutValidation("User-Agent", Agent);
        request.Headers.TryAddWithoutValidation("Accept-Encoding", "identity");
        if (SendsToken(uri)) request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {_settings.Token}");
        if (range is { From: > 0 })
        {
            request.Headers.Range = new RangeHeaderValue(range.From, null);
            if (range.Tags.TryGetValue(uri.Authority, out var tag)) request.Headers.TryAddWithoutValidation("If-Range", tag);
        }
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        silence.CancelAfter(_timing.Silence);
        try
        {
            var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, silence.Token).ConfigureAwait(false);
            _reached = true;
            return response;
        }
        catch (Exception e) when (IsNetwork(e) && !cancellation.IsCancellationRequested)
        {
            throw Passing(repository, uri, e);
        }
    }

    // Before anything has been reached, a name that is not known or a door that is closed will be so in a second, too.
    private Exception Passing(string repository, Uri uri, Exception error)
    {
        if (error is HttpRequestException { HttpRequestError: var kind })
        {
            var final = kind is HttpRequestError.SecureConnectionError or HttpRequestError.ProxyTunnelError or HttpRequestError.UserAuthenticationError
                || (!_reached && kind is HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError);
            if (final) return HubErrors.Unreachable(repository, uri, error);
        }
        var what = error is OperationCanceledException ? FormattableString.Invariant($"{uri.Host} has been silent for {_timing.Silence.TotalSeconds:0} s")
            : $"the connection to {uri.Host} was lost";
        return new PassingException(HubErrors.Unreachable(repository, uri, error), what);
    }

    private static bool IsNetwork(Exception e) => e is HttpRequestException or IOException or OperationCanceledException;

    private Uri Target(string repository, Uri from, HttpResponseMessage response)
    {
        var target = response.Headers.Location is { } location ? new Uri(from, location) : null;
        if (target is { Scheme: "https" } || (target is { Scheme: "http" } && from.Scheme == "http")) return target;
        response.Dispose();
        var where = target is null ? "nowhere" : $"{target.Scheme}://{target.Host}";
        throw new HubException(repository, $"{from.Host} redirects to {where}, which is not followed; check HF_ENDPOINT and the proxy.");
    }

    private bool IsHub(Uri uri) => uri.Scheme == _settings.Endpoint.Scheme && uri.IdnHost == _settings.Endpoint.IdnHost && uri.Port == _settings.Endpoint.Port;

    // In clear text the token goes to this machine only.
    private bool SendsToken(Uri uri) => _settings.Token is not null && IsHub(uri) && (uri.Scheme == "https" || uri.IsLoopback);

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;

    private static string Bare(string tag) => tag.StartsWith("W/", StringComparison.Ordinal) ? tag[2..].Trim('"') : tag.Trim('"');
}
