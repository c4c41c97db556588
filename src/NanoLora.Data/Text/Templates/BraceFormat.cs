using System.Text;

namespace NanoLora.Data;

/// <summary>text.format(values): fields as {}, {0}, {name}, {0.name[key]}, with a conversion !r or !s and a format.</summary>
internal static class BraceFormat
{
    public static string Apply(JinjaRenderer r, string format, JinjaArguments arguments)
    {
        r.Charge(format);
        var (result, automatic, at) = (new StringBuilder(), 0, 0);
        while (at < format.Length)
        {
            r.Fits(result.Length);
            var c = format[at++];
            if (c is not ('{' or '}')) result.Append(c);
            else if (at < format.Length && format[at] == c)
            {
                result.Append(c);
                at++;
            }
            else if (c == '}') throw r.Error("Single '}' encountered in format string");
            else
            {
                var end = format.IndexOf('}', at);
                if (end < 0) throw r.Error("Single '{' encountered in format string");
                result.Append(Field(r, format[at..end], arguments, ref automatic));
                at = end + 1;
            }
        }
        return result.ToString();
    }

    private static string Field(JinjaRenderer r, string field, JinjaArguments arguments, ref int automatic)
    {
        if (field.Contains('{')) throw r.Error("a format within a format is not supported");
        var colon = field.IndexOf(':');
        var spec = colon < 0 ? "" : field[(colon + 1)..];
        var path = colon < 0 ? field : field[..colon];
        var mark = path.IndexOf('!');
        var conversion = mark < 0 ? "" : path[(mark + 1)..];
        if (mark >= 0) path = path[..mark];
        var length = path.IndexOfAny(['.', '[']);
        var head = length < 0 ? path : path[..length];
        if (head.Length == 0) head = (automatic++).ToString(System.Globalization.CultureInfo.InvariantCulture);
        var value = char.IsAsciiDigit(head[0])
            ? int.TryParse(head, out var i) && i < arguments.Given.Count ? arguments.Given[i]
                : throw r.Error($"Replacement index {head} out of range for positional args tuple")
            : arguments.Named.TryGetValue(head, out var named) ? named : throw r.Error($"KeyError: {PyText.Repr(head)}");
        if (length >= 0) value = Follow(r, value, path, length);
        value = conversion switch
        {
            "" => value,
            "s" => r.Text(JinjaPrinter.Text(r, value)),
            "r" => r.Text(JinjaPrinter.Repr(r, value)),
            _ => throw r.Error($"Unknown conversion specifier {PyText.Repr(conversion)}"),
        };
        if (spec.Length == 0) return JinjaPrinter.Text(r, value);
        return Spec(r, spec).Apply(r, value);
    }

    private static TemplateValue Follow(JinjaRenderer r, TemplateValue value, string path, int at)
    {
        while (at < path.Length)
        {
            var bracket = path[at] == '[';
            if (!bracket && path[at] != '.') throw r.Error("Only '.' or '[' may follow ']' in format field specifier");
            var end = bracket ? path.IndexOf(']', at) : path.IndexOfAny(['.', '['], at + 1) is var next and >= 0 ? next : path.Length;
            if (end < 0) throw r.Error("Missing ']' in format string");
            var name = path[(at + 1)..end];
            if (name.Length == 0) throw r.Error("Empty attribute in format string");
            value = bracket ? JinjaAccess.Step(r, value, name) : JinjaAccess.Attribute(r, value, name);
            at = bracket ? end + 1 : end;
        }
        return value;
    }

    // [[fill]align][sign][#][0][width][,][.precision][type]
    private static FormatSpec Spec(JinjaRenderer r, string text)
    {
        var spec = new FormatSpec();
        var characters = PyText.Characters(text);
        var at = 0;
        if (characters.Count > 1 && characters[1] is "<" or ">" or "=" or "^")
        {
            spec.Fill = characters[0];
            at = 1;
        }
        if (at < characters.Count && characters[at] is "<" or ">" or "=" or "^") spec.Align = characters[at++][0];
        if (at < characters.Count && characters[at] is "+" or "-" or " ") spec.Sign = characters[at++][0];
        if (Is("#")) spec.Alternate = true;
        if (Is("0"))
        {
            spec.Zero = true;
            if (spec.Align == '\0') spec.Fill = "0";
        }
        spec.Width = Amount();
        if (Is(",")) spec.Group = true;
        if (Is(".")) spec.Precision = Amount();
        if (at < characters.Count) spec.Type = characters[at++][0];
        if (at < characters.Count || spec.Type is not ('\0' or 's' or 'd' or 'n' or 'b' or 'c' or 'o' or 'x' or 'X' or 'e' or 'E' or 'f' or 'F' or 'g'
            or 'G' or '%'))
            throw r.Error($"Invalid format specifier {PyText.Repr(text)}");
        return spec;

        bool Is(string mark)
        {
            if (at >= characters.Count || characters[at] != mark) return false;
            at++;
            return true;
        }

        int Amount()
        {
            long amount = 0;
            for (; at < characters.Count && char.IsAsciiDigit(characters[at][0]); at++)
                if ((amount = amount * 10 + characters[at][0] - '0') > 1_000_000_000) throw r.Error("Too many decimal digits in format string");
            return (int)amount;
        }
    }
}
