using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

// x = E[token] · scale;   for each block   x += o(attention(turn(q h), turn(k h), v h)),   h = norm₁ x
//                                          x += down(f(gate m) ∘ up m),                    m = norm₂ x
// logits = head(norm x)
//
// Touvron et al. 2023. Families differ in what stands where: biases (Qwen 2), norms on each head of q and k (Qwen 3, Gemma 3), a norm after each branch as
// well and bent scores and logits (Gemma 2), windows (Mistral), fused linears (Phi-3). The config says it all.

/// <summary>A decoder of the Llama kind: Llama, Mistral, Qwen, Gemma, Phi-3 and what a <see cref="LlamaConfig"/> can say.</summary>
public sealed class Llama : LanguageModel
{
    private readonly Embedding _embedding;
    private readonly LlamaBlock[] _blocks;
    private readonly RmsNorm _norm;
    private readonly Linear _head;
    private readonly Rotary _rotary;
    private readonly Rotary? _local;

    private Llama(LlamaConfig c, WeightSource weights, NameMap names, string source)
        : base(weights.Backend, names, source, new DecoderSizes(c.Vocabulary, c.Layers, c.KeyHeads, c.HeadSize, c.MaxPositions))
    {
        Config = c;
        _rotary = new Rotary(c.Rotary, c.HeadSize);
        if (c.LocalRotary is { } local) _local = new Rotary(local, c.HeadSize);
        _embedding = Part("embed", weights.Embedding("embed", c.Vocabulary, c.HiddenSize));
        _blocks = new LlamaBlock[c.Layers];
        for (var n = 0; n < c.Layers; n++) _blocks[n] = Part($"blocks.{n}", new LlamaBlock(weights, c, n));
        _norm = Part("norm", weights.RmsNorm("norm", c.HiddenSize, c.Eps, c.ShiftedNorms));
        _head = Part("head", weights.TokenHead(_embedding, c.TiedHead));
    }

    /// <summary>What the model is made of.</summary>
    public LlamaConfig Config { get; }

    /// <summary>Reads a folder whose tensors have the names of Llama's files, by a config of one's own: a family that the library does not know.</summary>
    /// <param name="path">A folder with config.json and the weights, or the weight file in it.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="config">What the model is made of.</param>
    /// <param name="keepType">Let matrices in BF16 and F16 rest as they are.</param>
    /// <exception cref="CheckpointException">A file is missing or damaged, or config and weights do not belong together.</exception>
    /// <exception cref="ArgumentException">Sizes that do not go together.</exception>
    public static Llama Load(string path, Backend backend, LlamaConfig config, bool keepType = true)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(config);
        using var file = new TextFile(path, backend, keepType);
        return Read(file, config.Checked(path));
    }

    /// <summary>A new model with random weights of deviation 1/√in and norms of 1; the same seed gives the same weights. All start frozen.</summary>
    /// <param name="config">What it is made of.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="seed">Names the draw.</param>
    /// <exception cref="ArgumentException">Sizes that do not go together.</exception>
    public static Llama Create(LlamaConfig config, Backend backend, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(backend);
        const string source = "a new Llama";
        return new Llama(config.Checked(source), new RandomWeights(backend, seed), LlamaFile.Names(["model.", ""], config.PostNorms), source);
    }

    /// <summary>
    /// Reads a checkpoint of llama2.c (version 0, with a header of seven numbers), whose weights are F32; it can be saved as an ordinary folder.
    /// </summary>
    /// <param name="path">The .bin file.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <exception cref="CheckpointException">The file is missing, or its length is not what its header says.</exception>
    public static Llama LoadLlama2c(string path, Backend backend)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(backend);
        var weights = new Llama2cWeights(path, backend);
        var model = new Llama(weights.Config, weights, LlamaFile.Names(["model.", ""], postNorms: false), path);
        ((ITextModel)model).Tokens = Llama2cWeights.Tokens;
        return model;
    }

    /// <summary>A copy with its matrices in another type and norms as they are, all frozen: BF16 and F16 make half as large a file.</summary>
    /// <param name="matrices">The type of the matrices.</param>
    /// <exception cref="InvalidOperationException">An adapter is attached.</exception>
    public Llama As(DType matrices)
    {
        foreach (var (path, linear) in Linears())
            if (linear.Adapter is not null) throw new InvalidOperationException($"{Source}: {path} has an adapter; merge or detach it first.");
        return new Llama(Config, new ConvertedWeights(this, matrices), Names, Source) { Json = Json };
    }

    /// <summary>Builds the model of an open file.</summary>
    internal static Llama Read(TextFile file, LlamaConfig config)
    {
        var names = LlamaFile.Names(file.Prefixes("model.", "embed_tokens.weight"), config.PostNorms);
        return file.Build(names, config.TiedHead, w => new Llama(config, w, names, file.Path) { Json = file.Json });
    }

    /// <inheritdoc/>
    internal override bool Outgrows(int before, int after) => _rotary.Changes(before, after);

    private protected override void Describe(Utf8JsonWriter json) => NanoLlama.Describe(json, Config);

    private protected override Tensor Embed(Tensor tokens, DecoderPass pass)
    {
        var full = pass.Positions.RopeTable(_rotary.For(pass.Length));
        pass.Rotary = (full, _local is null ? full : pass.Positions.RopeTable(_local.For(pass.Length)));
        var x = _embedding.Forward(tokens);
        return Config.EmbeddingScale == 1 ? x : x * Config.EmbeddingScale;
    }

    private protected override Tensor Block(int layer, Tensor x, DecoderPass pass) => _blocks[layer].Forward(x, pass);

    private protected override Tensor Final(Tensor x) => _norm.Forward(x);

    private protected override Tensor Head(Tensor x)
    {
        var logits = _head.Forward(x);
        return Config.LogitCap == 0 ? logits : (logits * (1 / Config.LogitCap)).Tanh() * Config.LogitCap;
    }
}

/// <summary>A block of a <see cref="Llama"/>: attention, then the gated MLP.</summary>
internal sealed class LlamaBlock : Module
{
    private readonly LlamaConfig _config;
    private readonly int _layer;
    private readonly RmsNorm _norm1, _norm2;
    private readonly RmsNorm? _after1, _after2, _qNorm, _kNorm;
    private readonly Linear? _qkv, _q, _k, _v, _gateUp, _gate, _up;
    private readonly Linear _o, _down;

    public LlamaBlock(WeightSource w, LlamaConfig c, int layer)
    {
        (_config, _layer) = (c, layer);
        int d = c.HiddenSize, queries = c.Heads * c.HeadSize, keys = c.KeyHeads * c.HeadSize;
        _norm1 = Norm("norm1", d);
        if (c.FusedQkv) _qkv = Linear("attn.qkv", queries + 2 * keys, d, c.QkvBias);
        else (_q, _k, _v) = (Linear("attn.q", queries, d, c.QkvBias), Linear("attn.k", keys, d, c.QkvBias), Linear("attn.v", keys, d, c.QkvBias));
        if (c.QkNorm) (_qNorm, _kNorm) = (Norm("attn.q_norm", c.HeadSize), Norm("attn.k_norm", c.HeadSize));
        _o = Linear("attn.o", d, queries, c.OutputBias);
        if (c.PostNorms) _after1 = Norm("after1", d);
        _norm2 = Norm("norm2", d);
        if (c.FusedGate) _gateUp = Linear("mlp.gate_up", 2 * c.IntermediateSize, d, c.MlpBias);
        else (_gate, _up) = (Linear("mlp.gate", c.IntermediateSize, d, c.MlpBias), Linear("mlp.up", c.IntermediateSize, d, c.MlpBias));
        _down = Linear("mlp.down", d, c.IntermediateSize, c.MlpBias);
        if (c.PostNorms) _after2 = Norm("after2", d);

        Linear Linear(string name, int outputs, int inputs, bool bias) => Part(name, w.Linear($"blocks.{layer}.{name}", outputs, inputs, bias));
        RmsNorm Norm(string name, int width) => Part(name, w.RmsNorm($"blocks.{layer}.{name}", width, c.Eps, c.ShiftedNorms));
    }

    public Tensor Forward(Tensor x, DecoderPass pass)                                  // [B, T, D]
    {
        using var scope = x.Workspace.Scope();
        var a = pass.HalfBlock(_o, x, Attention);
        x += _after1?.Forward(a) ?? a;
        var m = _down.AfterRows(Gated, x);
        return scope.Keep(x + (_after2?.Forward(m) ?? m));
    }

    // What enters the output linear.
    private Tensor Attention(Tensor x, DecoderPass pass)
    {
        var c = _config;
        var (q, k, v) = Qkv(_norm1.Forward(x));                                        // [B, T, H, d], [B, T, G, d] twice
        if (_qNorm is not null) (q, k) = (_qNorm.Forward(q), _kNorm!.Forward(k));
        var window = c.WindowOf(_layer);
        var table = window > 0 ? pass.Rotary.Local : pass.Rotary.Full;
        var options = new AttentionOptions(Window: window, Softcap: c.AttentionCap, Scale: c.AttentionScale);
        return pass.Attend(_layer, q.Rope(table), k.Rope(table), v, options);
    }

    private (Tensor Q, Tensor K, Tensor V) Qkv(Tensor h)
    {
        var c = _config;
        if (_qkv is null) return (Heads(_q!.Forward(h), c.Heads), Heads(_k!.Forward(h), c.KeyHeads), Heads(_v!.Forward(h), c.KeyHeads));
        var all = _qkv.Forward(h);
        int queries = c.Heads * c.HeadSize, keys = c.KeyHeads * c.HeadSize;
        return (Heads(all.Slice(-1, 0, queries), c.Heads), Heads(all.Slice(-1, queries, queries + keys), c.KeyHeads),
            Heads(all.Slice(-1, queries + keys, queries + 2 * keys), c.KeyHeads));

        static Tensor Heads(Tensor x, int heads) => DecoderPass.Heads(x, heads);
    }

    // What enters the linear down.
    private Tensor Gated(Tensor x)
    {
        var (m, f) = (_norm2.Forward(x), _config.Activation);
        if (_gateUp is null) return f.Gate(_gate!.Forward(m), _up!.Forward(m));
        var both = _gateUp.Forward(m);
        var width = _config.IntermediateSize;
        return f.Gate(both.Slice(-1, 0, width), both.Slice(-1, width, 2 * width));
    }
}
