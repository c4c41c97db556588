using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace NanoLora.Tests.Data.Hub;

/// <summary>A request as it came over the wire.</summary>
internal sealed record Request(string Method, string Target, IReadOnlyDictionary<string, string> Headers)
{
    public string? this[string header] => Headers.GetValueOrDefault(header);

    /// <summary>The first byte of a range that is asked for; 0 for the whole.</summary>
    public int From => this["Range"] is { } range ? int.Parse(range["bytes=".Length..].TrimEnd('-'), CultureInfo.InvariantCulture) : 0;
}

/// <summary>An answer, and how it goes wrong.</summary>
internal sealed record Answer(int Status, byte[] Body, params (string Name, string Value)[] Headers)
{
    /// <summary>The length that is announced; the body's if nothing is said.</summary>
    public long? Length { get; init; }

    /// <summary>Whether none is announced, and the end of the connection is the end of the body.</summary>
    public bool Open { get; init; }

    /// <summary>How many bytes of the body come before the connection is cut.</summary>
    public int? Cut { get; init; }

    /// <summary>Whether the rest never comes, though the connection stays.</summary>
    public bool Silent { get; init; }

    /// <summary>Is run when half of the body is sent.</summary>
    public Action? Midway { get; init; }

    public Answer With(params (string Name, string Value)[] headers) => this with { Headers = [.. Headers, .. headers] };
}

/// <summary>
/// A server on loopback that says what a test wants, byte by byte; a connection is for one request. With a certificate it speaks TLS, and behind a CONNECT
/// as if it were the host that is asked for.
/// </summary>
internal sealed class HubServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly Func<Request, Answer> _answer;
    private readonly X509Certificate2? _certificate;
    private readonly bool _isProxy;
    private readonly ConcurrentQueue<Request> _requests = new();

    public HubServer(Func<Request, Answer> answer, X509Certificate2? certificate = null, bool isProxy = false)
    {
        (_answer, _certificate, _isProxy) = (answer, certificate, isProxy);
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public string Address => $"{(_certificate is null || _isProxy ? "http" : "https")}://127.0.0.1:{Port}";

    /// <summary>What was asked, in order.</summary>
    public IReadOnlyList<Request> Requests => [.. _requests];

    public void Dispose()
    {
        _end.Cancel();
        _listener.Dispose();
    }

    /// <summary>A certificate that nobody has signed but itself, for this machine and one more host.</summary>
    public static X509Certificate2 SelfSigned(string host)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName(host);
        var request = new CertificateRequest("CN=a test", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(signed.Export(X509ContentType.Pfx), null);          // with its key in a form that every system takes
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_end.Token);
                _ = Task.Run(() => ServeAsync(client));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException) { }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                Stream stream = client.GetStream();
                if (!_isProxy) stream = await SecuredAsync(stream);
                var request = await ReadAsync(stream);
                if (request is { Method: "CONNECT" })
                {
                    await stream.WriteAsync("HTTP/1.1 200 Open\r\n\r\n"u8.ToArray(), _end.Token);
                    stream = await SecuredAsync(stream);
                    request = await ReadAsync(stream);
                }
                if (request is not null) await SendAsync(stream, request, _answer(request));
                await stream.DisposeAsync();
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or AuthenticationException) { }
        }
    }

    private async Task<Stream> SecuredAsync(Stream stream)
    {
        if (_certificate is null) return stream;
        var secured = new SslStream(stream);
        await secured.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = _certificate }, _end.Token);
        return secured;
    }

    private async Task<Request?> ReadAsync(Stream stream)
    {
        using var reader = new StreamReader(stream, Encoding.Latin1, false, 1024, leaveOpen: true);
        var line = (await reader.ReadLineAsync(_end.Token) ?? "").Split(' ');
        if (line.Length < 2) return null;
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        while (await reader.ReadLineAsync(_end.Token) is { Length: > 0 } header)
            headers[header.Split(':')[0]] = header[(header.IndexOf(':') + 1)..].Trim();
        var request = new Request(line[0], line[1], headers);
        _requests.Enqueue(request);
        return request;
    }

    private async Task SendAsync(Stream stream, Request request, Answer answer)
    {
        var head = new StringBuilder($"HTTP/1.1 {answer.Status} Said\r\nConnection: close\r\n");
        foreach (var (name, value) in answer.Headers) head.Append($"{name}: {value}\r\n");
        if (!answer.Open) head.Append(CultureInfo.InvariantCulture, $"Content-Length: {answer.Length ?? answer.Body.Length}\r\n");
        await stream.WriteAsync(Encoding.Latin1.GetBytes(head.Append("\r\n").ToString()), _end.Token);
        if (request.Method == "HEAD") return;
        var body = answer.Body.AsMemory(0, Math.Min(answer.Cut ?? int.MaxValue, answer.Body.Length));
        await stream.WriteAsync(body[..(body.Length / 2)], _end.Token);
        answer.Midway?.Invoke();
        await stream.WriteAsync(body[(body.Length / 2)..], _end.Token);
        if (answer.Silent) await Task.Delay(Timeout.Infinite, _end.Token);
    }
}
