using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace NanoLora.Benchmarks;

/// <summary>A model over a folder of files.</summary>
internal interface ITorchModel
{
    /// <summary>The linears that adapters may sit on, under the file's names.</summary>
    IEnumerable<(string Name, TorchLinear Linear)> Adaptable();

    /// <summary>What trains beside adapters, made parameters.</summary>
    Parameter[] TrainHead();

    /// <summary>Logits, with a row for each target.</summary>
    Tensor Forward(Tensor inputs);

    /// <summary>The model of a request.</summary>
    static ITorchModel Load(QuickModel model) => model.Family == "vit" ? new TorchVit(model.Folder) : new TorchGpt2(model.Folder);

    /// <summary>The first rows of the folder's batch: images [B, C, Y, X] or tokens [B, T], and the targets.</summary>
    static (Tensor Inputs, Tensor Targets) Batch(QuickModel model)
    {
        var file = TorchFile.Read(Path.Combine(model.Folder, "batch.safetensors"));
        return (file["inputs"].narrow(0, 0, model.Rows).clone(), file["targets"].narrow(0, 0, model.Rows).flatten().clone());
    }
}

/// <summary>A forward pass.</summary>
internal sealed class TorchInference(QuickModel model) : IQuickWork
{
    private readonly ITorchModel _model = ITorchModel.Load(model);
    private readonly Tensor _inputs = ITorchModel.Batch(model).Inputs;

    public void Run()
    {
        using var mode = inference_mode();
        using var logits = _model.Forward(_inputs);
        Result = QuickProtocol.MeanSquare(logits.data<float>().ToArray());
    }

    public double Result { get; private set; }

    public void Dispose() => _inputs.Dispose();
}

/// <summary>One training step: forward pass, cross entropy, backward pass, AdamW.</summary>
internal sealed class TorchStep : IQuickWork
{
    private readonly ITorchModel _model;
    private readonly Tensor _inputs, _targets;
    private readonly AdamW _optimiser;

    public TorchStep(QuickModel model)
    {
        _model = ITorchModel.Load(model);
        (_inputs, _targets) = ITorchModel.Batch(model);
        var modules = Directory.GetDirectories(Path.Combine(model.Folder, "modules")).Order(StringComparer.Ordinal).Take(model.Modules).Select(Module).ToList();
        List<Parameter> trained = [.. _model.TrainHead()];
        foreach (var (name, linear) in _model.Adaptable())
        {
            if (model.Method == "lora")
            {
                var frozen = Lora(modules[0], name);
                Parameter a = new(frozen.A), b = new(frozen.B);
                linear.Adapter = new TorchLora(a, b, frozen.Scale);
                trained.AddRange([a, b]);
                continue;
            }
            var v = new Parameter(ones(modules.Count));
            TorchLora[] loras = [.. modules.Select(m => Lora(m, name))];
            linear.Adapter = model.Method == "learned" ? new TorchLoop(loras, v) : new TorchStack(loras, v);
            trained.Add(v);
        }
        _optimiser = optim.AdamW(trained, QuickProtocol.Rate, QuickProtocol.Beta1, QuickProtocol.Beta2, QuickProtocol.Epsilon, QuickProtocol.Decay);
    }

    public double Result { get; private set; }

    public void Run()
    {
        using var scope = NewDisposeScope();
        var loss = cross_entropy(_model.Forward(_inputs), _targets);
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
