using System.Text;

namespace NanoLora.Data;

/// <summary>text % values.</summary>
internal static class PercentFormat
{
    public static string Apply(JinjaRenderer r, string format, TemplateValue values)
    {
        r.Charge(format);
        var tuple = values is SequenceValue { Kind: SequenceKind.Tuple } t ? t.Items : null;
        var (result, used, at) = (new StringBuilder(), 0, 0);
        while (at < format.Length)
        {
            r.Fits(result.Length);
            if (format[at] != '%')
            {
                result.Append(format[at++]);
                continue;
            }
            at++;
            TemplateValue? named = null;
            if (at < format.Length && format[at] == '(')
            {
                var end = format.IndexOf(')', at);
                if (end < 0) throw r.Error("incomplete format key");
                if (values is not MapValue map) throw r.Error("format requires a mapping");
                named = map.Find(format[(at + 1)..end]) ?? throw r.Error($"KeyError: {PyText.Repr(format[(at + 1)..end])}");
                at = end + 1;
            }
            var spec = new FormatSpec();
            for (; at < format.Length && format[at] is '-' or '+' or ' ' or '0' or '#'; at++)
            {
                if (format[at] == '-') spec.Align = '<';
                else if (format[at] == '0') (spec.Zero, spec.Fill) = (true, "0");
                else if (format[at] == '#') spec.Alternate = true;
                else if (spec.Sign != '+') spec.Sign = format[at];
            }
            if (spec.Align == '<') spec.Fill = " ";
            spec.Width = Amount(r, format, ref at, Next);
            if (spec.Width < 0) (spec.Align, spec.Width) = ('<', -spec.Width);
            if (at < format.Length && format[at] == '.')
            {
                at++;
                spec.Precision = Math.Max(0, Amount(r, format, ref at, Next));
            }
            if (at == format.Length) throw r.Error("incomplete format");
            var type = format[at++];
            if (type == '%') result.Append('%');
            else result.Append(One(r, spec, type, named ?? Next()));
        }
        if (tuple is not null ? used < tuple.Count : used == 0 && values is not (MapValue or UndefinedValue or SequenceValue { HasElements: true }))
            throw r.Error("not all arguments converted during string formatting");
        return result.ToString();

        TemplateValue Next()
        {
            var value = tuple is null ? used == 0 ? values : null : used < tuple.Count ? tuple[used] : null;
            used++;
            return value ?? throw r.Error("not enough arguments for format string");
        }
    }

    private static int Amount(JinjaRenderer r, string format, ref int at, Func<TemplateValue> next)
    {
        if (at < format.Length && format[at] == '*')
        {
            at++;
            return Math.Clamp(JinjaArguments.Int(r, next(), 0), -1_000_000_000, 1_000_000_000);
        }
        long amount = 0;
        for (; at < format.Length && char.IsAsciiDigit(format[at]); at++)
            if ((amount = amount * 10 + format[at] - '0') > 1_000_000_000) throw r.Error("width too big");
        return (int)amount;
    }

    private static string One(JinjaRenderer r, FormatSpec spec, char type, TemplateValue value)
    {
        switch (type)
        {
            case 's' or 'r' or 'a':
                spec.Fill = " ";
                return spec.Padded(r, spec.Cut(type == 's' ? JinjaPrinter.Text(r, value) : JinjaPrinter.Repr(r, value)), '>', "");
            case 'd' or 'i' or 'u':
                if (!PyNumber.IsNumber(value)) throw r.Error(JinjaOperators.Problem(value) ?? $"%{type} format: a real number is required, not {value.Type}");
                spec.Type = 'd';
                if (value is FloatValue f)
                    value = double.IsFinite(f.Value) ? new IntValue(new System.Numerics.BigInteger(f.Value))
                        : throw r.Error("cannot convert float infinity to integer");
                return spec.Apply(r, value);
            case 'x' or 'X' or 'o':
                if (!PyNumber.TryInt(value, out _)) throw r.Error(JinjaOperators.Problem(value) ?? $"%{type} format: an integer is required, not {value.Type}");
                spec.Type = type;
                return spec.Apply(r, value);
            case 'f' or 'F' or 'e' or 'E' or 'g' or 'G':
                if (!PyNumber.IsNumber(value)) throw r.Error(JinjaOperators.Problem(value) ?? $"must be real number, not {value.Type}");
                spec.Type = type;
                return spec.Apply(r, new FloatValue(PyNumber.ToDouble(value)));
            case 'c':
                if (value is TextValue text && PyText.Length(text.Value) == 1) return spec.Padded(r, text.Value, '>', "");
                if (!PyNumber.TryInt(value, out _)) throw r.Error("%c requires int or char");
                spec.Type = 'c';
                return spec.Apply(r, value);
            default: throw r.Error($"unsupported format character {PyText.Repr(type.ToString())}");
        }
    }
}
