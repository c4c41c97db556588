using System.Text;

namespace NanoLora.Data;

/// <summary>
/// Reads comma-separated values as RFC 4180 has them: a field in quotes may hold commas, line breaks and doubled quotes. What the format does not allow is
/// refused with its line, not guessed at.
/// </summary>
/// <param name="path">A UTF-8 file, with or without a byte order mark.</param>
internal sealed class Csv(string path) : IDisposable
{
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    // A quote that nobody closes must not make one field of a whole file.
    private const int MostCharacters = 1 << 24;

    private readonly StreamReader _text = new(path, Utf8);
    private readonly StringBuilder _field = new();
    private int _next = -2, _line = 1;                          // the character after those taken, -1 at the end; the line it is in
    private int _characters;                                    // of the record so far

    /// <summary>The line in which the last record begins, from 1.</summary>
    public int Line { get; private set; }

    /// <summary>The fields of the next record, or null at the end.</summary>
    public string[]? Read()
    {
        if (_next == -2) Take();
        if (_next < 0) return null;
        (Line, _characters) = (_line, 0);
        List<string> fields = [Field()];
        while (_next == ',')
        {
            Take();
            fields.Add(Field());
        }
        if (_next == '\r') Take();
        if (_next == '\n') Take();
        return [.. fields];
    }

    public void Dispose() => _text.Dispose();

    // Ends before the comma, the line break or the end.
    private string Field()
    {
        _field.Clear();
        if (_next == '"') Quoted();
        else
        {
            for (; _next is not (',' or '\r' or '\n' or -1 or '"'); Take()) _field.Append((char)_next);
        }
        return _next is ',' or '\r' or '\n' or -1 ? _field.ToString()
            : throw Error(_line, $"a quote does not belong around a part of a field; write the field after \"{_field}\" in quotes and its own quotes twice");
    }

    private void Quoted()
    {
        var begun = _line;
        for (Take(); ; Take())
        {
            if (_next < 0) throw Error(begun, "a quote opens a field and none closes it");
            if (_next == '"')
            {
                Take();
                if (_next != '"') return;
            }
            _field.Append((char)_next);
        }
    }

    private void Take()
    {
        if (_next == '\n') _line++;
        if (++_characters > MostCharacters) throw Error(Line, $"the record has more than {MostCharacters} characters; see whether a quote is missing");
        try { _next = _text.Read(); }
        catch (DecoderFallbackException) { throw Error(_line, "from here on the text is not UTF-8; save the file as UTF-8"); }
    }

    private InvalidDataException Error(int line, string message) => new($"{path}: line {line}: {message}.");
}
