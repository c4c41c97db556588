using System.Text.Unicode;

namespace NanoLora.Data;

/// <summary>The lines of a UTF-8 file, front to back; no more than one of them is held.</summary>
internal sealed class TextLines : IDisposable
{
    /// <summary>The most bytes of a line: a file without line ends must not become one text.</summary>
    public const int MaxBytes = 1 << 24;

    private readonly string _path;
    private readonly FileStream _file;
    private byte[] _buffer = new byte[1 << 16];
    private int _start, _end;                                   // what is read and not yet given

    /// <exception cref="InvalidDataException">There is no such file.</exception>
    public TextLines(string path)
    {
        if (!File.Exists(path)) throw new InvalidDataException($"{path}: there is no such file.");
        (_path, _file) = (path, File.OpenRead(path));
    }

    /// <summary>The number of the last line that was given, from 1.</summary>
    public int Line { get; private set; }

    /// <summary>The place of that line, for errors.</summary>
    public string Place => $"{_path}: line {Line}";

    /// <summary>The next line without its end, valid until the one after it is asked for; false at the end of the file.</summary>
    /// <exception cref="InvalidDataException">It is too long, or no UTF-8.</exception>
    public bool TryRead(out ReadOnlyMemory<byte> line)
    {
        line = default;
        var searched = 0;
        while (true)
        {
            var at = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (at >= 0)
            {
                line = Take(searched + at, 1);
                return true;
            }
            searched = _end - _start;
            if (searched > MaxBytes) Take(searched, 0);                                // which refuses it
            if (Fill()) continue;
            if (searched == 0) return false;
            line = Take(searched, 0);
            return true;
        }
    }

    public void Dispose() => _file.Dispose();

    private ReadOnlyMemory<byte> Take(int length, int end)
    {
        Line++;
        if (length > MaxBytes)
            throw new InvalidDataException($"{Place}: it has more than {MaxBytes} bytes; one sample is one line, see whether the line ends are missing.");
        var line = _buffer.AsMemory(_start, length);
        _start += length + end;
        if (Line == 1 && line.Span.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF])) line = line[3..];
        return Utf8.IsValid(line.Span) ? line : throw new InvalidDataException($"{Place}: it is not UTF-8; save the file as UTF-8.");
    }

    // Moves what is left to the front, makes room if it fills the buffer, and reads on.
    private bool Fill()
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        (_start, _end) = (0, _end - _start);
        if (_end == _buffer.Length) Array.Resize(ref _buffer, 2 * _buffer.Length);
        var read = _file.Read(_buffer, _end, _buffer.Length - _end);
        _end += read;
        return read > 0;
    }
}
