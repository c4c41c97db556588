using System.Text;

namespace NanoLora.Data;

/// <summary>Texts that anybody may use, change and pass on, as a model learns from them.</summary>
/// <param name="Name">What the set is called.</param>
/// <param name="Licence">Under which licence it may be used.</param>
/// <param name="Source">Where it comes from, and by whom it is.</param>
public sealed record FreeText(string Name, string Licence, string Source)
{
    /// <summary>Texts that hang together, each a row of sentences: two neighbours speak of one thing.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Documents { get; init; } = [];

    /// <summary>Sentences that say the same, in groups of two and more; none where the set has none.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Paraphrases { get; init; } = [];

    /// <summary>The names of the classes of its texts; none where they have none.</summary>
    public IReadOnlyList<string> Classes { get; init; } = [];

    /// <summary>The class of each document, where there are classes.</summary>
    public IReadOnlyList<int> Labels { get; init; } = [];

    /// <summary>How many documents were left out because one of their sentences is a text that the model will be tested on.</summary>
    public int LeftOut { get; init; }
}

/// <summary>
/// The sets that a bundled text model learns from, with licences that allow it. Where a set has a part for tests, only the other part is read.
/// </summary>
public static class FreeTexts
{
    /// <summary>
    /// Reads text-gsm8k, text-banking77, text-sms-spam, text-tinyshakespeare and text-e2e-nlg from a folder of raw sources: problems of school mathematics,
    /// questions to a bank with their intents, short messages, speeches, and descriptions of restaurants, several of each.
    /// </summary>
    /// <param name="dataFolder">The folder of raw sources.</param>
    /// <param name="without">Texts that must not be learned; upper case, punctuation and white space do not count.</param>
    /// <exception cref="DirectoryNotFoundException">A folder is missing.</exception>
    /// <exception cref="InvalidDataException">A file is malformed; the message names it and what is wrong in it.</exception>
    public static IReadOnlyList<FreeText> Load(string dataFolder, IEnumerable<string> without)
    {
        ArgumentNullException.ThrowIfNull(dataFolder);
        ArgumentNullException.ThrowIfNull(without);
        var barred = new HashSet<string>(without.Select(Words.Joined), StringComparer.Ordinal);
        FreeText[] all = [Gsm8k(dataFolder), Banking(dataFolder), Sms(dataFolder), Shakespeare(dataFolder), Restaurants(dataFolder)];
        return [.. all.Select(set => Without(set, barred))];
    }

    /// <summary>Cuts a text behind a full stop, question or exclamation mark that white space and no small letter follows.</summary>
    internal static IReadOnlyList<string> Sentences(string text)
    {
        var y = new List<string>();
        var start = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] is not ('.' or '?' or '!')) continue;
            var end = i + 1;
            while (end < text.Length && text[end] is '.' or '?' or '!' or '"' or '\'' or ')') end++;
            var next = end;
            while (next < text.Length && char.IsWhiteSpace(text[next])) next++;
            i = end - 1;
            if (next < text.Length && (next == end || char.IsLower(text[next]) || IsTitle(text.AsSpan(start, i - start)))) continue;
            Add(text[start..end]);
            start = next;
        }
        Add(text[start..]);
        return y;

        void Add(string sentence)
        {
            var trimmed = sentence.Trim();
            if (trimmed.Length > 0) y.Add(trimmed);
        }

        static bool IsTitle(ReadOnlySpan<char> before) => before[(before.LastIndexOf(' ') + 1)..] is "Mr" or "Mrs" or "Ms" or "Dr" or "St";
    }

    private static FreeText Without(FreeText set, HashSet<string> barred)
    {
        List<int> kept = [.. Enumerable.Range(0, set.Documents.Count).Where(d => !set.Documents[d].Any(IsBarred))];
        return set with
        {
            Documents = [.. kept.Select(d => set.Documents[d])],
            Labels = set.Labels.Count == 0 ? [] : [.. kept.Select(d => set.Labels[d])],
            Paraphrases = [.. set.Paraphrases.Where(group => !group.Any(IsBarred))],
            LeftOut = set.Documents.Count - kept.Count,
        };

        bool IsBarred(string sentence) => barred.Contains(Words.Joined(sentence));
    }

    // {"question": "…", "answer": "…"}; the answers are mostly sums.
    private static FreeText Gsm8k(string data)
    {
        var path = FileOf(data, "text-gsm8k", "train.jsonl");
        var documents = new List<IReadOnlyList<string>>();
        var number = 0;
        foreach (var line in Lines(path))
        {
            number++;
            if (line.Length > 0) documents.Add(Sentences(JsonTree.Parse($"{path}: line {number}", Encoding.UTF8.GetBytes(line))["question"].Text()));
        }
        return new FreeText("GSM8K, training questions", "MIT", "© 2021 OpenAI; K. Cobbe et al.; github.com/openai/grade-school-math")
        {
            Documents = documents,
        };
    }

    private static FreeText Banking(string data)
    {
        var path = FileOf(data, "text-banking77", "train.csv");
        var (documents, names) = (new List<IReadOnlyList<string>>(), new List<string>());
        using var csv = new Csv(path);
        csv.Read();
        while (csv.Read() is { } fields)
        {
            if (fields is [""]) continue;
            if (fields.Length != 2) throw new InvalidDataException($"{path}: line {csv.Line}: {fields.Length} fields; a text and its category are expected.");
            documents.Add([fields[0].Trim()]);
            names.Add(fields[1]);
        }
        string[] classes = [.. names.Distinct().Order(StringComparer.Ordinal)];
        return new FreeText("BANKING77, training part", "CC BY 4.0", "I. Casanueva et al. 2020, PolyAI; github.com/PolyAI-LDN/task-specific-datasets")
        {
            Documents = documents, Classes = classes, Labels = [.. names.Select(name => Array.BinarySearch(classes, name, StringComparer.Ordinal))],
        };
    }

    // "ham<TAB>text"
    private static FreeText Sms(string data)
    {
        var path = FileOf(data, "text-sms-spam", "sms.tsv");
        var documents = new List<IReadOnlyList<string>>();
        foreach (var line in Lines(path))
        {
            if (line.Length == 0) continue;
            var tab = line.IndexOf('\t');
            if (tab < 0) throw new InvalidDataException($"{path}: \"{line[..Math.Min(40, line.Length)]}\" has no tab; kind, tab and text are expected.");
            if (Sentences(line[(tab + 1)..]) is { Count: > 0 } sentences) documents.Add(sentences);
        }
        return new FreeText("SMS Spam Collection", "CC BY 4.0", "T. Almeida and J. M. Gómez Hidalgo 2012; archive.ics.uci.edu/dataset/228")
        {
            Documents = documents,
        };
    }

    // Speeches with an empty line between; the first line of each is who speaks.
    private static FreeText Shakespeare(string data)
    {
        var documents = new List<IReadOnlyList<string>>();
        var speech = new StringBuilder();
        var isName = true;
        foreach (var line in Lines(FileOf(data, "text-tinyshakespeare", "input.txt")).Append(""))
        {
            if (line.Length == 0)
            {
                if (Sentences(speech.ToString()) is { Count: > 0 } sentences) documents.Add(sentences);
                speech.Clear();
            }
            else if (!isName) speech.Append(line).Append(' ');
            isName = line.Length == 0;
        }
        return new FreeText("tiny Shakespeare", "public domain", "W. Shakespeare; collected by A. Karpathy, github.com/karpathy/char-rnn")
        {
            Documents = documents,
        };
    }

    // "name : Alimentum | area : city centre||There is a place in the city centre , Alimentum ."; lines of one meaning follow each other.
    private static FreeText Restaurants(string data)
    {
        var path = FileOf(data, "text-e2e-nlg", "valid.txt");
        var groups = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        foreach (var line in Lines(path))
        {
            if (line.Length == 0) continue;
            var at = line.IndexOf("||", StringComparison.Ordinal);
            if (at < 0) throw new InvalidDataException($"{path}: \"{line[..Math.Min(40, line.Length)]}\" has no ||; meaning, || and reference are expected.");
            if (!groups.TryGetValue(line[..at], out var group)) groups.Add(line[..at], group = []);
            group.Add(Joined(line[(at + 2)..]));
        }
        return new FreeText("E2E NLG, validation part", "CC BY-SA 4.0", "J. Novikova, O. Dušek, V. Rieser 2017; as in github.com/microsoft/LoRA")
        {
            Documents = [.. groups.Values.SelectMany(static g => g.Select(Sentences))], Paraphrases = [.. groups.Values.Where(static g => g.Count > 1)],
        };

        static string Joined(string text) => text.Trim().Replace(" ,", ",", StringComparison.Ordinal).Replace(" .", ".", StringComparison.Ordinal)
            .Replace(" - ", "-", StringComparison.Ordinal).Replace(" '", "'", StringComparison.Ordinal);
    }

    private static string FileOf(string data, string folder, string name)
    {
        var full = Path.Combine(data, folder);
        if (!Directory.Exists(full)) throw new DirectoryNotFoundException($"FreeTexts: the folder {full} is missing; fetch the data sets first.");
        var path = Path.Combine(full, name);
        return File.Exists(path) ? path : throw new InvalidDataException($"{path}: there is no such file; fetch the data sets first.");
    }

    private static IEnumerable<string> Lines(string path)
    {
        string text;
        try { text = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path)); }
        catch (DecoderFallbackException e) { throw new InvalidDataException($"{path}: it is not UTF-8; fetch it again.", e); }
        return text.Split('\n').Select(static line => line.TrimEnd('\r'));
    }
}
