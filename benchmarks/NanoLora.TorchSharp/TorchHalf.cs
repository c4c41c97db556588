using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace NanoLora.Benchmarks;

/// <summary>The work of `quick` in TorchSharp.</summary>
internal sealed class TorchHalf : IQuickHalf
{
    public string Who { get; } = $"TorchSharp {Short(typeof(torch).Assembly.GetName().Version!)}, "
        + $"libtorch {Short(Version.Parse(torch.__version__))}, {get_num_threads()} threads";

    private static string Short(Version version) => version.ToString(3);

    public IQuickWork Gemm(int m, int k, int n) => new TorchGemm(m, k, n);

    public IQuickWork Vit(string method, int rows, string folder) => method == "infer" ? new TorchInference(rows, folder) : new TorchStep(method, rows, folder);

    /// <summary>The first images [rows, C, Y, X] and labels [rows] of a folder.</summary>
    public static (Tensor Images, Tensor Labels) Batch(int rows, string folder)
    {
        var file = TorchFile.Read(Path.Combine(folder, "batch.safetensors"));
        return (file["images"].narrow(0, 0, rows).clone(), file["labels"].narrow(0, 0, rows).clone());
    }
}

internal sealed class TorchGemm(int m, int k, int n) : IQuickWork
{
    private readonly Tensor _x = tensor(QuickProtocol.Fill(m * k, 1), m, k), _w = tensor(QuickProtocol.Fill(n * k, 2), n, k);
    private Tensor? _y;

    public void Run()
    {
        using var mode = no_grad();
        _y?.Dispose();                              // before the next is made, so that its memory is used again
        _y = linear(_x, _w);
    }

    public double Result => QuickProtocol.MeanSquare(_y!.data<float>().ToArray());

    public void Dispose()
    {
        _x.Dispose();
        _w.Dispose();
        _y?.Dispose();
    }
}

internal sealed class TorchInference(int rows, string folder) : IQuickWork
{
    private readonly TorchVit _vit = new(folder);
    private readonly Tensor _images = TorchHalf.Batch(rows, folder).Images;

    public void Run()
    {
        using var mode = inference_mode();
        using var logits = _vit.Forward(_images);
        Result = QuickProtocol.MeanSquare(logits.data<float>().ToArray());
    }

    public double Result { get; private set; }

    public void Dispose() => _images.Dispose();
}

/// <summary>One training step: forward pass, cross entropy, backward pass, AdamW.</summary>
internal sealed class TorchStep : IQuickWork
{
    private readonly TorchVit _vit;
    private readonly Tensor _images, _labels;
    private readonly AdamW _optimiser;

    public TorchStep(string method, int rows, string folder)
    {
        _vit = new TorchVit(folder);
        (_images, _labels) = TorchHalf.Batch(rows, folder);
        var modules = Directory.GetDirectories(Path.Combine(folder, "modules")).Order(StringComparer.Ordinal).Select(Module).ToList();
        List<Parameter> trained = [.. _vit.TrainHead()];
        foreach (var (name, linear) in _vit.Adaptable())
        {
            if (method == "lora")
            {
                var frozen = Lora(modules[0], name);
                Parameter a = new(frozen.A), b = new(frozen.B);
                linear.Adapter = new TorchLora(a, b, frozen.Scale);
                trained.AddRange([a, b]);
                continue;
            }
            var v = new Parameter(ones(modules.Count));
            TorchLora[] loras = [.. modules.Select(m => Lora(m, name))];
            linear.Adapter = method == "learned" ? new TorchLoop(loras, v) : new TorchStack(loras, v);
            trained.Add(v);
        }
        _optimiser = optim.AdamW(trained, QuickProtocol.Rate, QuickProtocol.Beta1, QuickProtocol.Beta2, QuickProtocol.Epsilon, QuickProtocol.Decay);
    }

    public double Result { get; private set; }

    public void Run()
    {
        using var scope = NewDisposeScope();
        var loss = cross_entropy(_vit.Forward(_images), _labels);
        loss.backward();
        Result = loss.item<float>();
        _optimiser.step();
        _optimiser.zero_grad();
    }

    public void Dispose() => _optimiser.Dispose();

    private static (Dictionary<string, Tensor> Tensors, double Scale) Module(string folder)
    {
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "adapter_config.json")));
        var scale = config.RootElement.GetProperty("lora_alpha").GetDouble() / config.RootElement.GetProperty("r").GetDouble();
        return (TorchFile.Read(Path.Combine(folder, "adapter_model.safetensors")), scale);
    }

    private static TorchLora Lora((Dictionary<string, Tensor> Tensors, double Scale) module, string name) =>
        new(module.Tensors[$"base_model.model.{name}.lora_A.weight"], module.Tensors[$"base_model.model.{name}.lora_B.weight"], module.Scale);
}
