using System.Numerics;
using System.Text;

namespace NanoLora.Data;

/// <summary>The filters, by name. Those over several values are in JinjaFilters.Sequences.cs.</summary>
internal static partial class JinjaFilters
{
    public static TemplateValue Apply(JinjaRenderer r, string name, TemplateValue value, JinjaArguments a)
    {
        r.Step();
        return name switch
        {
            "abs" => Abs(r, a, value),
            "attr" => Attr(r, a, value),
            "batch" => Batch(r, a, value),
            "capitalize" => Made(r, a, name, PyText.Capitalize(Text(r, value))),
            "center" => r.Text(TextMethods.Pad(r, Text(r, value), JinjaArguments.Int(r, a.Bind(r, name, "width")[0], 80), " ", name)),
            "default" or "d" => Default(r, a, value),
            "dictsort" => DictSort(r, a, value),
            "escape" or "e" or "forceescape" => Escape(r, a, name, Text(r, value)),
            "first" => First(r, a, value),
            "float" => Float(r, a, value),
            "format" => Format(r, a, Text(r, value)),
            "groupby" => GroupBy(r, a, value),
            "indent" => Indent(r, a, value),
            "int" => Int(r, a, value),
            "items" => Items(r, a, value),
            "join" => Join(r, a, value),
            "last" => Last(r, a, value),
            "length" or "count" => Length(r, a, name, value),
            "list" => List(r, a, value),
            "lower" => Made(r, a, name, PyText.Lower(Text(r, value))),
            "map" => Map(r, a, value),
            "max" or "min" => Extreme(r, a, name, value),
            "reject" or "rejectattr" or "select" or "selectattr" => Select(r, a, name, value),
            "replace" => Replace(r, a, value),
            "reverse" => Reverse(r, a, value),
            "round" => Round(r, a, value),
            "safe" or "string" => Made(r, a, name, Text(r, value)),
            "slice" => Slice(r, a, value),
            "sort" => Sort(r, a, value),
            "sum" => Sum(r, a, value),
            "title" => Made(r, a, name, Title(Text(r, value))),
            "tojson" => ToJson(r, a, value),
            "trim" => Trim(r, a, value),
            "truncate" => Truncate(r, a, value),
            "unique" => Unique(r, a, value),
            "upper" => Made(r, a, name, PyText.Upper(Text(r, value))),
            "urlencode" => UrlEncode(r, a, value),
            "wordcount" => WordCount(r, a, Text(r, value)),
            _ => throw r.Error($"No filter named {PyText.Repr(name)}."),
        };
    }

    /// <summary>Whether there is such a filter.</summary>
    public static bool Exists(string name) => name is
        "abs" or "attr" or "batch" or "capitalize" or "center" or "count" or "d" or "default" or "dictsort" or "e" or "escape" or "first" or "float"
        or "forceescape" or "format" or "groupby" or "indent" or "int" or "items" or "join" or "last" or "length" or "list" or "lower" or "map"
        or "max" or "min" or "reject" or "rejectattr" or "replace" or "reverse" or "round" or "safe" or "select" or "selectattr" or "slice"
        or "sort" or "string" or "sum" or "title" or "tojson" or "trim" or "truncate" or "unique" or "upper" or "urlencode" or "wordcount";

    private static string Text(JinjaRenderer r, TemplateValue value) => r.Charge(JinjaPrinter.Text(r, value));

    private static TemplateValue Made(JinjaRenderer r, JinjaArguments a, string name, string text)
    {
        a.Bind(r, name);
        return r.Text(text);
    }

    private static TemplateValue Abs(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        a.Bind(r, "abs");
        if (PyNumber.TryInt(value, out var whole)) return new IntValue(BigInteger.Abs(whole));
        return value is FloatValue f ? new FloatValue(Math.Abs(f.Value))
            : throw r.Error(JinjaOperators.Problem(value) ?? $"bad operand type for abs(): '{value.Type}'");
    }

    // x | attr(name): what x.name gives, but no element of a mapping.
    private static TemplateValue Attr(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var name = JinjaArguments.Text(r, a.Bind(r, "attr", "name!")[0]!);
        return JinjaAccess.Attribute(r, value is MapValue ? new MapValue() : value, name);
    }

    private static TemplateValue Default(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "default", "default_value", "boolean");
        return value is UndefinedValue || JinjaArguments.Flag(p[1]) && !JinjaOperators.IsTrue(value) ? p[0] ?? new TextValue("") : value;
    }

    private static TemplateValue Escape(JinjaRenderer r, JinjaArguments a, string name, string text)
    {
        a.Bind(r, name);
        var result = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            if (c is '&' or '<' or '>' or '\'' or '"') result.Append(c switch { '&' => "&amp;", '<' => "&lt;", '>' => "&gt;", '\'' => "&#39;", _ => "&#34;" });
            else result.Append(c);
        }
        return r.Text(result.ToString());
    }

    private static FloatValue Float(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var fallback = a.Bind(r, "float", "default")[0];
        if (JinjaOperators.Problem(value) is { } problem) throw r.Error(problem);
        if (PyNumber.IsNumber(value)) return new FloatValue(PyNumber.ToDouble(value));
        if (value is TextValue text && PyNumber.TryParseFloat(r.Charge(text.Value), out var number)) return new FloatValue(number);
        return fallback is null ? new FloatValue(0) : fallback as FloatValue ?? new FloatValue(PyNumber.ToDouble(fallback));
    }

    private static TemplateValue Format(JinjaRenderer r, JinjaArguments a, string text)
    {
        if (a.Given.Count > 0 && a.Named.Count > 0) throw r.Error("can't handle positional and keyword arguments at the same time");
        return r.Text(PercentFormat.Apply(r, text, a.Named.Count > 0 ? TemplateValue.Map(a.Named) : new SequenceValue(a.Given, SequenceKind.Tuple)));
    }

    private static TemplateValue Indent(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "indent", "width", "first", "blank");
        if (value is not TextValue indented) throw r.Error(JinjaOperators.Problem(value) ?? $"unsupported operand type(s) for +=: '{value.Type}' and 'str'");
        var text = r.Charge(indented.Value);
        var width = p[0] is TextValue own ? own.Value : Blanks(r, JinjaArguments.Int(r, p[0], 4));
        var lines = PyText.Lines(text + "\n");
        var result = new StringBuilder(JinjaArguments.Flag(p[1]) ? width : "").Append(lines[0]);
        for (var i = 1; i < lines.Count; i++)
        {
            r.Step();
            r.Fits(result.Length + (long)width.Length);
            result.Append('\n').Append(lines[i].Length > 0 || JinjaArguments.Flag(p[2]) ? width : "").Append(lines[i]);
        }
        return r.Text(result.ToString());
    }

    private static string Blanks(JinjaRenderer r, int count)
    {
        r.Room(count);
        return new string(' ', Math.Max(0, count));
    }

    private static TemplateValue Int(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "int", "default", "base");
        if (JinjaOperators.Problem(value) is { } problem) throw r.Error(problem);
        var fallback = p[0] ?? new IntValue(0);
        if (PyNumber.TryInt(value, out var whole)) return new IntValue(whole);
        double number;
        if (value is TextValue text)
        {
            r.Room(8L * text.Value.Length);
            if (PyNumber.TryParseInt(text.Value, JinjaArguments.Int(r, p[1], 10), out whole)) return JinjaOperators.Whole(r, whole);
            if (!PyNumber.TryParseFloat(text.Value, out number)) return fallback;
        }
        else if (value is FloatValue f) number = f.Value;
        else return fallback;
        return double.IsFinite(number) ? new IntValue(new BigInteger(number)) : fallback;
    }

    private static TemplateValue Replace(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "replace", "old!", "new!", "count");
        var count = JinjaArguments.Int(r, JinjaArguments.OrNull(p[2]), -1);
        return r.Text(TextMethods.Replaced(r, Text(r, value), Text(r, p[0]!), Text(r, p[1]!), count));
    }

    private static TemplateValue Round(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "round", "precision", "method");
        var places = JinjaArguments.Int(r, p[0], 0);
        var method = p[1] is null ? "common" : JinjaArguments.Text(r, p[1]!);
        if (method is not ("common" or "ceil" or "floor")) throw r.Error("method must be common, ceil or floor");
        if (!PyNumber.IsNumber(value)) throw r.Error(JinjaOperators.Problem(value) ?? $"type {value.Type} doesn't define __round__ method");
        if (method == "common")
            return PyNumber.TryInt(value, out var whole) ? new IntValue(PyNumber.Round(whole, places))
                : new FloatValue(PyNumber.Round(PyNumber.ToDouble(value), places));
        var scale = Math.Pow(10, places);
        var scaled = PyNumber.ToDouble(value) * scale;
        if (!double.IsFinite(scaled)) throw r.Error("cannot convert float infinity to integer");
        return new FloatValue((method == "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled)) / scale);
    }

    // Jinja's own: a word begins after white space, a hyphen or an opening bracket; str.title differs.
    private static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        for (var start = 0; start < text.Length;)
        {
            var end = start;
            while (end < text.Length && !IsBetweenWords(text[end])) end++;
            if (end > start) result.Append(TitleWord(text[start..end]));
            for (start = end; start < text.Length && IsBetweenWords(text[start]); start++) result.Append(text[start]);
        }
        return result.ToString();
    }

    private static string TitleWord(string word)
    {
        var first = char.IsHighSurrogate(word[0]) && word.Length > 1 ? 2 : 1;
        return PyText.Upper(word[..first]) + PyText.Lower(word[first..]);
    }

    private static bool IsBetweenWords(char c) => c is '-' or '(' or '{' or '[' or '<' || PyText.IsSpace(c);

    private static TemplateValue ToJson(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "tojson", "ensure_ascii", "indent", "separators", "sort_keys");
        string? indent = JinjaArguments.OrNull(p[1]) switch
        {
            null => null,
            TextValue text => text.Value,
            { } number => Blanks(r, JinjaArguments.Int(r, number, 0)),
        };
        string between = indent is null ? ", " : ",", colon = ": ";
        if (JinjaArguments.OrNull(p[2]) is { } separators)
        {
            if (JinjaOperators.ToList(r, separators) is not [TextValue first, TextValue second]) throw r.Error("separators must be two texts");
            (between, colon) = (first.Value, second.Value);
        }
        return r.Text(new TemplateJson(r, JinjaArguments.Flag(p[0]), indent, between, colon, JinjaArguments.Flag(p[3])).Write(value));
    }

    private static TemplateValue Trim(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var characters = JinjaArguments.OrNull(a.Bind(r, "trim", "chars")[0]);
        return r.Text(PyText.Trim(Text(r, value), characters is null ? null : r.Charge(JinjaArguments.Text(r, characters))));
    }

    private static TemplateValue Truncate(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "truncate", "length", "killwords", "end", "leeway");
        var end = p[2] is null ? "..." : JinjaArguments.Text(r, p[2]!);
        int length = JinjaArguments.Int(r, p[0], 255), leeway = JinjaArguments.Int(r, JinjaArguments.OrNull(p[3]), 5), kept = length - PyText.Length(end);
        if (kept < 0) throw r.Error($"expected length >= {PyText.Length(end)}, got {length}");
        if (leeway < 0) throw r.Error($"expected leeway >= 0, got {leeway}");
        if (JinjaOperators.Length(r, value) <= (long)length + leeway) return value;
        var characters = PyText.Characters(JinjaArguments.Text(r, value));
        var cut = string.Concat(characters.GetRange(0, kept));
        var blank = JinjaArguments.Flag(p[1]) ? -1 : cut.LastIndexOf(' ');
        return r.Text((blank < 0 ? cut : cut[..blank]) + end);
    }

    private static TemplateValue UrlEncode(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        a.Bind(r, "urlencode");
        if (value is not (MapValue or SequenceValue)) return r.Text(Quoted(Text(r, value), inQuery: false));
        var parts = new List<string>();
        foreach (var pair in value is MapValue map ? CollectionMethods.Pairs(map) : JinjaOperators.ToList(r, value))
        {
            if (JinjaOperators.ToList(r, pair) is not [var key, var content]) throw r.Error("urlencode takes a text, a mapping or pairs");
            parts.Add($"{Quoted(Text(r, key), inQuery: true)}={Quoted(Text(r, content), inQuery: true)}");
        }
        return new TextValue(TextMethods.Joined(r, "&", parts));
    }

    private static string Quoted(string text, bool inQuery)
    {
        var result = new StringBuilder();
        foreach (var b in Encoding.UTF8.GetBytes(text))
        {
            var c = (char)b;
            if (char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-' or '~' || c == '/' && !inQuery) result.Append(c);
            else if (c == ' ' && inQuery) result.Append('+');
            else result.Append('%').Append(b.ToString("X2", System.Globalization.CultureInfo.InvariantCulture));
        }
        return result.ToString();
    }

    private static IntValue WordCount(JinjaRenderer r, JinjaArguments a, string text)
    {
        a.Bind(r, "wordcount");
        var (count, inside) = (0, false);
        foreach (var c in text)
        {
            var word = char.IsLetterOrDigit(c) || c == '_';
            if (word && !inside) count++;
            inside = word;
        }
        return new IntValue(count);
    }
}
