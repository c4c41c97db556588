namespace NanoLora.Data;

/// <summary>Which part of a task a sample belongs to.</summary>
internal enum TaskPart
{
    /// <summary>Nobody says: the split decides.</summary>
    Unknown,
    Train,
    Test,
    Validation,
}

internal static class TaskParts
{
    /// <summary>The part that a folder or a cell names, or null.</summary>
    public static TaskPart? Of(string name) => name.ToLowerInvariant() switch
    {
        "train" or "training" => TaskPart.Train,
        "test" or "testing" => TaskPart.Test,
        "val" or "valid" or "validation" => TaskPart.Validation,
        _ => null,
    };
}

/// <summary>One picture of a task.</summary>
/// <param name="Path">The file.</param>
/// <param name="Class">The name of its class.</param>
/// <param name="Part">The part it belongs to.</param>
/// <param name="Group">Who made it, if that is known.</param>
/// <param name="Where">What an error begins with: the line that names the picture.</param>
internal sealed record PictureFile(string Path, string Class, TaskPart Part, string? Group = null, string Where = "");

/// <summary>Makes a task of picture files: decides the parts, reads the pictures on all cores, leaves out copies.</summary>
internal static class PictureTask
{
    /// <summary>Reads the pictures.</summary>
    /// <param name="name">Names the task.</param>
    /// <param name="source">The folder or index, for errors and notes.</param>
    /// <param name="files">The pictures in an order of their own, on which the split depends.</param>
    /// <param name="processor">How the model wants its images.</param>
    /// <param name="options">Split, pool, inversion, and who is told.</param>
    public static ImageTask Read(string name, string source, IReadOnlyList<PictureFile> files, ImageProcessor processor, UserTaskOptions options)
    {
        string[] classes = [.. files.Select(f => f.Class).Distinct().Order(StringComparer.Ordinal)];
        int[] labels = [.. files.Select(f => Array.BinarySearch(classes, f.Class, StringComparer.Ordinal))];
        var groups = Groups(files);
        var parts = Parts(source, files, labels, groups, options);
        int[] train = Of(parts, TaskPart.Train), test = Of(parts, TaskPart.Test);
        CheckClasses(source, classes, labels, train, test, options);
        // A draw by people takes training and test images as one set.
        if (groups is not null) CheckSize(source, "images", train.Length + test.Length, processor.Size);
        CheckSize(source, "training images", train.Length, processor.Size);
        CheckSize(source, "test images", test.Length, processor.Size);

        var reader = new Reader(files, processor, options, train.Length + test.Length);
        return UserTask.WithoutCopies(new(name, Set(train), Set(test), options.Pool), source, options, (inTest, i) => files[(inTest ? test : train)[i]].Path);

        ImageSet Set(int[] chosen) => new(name, processor.Size, reader.Read(chosen), At(labels, chosen), classes, groups is null ? null : At(groups, chosen));

        static int[] At(int[] values, int[] chosen) => Array.ConvertAll(chosen, i => values[i]);
    }

    /// <summary>The number of each picture's maker, in the ordinal order of their names.</summary>
    private static int[]? Groups(IReadOnlyList<PictureFile> files)
    {
        if (files.Count == 0 || files[0].Group is null) return null;
        string[] names = [.. files.Select(f => f.Group!).Distinct().Order(StringComparer.Ordinal)];
        return [.. files.Select(f => Array.BinarySearch(names, f.Group, StringComparer.Ordinal))];
    }

    private static TaskPart[] Parts(string source, IReadOnlyList<PictureFile> files, int[] labels, int[]? groups, UserTaskOptions options)
    {
        TaskPart[] parts = [.. files.Select(f => f.Part)];
        if (Array.IndexOf(parts, TaskPart.Unknown) >= 0)
        {
            var test = Split.Test(labels, [.. files.Select(f => f.Class)], groups, options.TestShare ?? Split.UsualShare, options.SplitSeed);
            for (var i = 0; i < parts.Length; i++) parts[i] = test[i] ? TaskPart.Test : TaskPart.Train;
            return parts;
        }
        if (Array.IndexOf(parts, TaskPart.Validation) < 0) return parts;
        if (Array.IndexOf(parts, TaskPart.Test) < 0) return Array.ConvertAll(parts, p => p == TaskPart.Validation ? TaskPart.Test : p);
        options.Note?.Invoke($"{source}: {parts.Count(p => p == TaskPart.Validation)} images of the validation part are left out: there is a test part");
        return parts;
    }

    private static int[] Of(TaskPart[] parts, TaskPart part)
    {
        var chosen = new List<int>();
        for (var i = 0; i < parts.Length; i++) if (parts[i] == part) chosen.Add(i);
        return [.. chosen];
    }

    private static void CheckClasses(string source, string[] classes, int[] labels, int[] train, int[] test, UserTaskOptions options)
    {
        var (learned, measured) = (new int[classes.Length], new int[classes.Length]);
        foreach (var i in train) learned[labels[i]]++;
        foreach (var i in test) measured[labels[i]]++;
        for (var c = 0; c < classes.Length; c++)
        {
            if (learned[c] == 0)
                throw new InvalidDataException($"{source}: the class {classes[c]} has no training images, only {measured[c]} to test.");
            if (measured[c] == 0 && test.Length > 0) options.Note?.Invoke($"{source}: the class {classes[c]} has no test images");
        }
    }

    /// <summary>One array holds the images of a part.</summary>
    public static void CheckSize(string source, string what, int count, ImageSize size)
    {
        var bytes = (long)count * size.Length;
        if (bytes <= Array.MaxLength) return;
        throw new InvalidDataException(
            $"{source}: {count} {what} of {size} take {bytes} bytes; at most {Array.MaxLength} are held, {Array.MaxLength / size.Length} images. "
            + "Take fewer, divide them into several tasks, or take a model of smaller images.");
    }

    /// <summary>Decodes pictures on all cores. An error is that of the first picture that has one, whatever the cores did first.</summary>
    private sealed class Reader(IReadOnlyList<PictureFile> files, ImageProcessor processor, UserTaskOptions options, int total)
    {
        private readonly Lock _gate = new();
        private int _done;

        /// <summary>Pixels [chosen, channels, height, width].</summary>
        public byte[] Read(int[] chosen)
        {
            var length = processor.Size.Length;
            var pixels = new byte[chosen.Length * length];
            var (failed, error) = (int.MaxValue, (Exception?)null);
            Parallel.For(0, chosen.Length, new ParallelOptions { CancellationToken = options.Cancellation }, (i, loop) =>
            {
                try
                {
                    ModelImages.Read(files[chosen[i]].Path, processor, options.Invert).CopyTo(pixels, i * length);
                }
                catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
                {
                    lock (_gate) if (i < failed) (failed, error) = (i, e);
                    loop.Break();                                       // pictures before this one are still looked at
                }
                lock (_gate) options.Progress?.Invoke(++_done, total);
            });
            if (error is null) return pixels;
            var file = files[chosen[failed]];
            var message = file.Where.Length > 0 ? $"{file.Where}path: {error.Message}" : error.Message;
            throw new InvalidDataException(message, error);
        }
    }
}

/// <summary>Deals the images of a task that does not say so into training and test images.</summary>
internal static class Split
{
    /// <summary>The share of test images where none is asked for: a sixth.</summary>
    public const double UsualShare = 1.0 / 6;

    // Rounded down, but where anything is to be tested, at least one of two or more; never all.
    private static int TestCount(int count, double share) =>
        share == 0 || count < 2 ? 0 : Math.Clamp((int)(count * share + 1e-9), 1, count - 1);

    /// <summary>
    /// Which images are for tests: of each class, shuffled by seed and the class's name, the last ones. Where makers are known, the makers are dealt instead,
    /// so that nobody is on both sides.
    /// </summary>
    /// <param name="labels">The class of each image.</param>
    /// <param name="classes">The name of each image's class.</param>
    /// <param name="groups">The maker of each image, if known.</param>
    /// <param name="share">The share for tests, from 0 to below 1.</param>
    /// <param name="seed">Chooses among the splits.</param>
    public static bool[] Test(int[] labels, string[] classes, int[]? groups, double share, ulong seed)
    {
        if (!(share is >= 0 and < 1)) throw new ArgumentException($"Split: the share {share} of test images must be at least 0 and below 1.");
        var test = new bool[labels.Length];
        var makers = groups?.Distinct().Count() > 1 ? groups : null;
        foreach (var members in Enumerable.Range(0, labels.Length).GroupBy(i => makers is null ? labels[i] : 0))
        {
            int[] dealt = makers is null ? [.. members] : [.. makers.Distinct().Order()];
            new Philox(seed, Philox.StreamOf(makers is null ? $"split of {classes[members.First()]}" : "split of makers")).Shuffle(dealt.AsSpan());
            var last = dealt.AsSpan(dealt.Length - TestCount(dealt.Length, share));
            if (makers is null) foreach (var i in last) test[i] = true;
            else foreach (var i in members) test[i] = last.Contains(makers[i]);
        }
        return test;
    }
}
