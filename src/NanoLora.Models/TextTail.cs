using System.Text;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// The end of a text that is being written: what of it may be shown. Half a character waits for its other half, and what may be the beginning of a stop string
/// waits until it is known not to be.
/// </summary>
internal sealed class TextTail(ITokenStream stream, IReadOnlyList<string> stops)
{
    private readonly StringBuilder _held = new();

    /// <summary>Whether a stop string came: nothing more is shown.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Takes a token, and gives what may be shown now; empty if nothing may.</summary>
    public string Add(int id) => stream.Next(id) is { } text && !IsStopped ? Show(text, isLast: false) : "";

    /// <summary>What is left when no more tokens come.</summary>
    public string Finish() => IsStopped ? "" : Show(stream.Finish() ?? "", isLast: true);

    private string Show(string more, bool isLast)
    {
        if (stops.Count == 0) return more;
        var text = _held.Append(more).ToString();
        _held.Clear();
        var first = -1;
        foreach (var stop in stops)
            if (text.IndexOf(stop, StringComparison.Ordinal) is >= 0 and var at && (first < 0 || at < first)) first = at;
        if (first >= 0)
        {
            IsStopped = true;
            return text[..first];
        }
        if (isLast) return text;
        var shown = text.Length - Beginning(text);
        _held.Append(text, shown, text.Length - shown);
        return text[..shown];
    }

    // How many characters at the end of a text may begin a stop string.
    private int Beginning(string text)
    {
        var most = 0;
        foreach (var stop in stops)
        {
            for (var length = Math.Min(stop.Length - 1, text.Length); length > most; length--)
            {
                if (!text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length))) continue;
                most = length;
                break;
            }
        }
        return most;
    }
}
