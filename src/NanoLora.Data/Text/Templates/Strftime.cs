using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>Dates as C's strftime writes them, in English, for a time without a zone.</summary>
internal static class Strftime
{
    public static string Format(JinjaRenderer r, DateTime time, string format)
    {
        var result = new StringBuilder();
        Add(r, time, format, result);
        return result.ToString();
    }

    private static void Add(JinjaRenderer r, DateTime time, string format, StringBuilder result)
    {
        for (var at = 0; at < format.Length; at++)
        {
            if (format[at] != '%' || at + 1 == format.Length)
            {
                result.Append(format[at]);
                continue;
            }
            var start = at++;
            var plain = format[at] == '-' && at + 1 < format.Length;              // %-d: without a leading zero
            if (plain) at++;
            r.Fits(result.Length);
            if (Field(time, format[at]) is { } field) result.Append(plain ? Shortened(field) : field);
            else if (Composed(format[at]) is { } composed) Add(r, time, composed, result);
            else result.Append(format, start, at + 1 - start);
        }
    }

    private static string Shortened(string field)
    {
        if (field.AsSpan().IndexOfAnyExceptInRange('0', '9') >= 0) return field.TrimStart(' ');
        return field.TrimStart('0') is { Length: > 0 } kept ? kept : "0";
    }

    private static string? Composed(char letter) => letter switch
    {
        'c' => "%a %b %e %H:%M:%S %Y",
        'D' or 'x' => "%m/%d/%y",
        'F' => "%Y-%m-%d",
        'R' => "%H:%M",
        'r' => "%I:%M:%S %p",
        'T' or 'X' => "%H:%M:%S",
        _ => null,
    };

    private static string? Field(DateTime t, char letter)
    {
        var english = CultureInfo.InvariantCulture;
        string Two(int number) => number.ToString("00", english);
        return letter switch
        {
            '%' => "%",
            'A' => t.ToString("dddd", english),
            'a' => t.ToString("ddd", english),
            'B' => t.ToString("MMMM", english),
            'b' or 'h' => t.ToString("MMM", english),
            'C' => Two(t.Year / 100),
            'd' => Two(t.Day),
            'e' => t.Day.ToString(english).PadLeft(2),
            'f' => (t.Ticks % TimeSpan.TicksPerSecond / 10).ToString("000000", english),
            'G' => ISOWeek.GetYear(t).ToString(english),
            'H' => Two(t.Hour),
            'I' => Two((t.Hour + 11) % 12 + 1),
            'j' => t.DayOfYear.ToString("000", english),
            'M' => Two(t.Minute),
            'm' => Two(t.Month),
            'n' => "\n",
            'p' => t.Hour < 12 ? "AM" : "PM",
            'S' => Two(t.Second),
            't' => "\t",
            'U' => Two((t.DayOfYear + 6 - (int)t.DayOfWeek) / 7),
            'u' => ((int)(t.DayOfWeek + 6) % 7 + 1).ToString(english),
            'V' => Two(ISOWeek.GetWeekOfYear(t)),
            'W' => Two((t.DayOfYear + 6 - (int)(t.DayOfWeek + 6) % 7) / 7),
            'w' => ((int)t.DayOfWeek).ToString(english),
            'Y' => t.Year.ToString(english),
            'y' => Two(t.Year % 100),
            'Z' or 'z' => "",
            _ => null,
        };
    }
}
