using System.Globalization;

namespace NanoLora.Data;

/// <summary>
/// Reads the samples of a file: JSONL, or CSV if its name ends so. The first line decides what kind all of them are. Fields that have no meaning here are
/// passed over, and named once.
/// </summary>
internal sealed class TextRecords(string path, TextTaskOptions options)
{
    private static readonly string[] Fields = ["text", "label", "prompt", "completion", "messages", "split"];

    private readonly Dictionary<string, string> _called = Called(path, options.Fields);        // our names to the file's
    private readonly List<TextSample> _samples = [];

    /// <summary>What the samples are; of an empty file nothing.</summary>
    public TextKind? Kind { get; private set; }

    /// <summary>All samples, in the file's order.</summary>
    /// <exception cref="InvalidDataException">The file is missing, empty or malformed; the message names file, line and field.</exception>
    public IReadOnlyList<TextSample> Read()
    {
        if (Path.GetExtension(path).Equals(".csv", StringComparison.OrdinalIgnoreCase)) ReadCsv();
        else ReadJson();
        return _samples.Count > 0 ? _samples
            : throw new InvalidDataException($"{path}: there is no sample in it; each line is one, such as {{\"prompt\": \"…\", \"completion\": \"…\"}}.");
    }

    private void ReadJson()
    {
        using var lines = new TextLines(path);
        while (lines.TryRead(out var line))
        {
            if (line.Span.IndexOfAnyExcept((ReadOnlySpan<byte>)" \t\r"u8) < 0) continue;
            Add(new JsonRecord(lines.Place, line), lines.Line);
        }
    }

    private void ReadCsv()
    {
        if (!File.Exists(path)) throw new InvalidDataException($"{path}: there is no such file.");
        using var csv = new Csv(path);
        if (csv.Read() is not { } header) return;
        string[] columns = [.. header.Select(static h => h.Trim())];
        if (columns.FirstOrDefault(c => columns.Count(other => other == c) > 1) is { } twice)
            throw new InvalidDataException($"{path}: line 1: there are two columns {twice}.");
        while (csv.Read() is { } fields)
        {
            if (fields is [""] && columns.Length > 1) continue;                                // a blank line
            var place = $"{path}: line {csv.Line}";
            if (fields.Length != columns.Length) throw new InvalidDataException($"{place}: {fields.Length} fields, but the header has {columns.Length}.");
            Add(new CsvRecord(place, columns, fields), csv.Line);
        }
    }

    private void Add(TextRecord record, int line)
    {
        options.Cancellation.ThrowIfCancellationRequested();
        var kind = Kind ??= First(record);
        var sample = kind switch
        {
            TextKind.Completion => new TextSample { Text = record.Text(Of("prompt"), mayBeEmpty: true), Answer = record.Text(Of("completion")) },
            TextKind.Labelled => new TextSample { Text = record.Text(Of("text")), Answer = record.Label(Of("label")) },
            TextKind.Chat => Chat(record),
            _ => new TextSample { Text = record.Text(Of("text")) },
        };
        _samples.Add(sample with { Source = path, Line = line, Part = Part(record) });
    }

    private TextSample Chat(TextRecord record)
    {
        var (messages, json) = record.Messages(Of("messages"));
        return new TextSample { Text = json, Messages = messages };
    }

    private TaskPart Part(TextRecord record)
    {
        if (!record.Has(Of("split"))) return TaskPart.Unknown;
        var split = record.Text(Of("split"));
        return TaskParts.Of(split) ?? throw new InvalidDataException($"{record.Place}: {Of("split")}: \"{split}\" is none of train, val, test.");
    }

    // What the first line has decides for all.
    private TextKind First(TextRecord record)
    {
        TextKind? kind = Has("messages") ? TextKind.Chat : Has("prompt") && Has("completion") ? TextKind.Completion
            : Has("text") ? Has("label") ? TextKind.Labelled : TextKind.Text : null;
        if (kind is null)
        {
            throw new InvalidDataException($"{record.Place}: there is none of text, text with label, prompt with completion, messages, but "
                + $"{string.Join(", ", record.Names.Take(8))}; say which field is meant, as in prompt=question,completion=answer.");
        }
        string[] others = [.. record.Names.Except(Fields.Select(Of)).Take(8)];
        if (others.Length > 0) options.Note?.Invoke($"{path}: these fields are not looked at: {string.Join(", ", others)}");
        return kind.Value;

        bool Has(string field) => record.Has(Of(field));
    }

    private string Of(string field) => _called.GetValueOrDefault(field, field);

    private static Dictionary<string, string> Called(string path, IReadOnlyDictionary<string, string> fields)
    {
        if (fields.Keys.FirstOrDefault(f => !Fields.Contains(f)) is { } unknown)
            throw new ArgumentException($"{path}: \"{unknown}\" is no field that is read; known are {string.Join(", ", Fields)}.");
        return new(fields);
    }
}

/// <summary>The classes of labelled texts.</summary>
internal static class TextClasses
{
    /// <summary>Names in ordinal order, or by size where all are whole numbers.</summary>
    public static string[] Of(IEnumerable<TextSample> samples)
    {
        string[] names = [.. samples.Select(static s => s.Answer).Distinct()];
        if (Array.TrueForAll(names, static n => long.TryParse(n, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _)))
            return [.. names.OrderBy(static n => long.Parse(n, CultureInfo.InvariantCulture)).ThenBy(static n => n, StringComparer.Ordinal)];
        return [.. names.Order(StringComparer.Ordinal)];
    }
}
