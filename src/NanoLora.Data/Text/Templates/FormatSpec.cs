using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>How one value is to be written by % or str.format: the part after the colon, or between % and the letter.</summary>
internal struct FormatSpec
{
    public string Fill = " ";
    public char Align, Sign, Type;
    public bool Alternate, Group, Zero;
    public int Width, Precision = -1;

    public FormatSpec() { }

    /// <summary>Writes a number or a text.</summary>
    public readonly string Apply(JinjaRenderer r, TemplateValue value)
    {
        if (value is TextValue text)
        {
            if (Type is not ('\0' or 's')) throw r.Error($"Unknown format code '{Type}' for object of type 'str'");
            return Padded(r, Cut(text.Value), '<', "");
        }
        if (!PyNumber.IsNumber(value)) throw r.Error(JinjaOperators.Problem(value) ?? $"unsupported format string passed to {value.Type}.__format__");
        if (Type == '\0' && value is BoolValue) return Padded(r, JinjaPrinter.Text(r, value), '<', "");
        if (PyNumber.TryInt(value, out var whole) && Type is '\0' or 'd' or 'x' or 'X' or 'o' or 'b' or 'c' or 'n')
        {
            if (value is FloatValue) throw r.Error($"Unknown format code '{Type}' for object of type 'float'");
            return Number(r, Digits(r, System.Numerics.BigInteger.Abs(whole)), whole.Sign < 0);
        }
        var number = PyNumber.ToDouble(value);
        if (value is FloatValue && Type is 'd' or 'x' or 'X' or 'o' or 'b' or 'c' or 's')
            throw r.Error($"Unknown format code '{Type}' for object of type '{value.Type}'");
        return Number(r, Real(r, Math.Abs(number)), double.IsNegative(number));
    }

    /// <summary>The text, cut to the precision.</summary>
    public readonly string Cut(string text) =>
        Precision < 0 || PyText.Length(text) <= Precision ? text : string.Concat(PyText.Characters(text).GetRange(0, Precision));

    /// <summary>The text within its width.</summary>
    public readonly string Padded(JinjaRenderer r, string text, char align, string sign)
    {
        if (Align != '\0') align = Align;
        if (align == '=') return sign + TextMethods.Pad(r, text, Width - sign.Length, Fill, "rjust");
        var room = Math.Max(0, Width - PyText.Length(sign + text));
        r.Room(room);
        var left = align == '<' ? 0 : align == '>' ? room : room / 2;
        return string.Concat(Enumerable.Repeat(Fill, left)) + sign + text + string.Concat(Enumerable.Repeat(Fill, room - left));
    }

    private readonly string Number(JinjaRenderer r, string digits, bool negative)
    {
        var sign = negative ? "-" : Sign is '+' or ' ' ? Sign.ToString() : "";
        if (Alternate && Type is 'x' or 'X' or 'o' or 'b') sign += $"0{Type}";
        return Padded(r, digits, Zero ? '=' : '>', sign);
    }

    private readonly string Digits(JinjaRenderer r, System.Numerics.BigInteger number)
    {
        switch (Type)
        {
            case 'c':
                return number <= 0x10FFFF && number is var n && (n < 0xD800 || n > 0xDFFF) ? char.ConvertFromUtf32((int)n)
                : throw r.Error("%c arg not in range(0x110000)");
            case 'x' or 'X' or 'o' or 'b':
                var numberBase = Type == 'o' ? 8 : Type == 'b' ? 2 : 16;
                var result = new StringBuilder();
                r.Step((long)number.GetBitLength() / 8);
                do
                {
                    result.Insert(0, (Type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[(int)(number % numberBase)]);
                    number /= numberBase;
                }
                while (!number.IsZero);
                return result.ToString();
            default: return Grouped(JinjaPrinter.Whole(number));
        }
    }

    private readonly string Real(JinjaRenderer r, double number)
    {
        if (!double.IsFinite(number)) return double.IsNaN(number) ? "nan" : "inf";
        if (Type == '\0' && Precision < 0) return Grouped(PyNumber.Text(number));
        if (Precision > 300) throw r.Error("a precision of more than 300 digits");
        var places = Precision < 0 ? 6 : Precision;
        switch (Type)
        {
            case 'f' or 'F': return Grouped(PyNumber.Fixed(number, places));
            case '%': return Grouped(PyNumber.Fixed(number * 100, places)) + "%";
            case 'e' or 'E': return Scientific(number, places);
            default: return General(number, Math.Max(places, 1));
        }
    }

    private readonly string Scientific(double number, int places)
    {
        var text = number.ToString($"{(Type is 'E' or 'G' ? 'E' : 'e')}{places}", CultureInfo.InvariantCulture);
        var at = text.IndexOfAny(['e', 'E']);
        var exponent = int.Parse(text.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        return string.Create(CultureInfo.InvariantCulture, $"{text[..(at + 1)]}{(exponent < 0 ? "-" : "+")}{Math.Abs(exponent):00}");
    }

    private readonly string General(double number, int digits)
    {
        var scientific = Scientific(number, digits - 1);
        var at = scientific.IndexOfAny(['e', 'E']);
        var exponent = int.Parse(scientific.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (exponent >= -4 && exponent < digits) return Grouped(Shorter(PyNumber.Fixed(number, digits - 1 - exponent)));
        return Shorter(scientific[..at]) + scientific[at..];
    }

    private static string Shorter(string digits) => digits.Contains('.') ? digits.TrimEnd('0').TrimEnd('.') : digits;

    // Commas between thousands.
    private readonly string Grouped(string digits)
    {
        if (!Group) return digits;
        var end = digits.IndexOfAny(['.', 'e']);
        var result = new StringBuilder(digits);
        for (var at = (end < 0 ? digits.Length : end) - 3; at > 0; at -= 3) result.Insert(at, ',');
        return result.ToString();
    }
}
