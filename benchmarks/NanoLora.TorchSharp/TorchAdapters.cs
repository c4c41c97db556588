using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace NanoLora.Benchmarks;

/// <summary>What sits on a linear.</summary>
internal interface ITorchAdapter
{
    /// <summary>The linear's result y with the adapter's update of input x.</summary>
    Tensor Apply(Tensor x, Tensor y);
}

/// <summary>y + s (x Aᵀ) Bᵀ, in PEFT's order: the scale acts on the result.</summary>
internal sealed class TorchLora(Tensor a, Tensor b, double scale) : ITorchAdapter
{
    public Tensor A => a;                                                                                        // [r, in]

    public Tensor B => b;                                                                                        // [out, r]

    public double Scale => scale;

    public Tensor Apply(Tensor x, Tensor y) => y + linear(linear(x, a), b) * scale;
}

/// <summary>y + Σ v̂_n s_n (x A_nᵀ) B_nᵀ with v̂ = softmax(v), as PEFT and what is built on it do it: one frozen module after the other.</summary>
internal sealed class TorchLoop(TorchLora[] modules, Tensor v) : ITorchAdapter
{
    public Tensor Apply(Tensor x, Tensor y)
    {
        var weights = v.softmax(0);
        for (var n = 0; n < modules.Length; n++) y = y + linear(linear(x, modules[n].A), modules[n].B) * (weights[n] * modules[n].Scale);
        return y;
    }
}

/// <summary>The same function as one gated LoRA: y + ((x Aᵀ) ∘ g) Bᵀ with the modules' A and s B stacked and g each weight repeated r times.</summary>
internal sealed class TorchStack(TorchLora[] modules, Tensor v) : ITorchAdapter
{
    private readonly Tensor _a = cat([.. modules.Select(m => m.A)], 0), _b = cat([.. modules.Select(m => m.B * m.Scale)], 1);
    private readonly long _rank = modules[0].A.shape[0];

    public Tensor Apply(Tensor x, Tensor y) => y + linear(linear(x, _a) * v.softmax(0).repeat_interleave(_rank), _b);
}
