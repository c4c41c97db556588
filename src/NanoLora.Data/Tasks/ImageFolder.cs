namespace NanoLora.Data;

/// <summary>
/// A task as a folder of pictures: <c>DIR/class/*.png</c>, or <c>DIR/train/class/*.png</c> beside <c>DIR/test/class/*.png</c>. Classes are the folders' names
/// in ordinal order, pictures come in the ordinal order of theirs.
/// </summary>
/// <remarks>
/// Pictures lie directly in the folder of their class. Names that begin with a dot are passed over; files without the extension of a picture are left out and
/// counted in <see cref="UserTaskOptions.Note"/>; a file that has the extension and is no picture is refused. Symbolic links are followed.
/// </remarks>
public static class ImageFolder
{
    // What Pictures decodes, by the names that such files have.
    private static readonly string[] Extensions = [".png", ".jpg", ".jpeg", ".ppm", ".pgm"];

    /// <summary>Reads a folder; the images are brought to the model's size as they are read.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="name">Names the task; the folder's name if not given.</param>
    /// <param name="processor">How the model wants its images.</param>
    /// <param name="options">Split, pool, inversion, and who is told.</param>
    /// <exception cref="InvalidDataException">A class has no picture, a file is none, or the images are too many; the message names it.</exception>
    /// <exception cref="OperationCanceledException">The options' token was cancelled.</exception>
    public static ImageTask Read(string folder, string? name, ImageProcessor processor, UserTaskOptions? options = null)
    {
        options ??= new();
        if (!Directory.Exists(folder)) throw new InvalidDataException($"{folder}: there is no such folder.");
        var ignored = new SortedDictionary<string, int>(StringComparer.Ordinal);
        var files = new List<PictureFile>();
        var parts = Parts(folder);
        if (parts is null) Classes(folder, TaskPart.Unknown, files, ignored);
        else foreach (var (part, at) in parts) Classes(at, part, files, ignored);

        if (ignored.Count > 0)
            options.Note?.Invoke($"{folder}: {ignored.Values.Sum()} other files are left out: {Counted(ignored)}");
        return PictureTask.Read(name ?? UserTask.NameOf(folder), folder, files, processor, options);
    }

    // A class may be called train, so these names mean parts only if they are all there is and folders lie within.
    private static List<(TaskPart, string)>? Parts(string folder)
    {
        var parts = new List<(TaskPart Part, string)>();
        foreach (var at in Folders(folder))
        {
            if (TaskParts.Of(Path.GetFileName(at)) is not { } part || Folders(at).Count == 0) return null;
            parts.Add((part, at));
        }
        return parts.Exists(p => p.Part == TaskPart.Train) ? parts : null;
    }

    private static void Classes(string folder, TaskPart part, List<PictureFile> files, SortedDictionary<string, int> ignored)
    {
        var classes = Folders(folder);
        if (classes.Count == 0) throw new InvalidDataException($"{folder}: there are no folders in it; each class is a folder of pictures.");
        foreach (var at in classes)
        {
            var before = files.Count;
            var others = new SortedDictionary<string, int>(StringComparer.Ordinal);
            foreach (var file in Files(at))
            {
                if (IsPicture(file)) files.Add(new(file, Path.GetFileName(at), part));
                else Count(others, file);
            }
            if (files.Count == before) throw new InvalidDataException($"{at}: the class has no pictures{Instead(at, others)}; add some, or remove the folder.");
            foreach (var (kind, count) in others) ignored[kind] = ignored.GetValueOrDefault(kind) + count;
        }
        foreach (var file in Files(folder)) Count(ignored, file);

        static void Count(SortedDictionary<string, int> kinds, string file)
        {
            var kind = Path.GetExtension(file) is { Length: > 0 } extension ? extension : "without extension";
            kinds[kind] = kinds.GetValueOrDefault(kind) + 1;
        }
    }

    private static string Instead(string folder, SortedDictionary<string, int> others)
    {
        if (Folders(folder) is { Count: > 0 } inner) return $", but the folder {Path.GetFileName(inner[0])}, and only pictures directly in it are read";
        return others.Count == 0 ? "" : $" that can be read ({string.Join(", ", Extensions)}), but {Counted(others)}";
    }

    private static string Counted(SortedDictionary<string, int> kinds) => string.Join(", ", kinds.Select(k => $"{k.Value} {k.Key}"));

    private static bool IsPicture(string file) => Extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase);

    private static List<string> Folders(string folder) => Sorted(Directory.EnumerateDirectories(folder));

    private static List<string> Files(string folder) => Sorted(Directory.EnumerateFiles(folder));

    private static List<string> Sorted(IEnumerable<string> paths)
    {
        var shown = new List<string>();
        foreach (var path in paths) if (!Path.GetFileName(path).StartsWith('.')) shown.Add(path);
        shown.Sort(StringComparer.Ordinal);
        return shown;
    }
}
