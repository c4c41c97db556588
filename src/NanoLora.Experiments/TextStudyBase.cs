using System.Text.Json;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>A language model as a classifier of texts, with its tokenizer.</summary>
/// <param name="folder">The model's folder.</param>
/// <param name="encoder">Makes the tokens of texts.</param>
public class TextStudyBase(string folder, TextEncoder encoder) : StudyBase(folder)
{
    // Longer texts are cut: the tasks are of sentences.
    private protected const int MostTokens = 128;

    // The share of tokens that the training of a module leaves out at random: what moving a little is to images.
    private protected const float Dropped = 0.1f;

    /// <inheritdoc/>
    public override string Noun => "text";

    /// <inheritdoc/>
    public override ArmMethod RawProbe => ArmMethod.BagOfWords;

    /// <inheritdoc/>
    public override IEnumerable<string> Files => base.Files.Concat(Directory.GetFiles(Folder).Where(IsOfTokenizer).Order(StringComparer.Ordinal));

    /// <summary>Whether the model in a folder is one of texts: its config says how many tokens it knows.</summary>
    public static bool Reads(string folder) => Field(folder, "vocab_size") is not null;

    /// <inheritdoc cref="StudyBase.Of"/>
    public static new TextStudyBase Of(string folder)
    {
        using var backend = new CpuBackend(threads: 1);
        using var model = TextClassifier.Load(folder, backend);
        return new(folder, TextEncoder.Load(folder, Math.Min(model.MaxPositions, MostTokens)));
    }

    /// <inheritdoc/>
    public override Model Open(Backend backend) => TextClassifier.Load(Folder, backend, keepType: false);

    /// <inheritdoc/>
    public override Learner Over(Model model) => new HeadLearner((Classifier)model, this);

    /// <inheritdoc/>
    public override IDataset Read(LabelledSet set, bool training = false)
    {
        var texts = (TextSet)set;
        TextSample[] samples = [.. texts.Texts.Select((text, i) => new TextSample { Text = text, Label = texts.Labels[i] })];
        return new StudyTexts(TextDataset.ToClassify(texts.Name, samples, texts.Classes, encoder), training ? Dropped : 0);
    }

    /// <inheritdoc/>
    /// <remarks>How rare a word is, all training texts of the task say, not the support alone; their classes have no part in it.</remarks>
    public override (IDataset Support, IDataset Test) Raw(FewShotDraw<LabelledSet> draw) =>
        BagOfWords.Of((TextSet)draw.Support, (TextSet)draw.Test, ((TextSet)draw.Task.Train).Texts);

    /// <inheritdoc/>
    public override LabelledTask ReadFile(string path) => TextTaskFile.Read(path);

    /// <inheritdoc/>
    public override LabelledTask Fit(LabelledTask task) => task;

    /// <inheritdoc/>
    public override TaskSource Sources(string data)
    {
        var sources = new TextSources(data);
        return new(sources.Names, sources.Read);
    }

    /// <inheritdoc/>
    public override LabelledTask Read(TaskSpec spec, Func<string, string> resolve, UserTaskOptions options)
    {
        var path = resolve(spec.Texts!);
        var task = Path.GetExtension(path).Equals(".safetensors", StringComparison.OrdinalIgnoreCase) ? Named(TextTaskFile.Read(path), spec.Name)
            : LabelledTextTask.Of(TextTask.Read(path, Options()), spec.Name);
        var apart = Pools.Separate([task])[0];
        if (apart.Test.Count < task.Test.Count)
            options.Note?.Invoke($"{path}: {task.Test.Count - apart.Test.Count} test texts are left out: training texts have the same words");
        return apart;

        TextTaskOptions Options() => new() { TestShare = options.TestShare, Note = options.Note, Cancellation = options.Cancellation };

        static LabelledTextTask Named(LabelledTextTask task, string name) => new(name, task.Train, task.Test, task.Pool);
    }

    /// <summary>Makes the tokens of texts.</summary>
    private protected TextEncoder Encoder => encoder;

    /// <summary>The family of the model in a folder, or null where its config does not say.</summary>
    private protected static string? TypeIn(string folder) => Field(folder, "model_type") is { ValueKind: JsonValueKind.String } type ? type.GetString() : null;

    // A field of a folder's config. What is no config has none: who reads all of it says what is wrong.
    private static JsonElement? Field(string folder, string name)
    {
        var config = Path.Combine(folder, "config.json");
        if (!File.Exists(config)) return null;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(config));
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty(name, out var value) ? value.Clone() : null;
        }
        catch (JsonException) { return null; }
    }

    // tokenizer.json, vocab.txt, merges.txt, spiece.model, …
    private static bool IsOfTokenizer(string file) => Path.GetExtension(file) is ".json" or ".txt" or ".model";
}

/// <summary>
/// Texts as a study trains on them: they do not say how long they are, so that their order, as that of features and bags of words, is one for all arms.
/// </summary>
/// <param name="data">The texts.</param>
/// <param name="dropped">The share of tokens that a training leaves out at random, so that no word alone decides; the first of a text always stays.</param>
internal sealed class StudyTexts(IDataset data, float dropped) : IDataset
{
    // Number i << 12 | t of the stream belongs to token t of text i.
    private const int BitsOfPlace = 12;

    /// <inheritdoc/>
    public string Name => data.Name;

    /// <inheritdoc/>
    public int Count => data.Count;

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes => data.Classes;

    /// <inheritdoc/>
    public int Label(int index) => data.Label(index);

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var batch = data.Read(workspace, indices);
        if (random is not { } numbers || dropped == 0) return batch;
        var (tokens, width, lengths) = (batch.Inputs.ToInts(), batch.Inputs.Shape[1], new int[indices.Length]);
        for (var i = 0; i < lengths.Length; i++)
        {
            var row = tokens.AsSpan(i * width, width);
            for (var t = 0; t < (batch.Lengths?[i] ?? width); t++)
            {
                if (t == 0 || numbers.Uniform((ulong)i << BitsOfPlace | (uint)t) >= dropped) row[lengths[i]++] = row[t];
            }
            row[lengths[i]..].Clear();
        }
        return batch with { Inputs = workspace.From(tokens, batch.Inputs.Shape), Lengths = lengths };
    }
}
