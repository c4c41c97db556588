using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace NanoLora.Benchmarks;

/// <summary>GPT-2 over a folder with config.json and model.safetensors under Hugging Face's names, as one writes it in TorchSharp.</summary>
internal sealed class TorchGpt2 : ITorchModel
{
    private readonly Dictionary<string, Tensor> _weights;
    private readonly long _width;
    private readonly double _eps;
    private readonly TorchGpt2Block[] _blocks;

    public TorchGpt2(string folder)
    {
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        _width = config.RootElement.GetProperty("n_embd").GetInt64();
        _eps = config.RootElement.GetProperty("layer_norm_epsilon").GetDouble();
        var heads = config.RootElement.GetProperty("n_head").GetInt64();
        _weights = TorchFile.Read(Path.Combine(folder, "model.safetensors"));
        // The files hold the linears of blocks as [in, out].
        foreach (var name in _weights.Keys.Where(n => n.Contains(".c_", StringComparison.Ordinal) && n.EndsWith(".weight", StringComparison.Ordinal)).ToList())
        {
            using var turned = _weights[name];
            _weights[name] = turned.t().contiguous();
        }
        _blocks = new TorchGpt2Block[config.RootElement.GetProperty("n_layer").GetInt32()];
        for (var n = 0; n < _blocks.Length; n++) _blocks[n] = new TorchGpt2Block(name => Weight($"h.{n}.{name}"), _width, heads, _eps);
    }

    /// <inheritdoc/>
    public IEnumerable<(string Name, TorchLinear Linear)> Adaptable() => _blocks.Select((block, n) => ($"transformer.h.{n}.attn.c_attn", block.Qkv));

    /// <inheritdoc/>
    public Parameter[] TrainHead() => [];

    /// <summary>Logits [B T, V] of tokens [B, T].</summary>
    public Tensor Forward(Tensor tokens)
    {
        using var scope = NewDisposeScope();
        var x = Weight("wte.weight").index_select(0, tokens.flatten()).view(tokens.shape[0], tokens.shape[1], _width)
            + Weight("wpe.weight").narrow(0, 0, tokens.shape[1]);                                                // [B, T, D]
        foreach (var block in _blocks)
        {
            var y = block.Forward(x);
            x.Dispose();                                                                                         // the tape holds what it needs
            x = y;
        }
        x = layer_norm(x, [_width], Weight("ln_f.weight"), Weight("ln_f.bias"), _eps);
        return linear(x, _weights["lm_head.weight"]).flatten(0, 1).MoveToOuterDisposeScope();
    }

    private Tensor Weight(string name) => _weights["transformer." + name];
}

/// <summary>x + attention(norm x), then x + mlp(norm x); a token sees those before it.</summary>
internal sealed class TorchGpt2Block(Func<string, Tensor> weight, long width, long heads, double eps)
{
    private readonly Tensor _norm1 = weight("ln_1.weight"), _norm1Bias = weight("ln_1.bias");
    private readonly Tensor _norm2 = weight("ln_2.weight"), _norm2Bias = weight("ln_2.bias");
    private readonly TorchLinear _o = new(weight, "attn.c_proj"), _fc1 = new(weight, "mlp.c_fc"), _fc2 = new(weight, "mlp.c_proj");

    public TorchLinear Qkv { get; } = new(weight, "attn.c_attn");

    public Tensor Forward(Tensor x)                                                                              // [B, T, D]
    {
        using var scope = NewDisposeScope();
        var qkv = Qkv.Forward(layer_norm(x, [width], _norm1, _norm1Bias, eps)).chunk(3, -1);
        var a = scaled_dot_product_attention(Heads(qkv[0]), Heads(qkv[1]), Heads(qkv[2]), is_casual: true);      // [B, H, T, D / H]
        x = x + _o.Forward(a.transpose(1, 2).reshape(x.shape));
        var h = gelu(_fc1.Forward(layer_norm(x, [width], _norm2, _norm2Bias, eps)), GELU.Approximate.tanh);
        return (x + _fc2.Forward(h)).MoveToOuterDisposeScope();
    }

    private Tensor Heads(Tensor x) => x.view(x.shape[0], x.shape[1], heads, width / heads).transpose(1, 2);
}
