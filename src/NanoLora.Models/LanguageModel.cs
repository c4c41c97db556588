using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// A causal language model: tokens I32 [B, T] to logits [B, T, V] of the token that follows each. A family is one file that says what its embedding, its
/// blocks and its head are; positions, padding and the cache of keys and values are the same for all. Trace sees "hidden.0" (what enters the first
/// block), "hidden.K" (what leaves block K), "last_hidden", and "next_logits" at every step of a generation.
/// </summary>
public abstract class LanguageModel : Model, ITextModel
{
    private TextTokens _tokens = TextTokens.None;

    private protected LanguageModel(Backend backend, NameMap names, string source, DecoderSizes sizes) : base(backend, names, source) => Sizes = sizes;

    /// <summary>The number of tokens, V.</summary>
    public int Vocabulary => Sizes.Vocabulary;

    /// <summary>The longest text that the model is made for.</summary>
    public int MaxPositions => Sizes.MaxPositions;

    /// <summary>The tokens that end a text, as the model's files say; none if they do not.</summary>
    public IReadOnlyList<int> EndTokens => _tokens.Ends;

    int ITextModel.Context => MaxPositions;

    bool ITextModel.Continues => true;

    TextTokens ITextModel.Tokens
    {
        get => _tokens;
        set => _tokens = value;
    }

    /// <summary>What its cache is made of.</summary>
    internal DecoderSizes Sizes { get; }

    /// <summary>The config.json that it was read from, or null.</summary>
    internal ConfigNode? Json { get; init; }

    /// <summary>
    /// Reads a model of any of the families, all weights frozen: llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, phi3, gpt2, opt, gpt_neox, and
    /// this library's nano_llama; and checkpoints of llama2.c, which have no config.json.
    /// </summary>
    /// <param name="path">
    /// A folder with config.json and the weights in one file or several, or the weight file in it; or a checkpoint of llama2.c, or a folder with one.
    /// </param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="keepType">Let matrices in BF16 and F16 rest as they are; otherwise all is widened to F32, which training the matrices needs.</param>
    /// <exception cref="CheckpointException">A file is missing or damaged, the config asks for something that is not supported, or config and weights
    /// do not belong together.</exception>
    public static LanguageModel Load(string path, Backend backend, bool keepType = true)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Llama2cWeights.Find(path) is { } file ? Llama.LoadLlama2c(file, backend) : Load(path, backend, keepType, "config.json");
    }

    /// <summary>As <see cref="Load(string, Backend, bool)"/>, by a config of another name.</summary>
    internal static LanguageModel Load(string path, Backend backend, bool keepType, string config)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(backend);
        using var file = new TextFile(path, backend, keepType, config);
        return Of(file);
    }

    /// <summary>Builds the model of an open file.</summary>
    internal static LanguageModel Of(TextFile file) => file.ModelType switch
    {
        "gpt2" => Gpt2.Read(file),
        "opt" => Opt.Read(file),
        "gpt_neox" => GptNeoX.Read(file),
        _ => Llama.Read(file, LlamaFile.ConfigOf(file.Json)),
    };

    /// <summary>
    /// Writes config.json and model.safetensors, in the family's own names, into a folder, which is made if need be. Loading gives the same model.
    /// </summary>
    /// <exception cref="InvalidOperationException">An adapter is attached, or the family's config has no field for something that this model has.</exception>
    /// <exception cref="CheckpointException">A file cannot be written.</exception>
    public void Save(string folder) => TextFile.Write(this, folder, ConfigJson().WriteTo, IsTransposed);

    /// <summary>Whether the family's files hold the matrix at a path as [in, out].</summary>
    internal virtual bool IsTransposed(string path) => false;

    /// <summary>Writes the fields of a config.json for a model that came without one.</summary>
    private protected virtual void Describe(Utf8JsonWriter json) =>
        throw new InvalidOperationException($"{Source}: a model of this family that came without a config has none to write.");

    /// <summary>The logits [B, T, V] of whole texts I32 [B, T]; texts may end in anything, as no token sees those after it.</summary>
    /// <exception cref="ArgumentException">Not [B, T], longer than the model's position table, or an id that is none of its tokens.</exception>
    public override Tensor Forward(Tensor inputs) => Forward(inputs, padding: []);

    /// <summary>The logits [B, T, V] of whole texts, the first tokens of each row being padding: positions count after them.</summary>
    /// <param name="tokens">I32 [B, T]</param>
    /// <param name="padding">
    /// How many tokens at the beginning of each row are padding, fewer than T; none at all for no padding. Logits there mean nothing.
    /// </param>
    /// <exception cref="ArgumentException">As <see cref="Forward(Tensor)"/>, or another number of rows, or a row of nothing but padding.</exception>
    public Tensor Forward(Tensor tokens, params ReadOnlySpan<int> padding)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        using var scope = tokens.Workspace.Scope();
        return scope.Keep(Logits(Hidden(tokens, new DecoderPass(this, tokens, null, padding))));
    }

    /// <summary>The mean cross entropy of a batch, whose logits are made a slice of tokens at a time.</summary>
    public override Tensor Loss(Batch batch, float smoothing = 0)
    {
        using var scope = batch.Inputs.Workspace.Scope();
        return scope.Keep(States(batch.Inputs, Trace).CrossEntropy(Head, batch.Targets, smoothing: smoothing));
    }

    /// <summary>
    /// The logits [B, T, V] of the next T tokens of texts whose keys and values are in the cache; those of these tokens go there, too. No gradients.
    /// </summary>
    /// <exception cref="ArgumentException">As <see cref="Forward(Tensor)"/>, or a cache of another model or batch, or without so much room.</exception>
    public Tensor Forward(Tensor tokens, KeyValueCache cache)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentNullException.ThrowIfNull(cache);
        using var scope = tokens.Workspace.Scope(grad: false);
        return scope.Keep(Logits(Hidden(tokens, new DecoderPass(this, tokens, cache, cache.Padding))));
    }

    /// <summary>As <see cref="Forward(Tensor, KeyValueCache)"/>, of the last of the tokens only: [B, V].</summary>
    public Tensor Next(Tensor tokens, KeyValueCache cache)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentNullException.ThrowIfNull(cache);
        using var scope = tokens.Workspace.Scope(grad: false);
        var x = Hidden(tokens, new DecoderPass(this, tokens, cache, cache.Padding));
        var logits = Logits(x.Slice(1, x.Shape[1] - 1, x.Shape[1])).Reshape(x.Shape[0], Vocabulary);
        Trace?.Invoke("next_logits", logits);
        return scope.Keep(logits);
    }

    /// <summary>An empty cache for texts of at most <paramref name="capacity"/> tokens.</summary>
    /// <param name="batch">How many texts, B.</param>
    /// <param name="capacity">Places for tokens, padding and those to come included.</param>
    /// <param name="padding">How many tokens at the beginning of each row are padding; none at all for no padding.</param>
    /// <exception cref="ArgumentException">A size below 1, or padding for another number of rows.</exception>
    public KeyValueCache NewCache(int batch, int capacity, params ReadOnlySpan<int> padding) => new(Backend, Sizes, batch, capacity, padding);

    /// <summary>What leaves the last block, before its norm, of whole texts I32 [B, T]: [B, T, D].</summary>
    internal Tensor Stream(Tensor tokens, Action<string, Tensor>? trace) => Hidden(tokens, new DecoderPass(this, tokens, null, []), trace);

    /// <summary>The norm after the last block, of rows [.., D].</summary>
    internal Tensor Normed(Tensor x) => Final(x);

    Decoding ITextModel.Begin(Workspace workspace, IReadOnlyList<IReadOnlyList<int>> prompts, int most, PromptCache? cache) =>
        new DecoderDecoding(this, workspace, prompts, most, cache);

    IReadOnlyList<int> ITextModel.Before(IReadOnlyList<int> prompt) => prompt;

    /// <summary>Whether keys made for a text of one length are of no use once it has the other.</summary>
    internal virtual bool Outgrows(int before, int after) => false;

    /// <summary>What enters the first block, [B, T, D].</summary>
    private protected abstract Tensor Embed(Tensor tokens, DecoderPass pass);

    /// <summary>Runs block <paramref name="layer"/>; only its result outlives it.</summary>
    private protected abstract Tensor Block(int layer, Tensor x, DecoderPass pass);

    /// <summary>The norm after the last block, and what else stands before the head.</summary>
    private protected abstract Tensor Final(Tensor x);

    /// <summary>The head.</summary>
    private protected abstract Tensor Head(Tensor x);

    /// <summary>The width of what <see cref="Final"/> gives, which is that of the embedding.</summary>
    internal int Width => Parameters().First(static p => p.Key == "embed.weight").Value.Shape[1];

    /// <summary>The state of every token after the last norm, [B, T, D], of whole texts I32 [B, T].</summary>
    internal Tensor States(Tensor tokens, Action<string, Tensor>? trace)
    {
        var x = Final(Hidden(tokens, new DecoderPass(this, tokens, null, []), trace));
        trace?.Invoke("last_hidden", x);
        return x;
    }

    private Tensor Hidden(Tensor tokens, DecoderPass pass) => Hidden(tokens, pass, Trace);

    private Tensor Hidden(Tensor tokens, DecoderPass pass, Action<string, Tensor>? trace)
    {
        var x = Embed(tokens, pass);
        trace?.Invoke("hidden.0", x);
        for (var layer = 0; layer < Sizes.Layers; layer++)
        {
            var y = Block(layer, x, pass);
            x.Dispose();                                                               // the tape holds what it needs
            x = y;
            trace?.Invoke($"hidden.{layer + 1}", x);
        }
        pass.End();
        return x;
    }

    /// <summary>The config that it came with, or one of its own.</summary>
    internal JsonElement ConfigJson()
    {
        if (Json is { } node) return node.Json;
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            Describe(json);
            json.WriteEndObject();
        }
        using var document = JsonDocument.Parse(bytes.ToArray());
        return document.RootElement.Clone();
    }

    private Tensor Logits(Tensor x)
    {
        x = Final(x);
        Trace?.Invoke("last_hidden", x);
        return Head(x);
    }
}

/// <summary>What a decoder's cache and positions are made of.</summary>
/// <param name="Vocabulary">The number of tokens.</param>
/// <param name="Layers">The number of blocks.</param>
/// <param name="KeyHeads">Heads of keys and values, G.</param>
/// <param name="HeadSize">The width of a head, D.</param>
/// <param name="MaxPositions">The longest text that it is made for.</param>
/// <param name="Bounded">Whether a longer one cannot be read at all: positions are rows of a table.</param>
internal readonly record struct DecoderSizes(int Vocabulary, int Layers, int KeyHeads, int HeadSize, int MaxPositions, bool Bounded = false);
