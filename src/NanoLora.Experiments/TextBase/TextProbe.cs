using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>What a head makes of one kind of features.</summary>
/// <param name="Features">The features.</param>
/// <param name="Tasks">How the classes were dealt into tasks.</param>
/// <param name="Shots">Texts of each class to learn from.</param>
/// <param name="Accuracy">The mean over all tasks and draws.</param>
public sealed record ProbeResult(string Features, string Tasks, int Shots, double Accuracy);

/// <summary>
/// What features of texts are worth: few-shot accuracy of a head on them over the tasks of CLINC150. The head is that of the study: it starts from the class
/// means and takes 60 steps. The draws are others than the study's, so that a base can be chosen by them.
/// </summary>
public static class TextProbe
{
    /// <summary>How many draws of each task are usual.</summary>
    public const int DefaultDraws = 3;

    /// <summary>Every how many-th test text <see cref="ZeroShot"/> ranks names for.</summary>
    public const int RankedEvery = 3;

    private const ulong Seed = 77;
    private const int Steps = 60, BatchSize = 32, LongestText = 64, Chunk = 64;
    private const double Rate = 3e-3;

    /// <summary>A bag of words beside the features of a base, on the tasks by domain and by class, with 1 and 5 texts of each class.</summary>
    /// <param name="text">The base.</param>
    /// <param name="dataFolder">The folder of raw sources, with text-clinc150 in it.</param>
    /// <param name="backend">Where the base is.</param>
    /// <exception cref="DirectoryNotFoundException">The folder is missing.</exception>
    /// <exception cref="InvalidDataException">A file is malformed.</exception>
    public static IReadOnlyList<ProbeResult> Compare(TextBase text, string dataFolder, Backend backend)
    {
        ArgumentNullException.ThrowIfNull(text);
        (string Name, IReadOnlyList<ClincTask> Tasks)[] deals = [("domain", ClincTasks.ByDomain(dataFolder)), ("class", ClincTasks.ByClass(dataFolder))];
        var ours = Of(TextClassifier.Over(text.Model, text.Pooling), text.Tokenizer);
        (string Name, TextFeatures Of)[] features = [("bag of words (tf-idf)", BagOfWords(deals[0].Tasks)), ("the base", ours)];
        var y = new List<ProbeResult>();
        foreach (var (name, of) in features)
        {
            foreach (var (deal, tasks) in deals)
            {
                foreach (var shots in (ReadOnlySpan<int>)[1, 5]) y.Add(new ProbeResult(name, deal, shots, Accuracy(tasks, of, shots, DefaultDraws, backend)));
            }
        }
        return y;
    }

    /// <summary>
    /// How often a text-to-text base that has learned nothing of a task finds the right one of its classes' names the likeliest, by the mean of the name's
    /// tokens and by their sum, on the tasks by domain and by class.
    /// </summary>
    /// <inheritdoc cref="Compare" path="/param"/>
    /// <inheritdoc cref="Compare" path="/exception"/>
    public static IReadOnlyList<ProbeResult> ZeroShot(TextToText text, string dataFolder, Backend backend)
    {
        ArgumentNullException.ThrowIfNull(text);
        var encoder = new TextEncoder(text.Tokenizer, LongestText, text.Model.EndTokens[0]);
        var y = new List<ProbeResult>();
        foreach (var deal in (string[])["domain", "class"])
        {
            var tasks = deal == "domain" ? ClincTasks.ByDomain(dataFolder) : ClincTasks.ByClass(dataFolder);
            var (byMean, bySum, count) = (0, 0, 0);
            foreach (var task in tasks)
            {
                int[] some = [.. Enumerable.Range(0, task.Test.Texts.Count).Where(static i => i % RankedEvery == 0)];
                var set = new TextSet(task.Name, [.. some.Select(i => task.Test.Texts[i])], [.. some.Select(i => task.Test.Labels[i])], [.. task.Classes]);
                var answers = new Answers(set.Classes, encoder);
                var scores = text.Model.ScoreAnswers(answers.Texts(set), answers.Tokens, workspace: backend.Main);
                byMean += Right(scores, bySum: false);
                bySum += Right(scores, bySum: true);
                count += set.Count;

                int Right(TokenScore[] of, bool bySum) =>
                    TokenScores.BestAnswers(of, set.Classes.Length, bySum).Index().Count(best => best.Item == set.Labels[best.Index]);
            }
            y.Add(new ProbeResult("mean", deal, 0, (double)byMean / count));
            y.Add(new ProbeResult("sum", deal, 0, (double)bySum / count));
        }
        return y;
    }

    /// <summary>Mean accuracy over all tasks and draws.</summary>
    internal static double Accuracy(IReadOnlyList<ClincTask> tasks, TextFeatures features, int shots, int draws, Backend backend)
    {
        var sum = 0.0;
        foreach (var task in tasks)
        {
            var test = new FeatureDataset(new Labels(task.Name, task.Classes, task.Test.Labels), features.Of(task.Test.Texts));
            for (var draw = 0; draw < draws; draw++)
            {
                var (texts, labels) = Support(task, shots, draw);
                var support = new FeatureDataset(new Labels(task.Name, task.Classes, labels), features.Of(texts));
                using var head = new FeatureClassifier(backend);
                Heads.NearestMean(head, support);
                Trainer.Fit(head, support, new FitOptions { Steps = Steps, BatchSize = BatchSize, HeadRate = Rate, Seed = Seed + (ulong)draw });
                sum += head.Accuracy(test);
            }
        }
        return sum / (tasks.Count * draws);
    }

    /// <summary>The features of a classifier. Each text is read once.</summary>
    internal static TextFeatures Of(TextClassifier model, ITokenizer tokenizer)
    {
        return new TextFeatures(Read);

        float[] Read(IReadOnlyList<string> texts)
        {
            var (w, y) = (model.Backend.Main, new List<float>());
            foreach (var chunk in texts.Chunk(Chunk))
            {
                using var scope = w.Scope(grad: false);
                int[][] ids = [.. chunk.Select(text => tokenizer.Encode(text).Take(LongestText).ToArray())];
                int[] lengths = [.. ids.Select(static row => row.Length)];
                var width = lengths.Max();
                var tokens = new int[ids.Length * width];
                for (var row = 0; row < ids.Length; row++) ids[row].CopyTo(tokens.AsSpan(row * width));
                y.AddRange(model.Features(w.From(tokens, new Shape(ids.Length, width)), null, lengths).ToArray());
            }
            return [.. y];
        }
    }

    /// <summary>
    /// A bag of words: of each word how often it occurs times its rarity, ln((1 + n) / (1 + n_w)) + 1 over the n texts of all tasks that are there to learn
    /// from, at length 1. Words are runs of letters and digits.
    /// </summary>
    internal static TextFeatures BagOfWords(IReadOnlyList<ClincTask> tasks)
    {
        var (seen, count) = (new SortedDictionary<string, int>(StringComparer.Ordinal), 0);
        foreach (var text in tasks.SelectMany(static task => task.Train.Texts))
        {
            count++;
            foreach (var word in Words.Of(text).Distinct()) seen[word] = seen.GetValueOrDefault(word) + 1;
        }
        var places = new Dictionary<string, (int Place, float Rarity)>(StringComparer.Ordinal);
        foreach (var (word, times) in seen) places[word] = (places.Count, (float)(Math.Log((1.0 + count) / (1 + times)) + 1));
        return new TextFeatures(Count, keep: false);

        float[] Count(IReadOnlyList<string> texts)
        {
            var y = new float[texts.Count * places.Count];
            for (var i = 0; i < texts.Count; i++)
            {
                var row = y.AsSpan(i * places.Count, places.Count);
                foreach (var word in Words.Of(texts[i])) if (places.TryGetValue(word, out var place)) row[place.Place] += place.Rarity;
                var square = 0.0;
                foreach (var x in row) square += (double)x * x;
                if (square > 0) foreach (ref var x in row) x = (float)(x / Math.Sqrt(square));
            }
            return y;
        }
    }

    // The first texts of each class, in the order of a draw: those of fewer shots lie within those of more.
    private static (List<string> Texts, List<int> Labels) Support(ClincTask task, int shots, int draw)
    {
        var (texts, labels) = (new List<string>(), new List<int>());
        for (var c = 0; c < task.Classes.Count; c++)
        {
            int[] own = [.. Enumerable.Range(0, task.Train.Labels.Count).Where(i => task.Train.Labels[i] == c)];
            if (own.Length < shots)
                throw new ArgumentException($"TextProbe: {task.Name} has {own.Length} texts of {task.Classes[c]}; {shots} shots need {shots}.");
            new Philox(Seed, Philox.StreamOf($"{task.Name}, draw {draw}, class {c}")).Shuffle(own.AsSpan());
            foreach (var i in own.AsSpan(0, shots))
            {
                texts.Add(task.Train.Texts[i]);
                labels.Add(c);
            }
        }
        return (texts, labels);
    }

    // Names and classes of samples whose features are known already.
    private sealed class Labels(string name, IReadOnlyList<string> classes, IReadOnlyList<int> labels) : IDataset
    {
        public string Name => name;

        public int Count => labels.Count;

        public IReadOnlyList<string> Classes => classes;

        public int Label(int index) => labels[index];

        public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null) =>
            throw new NotSupportedException($"{name}: only features are read.");
    }
}

/// <summary>Features of texts, each text's computed once if they are kept.</summary>
/// <param name="compute">Makes the features of texts, a row each.</param>
/// <param name="keep">Whether to keep them.</param>
internal sealed class TextFeatures(Func<IReadOnlyList<string>, float[]> compute, bool keep = true)
{
    private readonly Dictionary<string, float[]> _known = new(StringComparer.Ordinal);

    /// <summary>Of texts, a row each.</summary>
    public float[] Of(IReadOnlyList<string> texts)
    {
        if (!keep) return compute(texts);
        string[] missing = [.. texts.Where(text => !_known.ContainsKey(text)).Distinct()];
        var rows = missing.Length > 0 ? compute(missing) : [];
        for (var i = 0; i < missing.Length; i++) _known[missing[i]] = rows.AsSpan(i * (rows.Length / missing.Length), rows.Length / missing.Length).ToArray();
        return [.. texts.SelectMany(text => _known[text])];
    }
}
