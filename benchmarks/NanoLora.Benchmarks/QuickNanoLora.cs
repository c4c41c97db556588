using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>The work of `quick` in NanoLora.</summary>
internal sealed class QuickNanoLora : IQuickHalf
{
    public string Who { get; } = $"NanoLora {typeof(Tensor).Assembly.GetName().Version!.ToString(3)}, {Gemm.Kernel}, {QuickProtocol.Threads} threads";

    IQuickWork IQuickHalf.Gemm(int m, int k, int n) => new QuickGemm(m, k, n);

    public IQuickWork Vit(string method, int rows, string folder) => method == "infer" ? new QuickInference(rows, folder) : new QuickStep(method, rows, folder);

    /// <summary>The first images [rows, C, Y, X] and labels [rows] of a folder.</summary>
    public static (Tensor Images, Tensor Labels) Batch(int rows, string folder, Backend backend)
    {
        using var file = Checkpoint.Open(Path.Combine(folder, QuickFiles.Batch));
        var entry = file["images"];
        var images = new float[entry.Count];
        file.CopyTo(entry, images);
        var shape = entry.Shape;
        var (channels, y, x) = ((int)shape[1], (int)shape[2], (int)shape[3]);
        var labels = Array.ConvertAll(file.ReadInt64(file["labels"]), label => (int)label);
        var firstImages = backend.Main.From(images.AsSpan(0, rows * channels * y * x), new Shape(rows, channels, y, x));
        return (firstImages, backend.Main.From(labels.AsSpan(0, rows), new Shape(rows)));
    }
}

internal sealed class QuickGemm : IQuickWork
{
    private readonly CpuBackend _backend = new(QuickProtocol.Threads);
    private readonly Tensor _x, _w;
    private Tensor? _y;

    public QuickGemm(int m, int k, int n)
    {
        _x = _backend.Main.From(QuickProtocol.Fill(m * k, 1), new Shape(m, k));
        _w = _backend.Main.From(QuickProtocol.Fill(n * k, 2), new Shape(n, k));
    }

    public void Run()
    {
        _y?.Dispose();                              // before the next is made, so that its memory is used again
        _y = _x.Linear(_w);
    }

    public double Result => QuickProtocol.MeanSquare(_y!.ToArray());

    public void Dispose() => _backend.Dispose();
}

internal sealed class QuickInference : IQuickWork
{
    private readonly CpuBackend _backend = new(QuickProtocol.Threads);
    private readonly Vit _vit;
    private readonly Tensor _images;

    public QuickInference(int rows, string folder)
    {
        _vit = Vit.Load(folder, _backend);
        _images = QuickNanoLora.Batch(rows, folder, _backend).Images;
    }

    public double Result { get; private set; }

    public void Run()
    {
        using var scope = _backend.Scope(grad: false);
        Result = QuickProtocol.MeanSquare(_vit.Forward(_images).ToArray());
    }

    public void Dispose()
    {
        _vit.Dispose();
        _backend.Dispose();
    }
}

/// <summary>One training step: forward pass, cross entropy, backward pass, AdamW.</summary>
internal sealed class QuickStep : IQuickWork
{
    private readonly CpuBackend _backend = new(QuickProtocol.Threads);
    private readonly Vit _vit;
    private readonly Tensor _images, _labels;
    private readonly AdamW _optimiser;

    public QuickStep(string method, int rows, string folder)
    {
        _vit = Vit.Load(folder, _backend);
        (_images, _labels) = QuickNanoLora.Batch(rows, folder, _backend);
        var modules = Lora.LoadAll(Path.Combine(folder, QuickFiles.Modules), _vit);
        if (method == "lora")
        {
            Attach.Module(_vit, modules[0]);
            foreach (var update in modules[0].Updates.Values) update.Train();
        }
        else Compose.Learned(_vit, modules);
        _vit.Head!.Train();
        _optimiser = new AdamW([.. _vit.Trained().Select(p => new Trained(p.Value, p.Key, QuickProtocol.Rate, QuickProtocol.Decay))],
            QuickProtocol.Beta1, QuickProtocol.Beta2, QuickProtocol.Epsilon);
    }

    public double Result { get; private set; }

    public void Run()
    {
        using var step = _backend.Scope();
        var loss = _vit.Forward(_images).CrossEntropy(_labels);
        loss.Backward();
        Result = loss.Item();
        _optimiser.Step(1);
        _optimiser.ClearGradients();
    }

    public void Dispose()
    {
        _optimiser.Dispose();
        _vit.Dispose();
        _backend.Dispose();
    }
}
