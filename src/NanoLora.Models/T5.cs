using System.Buffers;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

// Encoder, for each block:   x += o(attention(q h, k h, v h; bias)),   x += mlp(norm x),   h = norm x
// Decoder, for each block:   x += o(attention(q h, k h, v h; bias, causal)),   x += o(attention(q h', k m, v m)),   x += mlp(norm x),
//                            m what the encoder gives
// logits = head(norm x · scale)
//
// Raffel et al. 2020. Scores are not divided by √d. There are no positions but a bias on each head's scores by the distance of key and query, in buckets that
// grow with the distance; a stack's blocks share it. Where the head is the embedding, the scale is 1 / √D; T5 1.1 and Flan-T5 have a head of their own.

/// <summary>T5: an encoder reads a text, a decoder writes another.</summary>
public sealed class T5 : Model, ITextModel
{
    private readonly T5Config _config;
    private readonly Embedding _embedding;
    private readonly T5Stack _encoder, _decoder;
    private readonly Linear _head;
    private TextTokens _tokens = TextTokens.None;

    private T5(T5Config c, WeightSource w, NameMap names, string source) : base(w.Backend, names, source)
    {
        _config = c;
        _embedding = Part("embed", w.Embedding("embed", c.Vocabulary, c.HiddenSize));
        _encoder = Part("encoder", new T5Stack(w, c, "encoder", c.EncoderLayers, decodes: false));
        _decoder = Part("decoder", new T5Stack(w, c, "decoder", c.DecoderLayers, decodes: true));
        _head = Part("head", c.TiedHead ? new Linear(_embedding.Weight) : w.Linear("head", c.Vocabulary, c.HiddenSize, bias: false));
    }

    /// <summary>The number of tokens, V.</summary>
    public int Vocabulary => _config.Vocabulary;

    /// <summary>The token that every text to be written begins with.</summary>
    public int StartToken => _config.StartToken;

    /// <summary>The tokens that end a text, as the model's files say; none if they do not.</summary>
    public IReadOnlyList<int> EndTokens => _tokens.Ends;

    int ITextModel.Context => int.MaxValue;                                            // there are no positions, only distances

    bool ITextModel.Continues => false;

    TextTokens ITextModel.Tokens
    {
        get => _tokens;
        set => _tokens = value;
    }

    Decoding ITextModel.Begin(Workspace workspace, IReadOnlyList<IReadOnlyList<int>> prompts, int most, PromptCache? cache) => cache is null
        ? new T5Decoding(this, workspace, prompts, most)
        : throw new ArgumentException($"{Source}: an encoder reads each text anew; leave the prompt cache out.");

    IReadOnlyList<int> ITextModel.Before(IReadOnlyList<int> prompt) => [StartToken];

    /// <summary>The width of the states, D.</summary>
    internal int Width => _config.HiddenSize;

    /// <summary>The config.json that it was read from.</summary>
    internal ConfigNode Json { get; private init; }

    /// <summary>What the cache of the decoder's keys and values is made of.</summary>
    internal DecoderSizes Sizes => new(_config.Vocabulary, _config.DecoderLayers, _config.Heads, _config.HeadSize, int.MaxValue);

    /// <summary>The bucket of a distance, key minus query.</summary>
    internal int Bucket(int distance, bool bidirectional) => _config.Bucket(distance, bidirectional);

    /// <summary>
    /// A new T5, with random weights that do not train yet. They are normal numbers of the deviations of Mesh TensorFlow, times
    /// <see cref="T5Config.InitialFactor"/>: 1 for tokens and head, 1 / √(D · head size) for queries, and 1 / √in for all else.
    /// </summary>
    /// <param name="config">What it is made of.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="seed">Of the weights.</param>
    /// <exception cref="ArgumentException">No model can be made of the config.</exception>
    public static T5 Create(T5Config config, Backend backend, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(backend);
        const string source = "a new T5";
        var c = config.Checked(source);
        var bytes = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(bytes)) T5File.Describe(json, c);
        using var document = JsonDocument.Parse(bytes.WrittenMemory);
        return new T5(c, new NewT5Weights(backend, seed, c), T5File.Names(c.Gated), source)
        {
            Json = ConfigNode.Of(source, document.RootElement.Clone()), _tokens = new(null, [c.EndToken]),
        };
    }

    /// <summary>Reads a T5, a T5 1.1 or a Flan-T5, all weights frozen.</summary>
    /// <param name="path">A folder with config.json and the weights in one file or several, or the weight file in it.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="keepType">Let matrices in BF16 and F16 rest as they are; otherwise all is widened to F32.</param>
    /// <exception cref="CheckpointException">A file is missing or damaged, the config asks for something that is not supported, or config and weights
    /// do not belong together.</exception>
    public static T5 Load(string path, Backend backend, bool keepType = true) => Load(path, backend, keepType, "config.json");

    /// <summary>As <see cref="Load(string, Backend, bool)"/>, by a config of another name.</summary>
    internal static T5 Load(string path, Backend backend, bool keepType, string config)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(backend);
        using var file = new TextFile(path, backend, keepType, config);
        return Read(file);
    }

    /// <summary>Builds the model of an open file.</summary>
    internal static T5 Read(TextFile file)
    {
        if (file.ModelType != "t5") throw file.Json.Error("model_type", $"\"{file.ModelType}\" is no t5.");
        var c = T5File.Of(file.Json, ownHead: file.Checkpoint.TryGet("lm_head.weight", out _));
        var names = T5File.Names(c.Gated);
        return file.Build(names, tied: false, w => new T5(c, w, names, file.Path) { Json = file.Json }, ignored: T5File.Copies);
    }

    /// <summary>Writes config.json and model.safetensors into a folder, which is made if need be. Loading gives the same model.</summary>
    /// <exception cref="InvalidOperationException">An adapter is attached.</exception>
    /// <exception cref="CheckpointException">A file cannot be written.</exception>
    public void Save(string folder) => TextFile.Write(this, folder, json => Json.Json.WriteTo(json));

    /// <summary>The logits [B, 1, V] of the first token to be written after reading texts I32 [B, S].</summary>
    public override Tensor Forward(Tensor inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        var start = new int[inputs.Shape[0]];
        Array.Fill(start, StartToken);
        return Forward(inputs, inputs.Workspace.From(start, new Shape(start.Length, 1)));
    }

    /// <summary>
    /// The logits [B, T, V] that the targets [B, T] are held against: at each place the decoder has seen the start token and the targets before it, padding
    /// where there is none to be learned.
    /// </summary>
    /// <exception cref="ArgumentException">As <see cref="Forward(Tensor, Tensor, ReadOnlySpan{int})"/>.</exception>
    public override Tensor Forward(Batch batch)
    {
        TextRows.Check(Source, batch.Targets, []);
        var (targets, tokens, pad) = (batch.Targets.ToInts(), batch.Targets.Shape[1], Json.Int("pad_token_id", 0, min: 0));
        var outputs = new int[targets.Length];
        for (var i = 0; i < outputs.Length; i++) outputs[i] = i % tokens == 0 ? StartToken : targets[i - 1] == Batch.Ignored ? pad : targets[i - 1];
        return Forward(batch.Inputs, batch.Inputs.Workspace.From(outputs, batch.Targets.Shape), batch.Lengths);
    }

    /// <summary>The logits [B, T, V] of the token that follows each of those written so far.</summary>
    /// <param name="inputs">The texts to read, I32 [B, S].</param>
    /// <param name="outputs">What is written: the start token and what follows it, I32 [B, T].</param>
    /// <param name="lengths">How many tokens of each text to read count, the rest being padding; none at all where all do.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, or an id is none of the model's tokens.</exception>
    public Tensor Forward(Tensor inputs, Tensor outputs, params ReadOnlySpan<int> lengths)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(outputs);
        TextRows.Check(Source, outputs, []);
        if (outputs.Shape[0] != inputs.Shape[0]) throw new ArgumentException($"{Source}: outputs {outputs.Shape} for inputs {inputs.Shape}.");
        using var scope = inputs.Workspace.Scope();
        return scope.Keep(Write(outputs, Read(inputs, lengths)));
    }

    /// <summary>Reads texts: the keys and values that each block of the decoder looks at.</summary>
    internal T5Memory Read(Tensor inputs, ReadOnlySpan<int> lengths)
    {
        var (x, padding) = Encode(inputs, lengths, Trace, "encoder.");
        return new T5Memory(_decoder.Remember(x), padding);
    }

    /// <summary>The mean of the encoder's states after its norm over the tokens of each text, [B, D].</summary>
    internal Tensor MeanState(Batch batch) => TextRows.Mean(Encode(batch.Inputs, batch.Lengths, null, "").States, batch.Lengths);

    /// <summary>The encoder's states after its norm, [B, S, D], and the mask that hides padding from who looks at them.</summary>
    internal (Tensor States, Tensor? Padding) Encode(Tensor inputs, ReadOnlySpan<int> lengths, Action<string, Tensor>? trace, string prefix)
    {
        TextRows.Check(Source, inputs, lengths);
        var tokens = inputs.Shape[1];
        var padding = TextRows.Mask(inputs.Workspace, lengths, tokens);
        var bias = _encoder.Bias(inputs.Workspace, 0, tokens);                          // [1, H, S, S]
        if (padding is not null) bias += padding;
        var x = _encoder.Norm.Forward(_encoder.Forward(_embedding.Forward(inputs), bias, null, null, trace, prefix));
        trace?.Invoke(prefix + "last_hidden", x);
        return (x, padding);
    }

    /// <summary>
    /// The logits [B · N, T, V] of the token that follows each of those written, where N texts [B · N, T] are written of each text that was read: what was
    /// read is there once, and the N lie side by side as so many more queries to it.
    /// </summary>
    internal Tensor Write(Tensor outputs, T5Memory memory) => Logits(Decode(outputs, memory, null));

    /// <summary>The logits [B, V] after the next token of each text that is being written.</summary>
    internal Tensor Next(Tensor tokens, T5Memory memory, KeyValueCache cache)
    {
        var logits = Logits(Decode(tokens, memory, cache));
        logits = logits.Slice(1, logits.Shape[1] - 1, logits.Shape[1]).Reshape(logits.Shape[0], Vocabulary);
        Trace?.Invoke("next_logits", logits);
        return logits;
    }

    private Tensor Decode(Tensor tokens, T5Memory memory, KeyValueCache? cache)
    {
        var bias = _decoder.Bias(tokens.Workspace, cache?.Length ?? 0, tokens.Shape[1]);
        var x = _decoder.Forward(_embedding.Forward(tokens), bias, memory, cache, Trace, "decoder.");
        cache?.Advance(tokens.Shape[1]);
        return x;
    }

    private Tensor Logits(Tensor x)
    {
        x = _decoder.Norm.Forward(x);
        return _head.Forward(_config.ScaledHead ? x * (1 / MathF.Sqrt(_config.HiddenSize)) : x);
    }
}

/// <summary>What a decoder sees of the texts that were read: keys and values [B, S, H, D] for each block, and -∞ at padding.</summary>
internal sealed record T5Memory((Tensor Keys, Tensor Values)[] Blocks, Tensor? Padding);

/// <summary>The encoder or the decoder of a <see cref="T5"/>.</summary>
internal sealed class T5Stack : Module
{
    private readonly T5Config _config;
    private readonly bool _decodes;
    private readonly Embedding _bias;
    private readonly T5Block[] _blocks;

    public T5Stack(WeightSource w, T5Config c, string at, int layers, bool decodes)
    {
        (_config, _decodes) = (c, decodes);
        _bias = Part("bias", w.Embedding($"{at}.bias", c.Buckets, c.Heads));
        _blocks = new T5Block[layers];
        for (var n = 0; n < layers; n++) _blocks[n] = Part($"blocks.{n}", new T5Block(w, c, $"{at}.blocks.{n}", n, decodes));
        Norm = Part("norm", w.RmsNorm($"{at}.norm", c.HiddenSize, c.Eps));
    }

    /// <summary>The norm after the last block.</summary>
    public RmsNorm Norm { get; }

    /// <summary>What is added to the scores of queries start.. over all keys up to the last of them: [1, H, T, Tk].</summary>
    public Tensor Bias(Workspace w, int start, int tokens)
    {
        var keys = start + tokens;
        var buckets = new int[checked(tokens * keys)];
        for (var i = 0; i < buckets.Length; i++) buckets[i] = _config.Bucket(i % keys - (start + i / keys), bidirectional: !_decodes);
        return _bias.Forward(w.From(buckets, new Shape(tokens, keys))).Permute(2, 0, 1).Reshape(1, _config.Heads, tokens, keys);
    }

    /// <summary>The keys and values of what the encoder gave, for each block.</summary>
    public (Tensor Keys, Tensor Values)[] Remember(Tensor encoded) => Array.ConvertAll(_blocks, block => block.Cross!.KeysAndValues(encoded));

    public Tensor Forward(Tensor x, Tensor bias, T5Memory? memory, KeyValueCache? cache, Action<string, Tensor>? trace, string prefix)
    {
        trace?.Invoke(prefix + "hidden.0", x);
        for (var layer = 0; layer < _blocks.Length; layer++)
        {
            var y = _blocks[layer].Forward(x, bias, memory, cache);
            x.Dispose();                                                               // the tape holds what it needs
            x = y;
            trace?.Invoke($"{prefix}hidden.{layer + 1}", x);
        }
        return x;
    }
}

/// <summary>A block of either stack; the decoder's has attention to what was read as well.</summary>
internal sealed class T5Block : Module
{
    private readonly int _layer;
    private readonly RmsNorm _norm1, _norm2;
    private readonly RmsNorm? _normCross;
    private readonly T5Attention _self;
    private readonly Linear? _gate;
    private readonly Linear _up, _down;
    private readonly Activation _activation;

    public T5Block(WeightSource w, T5Config c, string at, int layer, bool decodes)
    {
        (_layer, _activation) = (layer, c.Activation);
        _norm1 = Part("norm1", w.RmsNorm($"{at}.norm1", c.HiddenSize, c.Eps));
        _self = Part("attn", new T5Attention(w, c, $"{at}.attn"));
        if (decodes)
        {
            _normCross = Part("norm_cross", w.RmsNorm($"{at}.norm_cross", c.HiddenSize, c.Eps));
            Cross = Part("cross", new T5Attention(w, c, $"{at}.cross"));
        }
        _norm2 = Part("norm2", w.RmsNorm($"{at}.norm2", c.HiddenSize, c.Eps));
        if (c.Gated) _gate = Part("mlp.gate", w.Linear($"{at}.mlp.gate", c.IntermediateSize, c.HiddenSize, bias: false));
        _up = Part("mlp.up", w.Linear($"{at}.mlp.up", c.IntermediateSize, c.HiddenSize, bias: false));
        _down = Part("mlp.down", w.Linear($"{at}.mlp.down", c.HiddenSize, c.IntermediateSize, bias: false));
    }

    /// <summary>Attention to what was read, or null in the encoder.</summary>
    public T5Attention? Cross { get; }

    public Tensor Forward(Tensor x, Tensor bias, T5Memory? memory, KeyValueCache? cache)                   // [B, T, D]
    {
        using var scope = x.Workspace.Scope();
        x += _self.Out.After(kept => ToItself(kept[0]!, kept[1]!, cache), x, bias);
        if (Cross is not null)
        {
            var (keys, values) = memory!.Blocks[_layer];
            x += Cross.Out.After(kept => ToMemory(kept[0]!, kept[1]!, kept[2]!, kept[3]), x, keys, values, memory.Padding).Reshape(x.Shape);
        }
        return scope.Keep(x + _down.AfterRows(Gated, x));
    }

    private Tensor ToItself(Tensor x, Tensor bias, KeyValueCache? cache)
    {
        var h = _norm1.Forward(x);
        var (k, v) = _self.KeysAndValues(h);
        var (keys, values) = cache is null ? (HeadView.Of(k), HeadView.Of(v)) : cache.Extend(_layer, k, v);
        return _self.Mixed(h, keys, values, bias, causal: Cross is not null);
    }

    private Tensor ToMemory(Tensor x, Tensor keys, Tensor values, Tensor? padding)
    {
        var asked = _normCross!.Forward(x).Reshape(keys.Shape[0], x.Rows / keys.Shape[0], x.Cols);        // [B, N T, D]
        return Cross!.Mixed(asked, HeadView.Of(keys), HeadView.Of(values), padding, causal: false);
    }

    // What enters the linear down.
    private Tensor Gated(Tensor x)
    {
        var m = _norm2.Forward(x);
        var up = _up.Forward(m);
        return _gate is null ? _activation.Apply(up) : _activation.Gate(_gate.Forward(m), up);
    }
}

/// <summary>Attention without scaling, with a mask that holds the bias or the padding.</summary>
internal sealed class T5Attention : Module
{
    private readonly Linear _q, _k, _v;
    private readonly int _heads;

    public T5Attention(WeightSource w, T5Config c, string at)
    {
        var inner = c.Heads * c.HeadSize;
        _heads = c.Heads;
        (_q, _k, _v) = (Wide("q"), Wide("k"), Wide("v"));
        Out = Part("o", w.Linear($"{at}.o", c.HiddenSize, inner, bias: false));

        Linear Wide(string name) => Part(name, w.Linear($"{at}.{name}", inner, c.HiddenSize, bias: false));
    }

    /// <summary>The output linear.</summary>
    public Linear Out { get; }

    /// <summary>Keys and values [B, T, H, D] of x.</summary>
    public (Tensor Keys, Tensor Values) KeysAndValues(Tensor x) => (DecoderPass.Heads(_k.Forward(x), _heads), DecoderPass.Heads(_v.Forward(x), _heads));

    /// <summary>What enters the output linear.</summary>
    public Tensor Mixed(Tensor h, HeadView keys, HeadView values, Tensor? mask, bool causal) =>
        Tensor.Attention(HeadView.SideBySide(_q.Forward(h), _heads), keys, values, new AttentionOptions(causal, Scale: 1), mask);
}
