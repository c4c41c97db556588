namespace NanoLora.Data;

/// <summary>Texts and the class of each.</summary>
/// <param name="Texts">The texts.</param>
/// <param name="Labels">The number of each one's class.</param>
public sealed record LabelledTexts(IReadOnlyList<string> Texts, IReadOnlyList<int> Labels);

/// <summary>One task of CLINC150: fifteen intents of what people ask an assistant.</summary>
/// <param name="Name">Such as "clinc150-domain/banking" or "clinc150-class/3".</param>
/// <param name="Classes">The intents, by name.</param>
/// <param name="Train">50 texts of each.</param>
/// <param name="Validation">20 texts of each.</param>
/// <param name="Test">30 texts of each.</param>
public sealed record ClincTask(string Name, IReadOnlyList<string> Classes, LabelledTexts Train, LabelledTexts Validation, LabelledTexts Test);

/// <summary>
/// CLINC150 (Larson et al. 2019), 150 intents, as ten tasks of fifteen: by domain, as published, or by class, all intents dealt at random. By domain the
/// tasks differ in what they are about, by class in nothing but their labels. Texts out of scope belong to no task.
/// </summary>
public static class ClincTasks
{
    /// <summary>Under which licence the texts may be used.</summary>
    public const string Licence = "CC BY 3.0";

    /// <summary>Where they come from.</summary>
    public const string Source = "https://github.com/clinc/oos-eval";

    /// <summary>How many tasks there are.</summary>
    public const int Count = 10;

    private const string FolderName = "text-clinc150";
    private const ulong Deal = 1;                                                      // another number deals the classes anew: other tasks, other results

    /// <summary>A task for each domain, by name.</summary>
    /// <param name="dataFolder">The folder of raw sources, with text-clinc150 in it.</param>
    /// <exception cref="DirectoryNotFoundException">The folder is missing.</exception>
    /// <exception cref="InvalidDataException">A file is malformed; the message names it and what is wrong in it.</exception>
    public static IReadOnlyList<ClincTask> ByDomain(string dataFolder)
    {
        var files = new Files(dataFolder);
        return [.. files.Domains.Select(domain => files.Task($"clinc150-domain/{domain.Name}", domain.Intents))];
    }

    /// <summary>Ten tasks of classes that were dealt at random, always the same, clinc150-class/0 to clinc150-class/9.</summary>
    /// <param name="dataFolder">The folder of raw sources, with text-clinc150 in it.</param>
    /// <exception cref="DirectoryNotFoundException">The folder is missing.</exception>
    /// <exception cref="InvalidDataException">A file is malformed; the message names it and what is wrong in it.</exception>
    public static IReadOnlyList<ClincTask> ByClass(string dataFolder)
    {
        var files = new Files(dataFolder);
        string[] intents = [.. files.Domains.SelectMany(static domain => domain.Intents).Order(StringComparer.Ordinal)];
        new Philox(Deal, Philox.StreamOf("CLINC150 by class")).Shuffle(intents.AsSpan());
        var size = intents.Length / Count;
        return [.. Enumerable.Range(0, Count).Select(t => files.Task($"clinc150-class/{t}", intents.AsSpan(t * size, size)))];
    }

    /// <summary>Every text of CLINC150, those out of scope too: what nothing that is tested on it may have seen.</summary>
    /// <param name="dataFolder">The folder of raw sources, with text-clinc150 in it.</param>
    /// <exception cref="DirectoryNotFoundException">The folder is missing.</exception>
    /// <exception cref="InvalidDataException">A file is malformed; the message names it and what is wrong in it.</exception>
    public static IReadOnlyList<string> AllTexts(string dataFolder) =>
        [.. new Files(dataFolder).Parts.SelectMany(static part => part.Value.Select(static sample => sample.Text))];

    // domains.json:       {"banking": ["balance", …], …}
    // data_small.json:    {"train": [["what is my balance", "balance"], …], "val": …, "test": …, "oos_train": …}
    private sealed class Files
    {
        private readonly string _source;

        public Files(string dataFolder)
        {
            var folder = Path.Combine(dataFolder, FolderName);
            if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"CLINC150: the folder {folder} is missing; fetch the data sets first.");
            _source = Path.Combine(folder, "data_small.json");
            foreach (var (part, samples) in Read(_source).Fields()) Parts[part] = [.. samples.Items().Select(Sample)];
            foreach (var part in (ReadOnlySpan<string>)["train", "val", "test"])
                if (!Parts.ContainsKey(part)) throw new InvalidDataException($"{_source}: {part} is missing; copy the file again.");
            var domains = Path.Combine(folder, "domains.json");
            Domains = [.. Read(domains).Fields().Select(static d => (d.Name, d.Value.Items().Select(static i => i.Text()).ToArray()))
                .OrderBy(static d => d.Name, StringComparer.Ordinal)];
            if (Domains.SelectMany(static d => d.Intents).GroupBy(static i => i).FirstOrDefault(static g => g.Count() > 1) is { } twice)
                throw new InvalidDataException($"{domains}: the intent {twice.Key} belongs to two domains; copy the file again.");
            var intents = Domains.Sum(static d => d.Intents.Length);
            if (intents == 0 || intents % Count != 0)
                throw new InvalidDataException($"{domains}: {intents} intents do not make {Count} tasks; copy the file again.");
        }

        public Dictionary<string, (string Text, string Intent)[]> Parts { get; } = [];

        public IReadOnlyList<(string Name, string[] Intents)> Domains { get; }

        public ClincTask Task(string name, ReadOnlySpan<string> intents)
        {
            string[] classes = [.. intents];
            Array.Sort(classes, StringComparer.Ordinal);
            return new ClincTask(name, classes, Of("train"), Of("val"), Of("test"));

            LabelledTexts Of(string part)
            {
                var (texts, labels) = (new List<string>(), new List<int>());
                foreach (var (text, intent) in Parts[part])
                {
                    if (Array.BinarySearch(classes, intent, StringComparer.Ordinal) is not (>= 0 and var label)) continue;
                    texts.Add(text);
                    labels.Add(label);
                }
                var missing = Enumerable.Range(0, classes.Length).FirstOrDefault(c => !labels.Contains(c), -1);
                if (missing >= 0) throw new InvalidDataException($"{_source}: {part} has no text of the intent {classes[missing]}; copy the file again.");
                return new LabelledTexts(texts, labels);
            }
        }

        private static JsonTree Read(string path) =>
            File.Exists(path) ? JsonTree.Parse(path, File.ReadAllBytes(path))
                : throw new InvalidDataException($"{path}: there is no such file; fetch the data sets first.");

        private static (string, string) Sample(JsonTree sample)
        {
            JsonTree[] pair = [.. sample.Items()];
            return pair.Length == 2 ? (pair[0].Text(), pair[1].Text()) : throw sample.Error("a text and its intent are expected");
        }
    }
}
