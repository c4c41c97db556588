namespace NanoLora.Data;

/// <summary>How a file of texts becomes a task.</summary>
public sealed record TextTaskOptions
{
    /// <summary>A file of the same kind whose samples are all for tests; those of the first that do not say otherwise are then for training.</summary>
    public string? TestFile { get; init; }

    /// <summary>The share of the samples (of each class, if any) that is for tests where neither a file nor a field says so; a sixth if not given.</summary>
    public double? TestShare { get; init; }

    /// <summary>Chooses among the splits of one share. Two readers of the same file have to agree on it.</summary>
    public ulong SplitSeed { get; init; } = 1;

    /// <summary>What the file calls a field: "prompt" to "question", for instance.</summary>
    public IReadOnlyDictionary<string, string> Fields { get; init; } = new Dictionary<string, string>();

    /// <summary>The classes in their order, those of a model's head; if not given, those of the training part, sorted.</summary>
    public IReadOnlyList<string>? Classes { get; init; }

    /// <summary>Is told, in a line each, what was left out.</summary>
    public Action<string>? Note { get; init; }

    /// <summary>Ends the reading.</summary>
    public CancellationToken Cancellation { get; init; }
}

/// <summary>A task on texts: samples to learn from, samples to measure with.</summary>
/// <param name="Name">What it is called: few-shot draws depend on it.</param>
/// <param name="Kind">What the samples are.</param>
/// <param name="Train">The samples to learn from, in the file's order.</param>
/// <param name="Test">The samples to measure with.</param>
/// <param name="Classes">The names of the classes; none if the texts have no labels.</param>
public sealed record TextTask(string Name, TextKind Kind, IReadOnlyList<TextSample> Train, IReadOnlyList<TextSample> Test, IReadOnlyList<string> Classes)
{
    /// <summary>Where a template puts the text, and where the name of its class begins.</summary>
    public const string TextPlace = "{text}", LabelPlace = "{label}";

    /// <summary>The template where none is given: the text, and below it the name of its class.</summary>
    public const string UsualTemplate = TextPlace + "\n" + LabelPlace;

    /// <summary>
    /// Reads a task from a file of lines of JSON, or from a CSV file with a header: <c>text</c>; <c>text, label</c>; <c>prompt, completion</c>;
    /// <c>messages</c> (JSON only); and if known <c>split</c>: train, val, test. A test sample that is a copy of a training sample is left out.
    /// </summary>
    /// <param name="path">A UTF-8 file. A line has at most 16 MiB.</param>
    /// <param name="options">Fields, split, classes, and who is told.</param>
    /// <exception cref="InvalidDataException">A file is missing, empty or malformed, or has a class that is not to be learned; the message names file, line and
    /// field.</exception>
    /// <exception cref="ArgumentException">The share is not within [0, 1), or a field is unknown.</exception>
    /// <exception cref="OperationCanceledException">The options' token was cancelled.</exception>
    public static TextTask Read(string path, TextTaskOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new();
        var records = new TextRecords(path, options);
        var all = records.Read();
        var kind = records.Kind!.Value;
        var (train, test) = options.TestFile is { } file ? (Learned(all), TestOf(file, kind, options)) : Divided(path, all, kind, options);
        if (train.Count == 0) throw new InvalidDataException($"{path}: all its samples are for tests; there is nothing to learn from.");
        string[] classes = kind != TextKind.Labelled ? [] : [.. options.Classes ?? TextClasses.Of(train)];
        if (kind == TextKind.Labelled) (train, test) = (Numbered(train, classes, options), Numbered(test, classes, options));
        return new(UserTask.NameOf(path), kind, train, WithoutCopies(path, train, test, options), classes);
    }

    /// <summary>
    /// Labelled texts as prompts, with the names of their classes as completions, which is how a model without a head classifies; others as they are.
    /// </summary>
    /// <param name="template">A text with <see cref="TextPlace"/> in it, and <see cref="LabelPlace"/> at its end.</param>
    /// <exception cref="ArgumentException">The template has not both, each once.</exception>
    public TextTask AsCompletions(string template = UsualTemplate)
    {
        if (Kind != TextKind.Labelled) return this;
        var (before, after) = Parts(template);
        return this with { Kind = TextKind.Completion, Train = [.. Train.Select(Prompted)], Test = [.. Test.Select(Prompted)] };

        TextSample Prompted(TextSample sample) => sample with { Text = before + sample.Text + after };
    }

    // What stands before and behind the text.
    private static (string Before, string After) Parts(string template)
    {
        ArgumentNullException.ThrowIfNull(template);
        var (text, label) = (template.IndexOf(TextPlace, StringComparison.Ordinal), template.IndexOf(LabelPlace, StringComparison.Ordinal));
        if (text < 0 || label < text || label + LabelPlace.Length < template.Length || text != template.LastIndexOf(TextPlace, StringComparison.Ordinal))
        {
            throw new ArgumentException($"the template \"{template}\" needs {TextPlace} once and {LabelPlace} at its end, "
                + $"as in \"Review: {TextPlace}\\nMood: {LabelPlace}\".");
        }
        return (template[..text], template[(text + TextPlace.Length)..label]);
    }

    private static List<TextSample> Learned(IReadOnlyList<TextSample> all) => [.. all.Where(static s => s.Part is TaskPart.Unknown or TaskPart.Train)];

    private static IReadOnlyList<TextSample> TestOf(string file, TextKind kind, TextTaskOptions options)
    {
        var records = new TextRecords(file, options);
        var test = records.Read();
        return records.Kind == kind ? test
            : throw new InvalidDataException($"{test[0].Place}: its samples are of the kind {records.Kind}, those to learn from {kind}; give one kind.");
    }

    private static (IReadOnlyList<TextSample> Train, IReadOnlyList<TextSample> Test) Divided(string path, IReadOnlyList<TextSample> all, TextKind kind,
        TextTaskOptions options)
    {
        var said = all.Count(static s => s.Part != TaskPart.Unknown);
        if (said == 0)
        {
            string[] names = kind == TextKind.Labelled ? TextClasses.Of(all) : [""];
            int[] labels = [.. all.Select(s => kind == TextKind.Labelled ? Array.IndexOf(names, s.Answer) : 0)];
            var test = Split.Test(labels, Array.ConvertAll(labels, l => names[l]), null, options.TestShare ?? Split.UsualShare, options.SplitSeed);
            return ([.. all.Where((_, i) => !test[i])], [.. all.Where((_, i) => test[i])]);
        }
        if (said < all.Count)
        {
            var without = all.First(static s => s.Part == TaskPart.Unknown);
            throw new InvalidDataException($"{without.Place}: split is missing, and other lines have it; give it to all or none.");
        }
        var validation = all.Count(static s => s.Part == TaskPart.Validation);
        var tests = all.Any(static s => s.Part == TaskPart.Test);
        if (validation > 0 && tests) options.Note?.Invoke($"{path}: {validation} samples of the validation part are left out: there is a test part");
        return (Of(TaskPart.Train), Of(tests ? TaskPart.Test : TaskPart.Validation));

        List<TextSample> Of(TaskPart part) => [.. all.Where(s => s.Part == part)];
    }

    private static IReadOnlyList<TextSample> Numbered(IReadOnlyList<TextSample> samples, string[] classes, TextTaskOptions options)
    {
        var numbers = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var c = 0; c < classes.Length; c++) numbers.TryAdd(classes[c], c);
        return [.. samples.Select(s => s with { Label = numbers.TryGetValue(s.Answer, out var number) ? number : throw Unknown(s) })];

        InvalidDataException Unknown(TextSample sample) => new($"{sample.Place}: label: \"{sample.Answer}\" is no class "
            + $"{(options.Classes is null ? "of the training part" : "of the model's head")}; known are {string.Join(", ", classes.Take(8))}"
            + $"{(classes.Length > 8 ? ", …" : "")}.");
    }

    private static IReadOnlyList<TextSample> WithoutCopies(string path, IReadOnlyList<TextSample> train, IReadOnlyList<TextSample> test,
        TextTaskOptions options)
    {
        if (test.Count == 0) return test;
        var seen = new Dictionary<(string, string), TextSample>();
        foreach (var sample in train) seen.TryAdd(sample.Content, sample);
        List<TextSample> kept = [.. test.Where(s => !seen.ContainsKey(s.Content))];
        if (kept.Count == test.Count) return test;
        var first = test.First(s => seen.ContainsKey(s.Content));
        options.Note?.Invoke($"{path}: {test.Count - kept.Count} test samples are left out as copies of training samples; the first: line {first.Line} "
            + $"of {Path.GetFileName(first.Source)} is the same as line {seen[first.Content].Line} of {Path.GetFileName(path)}");
        return kept;
    }
}
