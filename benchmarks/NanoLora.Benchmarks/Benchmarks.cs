#pragma warning disable CA1001 // the benchmark runner calls Cleanup

using BenchmarkDotNet.Attributes;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>y = x Wᵀ at the shapes of transformers.</summary>
[MemoryDiagnoser]
public class GemmBenchmarks
{
    private CpuBackend _backend = null!;
    private Tensor _x = null!, _w = null!, _y = null!;

    [Params("1576x768x768", "1576x768x3072", "1576x3072x768", "3152x384x384", "64x768x768", "1576x768x8", "1576x8x768", "544x96x96", "544x96x384")]
    public string Shape { get; set; } = "";

    [Params(1, 2)]
    public int Threads { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        var size = Shape.Split('x').Select(int.Parse).ToArray();
        _backend = new CpuBackend(Threads);
        var random = new Philox(1, 1);
        _x = _backend.Main.From(Enumerable.Range(0, size[0] * size[1]).Select(i => random.Uniform((ulong)i) - 0.5f).ToArray(), new Shape(size[0], size[1]));
        _w = _backend.Main.From(Enumerable.Range(0, size[2] * size[1]).Select(i => random.Uniform((ulong)i) - 0.5f).ToArray(), new Shape(size[2], size[1]));
        _y = _backend.Main.New(new Shape(size[0], size[2]));
    }

    [GlobalCleanup]
    public void Cleanup() => _backend.Dispose();

    [Benchmark]
    public void Linear() => _backend.Linear(_x, _w, null, _y);
}

/// <summary>Every row of the op table, forward and backward.</summary>
[MemoryDiagnoser]
public class OpBenchmarks
{
    private readonly List<Parameter> _parameters = [];
    private CpuBackend _backend = null!;
    private Tensor[] _inputs = null!;
    private OpRow _row = null!;

    public static IEnumerable<string> Rows => OpTable.Rows.Select(r => r.Name);

    [ParamsSource(nameof(Rows))]
    public string Row { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        _backend = new CpuBackend();
        _row = OpTable.Rows.First(r => r.Name == Row);
        var shapes = _row.Shapes[^1];
        _inputs = _row.Load(_backend.Main, shapes, _row.Fill(shapes), _parameters);
    }

    [GlobalCleanup]
    public void Cleanup() => _backend.Dispose();

    [Benchmark]
    public void Forward()
    {
        using var scope = _backend.Scope(grad: false);
        _row.Run(_inputs);
    }

    [Benchmark]
    public void ForwardAndBackward()
    {
        using (_backend.Scope())
        {
            var y = _row.Run(_inputs);
            if (y.NeedsGrad) y.Sum().Backward();
        }
        foreach (var parameter in _parameters) parameter.ClearGradient();
    }
}

/// <summary>One training step of the small ViT: full fine-tuning, a LoRA, and learned composition over N modules.</summary>
[MemoryDiagnoser]
public class StepBenchmarks
{
    private CpuBackend _backend = null!;
    private Vit _model = null!;
    private float[] _pixels = null!;
    private int[] _labels = null!;
    private AdamW _optimiser = null!;

    [Params("full", "lora", "learned 8", "learned 32")]
    public string Method { get; set; } = "";

    [Params(1, 2)]
    public int Threads { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _backend = new CpuBackend(Threads);
        _model = Vit.Create(new VitConfig
        {
            ImageSize = 28, PatchSize = 4, Channels = 1, HiddenSize = 64, Layers = 6, Heads = 4, IntermediateSize = 256,
            Labels = [.. Enumerable.Range(0, 10).Select(i => $"{i}")],
        }, _backend, seed: 1);
        var random = new Philox(1, 1);
        _pixels = [.. Enumerable.Range(0, 32 * 28 * 28).Select(i => random.Normal((ulong)i))];
        _labels = [.. Enumerable.Range(0, 32).Select(i => i % 10)];
        if (Method == "full") _model.Train();
        else if (Method == "lora") Attach.Lora(_model, "*.attn.(q|v)", rank: 8);
        else
        {
            var modules = Enumerable.Range(0, int.Parse(Method[8..]))
                .Select(n => Attach.Lora(_model, "*.attn.(q|v)", rank: 8, seed: (ulong)n, name: $"{n}")).ToList();
            Attach.Detach(_model, dispose: false);
            Compose.Learned(_model, modules);
        }
        _model.Head!.Train();
        _optimiser = new AdamW(Trainer.Groups(_model, new FitOptions()));
    }

    [GlobalCleanup]
    public void Cleanup() => _backend.Dispose();

    [Benchmark]
    public float Step()
    {
        using var step = _backend.Scope();
        var logits = _model.Forward(_backend.Main.From(_pixels, new Shape(32, 1, 28, 28)));
        var loss = logits.CrossEntropy(_backend.Main.From(_labels, new Shape(32)));
        loss.Backward();
        var value = loss.Item();
        _optimiser.Step(1, 1);
        _optimiser.ClearGradients();
        return value;
    }
}
