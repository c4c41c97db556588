using NanoLora.Nn;

namespace NanoLora.Models;

// x = E[token] + P[position];   for each block   x += o(attention(qkv(norm₁ x))),   x += fc2(f(fc1(norm₂ x)));   logits = E norm(x)
//
// Radford et al. 2019. Its files hold the linears of the blocks as [in, out], queries, keys and values in one.

/// <summary>GPT-2.</summary>
public sealed class Gpt2 : LanguageModel
{
    private readonly Embedding _tokens, _positions;
    private readonly Gpt2Block[] _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear _head;

    private Gpt2(Gpt2Config c, WeightSource w, NameMap names, string source)
        : base(w.Backend, names, source, new DecoderSizes(c.Vocabulary, c.Layers, c.Heads, c.HiddenSize / c.Heads, c.MaxPositions, Bounded: true))
    {
        _tokens = Part("embed", w.Embedding("embed", c.Vocabulary, c.HiddenSize));
        _positions = Part("position", w.Embedding("position", c.MaxPositions, c.HiddenSize));
        _blocks = new Gpt2Block[c.Layers];
        for (var n = 0; n < c.Layers; n++) _blocks[n] = Part($"blocks.{n}", new Gpt2Block(w, c, n));
        _norm = Part("norm", w.Norm("norm", c.HiddenSize, c.Eps));
        _head = Part("head", w.TokenHead(_tokens, c.TiedHead));
    }

    /// <summary>Builds the model of an open file.</summary>
    internal static Gpt2 Read(TextFile file)
    {
        var node = file.Json;
        if (node.Bool("add_cross_attention", false)) throw node.Error("add_cross_attention", "attention to another text is not supported.");
        int width = node.Int("n_embd", 768), heads = TextFile.Heads(node, "n_head", 12, width);
        var config = new Gpt2Config
        {
            Vocabulary = node.Int("vocab_size", 50257),
            HiddenSize = width,
            Layers = node.Int("n_layer", 12, max: 4096),
            Heads = heads,
            IntermediateSize = node.Int("n_inner", 4 * width, max: 1 << 26),
            MaxPositions = node.Int("n_positions", 1024),
            Activation = TextFile.Activation(node, "activation_function", "gelu_new"),
            Eps = node.Float("layer_norm_epsilon", 1e-5f),
            TiedHead = node.Bool("tie_word_embeddings", true),
            Scaled = node.Bool("scale_attn_weights", true),
            ScaledByLayer = node.Bool("scale_attn_by_inverse_layer_idx", false),
        };
        var names = NamesWith(file.Prefixes("transformer.", "wte.weight"));
        return file.Build(names, config.TiedHead, w => new Gpt2(config, w, names, file.Path) { Json = node }, Turned);
    }

    /// <inheritdoc/>
    internal override bool IsTransposed(string path) => Turned(path);

    private static bool Turned(string path) => path.StartsWith("blocks.", StringComparison.Ordinal) && path.EndsWith(".weight", StringComparison.Ordinal)
        && !path.Contains(".norm", StringComparison.Ordinal);

    private static NameMap NamesWith(string[] prefixes) => TextFile.AddNames(new NameMap(), prefixes,
        ("embed", "wte"), ("position", "wpe"), ("norm", "ln_f"),
        ("blocks.{n}.norm1", "h.{n}.ln_1"), ("blocks.{n}.attn.qkv", "h.{n}.attn.c_attn"), ("blocks.{n}.attn.o", "h.{n}.attn.c_proj"),
        ("blocks.{n}.norm2", "h.{n}.ln_2"), ("blocks.{n}.mlp.fc1", "h.{n}.mlp.c_fc"), ("blocks.{n}.mlp.fc2", "h.{n}.mlp.c_proj"))
        .Add("head", "lm_head");

    private protected override Tensor Embed(Tensor tokens, DecoderPass pass) => _tokens.Forward(tokens) + _positions.Forward(pass.Positions);

    private protected override Tensor Block(int layer, Tensor x, DecoderPass pass) => _blocks[layer].Forward(x, pass);

    private protected override Tensor Final(Tensor x) => _norm.Forward(x);

    private protected override Tensor Head(Tensor x) => _head.Forward(x);
}

/// <summary>What a <see cref="Gpt2"/> is made of.</summary>
internal sealed record Gpt2Config
{
    public required int Vocabulary { get; init; }
    public required int HiddenSize { get; init; }
    public required int Layers { get; init; }
    public required int Heads { get; init; }
    public required int IntermediateSize { get; init; }
    public required int MaxPositions { get; init; }
    public required Activation Activation { get; init; }
    public required float Eps { get; init; }
    public required bool TiedHead { get; init; }

    /// <summary>Whether scores are divided by √(head size).</summary>
    public required bool Scaled { get; init; }

    /// <summary>Whether scores are divided by the layer's number, from 1.</summary>
    public required bool ScaledByLayer { get; init; }
}

/// <summary>A block of a <see cref="Gpt2"/>.</summary>
internal sealed class Gpt2Block : Module
{
    private readonly int _heads, _layer;
    private readonly float _scale;
    private readonly LayerNorm _norm1, _norm2;
    private readonly Linear _qkv, _o;
    private readonly Mlp _mlp;

    public Gpt2Block(WeightSource w, Gpt2Config c, int layer)
    {
        var (at, d) = ($"blocks.{layer}", c.HiddenSize);
        (_heads, _layer) = (c.Heads, layer);
        _scale = (c.Scaled ? 1 / MathF.Sqrt(d / c.Heads) : 1) / (c.ScaledByLayer ? layer + 1 : 1);
        _norm1 = Part("norm1", w.Norm($"{at}.norm1", d, c.Eps));
        _qkv = Part("attn.qkv", w.Linear($"{at}.attn.qkv", checked(3 * d), d));
        _o = Part("attn.o", w.Linear($"{at}.attn.o", d, d));
        _norm2 = Part("norm2", w.Norm($"{at}.norm2", d, c.Eps));
        _mlp = Part("mlp", w.Mlp($"{at}.mlp", d, c.IntermediateSize, c.Activation));
    }

    public Tensor Forward(Tensor x, DecoderPass pass)                                  // [B, T, D]
    {
        using var scope = x.Workspace.Scope();
        x += pass.HalfBlock(_o, x, (x, pass) => pass.AttendFused(_layer, _qkv.Forward(_norm1.Forward(x)), _heads, new AttentionOptions(Scale: _scale)));
        return scope.Keep(x + _mlp.HalfBlock(_norm2, x));
    }
}
