namespace NanoLora.Data;

/// <summary>
/// A task as an index: a CSV file (RFC 4180, UTF-8) with the columns <c>path</c> and <c>label</c>, and if known <c>split</c> (train, val, test) and
/// <c>group</c>, who made the picture. Paths are relative to the file; classes come in the ordinal order of their labels.
/// </summary>
public static class ImageCsv
{
    private static readonly string[] Columns = ["path", "label", "split", "group"];

    /// <summary>Reads an index and its pictures; the images are brought to the model's size as they are read.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">Names the task; the file's name if not given.</param>
    /// <param name="processor">How the model wants its images.</param>
    /// <param name="options">Split, pool, inversion, and who is told.</param>
    /// <exception cref="InvalidDataException">The index is malformed or names what is not there, a file is no picture, or the images are too many; the message
    /// names file, line and column.</exception>
    /// <exception cref="OperationCanceledException">The options' token was cancelled.</exception>
    public static ImageTask Read(string path, string? name, ImageProcessor processor, UserTaskOptions? options = null) =>
        PictureTask.Read(name ?? UserTask.NameOf(path), path, Rows(path), processor, options ?? new());

    private static List<PictureFile> Rows(string path)
    {
        if (!File.Exists(path)) throw new InvalidDataException($"{path}: there is no such file.");
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var files = new List<PictureFile>();
        var lines = new Dictionary<string, int>(StringComparer.Ordinal);
        using var csv = new Csv(path);
        var columns = Header(path, csv);
        while (csv.Read() is { } fields)
        {
            if (fields is [""]) continue;                                                // a blank line
            var line = $"{path}: line {csv.Line}";
            if (fields.Length != columns.Length) throw new InvalidDataException($"{line}: {fields.Length} fields, but the header has {columns.Length}.");

            var picture = Path.Combine(folder, Field("path")!);
            if (!File.Exists(picture)) throw new InvalidDataException($"{line}: path: there is no file {picture}; paths are relative to the index.");
            picture = Path.GetFullPath(picture);
            if (!lines.TryAdd(picture, csv.Line)) throw new InvalidDataException($"{line}: path: {picture} stands in line {lines[picture]} already.");
            var split = Field("split");
            var part = split is null ? TaskPart.Unknown
                : TaskParts.Of(split) ?? throw new InvalidDataException($"{line}: split: \"{split}\" is none of train, val, test.");
            files.Add(new(picture, Field("label")!, part, Field("group"), $"{line}: "));

            string? Field(string column)
            {
                var at = Array.IndexOf(columns, column);
                if (at < 0) return null;
                return string.IsNullOrWhiteSpace(fields[at]) ? throw new InvalidDataException($"{line}: {column}: it is empty.") : fields[at];
            }
        }
        return files.Count > 0 ? files : throw new InvalidDataException($"{path}: there is no picture in it, only the header.");
    }

    // In any order, but no other columns: a misspelt one would be left out in silence.
    private static string[] Header(string path, Csv csv)
    {
        if (csv.Read() is not { } header)
            throw new InvalidDataException($"{path}: the file is empty; its first line is path,label, then split and group if known.");
        string[] columns = [.. header.Select(h => h.Trim().ToLowerInvariant())];
        for (var i = 0; i < columns.Length; i++)
        {
            if (!Columns.Contains(columns[i])) throw Wrong($"column {i + 1} is \"{header[i]}\"; known are {string.Join(", ", Columns)}, with commas between");
            if (Array.IndexOf(columns, columns[i]) < i) throw Wrong($"there are two columns {columns[i]}");
        }
        foreach (var needed in Columns[..2])
            if (!columns.Contains(needed)) throw Wrong($"there is no column {needed}");
        return columns;

        InvalidDataException Wrong(string message) => new($"{path}: line 1: {message}.");
    }
}
