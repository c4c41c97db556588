using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>A base that reads a text and writes another, with its tokenizer.</summary>
/// <param name="Model">The model.</param>
/// <param name="Tokenizer">Makes its ids.</param>
/// <param name="TokenizerFile">The bytes of the tokenizer's tokenizer.json.</param>
public sealed record TextToText(T5 Model, Tokenizer Tokenizer, ReadOnlyMemory<byte> TokenizerFile) : IDisposable
{
    /// <summary>Writes tokenizer.json, tokenizer_config.json, model.safetensors and config.json.</summary>
    /// <param name="folder">Where to; it is made if need be.</param>
    /// <exception cref="CheckpointException">A file cannot be written.</exception>
    public void Save(string folder)
    {
        TextBase.WriteTokenizer(folder, TokenizerFile);
        Model.Save(folder);
    }

    /// <summary>Lets the model go.</summary>
    public void Dispose() => Model.Dispose();
}

/// <summary>Makes the text-to-text base from free texts.</summary>
public static class TextToTextPretraining
{
    /// <summary>
    /// Learns a tokenizer and word vectors, then trains a T5 that starts from them. Gives the base and how the training went; the base is the caller's.
    /// </summary>
    /// <param name="texts">The sets; one of them has classes.</param>
    /// <param name="options">All settings.</param>
    /// <param name="backend">Where.</param>
    /// <exception cref="CheckpointException">The state to go on from is that of another training.</exception>
    public static (TextToText Base, History History) Run(IReadOnlyList<FreeText> texts, TextToTextOptions options, Backend backend)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(backend);
        var (tokenizer, file) = TextPretraining.Tokens(texts, options, [.. Enumerable.Range(0, options.Sentinels).Select(TextToTextMixture.Sentinel)]);
        var data = new TextToTextMixture(texts, tokenizer, options);
        var model = Start(data, tokenizer, options, backend);
        try
        {
            model.Train();
            model.Parameters().First(static p => p.Key == "embed.weight").Value.Trains = options.TrainTokens;
            var history = Trainer.Fit(model, data, TextPretraining.Fitting(options));
            model.Train(false);
            return (new TextToText(model, tokenizer, file), history);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    // Tokens start as word vectors, and the head, its own, as a share of them: so a state near a word's vector says that word. What the blocks add to a token
    // is little at first, but for the last block of the decoder: W_o W_v = 1 in its attention to what was read lets the mean of that pass, so the model starts
    // by saying again what it has read.
    private static T5 Start(TextToTextMixture data, Tokenizer tokenizer, TextToTextOptions options, Backend backend)
    {
        var end = tokenizer.Id(BpeTrainer.EndToken)!.Value;
        var model = T5.Create(new T5Config
        {
            Vocabulary = tokenizer.VocabularySize, HiddenSize = options.Width, Heads = options.Heads, HeadSize = options.Width / options.Heads,
            IntermediateSize = options.Intermediate, EncoderLayers = options.Layers, DecoderLayers = options.Layers, StartToken = end, EndToken = end,
        }, backend, options.Seed);
        var parameters = model.Parameters().ToDictionary();
        if (options.WordVectors)
            backend.Upload<float>(TextPretraining.Vectors(data.Documents, tokenizer.VocabularySize, options), parameters["embed.weight"].Value);
        backend.Upload<float>(parameters["embed.weight"].Value.ToArray(), parameters["head.weight"].Value);
        TextPretraining.Scale(parameters["head.weight"], options.HeadScale);
        foreach (var (path, parameter) in parameters)
        {
            if (path.EndsWith(".o.weight", StringComparison.Ordinal) || path.EndsWith("mlp.down.weight", StringComparison.Ordinal))
                TextPretraining.Scale(parameter, options.BranchScale);
        }
        if (!options.StartsCopying) return model;
        var one = new float[options.Width * options.Width];
        for (var i = 0; i < options.Width; i++) one[i * options.Width + i] = 1;
        foreach (var part in (ReadOnlySpan<string>)["v", "o"])
            backend.Upload<float>(one, parameters[$"decoder.blocks.{options.Layers - 1}.cross.{part}.weight"].Value);
        return model;
    }
}
