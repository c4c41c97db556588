using System.Globalization;
using System.Text;

namespace NanoLora.Experiments;

// CSV as in RFC 4180: a field with a comma, a quote or a line break stands in quotes, its quotes doubled.
internal static class Csv
{
    public static string Quoted(string field) =>
        field.AsSpan().IndexOfAny(",\"\r\n") < 0 ? field : $"\"{field.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    /// <summary>The records of a text, each with the line it starts in; lines without any text are left out.</summary>
    public static IEnumerable<CsvRecord> Records(string text, string source)
    {
        var (fields, field) = (new List<string>(), new StringBuilder());
        var (line, start, quoted, afterQuote) = (1, 1, false, false);
        for (var i = text.StartsWith('\uFEFF') ? 1 : 0; i <= text.Length; i++)
        {
            var c = i < text.Length ? text[i] : '\n';
            if (i == text.Length && quoted) throw new InvalidDataException($"{source}: line {start}: a quoted field does not end; the file is cut off.");
            if (c == '\n') line++;
            if (quoted)
            {
                if (c != '"') field.Append(c);
                else if (i + 1 < text.Length && text[i + 1] == '"') field.Append(text[++i]);
                else (quoted, afterQuote) = (false, true);
            }
            else if (c is ',' or '\n')
            {
                fields.Add(field.ToString());
                field.Clear();
                afterQuote = false;
                if (c != '\n') continue;
                if (fields.Count > 1 || fields[0].Length > 0) yield return new CsvRecord(source, start, [.. fields]);
                fields.Clear();
                start = line;
            }
            else if (c == '\r' && (i + 1 == text.Length || text[i + 1] == '\n')) continue;
            else if (c == '"' && field.Length == 0 && !afterQuote) quoted = true;
            else if (afterQuote || c == '"')
            {
                throw new InvalidDataException(
                    $"{source}: line {line}: a quote in the middle of a field; a field with quotes stands in quotes, its quotes doubled.");
            }
            else field.Append(c);
        }
    }
}

// One record, and how its fields are read: an error names file, line and field.
internal sealed record CsvRecord(string Source, int Line, string[] Fields)
{
    public InvalidDataException Error(string field, string what) => new($"{Source}: line {Line}: {field}: {what}");

    public string Text(int column, string field) => Fields[column].Length > 0 ? Fields[column] : throw Error(field, "is empty.");

    public int Whole(int column, string field, int least) => (int)Long(column, field, least, int.MaxValue);

    public long Long(int column, string field, long least, long most = long.MaxValue) =>
        long.TryParse(Fields[column], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var n) && n >= least && n <= most
            ? n
            : throw Error(field, $"\"{Fields[column]}\" is not a whole number from {least} on.");

    public double Number(int column, string field) =>
        double.TryParse(Fields[column], NumberStyles.Float, CultureInfo.InvariantCulture, out var x) && double.IsFinite(x)
            ? x
            : throw Error(field, $"\"{Fields[column]}\" is not a number.");

    /// <summary>The number of shots: "all", or a number.</summary>
    public int Shots(int column) => Fields[column] == ResultsCsv.All ? Cell.AllShots : Whole(column, "shots", 1);
}
