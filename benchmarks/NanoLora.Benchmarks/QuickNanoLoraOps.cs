namespace NanoLora.Benchmarks;

/// <summary>One operation of NanoLora, forward and backward.</summary>
internal sealed class QuickOperation : IQuickWork
{
    private readonly CpuBackend _backend;
    private readonly List<Parameter> _inputs = [];
    private readonly Func<Tensor> _forward;
    private readonly Tensor? _dy;
    private readonly bool _backward;
    private Tensor? _y;

    public QuickOperation(int threads, QuickOp op)
    {
        _backend = new CpuBackend(threads);
        var workspace = _backend.Main;
        var isAttention = op.Shape.Length == 4;
        var shape = isAttention ? new Shape(op.Shape[0], op.Shape[1], op.Shape[2] * op.Shape[3]) : new Shape(op.Shape);
        for (var n = 0; n < op.Inputs; n++)
        {
            using var values = workspace.From(QuickOps.Input(op, n), shape);
            _inputs.Add(new Parameter(values) { Trains = op.Backward });
        }
        var x = _inputs[0].Value;
        switch (op.Name)
        {
            case "add":
                _forward = () => x + _inputs[1].Value;
                break;
            case "gelu":
                _forward = () => x.Gelu();
                break;
            case "gelu_tanh":
                _forward = () => x.GeluTanh();
                break;
            case "softmax":
                _forward = () => x.Softmax();
                break;
            case "layer_norm":
                var (weight, bias) = QuickOps.Norm(op);
                Tensor w = workspace.From(weight, new Shape(x.Cols)), b = workspace.From(bias, new Shape(x.Cols));
                _forward = () => x.LayerNorm(w, b);
                break;
            case "attention" or "causal":
                var (heads, options) = (op.Shape[2], new AttentionOptions(Causal: op.Name == "causal"));
                _forward = () => x.Attention(_inputs[1].Value, _inputs[2].Value, heads, options: options);
                break;
            case "cross_entropy":
                var targets = workspace.From(QuickOps.Targets(op), new Shape(x.Rows));
                _forward = () => x.CrossEntropy(targets);
                break;
            default:
                throw new ArgumentException($"op: NanoLora's half does not have {op.Name}.");
        }
        _backward = op.Backward;
        if (op is { Backward: true, Name: not "cross_entropy" }) _dy = workspace.From(QuickOps.Gradient(op), shape);
    }

    public double Result => QuickOps.Result(((Tensor?[])[_y, .. _inputs.Select(input => input.Gradient)]).OfType<Tensor>().Select(t => t.ToArray()));

    public long Held => _backend.ReservedBytes;

    public void Run()
    {
        _y?.Dispose();
        foreach (var input in _inputs) input.ClearGradient();
        using var scope = _backend.Scope();
        var y = _forward();
        if (_dy is not null) y.Backward(_dy);
        else if (_backward) y.Backward();
        _y = scope.Keep(y.Detach());
    }

    public void Dispose() => _backend.Dispose();
}

/// <summary>The optimiser's pass over one parameter.</summary>
internal sealed class QuickAdamW : IQuickWork
{
    private readonly CpuBackend _backend;
    private readonly Tensor _parameter, _gradient, _first, _second;
    private int _step;

    public QuickAdamW(int threads, QuickOp op)
    {
        _backend = new CpuBackend(threads);
        var shape = new Shape(op.Shape);
        (_parameter, _gradient) = (_backend.Main.From(QuickOps.Input(op, 0), shape), _backend.Main.From(QuickOps.Input(op, 1), shape));
        (_first, _second) = (_backend.Main.Zeros(shape), _backend.Main.Zeros(shape));
    }

    public double Result => QuickOps.Result([_parameter.ToArray()]);

    public long Held => _backend.ReservedBytes;

    public void Run() => _backend.AdamW(_parameter, _gradient, _first, _second, null,
        new AdamWStep(++_step, QuickProtocol.Rate, QuickProtocol.Beta1, QuickProtocol.Beta2, QuickProtocol.Epsilon, QuickProtocol.Decay));

    public void Dispose() => _backend.Dispose();
}
