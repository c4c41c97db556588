using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace NanoLora.Benchmarks;

/// <summary>One operation of TorchSharp, forward and backward.</summary>
internal sealed class TorchOperation : IQuickWork
{
    private readonly Tensor[] _inputs;
    private readonly Func<Tensor> _forward;
    private readonly Tensor[]? _dy;
    private readonly bool _backward;
    private Tensor[] _results = [];

    public TorchOperation(QuickOp op)
    {
        long[] shape = [.. op.Shape.Select(size => (long)size)];
        if (op.Shape.Length == 4) shape = [shape[0], shape[1], shape[2] * shape[3]];                             // heads side by side, as linears give them
        _inputs = [.. Enumerable.Range(0, op.Inputs).Select(n => tensor(QuickOps.Input(op, n), shape, requires_grad: op.Backward))];
        var x = _inputs[0];
        switch (op.Name)
        {
            case "add":
                _forward = () => x + _inputs[1];
                break;
            case "gelu":
                _forward = () => gelu(x);
                break;
            case "gelu_tanh":
                _forward = () => gelu(x, GELU.Approximate.tanh);
                break;
            case "softmax":
                _forward = () => softmax(x, -1);
                break;
            case "layer_norm":
                var (weight, bias) = QuickOps.Norm(op);
                Tensor w = tensor(weight), b = tensor(bias);
                _forward = () => layer_norm(x, [op.Shape[1]], w, b, 1e-5);
                break;
            case "attention" or "causal":
                _forward = () => scaled_dot_product_attention(Heads(0), Heads(1), Heads(2), is_casual: op.Name == "causal").transpose(1, 2).reshape(shape);
                break;
            case "cross_entropy":
                var targets = tensor(QuickOps.Targets(op)).to(int64);
                _forward = () => cross_entropy(x, targets);
                break;
            default:
                throw new ArgumentException($"op: TorchSharp's half does not have {op.Name}.");
        }
        _backward = op.Backward;
        if (op is { Backward: true, Name: not "cross_entropy" }) _dy = [tensor(QuickOps.Gradient(op), shape)];

        Tensor Heads(int n) => _inputs[n].view(shape[0], shape[1], op.Shape[2], op.Shape[3]).transpose(1, 2);    // [B, H, T, D]
    }

    public double Result => QuickOps.Result(_results.Select(t => t.detach().contiguous().data<float>().ToArray()));

    public void Run()
    {
        foreach (var result in _results) result.Dispose();
        using var scope = NewDisposeScope();
        using var mode = _backward ? null : no_grad();
        var y = _forward();
        _results = _backward ? [y.detach(), .. autograd.grad([y], _inputs, _dy)] : [y];
        foreach (var result in _results) result.MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        foreach (var tensor in (Tensor[])[.. _inputs, .. _results, .. _dy ?? []]) tensor.Dispose();
    }
}

/// <summary>The optimiser's pass over one parameter.</summary>
internal sealed class TorchAdamW : IQuickWork
{
    private readonly Parameter _parameter;
    private readonly AdamW _optimiser;

    public TorchAdamW(QuickOp op)
    {
        long[] shape = [.. op.Shape.Select(size => (long)size)];
        _parameter = new Parameter(tensor(QuickOps.Input(op, 0), shape)) { grad = tensor(QuickOps.Input(op, 1), shape) };
        _optimiser = optim.AdamW([_parameter], QuickProtocol.Rate, QuickProtocol.Beta1, QuickProtocol.Beta2, QuickProtocol.Epsilon, QuickProtocol.Decay);
    }

    public double Result => QuickOps.Result([_parameter.detach().data<float>().ToArray()]);

    public void Run()
    {
        using var scope = NewDisposeScope();
        _optimiser.step();
    }

    public void Dispose()
    {
        _optimiser.Dispose();
        _parameter.Dispose();
    }
}
