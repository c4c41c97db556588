namespace NanoLora.Nn;

/// <summary>Multi-head self-attention over [B, T, C]: q, k and v each a linear, or one fused linear as the checkpoint has it.</summary>
public sealed class SelfAttention : Module
{
    private readonly int _heads;
    private readonly LayerNorm? _qNorm, _kNorm;

    /// <summary>Attention with separate linears for queries, keys and values.</summary>
    public SelfAttention(Linear q, Linear k, Linear v, Linear o, int heads)
    {
        (Q, K, V, O) = (Part("q", q), Part("k", k), Part("v", v), Part("o", o));
        _heads = heads;
    }

    /// <summary>Attention with one linear whose output is queries, keys, values side by side; norms, if given, act on each head of q and k.</summary>
    public SelfAttention(Linear qkv, Linear o, int heads, LayerNorm? qNorm = null, LayerNorm? kNorm = null)
    {
        (Qkv, O) = (Part("qkv", qkv), Part("o", o));
        if (qNorm is not null) _qNorm = Part("q_norm", qNorm);
        if (kNorm is not null) _kNorm = Part("k_norm", kNorm);
        _heads = heads;
    }

    /// <summary>The fused linear, or null.</summary>
    public Linear? Qkv { get; }

    /// <summary>Queries, or null where fused.</summary>
    public Linear? Q { get; }

    /// <summary>Keys, or null where fused.</summary>
    public Linear? K { get; }

    /// <summary>Values, or null where fused.</summary>
    public Linear? V { get; }

    /// <summary>The output linear.</summary>
    public Linear O { get; }

    /// <summary>Mixes the tokens of each row of the batch.</summary>
    public Tensor Forward(Tensor x) => O.Forward(Mixed(x));                            // [B, T, C]

    /// <summary>o(attention(norm x)): half a block, recomputed where the workspace says so.</summary>
    internal Tensor HalfBlock(LayerNorm norm, Tensor x) => O.After(x => Mixed(norm.Forward(x)), x);

    // What enters the output linear.
    private Tensor Mixed(Tensor x)
    {
        if (Qkv is null) return Q!.Forward(x).Attention(K!.Forward(x), V!.Forward(x), _heads);
        var qkv = Qkv.Forward(x);                                                      // [B, T, 3 H D]
        if (_qNorm is null && _kNorm is null) return qkv.SelfAttention(_heads);
        var width = Qkv.Out / 3;
        var (q, k, v) = (Split(qkv, 0, width), Split(qkv, width, width), Split(qkv, 2 * width, width));
        return (_qNorm?.Forward(q) ?? q).Attention(_kNorm?.Forward(k) ?? k, v).Reshape(x.Shape.With(-1, width));
    }

    // [B, T, H, D]
    private Tensor Split(Tensor qkv, int start, int width) => qkv.Slice(-1, start, start + width).Reshape(qkv.Shape[0], qkv.Shape[1], _heads, width / _heads);
}

/// <summary>A block of a pre-norm transformer: x + s₁ attention(norm₁ x), then x + s₂ mlp(norm₂ x); s is there where the model has layer scale.</summary>
public sealed class TransformerBlock : Module
{
    private readonly LayerNorm _norm1, _norm2;
    private readonly Parameter? _scale1, _scale2;

    /// <summary>A block of the given parts; scales are [C], or null.</summary>
    public TransformerBlock(LayerNorm norm1, SelfAttention attention, LayerNorm norm2, Module mlp, Tensor? scale1 = null, Tensor? scale2 = null)
    {
        _norm1 = Part("norm1", norm1);
        Attention = Part("attn", attention);
        if (scale1 is not null) _scale1 = Own("scale1", scale1);
        _norm2 = Part("norm2", norm2);
        Mlp = Part("mlp", mlp);
        if (scale2 is not null) _scale2 = Own("scale2", scale2);
    }

    /// <summary>The attention.</summary>
    public SelfAttention Attention { get; }

    /// <summary>An <see cref="Nn.Mlp"/> or a <see cref="GatedMlp"/>.</summary>
    public Module Mlp { get; }

    /// <summary>Runs the block; only its result outlives it.</summary>
    public Tensor Forward(Tensor x)
    {
        using var scope = x.Workspace.Scope();
        var a = Attention.HalfBlock(_norm1, x);
        x += _scale1 is null ? a : a * _scale1!;
        var m = Mlp is GatedMlp gated ? gated.HalfBlock(_norm2, x) : ((Mlp)Mlp).HalfBlock(_norm2, x);
        return scope.Keep(x + (_scale2 is null ? m : m * _scale2!));
    }
}

/// <summary>An MLP whose first linear gives gate and value side by side: w_out(silu(gate) ∘ value).</summary>
public sealed class GatedMlp : Module
{
    /// <summary>A gated MLP of the given linears.</summary>
    public GatedMlp(Linear wIn, Linear wOut) => (In, Out) = (Part("in", wIn), Part("out", wOut));

    /// <summary>The linear to gate and value, [2 hidden, in].</summary>
    public Linear In { get; }

    /// <summary>The linear back.</summary>
    public Linear Out { get; }

    /// <summary>Runs the MLP.</summary>
    public Tensor Forward(Tensor x) => Out.Forward(Hidden(x));

    /// <summary>Of norm x: half a block, recomputed where the workspace says so.</summary>
    internal Tensor HalfBlock(LayerNorm norm, Tensor x) => Out.AfterRows(x => Hidden(norm.Forward(x)), x);

    private Tensor Hidden(Tensor x)
    {
        var both = In.Forward(x);
        var width = In.Out / 2;
        return both.Slice(-1, 0, width).Swiglu(both.Slice(-1, width, 2 * width));
    }
}
