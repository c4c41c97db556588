using System.Globalization;
using System.Numerics;

namespace NanoLora.Data;

/// <summary>Numbers as Python has them: whole ones of any size, floats in their shortest form, rounding half to even.</summary>
internal static class PyNumber
{
    /// <summary>Whole numbers beyond so many bits are refused: Python itself prints none of more than 4,300 digits.</summary>
    public const int MostBits = 14_000;

    public static bool IsNumber(TemplateValue value) => value is BoolValue or IntValue or FloatValue;

    /// <summary>A whole number or a truth value.</summary>
    public static bool TryInt(TemplateValue value, out BigInteger number)
    {
        number = value switch { IntValue i => i.Value, BoolValue b => b.Value ? 1 : 0, _ => 0 };
        return value is IntValue or BoolValue;
    }

    public static double ToDouble(TemplateValue value) => value switch
    {
        FloatValue f => f.Value,
        IntValue i => (double)i.Value,
        BoolValue { Value: true } => 1,
        _ => 0,
    };

    /// <summary>Compares two numbers by value; an order with NaN is 2, which is neither less nor more nor equal.</summary>
    public static bool TryCompare(TemplateValue x, TemplateValue y, out int order)
    {
        order = 2;
        if (!IsNumber(x) || !IsNumber(y)) return false;
        if (TryInt(x, out var a) && TryInt(y, out var b))
        {
            order = Math.Sign(a.CompareTo(b));
            return true;
        }
        double p = ToDouble(x), q = ToDouble(y);
        if (double.IsNaN(p) || double.IsNaN(q)) return true;
        // A whole number beyond 2^53 is compared exactly.
        order = Math.Sign(x is FloatValue && y is FloatValue || double.IsInfinity(p) || double.IsInfinity(q) ? p.CompareTo(q)
            : x is FloatValue ? Compare(p, y) : -Compare(q, x));
        return true;

        static int Compare(double f, TemplateValue whole)
        {
            _ = TryInt(whole, out var number);
            var floor = new BigInteger(Math.Floor(f)).CompareTo(number);
            return floor != 0 ? floor : f > Math.Floor(f) ? 1 : 0;
        }
    }

    /// <summary>A float as Python prints it.</summary>
    public static string Text(double x)
    {
        if (double.IsNaN(x)) return "nan";
        if (double.IsInfinity(x)) return x > 0 ? "inf" : "-inf";
        var plain = x.ToString("R", CultureInfo.InvariantCulture);
        var sign = double.IsNegative(x) ? "-" : "";
        var exponentAt = plain.IndexOf('E', StringComparison.Ordinal);
        var mantissa = (exponentAt < 0 ? plain : plain[..exponentAt]).TrimStart('-');
        var digits = mantissa.Replace(".", "", StringComparison.Ordinal).TrimStart('0').TrimEnd('0');
        if (digits.Length == 0) return sign + "0.0";
        // The exponent of the first digit that is not 0.
        var whole = mantissa.Split('.')[0].TrimStart('0');
        var exponent = whole.Length > 0 ? whole.Length - 1 : 1 - mantissa.AsSpan().IndexOfAnyInRange('1', '9');
        if (exponentAt >= 0) exponent += int.Parse(plain.AsSpan(exponentAt + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (exponent is < -4 or >= 16)
        {
            var fraction = digits.Length > 1 ? "." + digits[1..] : "";
            return string.Create(CultureInfo.InvariantCulture, $"{sign}{digits[0]}{fraction}e{(exponent < 0 ? "-" : "+")}{Math.Abs(exponent):00}");
        }
        if (exponent < 0) return $"{sign}0.{new string('0', -exponent - 1)}{digits}";
        if (digits.Length <= exponent + 1) return $"{sign}{digits.PadRight(exponent + 1, '0')}.0";
        return $"{sign}{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}";
    }

    /// <summary>A finite float with so many digits after the point, the last rounded half to even on its exact value.</summary>
    public static string Fixed(double x, int places)
    {
        var scaled = Scaled(x, places);
        var digits = BigInteger.Abs(scaled).ToString(CultureInfo.InvariantCulture).PadLeft(Math.Max(places, 0) + 1, '0');
        if (places < 0) digits += new string('0', -places);
        var sign = double.IsNegative(x) ? "-" : "";
        return places <= 0 ? sign + digits : $"{sign}{digits[..^places]}.{digits[^places..]}";
    }

    /// <summary>A finite float rounded to so many places after the point, or before it where they are negative.</summary>
    public static double Round(double x, int places)
    {
        if (!double.IsFinite(x) || places > 330) return x;
        if (places < -330) return 0 * x;
        return double.Parse(Fixed(x, places), CultureInfo.InvariantCulture);
    }

    /// <summary>A whole number rounded to tens, hundreds and so on, half to even.</summary>
    public static BigInteger Round(BigInteger x, int places)
    {
        if (places >= 0) return x;
        var unit = BigInteger.Pow(10, -Math.Max(places, -4500));                // more than any number that is allowed
        return Divide(x, unit) * unit;
    }

    // x · 10^places as a whole number, half to even. x is m · 2^e exactly.
    private static BigInteger Scaled(double x, int places)
    {
        var bits = BitConverter.DoubleToInt64Bits(x);
        var e = (int)(bits >> 52 & 0x7FF);
        BigInteger m = e == 0 ? bits & 0xFFFFFFFFFFFFF : bits & 0xFFFFFFFFFFFFF | 1L << 52;
        e = Math.Max(e, 1) - 1075;
        BigInteger divisor = 1;
        if (e > 0) m <<= e;
        else divisor <<= -e;
        if (places > 0) m *= BigInteger.Pow(10, places);
        else divisor *= BigInteger.Pow(10, -places);
        return x < 0 ? -Divide(m, divisor) : Divide(m, divisor);
    }

    private static BigInteger Divide(BigInteger x, BigInteger divisor)
    {
        var floor = FloorDivide(x, divisor);
        var twice = 2 * (x - floor * divisor);
        return twice > divisor || twice == divisor && !floor.IsEven ? floor + 1 : floor;
    }

    /// <summary>Division that rounds down.</summary>
    public static BigInteger FloorDivide(BigInteger x, BigInteger y)
    {
        var quotient = BigInteger.DivRem(x, y, out var rest);
        return !rest.IsZero && rest.Sign < 0 != y.Sign < 0 ? quotient - 1 : quotient;
    }

    /// <summary>The rest of <see cref="FloorDivide"/>: it has the divisor's sign.</summary>
    public static double FloorRest(double x, double y)
    {
        var rest = x % y;
        return rest != 0 && rest < 0 != y < 0 ? rest + y : rest == 0 ? Math.CopySign(0, y) : rest;
    }

    /// <summary>A whole number as Python's int() reads it: blanks around, a sign, single underscores, a prefix where the base asks for it.</summary>
    public static bool TryParseInt(string text, int numberBase, out BigInteger number)
    {
        number = 0;
        var rest = PyText.Trim(text).AsSpan();
        var negative = rest.StartsWith("-", StringComparison.Ordinal);
        if (negative || rest.StartsWith("+", StringComparison.Ordinal)) rest = rest[1..];
        var prefix = rest.Length > 2 && rest[0] == '0' ? char.ToLowerInvariant(rest[1]) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 0 } : 0;
        if (prefix != 0 && (numberBase == 0 || numberBase == prefix))
        {
            numberBase = prefix;
            rest = rest[2..];
            if (rest.StartsWith("_", StringComparison.Ordinal)) rest = rest[1..];
        }
        if (numberBase == 0) numberBase = 10;
        if (rest.Length is 0 or > 4000) return false;
        var after = '_';
        foreach (var c in rest)
        {
            if (c == '_' && after == '_') return false;
            after = c;
            if (c == '_') continue;
            var digit = char.IsAsciiDigit(c) ? c - '0' : char.IsAsciiLetter(c) ? char.ToLowerInvariant(c) - 'a' + 10
                : char.IsDigit(c) ? (int)char.GetNumericValue(c) : 99;
            if (digit >= numberBase) return false;
            number = number * numberBase + digit;
        }
        if (negative) number = -number;
        return after != '_';
    }

    /// <summary>A number as Python's float() reads it.</summary>
    public static bool TryParseFloat(string text, out double number)
    {
        text = PyText.Trim(text);
        number = text.TrimStart('+', '-').ToLowerInvariant() switch
        {
            "inf" or "infinity" => text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity,
            "nan" => double.NaN,
            _ => 0,
        };
        if (number != 0) return text.Length > 0 && text.LastIndexOfAny(['+', '-']) <= 0;
        var plain = text.Replace("_", "", StringComparison.Ordinal);
        return text.Length > 0 && (char.IsAsciiDigit(text[^1]) || text[^1] == '.') && !text.Contains("__", StringComparison.Ordinal) && text[0] != '_'
            && double.TryParse(plain, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent,
                CultureInfo.InvariantCulture, out number);
    }
}
