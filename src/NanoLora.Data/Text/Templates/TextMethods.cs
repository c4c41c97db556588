using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>The methods of texts.</summary>
internal static class TextMethods
{
    public static TemplateValue? Find(string text, string name)
    {
        Func<JinjaRenderer, JinjaArguments, TemplateValue>? call = name switch
        {
            "strip" => (r, a) => Stripped(r, a, "strip", text, PyText.Trim),
            "lstrip" => (r, a) => Stripped(r, a, "lstrip", text, PyText.TrimStart),
            "rstrip" => (r, a) => Stripped(r, a, "rstrip", text, PyText.TrimEnd),
            "upper" => (r, a) => Made(r, a, name, PyText.Upper(text)),
            "lower" => (r, a) => Made(r, a, name, PyText.Lower(text)),
            "casefold" => (r, a) => Made(r, a, name, PyText.Lower(text).Replace("ß", "ss", StringComparison.Ordinal).Replace('ς', 'σ')),
            "title" => (r, a) => Made(r, a, name, PyText.Title(text)),
            "capitalize" => (r, a) => Made(r, a, name, PyText.Capitalize(text)),
            "swapcase" => (r, a) => Made(r, a, name, PyText.SwapCase(text)),
            "split" or "rsplit" => (r, a) => Split(r, a, text, fromEnd: name == "rsplit"),
            "splitlines" => (r, a) => r.List(Texts(PyText.Lines(r.Charge(text), JinjaArguments.Flag(a.Bind(r, name, "keepends")[0])))),
            "startswith" => (r, a) => HasAt(r, a, name, text, start: true),
            "endswith" => (r, a) => HasAt(r, a, name, text, start: false),
            "replace" => (r, a) => Replace(r, a, text),
            "removeprefix" => (r, a) => r.Text(One(r, a, name) is var p && text.StartsWith(p, StringComparison.Ordinal) ? text[p.Length..] : text),
            "removesuffix" => (r, a) => r.Text(One(r, a, name) is var p && text.EndsWith(p, StringComparison.Ordinal) ? text[..^p.Length] : text),
            "find" or "index" => (r, a) => Find(r, a, name, text, last: false),
            "rfind" or "rindex" => (r, a) => Find(r, a, name, text, last: true),
            "count" => (r, a) => Count(r, a, text),
            "join" => (r, a) => Join(r, a, text),
            "partition" or "rpartition" => (r, a) => Partition(r, a, name, text),
            "zfill" => (r, a) => r.Text(Fill(r, JinjaArguments.Int(r, a.Bind(r, name, "width!")[0], 0), text)),
            "ljust" or "rjust" or "center" => (r, a) => Padded(r, a, name, text),
            "format" => (r, a) => r.Text(BraceFormat.Apply(r, text, a)),
            "isspace" => (r, a) => Is(r, a, name, text.Length > 0 && PyText.Trim(r.Charge(text)).Length == 0),
            "isalpha" => (r, a) => Is(r, a, name, PyText.Are(r.Charge(text), PyText.IsLetter)),
            "isdigit" => (r, a) => Is(r, a, name, PyText.Are(r.Charge(text), static c => c == UnicodeCategory.DecimalDigitNumber)),
            "isdecimal" => (r, a) => Is(r, a, name, PyText.Are(r.Charge(text), static c => c == UnicodeCategory.DecimalDigitNumber)),
            "isnumeric" => (r, a) => Is(r, a, name, PyText.Are(r.Charge(text), IsNumeral)),
            "isalnum" => (r, a) => Is(r, a, name, PyText.Are(r.Charge(text), static c => PyText.IsLetter(c) || IsNumeral(c))),
            "isupper" => (r, a) => Is(r, a, name, PyText.IsAllCase(r.Charge(text), upper: true)),
            "islower" => (r, a) => Is(r, a, name, PyText.IsAllCase(r.Charge(text), upper: false)),
            "isascii" => (r, a) => Is(r, a, name, Ascii.IsValid(r.Charge(text))),
            _ => null,
        };
        return call is null ? null : new FunctionValue(name, call);
    }

    /// <summary>Texts as values.</summary>
    public static List<TemplateValue> Texts(List<string> texts) => texts.ConvertAll(static TemplateValue (t) => new TextValue(t));

    /// <summary>The text with at most so many occurrences replaced, all if the number is negative.</summary>
    public static string Replaced(JinjaRenderer r, string text, string old, string with, int most)
    {
        r.Search(text, old);
        if (most == 0 || old.Length > text.Length) return text;
        var result = new StringBuilder();
        var at = 0;
        if (old.Length == 0)
        {
            // Between all characters, before the first and behind the last.
            foreach (var character in PyText.Characters(text))
            {
                if (most-- != 0) Add(with);
                else most = 0;
                Add(character);
            }
            if (most != 0) Add(with);
            return result.ToString();
        }
        for (int found; most != 0 && (found = text.IndexOf(old, at, StringComparison.Ordinal)) >= 0; at = found + old.Length, most--)
        {
            result.Append(text, at, found - at);
            Add(with);
        }
        return result.Append(text, at, text.Length - at).ToString();

        void Add(string part)
        {
            r.Step();
            r.Fits((long)result.Length + part.Length);
            result.Append(part);
        }
    }

    private static TemplateValue Stripped(JinjaRenderer r, JinjaArguments a, string name, string text, Func<string, string?, string> strip)
    {
        var characters = JinjaArguments.OrNull(a.Bind(r, name, "chars")[0]);
        return r.Text(strip(text, characters is null ? null : r.Charge(JinjaArguments.Text(r, characters))));
    }

    private static TemplateValue Made(JinjaRenderer r, JinjaArguments a, string name, string text)
    {
        a.Bind(r, name);
        return r.Text(text);
    }

    private static BoolValue Is(JinjaRenderer r, JinjaArguments a, string name, bool holds)
    {
        a.Bind(r, name);
        return BoolValue.Of(holds);
    }

    private static bool IsNumeral(UnicodeCategory c) => c is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    private static string One(JinjaRenderer r, JinjaArguments a, string name) => JinjaArguments.Text(r, a.Bind(r, name, "text!")[0]!);

    private static TemplateValue Split(JinjaRenderer r, JinjaArguments a, string text, bool fromEnd)
    {
        var p = a.Bind(r, fromEnd ? "rsplit" : "split", "sep", "maxsplit");
        var most = JinjaArguments.Int(r, p[1], -1);
        if (most < 0) most = int.MaxValue;
        r.Charge(text);
        var parts = new List<string>();
        if (JinjaArguments.OrNull(p[0]) is not { } separator) BySpace(text, most, fromEnd, parts);
        else
        {
            var mark = JinjaArguments.Text(r, separator);
            if (mark.Length == 0) throw r.Error("empty separator");
            r.Search(text, mark);
            if (fromEnd)
            {
                var end = text.Length;
                while (most-- > 0 && text.AsSpan(0, end).LastIndexOf(mark, StringComparison.Ordinal) is var found and >= 0)
                {
                    parts.Add(text[(found + mark.Length)..end]);
                    end = found;
                }
                parts.Add(text[..end]);
            }
            else
            {
                var start = 0;
                while (most-- > 0 && text.IndexOf(mark, start, StringComparison.Ordinal) is var found and >= 0)
                {
                    parts.Add(text[start..found]);
                    start = found + mark.Length;
                }
                parts.Add(text[start..]);
            }
        }
        if (fromEnd) parts.Reverse();
        return r.List(Texts(parts));
    }

    // Any run of white space is one separator, and nothing at both ends. What is left when no more may be split stays as it is.
    private static void BySpace(string text, int most, bool fromEnd, List<string> parts)
    {
        int start = 0, end = text.Length;
        while (true)
        {
            if (fromEnd) while (end > start && PyText.IsSpace(text[end - 1])) end--;
            else while (start < end && PyText.IsSpace(text[start])) start++;
            if (start == end) return;
            int from = start, to = end;
            if (most-- > 0 && fromEnd) for (from = end; from > start && !PyText.IsSpace(text[from - 1]);) from--;
            else if (most >= 0) for (to = start; to < end && !PyText.IsSpace(text[to]);) to++;
            parts.Add(text[from..to]);
            if (fromEnd) end = from;
            else start = to;
        }
    }

    private static BoolValue HasAt(JinjaRenderer r, JinjaArguments a, string name, string text, bool start)
    {
        var p = a.Bind(r, name, "prefix!", "start", "end");
        var part = Part(r, text, p[1], p[2], out _);
        foreach (var affix in p[0] is SequenceValue { Kind: SequenceKind.Tuple } several ? several.Items : [p[0]!])
        {
            r.Step();
            if (affix is not TextValue t) throw r.Error($"{name} first arg must be str or a tuple of str, not {affix.Type}");
            r.Charge(t.Value);
            if (part is not null && (start ? part.StartsWith(t.Value, StringComparison.Ordinal) : part.EndsWith(t.Value, StringComparison.Ordinal)))
                return BoolValue.Of(true);
        }
        return BoolValue.Of(false);
    }

    // text[start:end] by code points; null if it begins behind the end.
    private static string? Part(JinjaRenderer r, string text, TemplateValue? start, TemplateValue? end, out int from)
    {
        from = 0;
        if (start is null && end is null) return text;
        var characters = PyText.Characters(r.Charge(text));
        from = JinjaArguments.Int(r, JinjaArguments.OrNull(start), 0);
        var to = JinjaArguments.Int(r, JinjaArguments.OrNull(end), characters.Count);
        if (from < 0) from = Math.Max(0, from + characters.Count);
        if (to < 0) to = Math.Max(0, to + characters.Count);
        to = Math.Min(to, characters.Count);
        return from > to ? null : string.Concat(characters[from..to]);
    }

    private static TemplateValue Replace(JinjaRenderer r, JinjaArguments a, string text)
    {
        var p = a.Bind(r, "replace", "old!", "new!", "count");
        return r.Text(Replaced(r, text, JinjaArguments.Text(r, p[0]!), JinjaArguments.Text(r, p[1]!), JinjaArguments.Int(r, p[2], -1)));
    }

    private static IntValue Find(JinjaRenderer r, JinjaArguments a, string name, string text, bool last)
    {
        var p = a.Bind(r, name, "sub!", "start", "end");
        var mark = JinjaArguments.Text(r, p[0]!);
        r.Search(text, mark);
        var at = Part(r, text, p[1], p[2], out var from) is not { } part ? -1
            : (last ? part.LastIndexOf(mark, StringComparison.Ordinal) : part.IndexOf(mark, StringComparison.Ordinal)) is var found and >= 0
            ? from + PyText.Length(part[..found]) : -1;
        if (at < 0 && name is "index" or "rindex") throw r.Error("substring not found");
        return new IntValue(at);
    }

    private static IntValue Count(JinjaRenderer r, JinjaArguments a, string text)
    {
        var p = a.Bind(r, "count", "sub!", "start", "end");
        var mark = JinjaArguments.Text(r, p[0]!);
        r.Search(text, mark);
        if (Part(r, text, p[1], p[2], out _) is not { } part) return new IntValue(0);
        return new IntValue(mark.Length == 0 ? PyText.Length(part) + 1 : part.AsSpan().Count(mark));
    }

    private static TextValue Join(JinjaRenderer r, JinjaArguments a, string text)
    {
        var texts = new List<string>();
        foreach (var item in JinjaOperators.Each(r, a.Bind(r, "join", "iterable!")[0]!, "can only join an iterable"))
        {
            r.Step();
            texts.Add(item is TextValue t ? t.Value : throw r.Error($"sequence item {texts.Count}: expected str instance, {item.Type} found"));
        }
        return new TextValue(Joined(r, text, texts));
    }

    /// <summary>Texts with another between them.</summary>
    public static string Joined(JinjaRenderer r, string between, List<string> texts)
    {
        long length = (long)between.Length * Math.Max(0, texts.Count - 1);
        foreach (var text in texts) length += text.Length;
        r.Room(length);
        return string.Join(between, texts);
    }

    private static SequenceValue Partition(JinjaRenderer r, JinjaArguments a, string name, string text)
    {
        var mark = One(r, a, name);
        if (mark.Length == 0) throw r.Error("empty separator");
        r.Search(text, mark);
        var last = name == "rpartition";
        var at = last ? text.LastIndexOf(mark, StringComparison.Ordinal) : text.IndexOf(mark, StringComparison.Ordinal);
        string[] parts = at >= 0 ? [text[..at], mark, text[(at + mark.Length)..]] : last ? ["", "", text] : [text, "", ""];
        return new SequenceValue(Texts([.. parts]), SequenceKind.Tuple);
    }

    private static string Fill(JinjaRenderer r, int width, string text)
    {
        r.Room(Math.Max(width, text.Length));
        var sign = text.Length > 0 && text[0] is '+' or '-' ? 1 : 0;
        return text[..sign] + new string('0', Math.Max(0, width - PyText.Length(text))) + text[sign..];
    }

    private static TemplateValue Padded(JinjaRenderer r, JinjaArguments a, string name, string text)
    {
        var p = a.Bind(r, name, "width!", "fillchar");
        var fill = p[1] is null ? " " : JinjaArguments.Text(r, p[1]!);
        if (PyText.Length(fill) != 1) throw r.Error("The fill character must be exactly one character long");
        return r.Text(Pad(r, text, JinjaArguments.Int(r, p[0], 0), fill, name));
    }

    /// <summary>The text in the middle (or at an end) of so many characters. Of an odd one the middle leaves the extra where Python does.</summary>
    public static string Pad(JinjaRenderer r, string text, int width, string fill, string how)
    {
        r.Room(Math.Max((long)width * fill.Length, text.Length));
        var room = Math.Max(0, width - PyText.Length(text));
        var left = how == "rjust" ? room : how == "ljust" ? 0 : room / 2 + (room & width & 1);
        return string.Concat(Enumerable.Repeat(fill, left)) + text + string.Concat(Enumerable.Repeat(fill, room - left));
    }
}
