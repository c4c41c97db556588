using System.Text;
using System.Text.Json;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>A base for texts: a language model and its tokenizer.</summary>
/// <param name="Model">The model.</param>
/// <param name="Tokenizer">Makes its ids.</param>
/// <param name="TokenizerFile">The bytes of the tokenizer's tokenizer.json.</param>
/// <param name="Pooling">How a classifier over it makes features of its tokens' states.</param>
public sealed record TextBase(Llama Model, Tokenizer Tokenizer, ReadOnlyMemory<byte> TokenizerFile, TextPooling Pooling) : IDisposable
{
    // What others than this library need to know of the tokenizer.
    private const string Config = $$"""
        {
          "tokenizer_class": "PreTrainedTokenizerFast",
          "bos_token": "{{BpeTrainer.EndToken}}",
          "eos_token": "{{BpeTrainer.EndToken}}",
          "pad_token": "{{BpeTrainer.EndToken}}",
          "clean_up_tokenization_spaces": false,
          "model_max_length": 128
        }

        """;

    /// <summary>The longest text that it is made for: rotary positions are as good beyond the rows of the training, up to a point.</summary>
    internal const int Positions = 128;

    /// <summary>Writes tokenizer.json, tokenizer_config.json, model.safetensors and config.json.</summary>
    /// <param name="folder">Where to; it is made if need be.</param>
    /// <param name="matrices">The type that matrices have in the file.</param>
    /// <exception cref="CheckpointException">A file cannot be written.</exception>
    public void Save(string folder, DType matrices = DType.F32)
    {
        WriteTokenizer(folder, TokenizerFile);
        using var model = Model.As(matrices);
        TextFile.Write(model, folder, Describe);

        void Describe(Utf8JsonWriter json)
        {
            var end = Tokenizer.Id(BpeTrainer.EndToken)!.Value;
            json.WriteStartObject();
            foreach (var field in model.ConfigJson().EnumerateObject()) field.WriteTo(json);
            foreach (var token in (ReadOnlySpan<string>)["bos_token_id", "eos_token_id", "pad_token_id"]) json.WriteNumber(token, end);
            ClassifierFile.WritePooling(json, Pooling);
            json.WriteEndObject();
        }
    }

    /// <summary>Writes the two files of a tokenizer that was learned here into a folder, which is made if need be.</summary>
    internal static void WriteTokenizer(string folder, ReadOnlyMemory<byte> tokenizer)
    {
        Directory.CreateDirectory(folder);
        Write("tokenizer.json", tokenizer);
        Write("tokenizer_config.json", Encoding.UTF8.GetBytes(Config));

        void Write(string name, ReadOnlyMemory<byte> bytes) => AtomicFile.Write(Path.Combine(folder, name), stream => stream.Write(bytes.Span));
    }

    /// <summary>Lets the model go.</summary>
    public void Dispose() => Model.Dispose();
}

/// <summary>Makes the base for texts from free texts.</summary>
public static class TextPretraining
{
    private const string Source = "a new base for texts";

    /// <summary>
    /// Learns a tokenizer and word vectors, then trains a model that starts from them. Gives the base and how the training went; the base is the caller's.
    /// </summary>
    /// <param name="texts">The sets; one of them has classes.</param>
    /// <param name="options">All settings.</param>
    /// <param name="backend">Where.</param>
    /// <exception cref="CheckpointException">The state to go on from is that of another training.</exception>
    public static (TextBase Base, History History) Run(IReadOnlyList<FreeText> texts, TextPretrainOptions options, Backend backend)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(backend);
        var (tokenizer, file) = Tokens(texts, options);
        var data = new TextMixture(texts, tokenizer, options);
        var model = Start(data, tokenizer.VocabularySize, options, backend);
        var objective = new TextObjective(model, data.Intents.Count, options);
        try
        {
            objective.Train();
            model.Parameters().First(static p => p.Key == "embed.weight").Value.Trains = options.TrainTokens;
            var history = Trainer.Fit(objective, data, Fitting(options));
            objective.Train(false);
            return (new TextBase(model, tokenizer, file, options.Pooling), history);
        }
        catch
        {
            model.Dispose();
            throw;
        }
        finally { objective.Release(); }
    }

    /// <summary>A tokenizer that is learned from the texts, and its file.</summary>
    internal static (Tokenizer Tokenizer, byte[] File) Tokens(IReadOnlyList<FreeText> texts, TextBaseOptions options, params IReadOnlyList<string> special)
    {
        var file = BpeTrainer.Train(texts.SelectMany(static text => text.Documents.SelectMany(static sentences => sentences)), options.Vocabulary, special);
        return (TokenizerJson.Read(JsonTree.Parse(Source, file)), file);
    }

    /// <summary>How every base is trained.</summary>
    internal static FitOptions Fitting(TextBaseOptions options) => new()
    {
        Steps = options.Steps, BatchSize = options.Rows, BaseRate = options.Rate, WeightDecay = options.WeightDecay, Beta2 = 0.98,
        Warmup = options.Warmup, Seed = options.Seed, Progress = options.Progress, Cancellation = options.Cancellation, Resume = options.Resume,
        Checkpoint = options.Checkpoint, CheckpointEvery = options.CheckpointEvery,
    };

    /// <summary>Word vectors of all tokens, [vocabulary, width], the rarest with a mean square of 1.</summary>
    internal static float[] Vectors(IEnumerable<int[]> documents, int vocabulary, TextBaseOptions options)
    {
        var vectors = WordVectors.Of(documents, vocabulary, options.Width, options.Seed);
        FillGaps(vectors, options.Width, new Philox(options.Seed, Philox.StreamOf("tokens that do not occur")));
        var scale = MathF.Sqrt(options.Width);
        return Array.ConvertAll(vectors, x => scale * x);
    }

    /// <summary>Multiplies a parameter's values by a number.</summary>
    internal static void Scale(Parameter parameter, float by) =>
        parameter.Value.Backend.Upload<float>(Array.ConvertAll(parameter.Value.ToArray(), v => by * v), parameter.Value);

    // Tokens start as word vectors, the rarest with a mean square of 1, and what the blocks add to them is little at first. The head over tokens is not tied
    // to them: it would pull up the frequent ones, which are to count for little in a text's features.
    private static Llama Start(TextMixture data, int vocabulary, TextPretrainOptions options, Backend backend)
    {
        var model = Llama.Create(new LlamaConfig
        {
            Vocabulary = vocabulary, HiddenSize = options.Width, Layers = options.Layers, Heads = options.Heads, IntermediateSize = options.Intermediate,
            MaxPositions = TextBase.Positions,
        }, backend, options.Seed);
        var parameters = model.Parameters().ToDictionary();
        if (options.WordVectors) backend.Upload<float>(Vectors(data.Documents, vocabulary, options), parameters["embed.weight"].Value);
        foreach (var (path, parameter) in parameters)
        {
            if (path.EndsWith("attn.o.weight", StringComparison.Ordinal) || path.EndsWith("mlp.down.weight", StringComparison.Ordinal))
                Scale(parameter, options.BranchScale);
        }
        return model;
    }

    // Tokens that do not occur, such as some bytes, must be something too: random, and small.
    private static void FillGaps(Span<float> vectors, int width, Philox random)
    {
        for (var at = 0; at < vectors.Length; at += width)
        {
            var row = vectors.Slice(at, width);
            if (row.IndexOfAnyExcept(0f) >= 0) continue;
            for (var i = 0; i < width; i++) row[i] = 0.1f / MathF.Sqrt(width) * random.Normal((ulong)(at + i));
        }
    }
}
