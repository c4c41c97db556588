using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>The work of `quick` in NanoLora.</summary>
internal sealed class QuickNanoLora : IQuickHalf
{
    private int _threads = QuickProtocol.Threads;

    public string Who { get; } = $"NanoLora {typeof(Tensor).Assembly.GetName().Version!.ToString(3)}, {Gemm.Kernel}, {QuickProtocol.Threads} threads";

    int IQuickHalf.Threads { set => _threads = value; }

    IQuickWork IQuickHalf.Gemm(int m, int k, int n) => new QuickLinear(_threads, m, k, n, adapted: false);

    IQuickWork IQuickHalf.Lora(int m, int k, int n) => new QuickLinear(_threads, m, k, n, adapted: true);

    public IQuickWork Stack(int m, int k, int n, int modules) => new QuickStack(_threads, m, k, n, modules);

    public IQuickWork Op(QuickOp op) => op.Name == "adamw" ? new QuickAdamW(_threads, op) : new QuickOperation(_threads, op);

    public IQuickWork Model(QuickModel model) => model.Method == "infer" ? new QuickInference(_threads, model) : new QuickStep(_threads, model);

    /// <summary>A module of <see cref="QuickProtocol.Module"/>.</summary>
    public static Lora Module(int number, int k, int n, Workspace workspace)
    {
        var (a, b) = QuickProtocol.Module(number, k, n);
        return new Lora(workspace.From(a, new Shape(QuickProtocol.Rank, k)), workspace.From(b, new Shape(n, QuickProtocol.Rank)),
            QuickProtocol.Scale * QuickProtocol.Rank);
    }
}

/// <summary>A linear, alone or with a LoRA on it.</summary>
internal sealed class QuickLinear : IQuickWork
{
    private readonly CpuBackend _backend;
    private readonly Tensor _x;
    private readonly Linear _linear;
    private Tensor? _y;

    public QuickLinear(int threads, int m, int k, int n, bool adapted)
    {
        _backend = new CpuBackend(threads);
        _x = _backend.Main.From(QuickProtocol.Fill(m * k, 1), new Shape(m, k));
        using var scope = _backend.Scope();
        _linear = new Linear(_backend.Main.From(QuickProtocol.Fill(n * k, 2), new Shape(n, k)));
        if (adapted) _linear.Adapter = QuickNanoLora.Module(0, k, n, _backend.Main);
    }

    public double Result => QuickProtocol.MeanSquare(_y!.ToArray());

    public long Held => _backend.ReservedBytes;

    public void Run()
    {
        _y?.Dispose();                              // before the next is made, so that its memory is used again
        using var scope = _backend.Scope(grad: false);
        _y = scope.Keep(_linear.Forward(_x));
    }

    public void Dispose()
    {
        _linear.Dispose();
        _backend.Dispose();
    }
}

/// <summary>Learned composition of some modules, without the linear below it.</summary>
internal sealed class QuickStack : IQuickWork
{
    private readonly CpuBackend _backend;
    private readonly Tensor _x, _start, _y;
    private readonly Linear _host;
    private readonly Composition _composition;

    public QuickStack(int threads, int m, int k, int n, int modules)
    {
        _backend = new CpuBackend(threads);
        var workspace = _backend.Main;
        _x = workspace.From(QuickProtocol.Fill(m * k, 1), new Shape(m, k));
        _start = workspace.From(QuickProtocol.Fill(m * n, 3), new Shape(m, n));
        _y = workspace.From(QuickProtocol.Fill(m * n, 3), new Shape(m, n));
        using var scope = _backend.Scope();
        _host = new Linear(workspace.Zeros(new Shape(n, k)));
        _composition = new Composition(_host, [.. Enumerable.Range(0, modules).Select(i => QuickNanoLora.Module(i, k, n, workspace))],
            new LearnedMixer(_backend, modules));
        _host.Adapter = _composition;
    }

    // The stack adds to y in place: what is timed adds up from run to run, and what is compared is once more, on a fresh y.
    public double Result
    {
        get
        {
            using var scope = _backend.Scope(grad: false);
            var y = _start.New(_start.Shape);
            _backend.Copy(_start, y);
            return QuickProtocol.MeanSquare(_composition.Apply(_host, _x, y).ToArray());
        }
    }

    public long Held => _backend.ReservedBytes;

    public void Run()
    {
        using var scope = _backend.Scope(grad: false);
        _composition.Apply(_host, _x, _y);
    }

    public void Dispose()
    {
        _host.Dispose();
        _backend.Dispose();
    }
}
