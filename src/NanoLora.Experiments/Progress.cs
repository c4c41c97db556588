using System.Globalization;
using System.Text;

namespace NanoLora.Experiments;

/// <summary>Reports long work as it goes: share done, time spent, time left.</summary>
/// <remarks>
/// A terminal sees one line rewritten in place, a log at most one plain line every five seconds.
/// Thread-safe, and it never stops the work: a console without a width or a closed pipe is borne in silence. The rate is done units over time spent, both
/// forgetting exponentially, so it follows work whose units grow or shrink, and is right from the first unit on.
/// </remarks>
public sealed class Progress : IDisposable
{
    private static readonly TimeSpan TerminalPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LogPause = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly string _what;
    private readonly long _total;
    private readonly TextWriter _writer;
    private readonly bool _terminal;
    private readonly TimeProvider _time;
    private readonly long _start;

    private long _last;                  // when units were last completed
    private long _done;
    private double _units, _seconds;     // decayed units and seconds; their quotient is the rate
    private long _shown = long.MinValue; // when a line was last written
    private int _width;                  // characters on the terminal's line now
    private string _note = "";
    private bool _ended;

    /// <summary>Starts the clock; nothing is written before the first <see cref="Advance"/>.</summary>
    /// <param name="what">What is being done, the head of each line.</param>
    /// <param name="total">Units of work in all; 0 or less where it is not known: then no share and no time left are shown.</param>
    /// <param name="writer">Where lines go; standard error by default, so that results on standard output stay clean.</param>
    /// <param name="terminal">Whether the line can be rewritten in place; by default, true for standard error on a terminal only.</param>
    /// <param name="time">The clock; the system's by default.</param>
    public Progress(string what, long total, TextWriter? writer = null, bool? terminal = null, TimeProvider? time = null)
    {
        _what = OneLine(what);
        _total = Math.Max(0, total);
        _writer = writer ?? Console.Error;
        _terminal = terminal ?? (writer is null && !Console.IsErrorRedirected);
        _time = time ?? TimeProvider.System;
        _start = _last = _time.GetTimestamp();
    }

    /// <summary>Time left at the smoothed rate; null before the first unit, or where the total is not known.</summary>
    public TimeSpan? Remaining
    {
        get { lock (_gate) return Left(_time.GetTimestamp()); }
    }

    /// <summary>Units completed so far.</summary>
    public long Done
    {
        get { lock (_gate) return _done; }
    }

    /// <summary>Counts completed units, and writes a line if the last one is long enough ago.</summary>
    /// <param name="units">Units completed since the last call; 0 to change only the note.</param>
    /// <param name="note">What to say behind the numbers, "draw 3, learned: 36.3 %"; null keeps the last one.</param>
    public void Advance(long units = 1, string? note = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(units);
        lock (_gate)
        {
            if (_ended) return;
            var now = _time.GetTimestamp();
            if (note is not null) _note = OneLine(note);
            if (units > 0) Count(units, now);
            var pause = _terminal ? TerminalPause : LogPause;
            if (_shown == long.MinValue || _time.GetElapsedTime(_shown, now) >= pause) Show(now);
        }
    }

    /// <summary>Writes the last line, with the time it all took.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_ended) return;
            _ended = true;
            Show(_time.GetTimestamp());
            if (_terminal) Write("\n");
        }
    }

    // U ← U e^(-dt/τ) + units,  T ← T e^(-dt/τ) + dt,  rate = U / T.  τ is a third of the time spent so far, 20 s at least, so slow units are averaged too.
    private void Count(long units, long now)
    {
        var dt = _time.GetElapsedTime(_last, now).TotalSeconds;
        var memory = Math.Max(20, _time.GetElapsedTime(_start, now).TotalSeconds / 3);
        var keep = Math.Exp(-dt / memory);
        _units = _units * keep + units;
        _seconds = _seconds * keep + dt;
        _done += units;
        _last = now;
    }

    private TimeSpan? Left(long now)
    {
        if (_total == 0) return null;
        if (_done >= _total) return TimeSpan.Zero;
        if (_units <= 0 || _seconds <= 0) return null;
        var seconds = (_total - _done) * _seconds / _units - _time.GetElapsedTime(_last, now).TotalSeconds;
        return TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 3.6e8));
    }

    private void Show(long now)
    {
        _shown = now;
        var line = new StringBuilder(_what);
        if (_total > 0) line.Append(CultureInfo.InvariantCulture, $"  {Math.Min(_done, _total) * 100.0 / _total,3:0} %  {_done}/{_total}");
        else line.Append(CultureInfo.InvariantCulture, $"  {_done}");
        line.Append("  ").Append(Clock(_time.GetElapsedTime(_start, now)));
        if (!_ended && Left(now) is { } left) line.Append("  about ").Append(Clock(left)).Append(" left");
        if (_note.Length > 0) line.Append("  ").Append(_note);
        if (!_terminal)
        {
            Write(line.Append('\n').ToString());
            return;
        }
        var room = Room();
        if (line.Length > room) line.Length = room;
        var shown = line.Length;
        if (shown < _width) line.Append(' ', Math.Min(_width, room) - shown); // blanks over what is left of a longer line
        _width = shown;
        Write("\r" + line);
    }

    private void Write(string text)
    {
        try
        {
            _writer.Write(text);
            _writer.Flush();
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // The reader of the progress is gone; the work goes on.
        }
    }

    // Columns that can be written without wrapping; 79 where the console has no width to tell.
    private static int Room()
    {
        try
        {
            var width = Console.WindowWidth;
            return width > 1 ? width - 1 : 79;
        }
        catch (Exception error) when (error is IOException or PlatformNotSupportedException or UnauthorizedAccessException)
        {
            return 79;
        }
    }

    private static string Clock(TimeSpan time) => time.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}")
        : string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}:{time.Seconds:00}");

    private static string OneLine(string text)
    {
        var line = new StringBuilder(text.Length);
        foreach (var c in text) line.Append(char.IsControl(c) ? ' ' : c);
        return line.ToString();
    }
}
