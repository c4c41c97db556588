using NanoLora.Nn;

namespace NanoLora.Models;

// x = in E[token] + P[position + 2];   for each block   x += o(attention(q h, k h, v h)),   x += fc2(f(fc1 h)),   h = norm x;   logits = E out norm(x)
//
// Zhang et al. 2022. Its 350M model norms after each addition and not before each branch, has no norm at the end, and embeddings of another width than its
// blocks, which "in" and "out" lead to and from. The two positions before the first were for padding.

/// <summary>OPT.</summary>
public sealed class Opt : LanguageModel
{
    private const int Before = 2;   // rows of the table before that of position 0

    private readonly Embedding _tokens, _positions;
    private readonly Linear? _in, _out;
    private readonly OptBlock[] _blocks;
    private readonly LayerNorm? _norm;
    private readonly Linear _head;

    private Opt(OptConfig c, WeightSource w, NameMap names, string source)
        : base(w.Backend, names, source, new DecoderSizes(c.Vocabulary, c.Layers, c.Heads, c.HiddenSize / c.Heads, c.MaxPositions, Bounded: true))
    {
        _tokens = Part("embed", w.Embedding("embed", c.Vocabulary, c.EmbeddingSize));
        _positions = Part("position", w.Embedding("position", c.MaxPositions + Before, c.HiddenSize));
        if (c.EmbeddingSize != c.HiddenSize)
        {
            _in = Part("project_in", w.Linear("project_in", c.HiddenSize, c.EmbeddingSize, bias: false));
            _out = Part("project_out", w.Linear("project_out", c.EmbeddingSize, c.HiddenSize, bias: false));
        }
        _blocks = new OptBlock[c.Layers];
        for (var n = 0; n < c.Layers; n++) _blocks[n] = Part($"blocks.{n}", new OptBlock(w, c, n));
        if (c.FinalNorm) _norm = Part("norm", w.Norm("norm", c.HiddenSize, OptConfig.Eps));
        _head = Part("head", w.TokenHead(_tokens, c.TiedHead));
    }

    /// <summary>Builds the model of an open file.</summary>
    internal static Opt Read(TextFile file)
    {
        var node = file.Json;
        if (!node.Bool("layer_norm_elementwise_affine", true))
            throw node.Error("layer_norm_elementwise_affine", "norms without weights are not supported.");
        int width = node.Int("hidden_size", 768), heads = TextFile.Heads(node, "num_attention_heads", 12, width);
        var before = node.Bool("do_layer_norm_before", true);
        var config = new OptConfig
        {
            Vocabulary = node.Int("vocab_size", 50272),
            HiddenSize = width,
            EmbeddingSize = node.Int("word_embed_proj_dim", width),
            Layers = node.Int("num_hidden_layers", 12, max: 4096),
            Heads = heads,
            IntermediateSize = node.Int("ffn_dim", 3072),
            MaxPositions = node.Int("max_position_embeddings", 2048),
            Activation = TextFile.Activation(node, "activation_function", "relu"),
            TiedHead = node.Bool("tie_word_embeddings", true),
            NormBefore = before,
            FinalNorm = before && !node.Bool("_remove_final_layer_norm", false),
            Bias = node.Bool("enable_bias", true),
        };
        var names = NamesWith(file.Prefixes("model.", "decoder.embed_tokens.weight"));
        return file.Build(names, config.TiedHead, w => new Opt(config, w, names, file.Path) { Json = node });
    }

    private static NameMap NamesWith(string[] prefixes) => TextFile.AddNames(new NameMap(), Array.ConvertAll(prefixes, static prefix => $"{prefix}decoder."),
        ("embed", "embed_tokens"), ("position", "embed_positions"), ("project_in", "project_in"), ("project_out", "project_out"),
        ("norm", "final_layer_norm"),
        ("blocks.{n}.norm1", "layers.{n}.self_attn_layer_norm"), ("blocks.{n}.attn.q", "layers.{n}.self_attn.q_proj"),
        ("blocks.{n}.attn.k", "layers.{n}.self_attn.k_proj"), ("blocks.{n}.attn.v", "layers.{n}.self_attn.v_proj"),
        ("blocks.{n}.attn.o", "layers.{n}.self_attn.out_proj"), ("blocks.{n}.norm2", "layers.{n}.final_layer_norm"),
        ("blocks.{n}.mlp.fc1", "layers.{n}.fc1"), ("blocks.{n}.mlp.fc2", "layers.{n}.fc2"))
        .Add("head", "lm_head");

    private protected override Tensor Embed(Tensor tokens, DecoderPass pass)
    {
        var x = _tokens.Forward(tokens);
        var table = _positions.Weight.Value.In(tokens.Workspace);
        return (_in?.Forward(x) ?? x) + table.Slice(0, Before, table.Shape[0]).Embedding(pass.Positions);
    }

    private protected override Tensor Block(int layer, Tensor x, DecoderPass pass) => _blocks[layer].Forward(x, pass);

    private protected override Tensor Final(Tensor x)
    {
        if (_norm is not null) x = _norm.Forward(x);
        return _out?.Forward(x) ?? x;
    }

    private protected override Tensor Head(Tensor x) => _head.Forward(x);
}

/// <summary>What an <see cref="Opt"/> is made of.</summary>
internal sealed record OptConfig
{
    public required int Vocabulary { get; init; }
    public required int HiddenSize { get; init; }
    public required int EmbeddingSize { get; init; }
    public required int Layers { get; init; }
    public required int Heads { get; init; }
    public required int IntermediateSize { get; init; }
    public required int MaxPositions { get; init; }
    public required Activation Activation { get; init; }
    public required bool TiedHead { get; init; }
    public required bool NormBefore { get; init; }
    public required bool FinalNorm { get; init; }
    public required bool Bias { get; init; }

    /// <summary>Added to the variance in the norms; no config has a field for it.</summary>
    public const float Eps = 1e-5f;
}

/// <summary>A block of an <see cref="Opt"/>.</summary>
internal sealed class OptBlock : Module
{
    private readonly int _heads, _layer;
    private readonly bool _before;
    private readonly LayerNorm _norm1, _norm2;
    private readonly Linear _q, _k, _v, _o;
    private readonly Mlp _mlp;

    public OptBlock(WeightSource w, OptConfig c, int layer)
    {
        var (at, d) = ($"blocks.{layer}", c.HiddenSize);
        (_heads, _layer, _before) = (c.Heads, layer, c.NormBefore);
        _norm1 = Part("norm1", w.Norm($"{at}.norm1", d, OptConfig.Eps));
        (_q, _k, _v, _o) = (Square("attn.q"), Square("attn.k"), Square("attn.v"), Square("attn.o"));
        _norm2 = Part("norm2", w.Norm($"{at}.norm2", d, OptConfig.Eps));
        _mlp = Part("mlp", w.Mlp($"{at}.mlp", d, c.IntermediateSize, c.Activation, c.Bias));

        Linear Square(string name) => Part(name, w.Linear($"{at}.{name}", d, d, c.Bias));
    }

    public Tensor Forward(Tensor x, DecoderPass pass)                                  // [B, T, D]
    {
        using var scope = x.Workspace.Scope();
        x += pass.HalfBlock(_o, x, Attention);
        if (_before) return scope.Keep(x + _mlp.HalfBlock(_norm2, x));
        x = _norm1.Forward(x);
        return scope.Keep(_norm2.Forward(x + _mlp.HalfBlock(null, x)));
    }

    // What enters the output linear.
    private Tensor Attention(Tensor x, DecoderPass pass)
    {
        var h = _before ? _norm1.Forward(x) : x;
        return pass.Attend(_layer, Heads(_q.Forward(h)), Heads(_k.Forward(h)), Heads(_v.Forward(h)), default);
    }

    private Tensor Heads(Tensor x) => DecoderPass.Heads(x, _heads);
}
