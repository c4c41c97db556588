using NanoLora.Nn;

namespace NanoLora.Models;

// x = E[token];   for each block   x += o(attention(turn(q), turn(k), v)) + fc2(f(fc1(norm₂ x)));   logits = head(norm x)
//                                  q | k | v of the first head, of the second, … = qkv(norm₁ x)
//
// Black et al. 2022, and Pythia. Both branches read the same x; with use_parallel_residual false the second reads what the first has left. A part of each
// head turns.

/// <summary>GPT-NeoX and Pythia.</summary>
public sealed class GptNeoX : LanguageModel
{
    private readonly Embedding _tokens;
    private readonly GptNeoXBlock[] _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear _head;
    private readonly Rotary _rotary;

    private GptNeoX(GptNeoXConfig c, WeightSource w, NameMap names, string source)
        : base(w.Backend, names, source, new DecoderSizes(c.Vocabulary, c.Layers, c.Heads, c.HiddenSize / c.Heads, c.MaxPositions))
    {
        _rotary = new Rotary(c.Rotary, c.HiddenSize / c.Heads);
        _tokens = Part("embed", w.Embedding("embed", c.Vocabulary, c.HiddenSize));
        _blocks = new GptNeoXBlock[c.Layers];
        for (var n = 0; n < c.Layers; n++) _blocks[n] = Part($"blocks.{n}", new GptNeoXBlock(w, c, n));
        _norm = Part("norm", w.Norm("norm", c.HiddenSize, c.Eps));
        _head = Part("head", w.TokenHead(_tokens, c.TiedHead));
    }

    /// <summary>Builds the model of an open file.</summary>
    internal static GptNeoX Read(TextFile file)
    {
        var node = file.Json;
        int width = node.Int("hidden_size", 6144), heads = TextFile.Heads(node, "num_attention_heads", 64, width);
        var config = new GptNeoXConfig
        {
            Vocabulary = node.Int("vocab_size", 50432),
            HiddenSize = width,
            Layers = node.Int("num_hidden_layers", 44, max: 4096),
            Heads = heads,
            IntermediateSize = node.Int("intermediate_size", 24576),
            MaxPositions = node.Int("max_position_embeddings", 2048),
            Activation = TextFile.Activation(node, "hidden_act", "gelu"),
            Eps = node.Float("layer_norm_eps", 1e-5f),
            Rotary = RotaryFile.Read(node, width / heads, part: 0.25f),
            TiedHead = node.Bool("tie_word_embeddings", false),
            Parallel = node.Bool("use_parallel_residual", true),
            AttentionBias = node.Bool("attention_bias", true),
        };
        var names = NamesWith(file.Prefixes("gpt_neox.", "embed_in.weight"));
        return file.Build(names, config.TiedHead, w => new GptNeoX(config, w, names, file.Path) { Json = node });
    }

    /// <inheritdoc/>
    internal override bool Outgrows(int before, int after) => _rotary.Changes(before, after);

    private static NameMap NamesWith(string[] prefixes) => TextFile.AddNames(new NameMap(), prefixes,
        ("embed", "embed_in"), ("norm", "final_layer_norm"),
        ("blocks.{n}.norm1", "layers.{n}.input_layernorm"), ("blocks.{n}.attn.qkv", "layers.{n}.attention.query_key_value"),
        ("blocks.{n}.attn.o", "layers.{n}.attention.dense"), ("blocks.{n}.norm2", "layers.{n}.post_attention_layernorm"),
        ("blocks.{n}.mlp.fc1", "layers.{n}.mlp.dense_h_to_4h"), ("blocks.{n}.mlp.fc2", "layers.{n}.mlp.dense_4h_to_h"))
        .Add("head", "embed_out");

    private protected override Tensor Embed(Tensor tokens, DecoderPass pass)
    {
        var table = pass.Positions.RopeTable(_rotary.For(pass.Length));
        pass.Rotary = (table, table);
        return _tokens.Forward(tokens);
    }

    private protected override Tensor Block(int layer, Tensor x, DecoderPass pass) => _blocks[layer].Forward(x, pass);

    private protected override Tensor Final(Tensor x) => _norm.Forward(x);

    private protected override Tensor Head(Tensor x) => _head.Forward(x);
}

/// <summary>What a <see cref="GptNeoX"/> is made of.</summary>
internal sealed record GptNeoXConfig
{
    public required int Vocabulary { get; init; }
    public required int HiddenSize { get; init; }
    public required int Layers { get; init; }
    public required int Heads { get; init; }
    public required int IntermediateSize { get; init; }
    public required int MaxPositions { get; init; }
    public required Activation Activation { get; init; }
    public required float Eps { get; init; }
    public required RotaryConfig Rotary { get; init; }
    public required bool TiedHead { get; init; }
    public required bool Parallel { get; init; }
    public required bool AttentionBias { get; init; }
}

/// <summary>A block of a <see cref="GptNeoX"/>.</summary>
internal sealed class GptNeoXBlock : Module
{
    private readonly int _heads, _layer;
    private readonly bool _parallel;
    private readonly LayerNorm _norm1, _norm2;
    private readonly Linear _qkv, _o;
    private readonly Mlp _mlp;

    public GptNeoXBlock(WeightSource w, GptNeoXConfig c, int layer)
    {
        var (at, d) = ($"blocks.{layer}", c.HiddenSize);
        (_heads, _layer, _parallel) = (c.Heads, layer, c.Parallel);
        _norm1 = Part("norm1", w.Norm($"{at}.norm1", d, c.Eps));
        _qkv = Part("attn.qkv", w.Linear($"{at}.attn.qkv", checked(3 * d), d, c.AttentionBias));
        _o = Part("attn.o", w.Linear($"{at}.attn.o", d, d, c.AttentionBias));
        _norm2 = Part("norm2", w.Norm($"{at}.norm2", d, c.Eps));
        _mlp = Part("mlp", w.Mlp($"{at}.mlp", d, c.IntermediateSize, c.Activation));
    }

    public Tensor Forward(Tensor x, DecoderPass pass)                                  // [B, T, D]
    {
        using var scope = x.Workspace.Scope();
        var a = x + pass.HalfBlock(_o, x, Attention);
        return scope.Keep(a + _mlp.HalfBlock(_norm2, _parallel ? x : a));
    }

    // What enters the output linear.
    private Tensor Attention(Tensor x, DecoderPass pass)
    {
        var qkv = _qkv.Forward(_norm1.Forward(x));
        var size = qkv.Cols / 3 / _heads;
        qkv = qkv.Reshape(qkv.Shape[0], qkv.Shape[1], _heads, 3 * size);               // [B, T, H, q | k | v]
        Tensor q = qkv.Slice(-1, 0, size), k = qkv.Slice(-1, size, 2 * size), v = qkv.Slice(-1, 2 * size, 3 * size);
        return pass.Attend(_layer, q.Rope(pass.Rotary.Full), k.Rope(pass.Rotary.Full), v, default);
    }
}
