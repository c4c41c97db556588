using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
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

/// <summary>A server on loopback that says what a test wants, byte by byte; a connection is for one request.</summary>
internal sealed class HubServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly Func<Request, Answer> _answer;
    private readonly ConcurrentQueue<Request> _requests = new();

    public HubServer(Func<Request, Answer> answer)
    {
        _answer = answer;
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public string Address => $"http://127.0.0.1:{Port}";

    /// <summary>What was asked, in order.</summary>
    public IReadOnlyList<Request> Requests => [.. _requests];

    public void Dispose()
    {
        _end.Cancel();
        _listener.Dispose();
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
                var stream = client.GetStream();
                using var reader = new StreamReader(stream, Encoding.Latin1, false, 1024, leaveOpen: true);
                var line = (await reader.ReadLineAsync(_end.Token) ?? "").Split(' ');
                if (line.Length < 2) return;
                var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
                while (await reader.ReadLineAsync(_end.Token) is { Length: > 0 } header)
                    headers[header.Split(':')[0]] = header[(header.IndexOf(':') + 1)..].Trim();
                var request = new Request(line[0], line[1], headers);
                _requests.Enqueue(request);
                await SendAsync(stream, request, _answer(request));
            }
            catch (Exception e) when (e is IOException or OperationCanceledException) { }
        }
    }

    private async Task SendAsync(NetworkStream stream, Request request, Answer answer)
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
