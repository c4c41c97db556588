using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>A model of a folder and a batch for it.</summary>
internal static class QuickLoading
{
    /// <summary>The model, frozen.</summary>
    public static Model Model(QuickModel model, Backend backend) =>
        model.Family == "vit" ? Vit.Load(model.Folder, backend) : LanguageModel.Load(model.Folder, backend);

    /// <summary>The first of the folder's modules.</summary>
    public static List<LoraModule> Modules(QuickModel model, Model host) => [.. QuickFiles.ModuleFolders(model).Select(folder => Lora.Load(folder, host))];

    /// <summary>The first rows of the batch: images [B, C, Y, X] or tokens I32 [B, T], and a target I32 for each row of the model's result.</summary>
    public static (Tensor Inputs, Tensor Targets) Batch(QuickModel model, Workspace workspace)
    {
        using var file = Checkpoint.Open(Path.Combine(model.Folder, QuickFiles.Batch));
        TensorEntry inputs = file["inputs"], targets = file["targets"];
        if (inputs.DType == FileDType.I64) return (Integers(inputs), Integers(targets));
        var values = new float[inputs.Count];
        file.CopyTo(inputs, values);
        var shape = First(inputs);
        return (workspace.From(values.AsSpan(0, shape.Count), shape), Integers(targets));

        Tensor Integers(TensorEntry entry)
        {
            var shape = First(entry);
            return workspace.From(Array.ConvertAll(file.ReadInt64(entry), number => (int)number).AsSpan(0, shape.Count), shape);
        }

        Shape First(TensorEntry entry) => new([model.Rows, .. entry.Shape.Skip(1).Select(size => (int)size)]);
    }
}

/// <summary>A forward pass.</summary>
internal sealed class QuickInference : IQuickWork
{
    private readonly CpuBackend _backend;
    private readonly Model _model;
    private readonly Tensor _inputs;

    public QuickInference(int threads, QuickModel model)
    {
        _backend = new CpuBackend(threads);
        _model = QuickLoading.Model(model, _backend);
        _inputs = QuickLoading.Batch(model, _backend.Main).Inputs;
    }

    public double Result { get; private set; }

    public long Held => _backend.ReservedBytes;

    public void Run()
    {
        using var scope = _backend.Scope(grad: false);
        Result = QuickProtocol.MeanSquare(_model.Forward(_inputs).ToArray());
    }

    public void Dispose()
    {
        _model.Dispose();
        _backend.Dispose();
    }
}

/// <summary>One training step: forward pass, cross entropy, backward pass, AdamW.</summary>
internal sealed class QuickStep : IQuickWork
{
    private readonly CpuBackend _backend;
    private readonly Model _model;
    private readonly Tensor _inputs, _targets;
    private readonly AdamW _optimiser;

    public QuickStep(int threads, QuickModel model)
    {
        _backend = new CpuBackend(threads);
        _model = QuickLoading.Model(model, _backend);
        (_inputs, _targets) = QuickLoading.Batch(model, _backend.Main);
        var modules = QuickLoading.Modules(model, _model);
        _backend.Main.RecomputeBlocks = model.Method == "recomputed";
        if (model.Method is "lora" or "recomputed")
        {
            Attach.Module(_model, modules[0]);
            foreach (var update in modules[0].Updates.Values) update.Train();
        }
        else Compose.Learned(_model, modules);
        (_model as Classifier)?.Head!.Train();
        _optimiser = new AdamW([.. _model.Trained().Select(p => new Trained(p.Value, p.Key, QuickProtocol.Rate, QuickProtocol.Decay))],
            QuickProtocol.Beta1, QuickProtocol.Beta2, QuickProtocol.Epsilon);
    }

    public double Result { get; private set; }

    public long Held => _backend.ReservedBytes;

    public void Run()
    {
        using var step = _backend.Scope();
        var loss = _model.Loss(new Batch(_inputs, _targets));                                   // as Trainer has it
        loss.Backward();
        Result = loss.Item();
        _optimiser.Step(1);
        _optimiser.ClearGradients();
    }

    public void Dispose()
    {
        _optimiser.Dispose();
        _model.Dispose();
        _backend.Dispose();
    }
}
