using System.Net;

namespace NanoLora.Data;

/// <summary>What a server's refusal means, and what to do.</summary>
internal static class HubErrors
{
    /// <summary>An answer that is no success: a failure that may pass, or one that stays.</summary>
    /// <param name="repository">The repository.</param>
    /// <param name="settings">Which hub was asked.</param>
    /// <param name="response">The answer.</param>
    /// <param name="storage">The server behind the hub that gave it, or null for the hub.</param>
    /// <param name="withToken">Whether the token went along.</param>
    public static Exception Of(string repository, HubSettings settings, HttpResponseMessage response, Uri? storage, bool withToken)
    {
        var status = response.StatusCode;
        var code = Header(response, "X-Error-Code");
        var said = Header(response, "X-Error-Message") is { Length: > 0 } message ? $" ({HubNames.Shown(message)})" : "";
        var who = storage?.Host ?? settings.Endpoint.Host;
        var wait = Wait(response);
        var asks = wait is { } time ? FormattableString.Invariant($" It asks for {Math.Ceiling(time.TotalSeconds)} s.") : "";
        var error = new HubException(repository, Text(repository, settings, status, code, who, withToken) + asks + said) { Status = status };
        var passing = status is HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout || (int)status >= 500
            || (storage is not null && status is (HttpStatusCode.Forbidden or HttpStatusCode.Unauthorized));    // an address that was signed for a while
        return passing ? new PassingException(error, $"{who} answers {(int)status}", wait) : error;
    }

    /// <summary>No answer at all.</summary>
    public static HubException Unreachable(string repository, Uri uri, Exception error)
    {
        var why = error switch
        {
            HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } => "its certificate or encryption is not accepted",
            HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError } => "its name is not known",
            HttpRequestException { HttpRequestError: HttpRequestError.ProxyTunnelError } => "the proxy refuses",
            OperationCanceledException => "it does not answer",
            _ => "the connection fails",
        };
        var advice = error is HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError }
            ? "check HF_ENDPOINT and HTTPS_PROXY; if a proxy or a mirror here signs for itself, let this system trust its certificate, or on Linux name it in "
                + "SSL_CERT_FILE, and run the command again to go on."
            : "check the network, HF_ENDPOINT and HTTPS_PROXY, and run the command again to go on.";
        var detail = (error.InnerException ?? error).Message;
        return new(repository, $"{uri.Host} cannot be reached, {why}; {advice} ({HubNames.Shown(detail)})", error);
    }

    private static string Text(string repository, HubSettings settings, HttpStatusCode status, string? code, string who, bool withToken)
    {
        var page = $"{settings.Endpoint.AbsoluteUri.TrimEnd('/')}/{repository}";
        var token = withToken ? "that the token of HF_TOKEN may read it" : settings.Token is null ? "set HF_TOKEN if it is private or gated"
            : "use https: the token is not sent in clear text";
        return (code, (int)status) switch
        {
            ("GatedRepo", _) => $"the model is gated: accept its terms at {page} and set HF_TOKEN to a token of that account.",
            ("RevisionNotFound", _) => "there is no such revision; check --revision, or leave it out for main.",
            ("EntryNotFound", _) => "a file of the listing is not there; run the command again.",
            ("RepoNotFound", _) or (_, 401 or 404) =>
                $"there is no such model at {settings.Endpoint.Host}, or it is not for everybody ({(int)status}); check the name, and {token}.",
            (_, 403) => $"{who} refuses access (403); accept the model's terms at {page}, and {token}.",
            (_, 429) => $"{who} has had too many requests (429); wait a while{(withToken ? "" : ", or set HF_TOKEN, which may do more")}.",
            (_, >= 500) => $"{who} fails ({(int)status}); what has arrived is kept, run the command again later.",
            _ => $"{who} answers {(int)status}; check HF_ENDPOINT and the proxy.",
        };
    }

    private static TimeSpan? Wait(HttpResponseMessage response)
    {
        var wait = response.Headers.RetryAfter is { } after ? after.Delta ?? after.Date - DateTimeOffset.UtcNow : null;
        return wait is { } time ? time > TimeSpan.Zero ? time : TimeSpan.Zero : null;
    }

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;
}
