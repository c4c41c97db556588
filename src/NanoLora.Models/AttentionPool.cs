using NanoLora.Nn;

namespace NanoLora.Models;

// Attention pooling (Lee et al. 2019; SigLIP's head):   a = attention(q = probe W_q, k = x W_k, v = x W_v) W_o,   y = a + mlp(norm(a))
// W_q, W_k, W_v are three slabs of one matrix, [3 D, D], as PyTorch's MultiheadAttention has them.

/// <summary>One learned query that looks at all tokens, and an MLP on what it finds: [B, T, D] becomes [B, D].</summary>
internal sealed class AttentionPool : Module
{
    private readonly Parameter _probe, _weight, _bias;
    private readonly Linear _o;
    private readonly LayerNorm _norm;
    private readonly Mlp _mlp;
    private readonly int _heads;

    /// <summary>Takes its parameters from below <paramref name="at"/>.</summary>
    public AttentionPool(WeightSource w, string at, VitConfig c)
    {
        var d = c.HiddenSize;
        _heads = c.Heads;
        using var probe = w.Get($"{at}.probe", new Shape(1, d));
        using var weight = w.Get($"{at}.in_weight", new Shape(3 * d, d));
        using var bias = w.Get($"{at}.in_bias", new Shape(3 * d), Init.Zeros);
        _o = Part("o", w.Linear($"{at}.o", d, d));
        _norm = Part("norm", w.Norm($"{at}.norm", d, c.Eps));
        _mlp = Part("mlp", w.Mlp($"{at}.mlp", d, c.IntermediateSize, c.Activation));
        (_probe, _weight, _bias) = (Own("probe", probe), Own("in_weight", weight), Own("in_bias", bias));
    }

    /// <summary>Pools the tokens of each row of the batch.</summary>
    public Tensor Forward(Tensor x)
    {
        int batch = x.Shape[0], d = x.Cols;
        var (probe, weight, bias) = (_probe.Value.In(x.Workspace), _weight.Value.In(x.Workspace), _bias.Value.In(x.Workspace));
        var q = Slab(probe, 0).Reshape(1, 1, d).Expand(new Shape(batch, 1, d));
        var a = _o.Forward(q.Attention(Slab(x, 1), Slab(x, 2), _heads)).Reshape(batch, d);
        return a + _mlp.Forward(_norm.Forward(a));

        Tensor Slab(Tensor y, int i) => y.Linear(weight.Slice(0, i * d, (i + 1) * d), bias.Slice(0, i * d, (i + 1) * d));
    }
}
