using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace NanoLora.Benchmarks;

/// <summary>A vision transformer over a folder with config.json and model.safetensors under Hugging Face's names, as one writes it in TorchSharp.</summary>
internal sealed class TorchVit : ITorchModel
{
    private readonly Dictionary<string, Tensor> _weights;
    private readonly long _patch, _width, _heads;
    private readonly double _eps;
    private readonly bool _cls;
    private readonly TorchBlock[] _blocks;

    public TorchVit(string folder)
    {
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        _patch = config.RootElement.GetProperty("patch_size").GetInt64();
        _width = config.RootElement.GetProperty("hidden_size").GetInt64();
        _heads = config.RootElement.GetProperty("num_attention_heads").GetInt64();
        _eps = config.RootElement.GetProperty("layer_norm_eps").GetDouble();
        _cls = config.RootElement.GetProperty("pooling").GetString() == "cls";
        _weights = TorchFile.Read(Path.Combine(folder, "model.safetensors"));
        _blocks = new TorchBlock[config.RootElement.GetProperty("num_hidden_layers").GetInt32()];
        for (var n = 0; n < _blocks.Length; n++) _blocks[n] = new TorchBlock(name => Weight($"encoder.layer.{n}.{name}"), _width, _heads, _eps);
    }

    /// <inheritdoc/>
    public IEnumerable<(string Name, TorchLinear Linear)> Adaptable()
    {
        for (var n = 0; n < _blocks.Length; n++)
        {
            yield return ($"vit.encoder.layer.{n}.attention.attention.query", _blocks[n].Q);
            yield return ($"vit.encoder.layer.{n}.attention.attention.value", _blocks[n].V);
        }
    }

    /// <summary>Makes weight and bias of the head trained parameters, and gives them.</summary>
    public Parameter[] TrainHead()
    {
        Parameter weight = new(_weights["classifier.weight"]), bias = new(_weights["classifier.bias"]);
        (_weights["classifier.weight"], _weights["classifier.bias"]) = (weight, bias);
        return [weight, bias];
    }

    /// <summary>Logits of images [B, C, Y, X].</summary>
    public Tensor Forward(Tensor images)
    {
        using var scope = NewDisposeScope();
        var patches = conv2d(images, Weight("embeddings.patch_embeddings.projection.weight"), Weight("embeddings.patch_embeddings.projection.bias"),
            strides: [_patch, _patch]).flatten(2).transpose(1, 2);                                               // [B, G, D]
        var token = Weight("embeddings.cls_token").expand(images.shape[0], 1, _width);
        var x = cat([token, patches], 1) + Weight("embeddings.position_embeddings");                             // [B, T, D]
        foreach (var block in _blocks)
        {
            var y = block.Forward(x);
            x.Dispose();                                                                                         // the tape holds what it needs
            x = y;
        }
        x = layer_norm(x, [_width], Weight("layernorm.weight"), Weight("layernorm.bias"), _eps);
        return linear(_cls ? x.select(1, 0) : x.mean([1]), _weights["classifier.weight"], _weights["classifier.bias"]).MoveToOuterDisposeScope();
    }

    private Tensor Weight(string name) => _weights["vit." + name];
}

/// <summary>x + attention(norm x), then x + mlp(norm x).</summary>
internal sealed class TorchBlock(Func<string, Tensor> weight, long width, long heads, double eps)
{
    private readonly Tensor _norm1 = weight("layernorm_before.weight"), _norm1Bias = weight("layernorm_before.bias");
    private readonly Tensor _norm2 = weight("layernorm_after.weight"), _norm2Bias = weight("layernorm_after.bias");
    private readonly TorchLinear _k = new(weight, "attention.attention.key"), _o = new(weight, "attention.output.dense");
    private readonly TorchLinear _fc1 = new(weight, "intermediate.dense"), _fc2 = new(weight, "output.dense");

    public TorchLinear Q { get; } = new(weight, "attention.attention.query");

    public TorchLinear V { get; } = new(weight, "attention.attention.value");

    public Tensor Forward(Tensor x)                                                                              // [B, T, D]
    {
        using var scope = NewDisposeScope();
        var n = layer_norm(x, [width], _norm1, _norm1Bias, eps);
        var a = scaled_dot_product_attention(Heads(Q.Forward(n)), Heads(_k.Forward(n)), Heads(V.Forward(n)));    // [B, H, T, D / H]
        x = x + _o.Forward(a.transpose(1, 2).reshape(x.shape));
        return (x + _fc2.Forward(gelu(_fc1.Forward(layer_norm(x, [width], _norm2, _norm2Bias, eps))))).MoveToOuterDisposeScope();
    }

    private Tensor Heads(Tensor x) => x.view(x.shape[0], x.shape[1], heads, width / heads).transpose(1, 2);
}

/// <summary>x Wᵀ + b, and what an adapter makes of it.</summary>
internal sealed class TorchLinear(Func<string, Tensor> weight, string name)
{
    private readonly Tensor _weight = weight(name + ".weight"), _bias = weight(name + ".bias");

    public ITorchAdapter? Adapter { get; set; }

    public Tensor Forward(Tensor x)
    {
        var y = linear(x, _weight, _bias);
        return Adapter is null ? y : Adapter.Apply(x, y);
    }
}
