using System.Globalization;

namespace NanoLora.Data;

/// <summary>How images of a user's own become a task.</summary>
public sealed record UserTaskOptions
{
    /// <summary>What the images may be used for.</summary>
    public Pool Pool { get; init; } = Pool.Upstream;

    /// <summary>Turns dark into bright before anything else: for dark ink on white paper, where the base saw bright strokes on black.</summary>
    public bool Invert { get; init; }

    /// <summary>
    /// The share of each class that is for tests, from 0 to below 1, where the images are not divided already. If not given, a sixth of folders and indexes
    /// (at least one image of two), and nothing of a single pair of IDX files.
    /// </summary>
    public double? TestShare { get; init; }

    /// <summary>Chooses among the splits of one share. Two readers of the same images have to agree on it.</summary>
    public ulong SplitSeed { get; init; } = 1;

    /// <summary>The names that the numbers of an IDX file may stand for: a model's classes.</summary>
    public IReadOnlyList<string>? Labels { get; init; }

    /// <summary>A folder of raw sources, whose tasks can be read by name.</summary>
    public string? DataFolder { get; init; }

    /// <summary>Is told, in a line each, what was left out.</summary>
    public Action<string>? Note { get; init; }

    /// <summary>Is told how many pictures are read of how many, by one thread at a time.</summary>
    public Action<int, int>? Progress { get; init; }

    /// <summary>Ends the reading of pictures.</summary>
    public CancellationToken Cancellation { get; init; }
}

/// <summary>
/// Reads a task of any kind: a task file, a folder of pictures (<see cref="ImageFolder"/>), an index of pictures (<see cref="ImageCsv"/>), IDX files, or a
/// source by name. The images come in the model's size; a test image that is a copy of a training image is left out.
/// </summary>
public static class UserTask
{
    /// <summary>What <see cref="Read"/> understands, as a part of a sentence.</summary>
    public const string Kinds = "a folder with a folder of pictures per class, a .csv index (path,label), a task file (.safetensors), or IDX files "
        + "IMAGES,LABELS or TRAIN-IMAGES,TRAIN-LABELS,TEST-IMAGES,TEST-LABELS";

    /// <summary>Reads a task.</summary>
    /// <param name="spec">A path, several IDX files with commas between, or the name of a source of <see cref="UserTaskOptions.DataFolder"/>.</param>
    /// <param name="name">Names the task; few-shot draws depend on it. If not given, the name is that of the source, the file or the folder.</param>
    /// <param name="processor">How the model wants its images. Images that have its size already pass through as they are.</param>
    /// <param name="options">Split, pool, inversion, and who is told.</param>
    /// <exception cref="ArgumentException">There is no such task.</exception>
    /// <exception cref="InvalidDataException">A file is malformed; the message names it and what is wrong in it.</exception>
    /// <exception cref="OperationCanceledException">The options' token was cancelled.</exception>
    public static ImageTask Read(string spec, string? name, ImageProcessor processor, UserTaskOptions? options = null)
    {
        options ??= new();
        if (Directory.Exists(spec)) return ImageFolder.Read(spec, name, processor, options);
        if (File.Exists(spec))
        {
            return ImageFiles.Kind(spec) switch
            {
                FileKind.Idx => throw new ArgumentException($"{spec} is one IDX file; a task is images and labels, IMAGES,LABELS."),
                FileKind.Picture => throw new ArgumentException($"{spec} is one picture; a task is {Kinds}."),
                FileKind.Csv => ImageCsv.Read(spec, name, processor, options),
                _ => Shaped(Renamed(TaskFile.Read(spec), name), spec, processor, options),
            };
        }
        if (spec.Split(',') is { Length: 2 or 4 } files) return Shaped(OfIdx(files, name ?? Path.GetFileName(files[0]), options), files[0], processor, options);
        if (options.DataFolder is null) throw new ArgumentException($"\"{spec}\" is neither a file nor a folder; a task is {Kinds}.");
        return Shaped(Renamed(Source(spec, options.DataFolder), name), spec, processor, options);
    }

    /// <summary>The few-shot tasks of a folder of raw sources, without images that two pools or the training and test part of one task would share.</summary>
    /// <exception cref="ArgumentException">There is no such folder.</exception>
    public static IReadOnlyList<ImageTask> Sources(string dataFolder)
    {
        if (!Directory.Exists(dataFolder)) throw new ArgumentException($"{dataFolder} is not a folder; name the folder of raw image sets.");
        return Pools.Separate([.. Data.Sources.LoadTasks(dataFolder)]);
    }

    /// <summary>What a file or folder names a task: its own name without the extension of an index.</summary>
    internal static string NameOf(string path)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        var name = Directory.Exists(path) ? Path.GetFileName(full) : Path.GetFileNameWithoutExtension(full);
        return name.Length > 0 ? name : "images";
    }

    /// <summary>Leaves out test images that are copies of training images, and says which.</summary>
    /// <param name="task">The task.</param>
    /// <param name="source">What the note begins with.</param>
    /// <param name="options">Who is told.</param>
    /// <param name="place">Names an image, from whether it is a test image and its index.</param>
    internal static ImageTask WithoutCopies(ImageTask task, string source, UserTaskOptions options, Func<bool, int, string> place)
    {
        var copies = Pools.Overlaps([task]);
        if (copies.Count == 0) return task;
        var (first, second) = (copies[0].First, copies[0].Second);
        options.Note?.Invoke($"{source}: {copies.Count} test images are left out as copies of training images; "
            + $"the first: {place(second.InTest, second.Index)} is the same as {place(first.InTest, first.Index)}");
        return Pools.Separate([task])[0];
    }

    private static ImageTask Shaped(ImageTask task, string source, ImageProcessor processor, UserTaskOptions options)
    {
        if (task.Train.Count + task.Test.Count == 0) throw new InvalidDataException($"{source}: there are no images in it.");
        if (options.Invert) task = new(task.Name, Resize.Invert(task.Train), Resize.Invert(task.Test), task.Pool);
        if (task.Test.Count == 0 && options.TestShare is { } share and > 0)
        {
            var test = Split.Test(task.Train.Labels, Array.ConvertAll(task.Train.Labels, l => task.Classes[l]), task.Train.Groups, share, options.SplitSeed);
            task = new(task.Name, task.Train.Subset(Where(test, false)), task.Train.Subset(Where(test, true)), task.Pool);
        }
        return WithoutCopies(ModelImages.Fit(task, processor), source, options, (inTest, i) => $"{(inTest ? "test" : "training")} image {i}");

        static int[] Where(bool[] test, bool wanted)
        {
            var chosen = new List<int>();
            for (var i = 0; i < test.Length; i++) if (test[i] == wanted) chosen.Add(i);
            return [.. chosen];
        }
    }

    private static ImageTask Renamed(ImageTask task, string? name) => name is null ? task : new(name, task.Train, task.Test, task.Pool);

    // Images that come alone are for training; whoever measures takes them all.
    private static ImageTask OfIdx(string[] files, string name, UserTaskOptions options)
    {
        foreach (var file in files) if (!File.Exists(file)) throw new ArgumentException($"{file}: there is no such file; a task is {Kinds}.");
        var train = Numbered(files[0], files[1]);
        var test = files.Length == 4 ? Numbered(files[2], files[3]) : train.Subset([]);
        int[] seen = [.. train.Labels.Distinct().Order()];
        for (var i = 0; i < test.Count; i++)
        {
            if (Array.BinarySearch(seen, test.Labels[i]) < 0)
                throw new InvalidDataException($"{files[3]}: label {i} is {test.Labels[i]}; {files[1]} has no training image of this class.");
        }
        var (classes, place) = Classes(seen, options.Labels);
        return new(name, Named(train), Named(test), options.Pool);

        ImageSet Numbered(string images, string labels) => Idx.ReadImages(name, images, labels, Numbers);
        ImageSet Named(ImageSet set) => new(name, set.Size, set.Pixels, Array.ConvertAll(set.Labels, l => place[l]), classes);
    }

    private static readonly string[] Numbers = [.. Enumerable.Range(0, byte.MaxValue + 1).Select(n => n.ToString(CultureInfo.InvariantCulture))];

    /// <summary>
    /// Names for numbers: those of a head that has all of them as names; or its classes by position, if it has enough and they are no numbers; or the numbers
    /// themselves, each that occurs.
    /// </summary>
    private static (string[] Classes, int[] Place) Classes(int[] seen, IReadOnlyList<string>? labels)
    {
        string[] head = labels is null ? [] : [.. labels];
        var place = new int[Numbers.Length];
        var byName = Array.TrueForAll(seen, n => head.Contains(Numbers[n]));
        var byPlace = !byName && seen[^1] < head.Length && !head.All(Numbers.Contains);
        string[] classes = byName || byPlace ? head : [.. seen.Select(n => Numbers[n])];
        foreach (var n in seen) place[n] = byPlace ? n : Array.IndexOf(classes, Numbers[n]);
        return (classes, place);
    }

    private static ImageTask Source(string name, string dataFolder)
    {
        var tasks = Sources(dataFolder);
        return tasks.FirstOrDefault(t => Key(t.Name) == Key(name))
            ?? throw new ArgumentException($"\"{name}\" is not a task of {dataFolder}; known are {string.Join(", ", tasks.Select(t => t.Name))}.");

        // Cases, spaces and hyphens do not count.
        static string Key(string name) => string.Concat(name.Where(char.IsLetterOrDigit)).ToLowerInvariant();
    }
}
