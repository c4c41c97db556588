using System.Net;

namespace NanoLora.Data;

/// <summary>A model that cannot be downloaded: the message names the repository and the file, what was found, and what to do.</summary>
public sealed class HubException : IOException
{
    /// <summary>Says what is wrong with a repository, or with what a server gave for it.</summary>
    public HubException(string repository, string message, Exception? inner = null) : base($"{repository}: {message}", inner) => Repository = repository;

    /// <summary>The repository, as in <c>org/name</c>.</summary>
    public string Repository { get; }

    /// <summary>What the server answered, where it was its answer that was refused.</summary>
    public HttpStatusCode? Status { get; init; }
}

/// <summary>A failure that may pass: it is tried again, and if it stays, <paramref name="last"/> is what is told.</summary>
internal sealed class PassingException(HubException last, string what, TimeSpan? wait = null) : Exception(last.Message, last)
{
    /// <summary>What is told in the end.</summary>
    public HubException Last => last;

    /// <summary>The same in a few words, for a note.</summary>
    public string What => what;

    /// <summary>How long the server asks to wait.</summary>
    public TimeSpan? Wait => wait;
}
