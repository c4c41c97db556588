namespace NanoLora.Data;

// White space around tags, as chat templates have it (trim_blocks and lstrip_blocks are on):
//   {%- {{- {#-      what is before loses its white space at the end;      -%} -}} -#}   what follows loses its white space at the start
//   {% {# alone on a line so far: the blanks before them go (not with {%+), and the newline right after %} or #} goes (not with +%})
// One newline at the very end of the template is dropped; \r\n and \r are read as \n.

/// <summary>Cuts a template into tokens.</summary>
internal sealed class JinjaLexer
{
    private const int MostInName = 200;                     // a name is looked up at every use

    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
    ];

    private readonly string _name, _source;
    private readonly List<JinjaToken> _tokens = [];
    private readonly Stack<char> _open = [];
    private int _at, _line = 1, _counted;

    private JinjaLexer(string name, string source)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        (_name, _source) = (name, source.EndsWith('\n') ? source[..^1] : source);
    }

    /// <summary>All tokens of a template; the last is the end.</summary>
    /// <exception cref="ChatTemplateException">A tag is not closed, or holds what is no token.</exception>
    public static List<JinjaToken> Tokens(string name, string source)
    {
        var lexer = new JinjaLexer(name, source);
        while (lexer._at < lexer._source.Length) lexer.Outside();
        lexer.Add(JinjaKind.End, "");
        return lexer._tokens;
    }

    // Text up to the next tag, and the tag.
    private void Outside()
    {
        var start = _at;
        var tag = start;
        for (; tag < _source.Length; tag++)
            if (_source[tag] == '{' && tag + 1 < _source.Length && _source[tag + 1] is '{' or '%' or '#') break;
        if (tag >= _source.Length)
        {
            Add(JinjaKind.Data, _source[start..]);
            _at = _source.Length;
            return;
        }
        var kind = _source[tag + 1];
        var sign = tag + 2 < _source.Length && _source[tag + 2] is '-' or '+' ? _source[tag + 2] : ' ';
        var text = Before(start, tag, sign, lineUp: kind != '{');
        if (text.Length > 0) Add(JinjaKind.Data, text);
        _at = tag + (sign == ' ' ? 2 : 3);
        if (kind == '#') Comment(tag);
        else if (kind == '%' && RawBegin(_at) is var body and >= 0) Raw(body);
        else Tag(kind == '{');
    }

    // The text from start to a tag, less what the tag takes.
    private string Before(int start, int tag, char sign, bool lineUp)
    {
        var text = _source[start..tag];
        if (sign == '-') return PyText.TrimEnd(text);
        if (sign == '+' || !lineUp) return text;
        var line = text.LastIndexOf('\n') + 1;
        if (line == 0 && start > 0 && _source[start - 1] != '\n') return text;
        return PyText.TrimEnd(text[line..]).Length == 0 ? text[..line] : text;
    }

    private void Comment(int tag)
    {
        var end = _source.IndexOf("#}", _at, StringComparison.Ordinal);
        if (end < 0) throw Error("Missing end of comment tag", tag);
        _at = After(end + 2, end > _at ? _source[end - 1] : ' ');
    }

    // Where to go on after a tag that ends here: behind white space, or behind one newline.
    private int After(int end, char sign)
    {
        if (sign == '-') while (end < _source.Length && PyText.IsSpace(_source[end])) end++;
        else if (sign != '+' && end < _source.Length && _source[end] == '\n') end++;
        return end;
    }

    // Where the text of {% raw %} begins; -1 if this tag is none. Takes no newline behind it, unlike other tags.
    private int RawBegin(int at)
    {
        at = SkipSpace(at);
        if (!_source.AsSpan(at).StartsWith("raw", StringComparison.Ordinal)) return -1;
        at = SkipSpace(at + 3);
        if (_source.AsSpan(at).StartsWith("-%}", StringComparison.Ordinal)) return SkipSpace(at + 3);
        return _source.AsSpan(at).StartsWith("%}", StringComparison.Ordinal) ? at + 2 : -1;
    }

    private void Raw(int body)
    {
        for (var tag = body; ; tag += 2)
        {
            tag = _source.IndexOf("{%", tag, StringComparison.Ordinal);
            if (tag < 0) throw Error("Missing end of raw directive", _at);
            var at = tag + 2;
            var sign = at < _source.Length && _source[at] is '-' or '+' ? _source[at++] : ' ';
            at = SkipSpace(at);
            if (!_source.AsSpan(at).StartsWith("endraw", StringComparison.Ordinal)) continue;
            at = SkipSpace(at + 6);
            var last = at < _source.Length && _source[at] is '-' or '+' ? _source[at++] : ' ';
            if (!_source.AsSpan(at).StartsWith("%}", StringComparison.Ordinal)) continue;
            _at = body;
            Add(JinjaKind.Data, Before(body, tag, sign, lineUp: true));
            _at = After(at + 2, last);
            return;
        }
    }

    private void Tag(bool output)
    {
        Add(output ? JinjaKind.OutputBegin : JinjaKind.TagBegin, "");
        _open.Clear();
        while (true)
        {
            _at = SkipSpace(_at);
            if (_at >= _source.Length)
            {
                Add(JinjaKind.End, "");                     // the parser says what is missing
                return;
            }
            if (_open.Count == 0 && EndOfTag(output) is var end and >= 0)
            {
                Add(output ? JinjaKind.OutputEnd : JinjaKind.TagEnd, "");
                _at = end;
                return;
            }
            Inside();
        }
    }

    // Behind the tag's end if it ends here, else -1.
    private int EndOfTag(bool output)
    {
        var sign = _source[_at] is '-' ? '-' : _source[_at] is '+' && !output ? '+' : ' ';
        var at = sign == ' ' ? _at : _at + 1;
        if (!_source.AsSpan(at).StartsWith(output ? "}}" : "%}", StringComparison.Ordinal)) return -1;
        return output && sign == ' ' ? at + 2 : After(at + 2, sign);
    }

    private void Inside()
    {
        var c = _source[_at];
        var rest = _source.AsSpan(_at);
        if (char.IsAsciiDigit(c))
        {
            // x.1.2 is the second element of x's first, and no float.
            var length = _at > 0 && _source[_at - 1] == '.' ? 0 : JinjaLiterals.FloatLength(rest);
            var kind = length > 0 ? JinjaKind.Float : JinjaKind.Integer;
            if (length == 0) length = JinjaLiterals.IntegerLength(rest);
            Take(kind, length, rest[..length].ToString().Replace("_", "", StringComparison.Ordinal));
        }
        else if (char.IsLetter(c) || c == '_')
        {
            var length = 1;
            while (length < rest.Length && (char.IsLetterOrDigit(rest[length]) || rest[length] == '_')) length++;
            if (length > MostInName) throw Error($"a name of more than {MostInName} characters", _at);
            Take(JinjaKind.Name, length, rest[..length].ToString());
        }
        else if (c is '\'' or '"')
        {
            var length = JinjaLiterals.StringLength(rest);
            if (length < 0) throw Error($"a string that begins with {c} does not end", _at);
            if (JinjaLiterals.Unescape(rest[1..(length - 1)]) is not { } text) throw Error("a string holds an escape that is none", _at);
            Take(JinjaKind.Text, length, text);
        }
        else
        {
            foreach (var symbol in Operators)
            {
                if (!rest.StartsWith(symbol, StringComparison.Ordinal)) continue;
                Balance(c);
                Take(JinjaKind.Operator, symbol.Length, symbol);
                return;
            }
            throw Error($"unexpected char {PyText.Repr(c.ToString())}", _at);
        }
    }

    private void Balance(char c)
    {
        if (c is '(' or '[' or '{') _open.Push(c == '(' ? ')' : c == '[' ? ']' : '}');
        if (c is not (')' or ']' or '}')) return;
        if (_open.Count == 0) throw Error($"unexpected '{c}'", _at);
        if (_open.Pop() is var expected && expected != c) throw Error($"unexpected '{c}', expected '{expected}'", _at);
    }

    private void Take(JinjaKind kind, int length, string text)
    {
        Add(kind, text);
        _at += length;
    }

    private void Add(JinjaKind kind, string text) => _tokens.Add(new JinjaToken(kind, text, LineOf(_at)));

    private int SkipSpace(int at)
    {
        while (at < _source.Length && PyText.IsSpace(_source[at])) at++;
        return at;
    }

    // Asked for in rising order, so each newline is counted once.
    private int LineOf(int at)
    {
        if (at > _counted)
        {
            _line += _source.AsSpan(_counted, at - _counted).Count('\n');
            _counted = at;
        }
        return _line;
    }

    private ChatTemplateException Error(string problem, int at) => new(_name, LineOf(at), problem);
}
