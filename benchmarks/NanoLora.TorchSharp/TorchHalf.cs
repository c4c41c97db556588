using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace NanoLora.Benchmarks;

/// <summary>The work of `quick` in TorchSharp.</summary>
internal sealed class TorchHalf : IQuickHalf
{
    public string Who { get; } = $"TorchSharp {Short(typeof(torch).Assembly.GetName().Version!)}, "
        + $"libtorch {Short(Version.Parse(torch.__version__))}, {get_num_threads()} threads";

    public int Threads { set => set_num_threads(value); }

    public IQuickWork Gemm(int m, int k, int n) => new TorchProduct(Numbers(1, m, k), Numbers(2, n, k), adapter: null);

    public IQuickWork Lora(int m, int k, int n) => new TorchProduct(Numbers(1, m, k), Numbers(2, n, k), Module(0, k, n));

    public IQuickWork Stack(int m, int k, int n, int modules) => new TorchUpdate(Numbers(1, m, k), Numbers(3, m, n),
        new TorchStack([.. Enumerable.Range(0, modules).Select(i => Module(i, k, n))], ones(modules)));

    public IQuickWork Op(QuickOp op) => op.Name == "adamw" ? new TorchAdamW(op) : new TorchOperation(op);

    public IQuickWork Model(QuickModel model) => model.Method == "infer" ? new TorchInference(model) : new TorchStep(model);

    private static string Short(Version version) => version.ToString(3);

    private static Tensor Numbers(uint seed, int rows, int cols) => tensor(QuickProtocol.Fill(rows * cols, seed), rows, cols);

    private static TorchLora Module(int number, int k, int n)
    {
        var (a, b) = QuickProtocol.Module(number, k, n);
        return new TorchLora(tensor(a, QuickProtocol.Rank, k), tensor(b, n, QuickProtocol.Rank), QuickProtocol.Scale);
    }
}

/// <summary>A linear, alone or with an adapter on it.</summary>
internal sealed class TorchProduct(Tensor x, Tensor w, ITorchAdapter? adapter) : IQuickWork
{
    private Tensor? _y;

    public void Run()
    {
        using var mode = no_grad();
        _y?.Dispose();                              // before the next is made, so that its memory is used again
        using var scope = NewDisposeScope();
        var y = linear(x, w);
        _y = (adapter is null ? y : adapter.Apply(x, y)).MoveToOuterDisposeScope();
    }

    public double Result => QuickProtocol.MeanSquare(_y!.data<float>().ToArray());

    public void Dispose()
    {
        x.Dispose();
        w.Dispose();
        _y?.Dispose();
    }
}

/// <summary>An adapter without the linear below it.</summary>
internal sealed class TorchUpdate(Tensor x, Tensor start, ITorchAdapter adapter) : IQuickWork
{
    private Tensor? _y;

    public void Run()
    {
        using var mode = no_grad();
        _y?.Dispose();
        using var scope = NewDisposeScope();
        _y = adapter.Apply(x, start).MoveToOuterDisposeScope();
    }

    public double Result => QuickProtocol.MeanSquare(_y!.data<float>().ToArray());

    public void Dispose()
    {
        x.Dispose();
        start.Dispose();
        _y?.Dispose();
    }
}
