using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// A model trained for a few steps, as PEFT and PyTorch train it: gradients of the first batch, merged weights, what each step sees, and what is left.
/// </summary>
internal sealed class TrainingRun : IDisposable
{
    private const string Prefix = "base_model.model.";

    private readonly GoldenFolder _folder;
    private readonly Classifier _model;
    private readonly Workspace _workspace;
    private readonly GoldenValues _values;
    private readonly float[] _images;
    private readonly int[] _labels;
    private readonly Shape _imageShape, _labelShape;      // of one batch
    private readonly int _batches;

    private TrainingRun(GoldenFolder folder, Backend backend)
    {
        var place = folder.Field(folder.Root, "base", JsonValueKind.String).GetString()!;
        (_folder, _workspace, _values) = (folder, backend.Main, new GoldenValues(folder));
        _model = TrainingArea.Base(folder, place, backend);
        var beside = Path.GetDirectoryName(Path.GetFullPath(folder.Path))!;
        using var file = Checkpoint.Open(Path.Combine(beside, place, "batches.safetensors"));
        var (images, labels) = (file["pixel_values"], file["labels"]);
        file.CopyTo(images, _images = new float[images.Count]);
        _labels = Array.ConvertAll(file.ReadInt64(labels), static l => checked((int)l));
        int[] sizes = [.. images.Shape.Select(static s => checked((int)s))];
        (_batches, _imageShape, _labelShape) = (sizes[0], new Shape(sizes.AsSpan(1)), new Shape(sizes[1]));
    }

    /// <summary>A LoRA as PEFT saved it, perhaps with a head: forward, gradients, merge, training.</summary>
    internal static void Adapter(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        using var run = new TrainingRun(folder, backend);
        run._values.Add("base.logits", run.Logits());
        run.Attach();
        run.Start();
        run.Merged("merged.logits");
        run.Train();
        if (run._values.Names.Contains("final.merged.logits")) run.Merged("final.merged.logits");
        run.Compare(report);
        var older = Path.Combine(folder.Path, "older_names");
        if (Directory.Exists(older)) run.SameUnderOlderNames(older, report);
    }

    /// <summary>Full fine-tuning.</summary>
    internal static void Full(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        using var run = new TrainingRun(folder, backend);
        run._model.Train();
        run.Train();
        run.Compare(report);
    }

    /// <summary>Gradients that add up over batches of texts.</summary>
    internal static void Accumulation(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        using var run = new TrainingRun(folder, backend);
        throw new NotBuiltException("gradients that add up over batches of unequal numbers of tokens");
    }

    public void Dispose() => _model.Dispose();

    private void Attach() => Attach(_model, _folder.Path);

    private static void Attach(Classifier model, string folder)
    {
        var module = PeftFolder.Load(folder, model);
        Nn.Attach.Module(model, module);
        foreach (var update in module.Updates.Values) update.Train();
        if (module.Head is { } head) model.NewHead(head.Weight, head.Bias, head.Labels);
    }

    private Batch BatchOf(int step)
    {
        var n = step % _batches;
        var images = _images.AsSpan(n * _imageShape.Count, _imageShape.Count);
        var labels = _labels.AsSpan(n * _labelShape.Count, _labelShape.Count);
        return new Batch(_workspace.From(images, _imageShape), _workspace.From(labels, _labelShape));
    }

    private float[] Logits() => Logits(_model);

    private float[] Logits(Classifier model)
    {
        using var scope = _workspace.Scope(grad: false);
        return model.Forward(BatchOf(0).Inputs).ToArray();
    }

    // Logits, loss and gradients of the first batch.
    private void Start()
    {
        using (_workspace.Scope())
        {
            var batch = BatchOf(0);
            var logits = _model.Forward(batch.Inputs);
            var loss = logits.CrossEntropy(batch.Targets);
            loss.Backward();
            _values.Add("logits", logits);
            _values.Add("loss", loss);
        }
        foreach (var name in Beginning("grad."))
        {
            var parameter = Find(name[5..]);
            _values.Add(name, parameter.Gradient?.ToArray() ?? new float[parameter.Value.Count]);
        }
        foreach (var (_, parameter) in _model.Trained()) parameter.ClearGradient();
    }

    // The adapter within the weights, then out again.
    private void Merged(string logits)
    {
        Nn.Attach.Merge(_model);
        _values.Add(logits, Logits());
        if (logits == "merged.logits")
        {
            foreach (var name in Beginning("merged.", but: logits)) _values.Add(name, Find(name[7..]).Value);
        }
        Nn.Attach.Unmerge(_model);
    }

    private void Train()
    {
        if (!_values.Names.Contains("train.loss")) return;
        var settings = _folder.Field(_folder.Root, "hyper_parameters", JsonValueKind.Object);
        double Number(string name) => _folder.Field(settings, name, JsonValueKind.Number, "hyper_parameters.").GetDouble();
        var (steps, rate, clip) = ((int)Number("steps"), Number("lr"), Number("clip"));
        var vectors = !settings.TryGetProperty("no_decay_on_vectors", out var none) || !none.GetBoolean();
        var options = new FitOptions { FactorRate = rate, HeadRate = rate, BaseRate = rate, WeightDecay = Number("weight_decay"), DecayVectors = vectors };
        using var optimiser = new AdamW(Trainer.Groups(_model, options));
        var schedule = new Schedule(ScheduleKind.Cosine, steps, (int)Number("warmup"));
        var (rates, losses, norms) = (new float[steps], new float[steps], new float[steps]);
        for (var step = 0; step < steps; step++)
        {
            using var scope = _workspace.Scope();
            var batch = BatchOf(step);
            var loss = _model.Forward(batch.Inputs).CrossEntropy(batch.Targets);
            loss.Backward();
            var norm = optimiser.GradientNorm();
            (rates[step], losses[step], norms[step]) = ((float)(rate * schedule.At(step)), loss.Item(), (float)norm);
            optimiser.Step(schedule.At(step), Math.Min(1, clip / (norm + 1e-6)));
            optimiser.ClearGradients();
        }
        _values.Add("train.lr", rates);
        _values.Add("train.loss", losses);
        _values.Add("train.grad_norm", norms);
        _values.Add("final.logits", Logits());
        foreach (var name in Beginning("final.", "final.logits", "final.merged.logits")) _values.Add(name, Find(name[6..]).Value);
        if (!_folder.Has("final_not_comparable", JsonValueKind.Array)) return;
        foreach (var name in _folder.Root.GetProperty("final_not_comparable").EnumerateArray()) _values.Skip($"final.{name.GetString()}");
    }

    private IEnumerable<string> Beginning(string with, params string[] but) =>
        _values.Names.Where(n => n.StartsWith(with, StringComparison.Ordinal) && !but.Contains(n));

    private void Compare(GoldenReport report) => _values.Compare(report, (name, _) => TrainingArea.Tolerance(_folder, name));

    // The same adapter under the names of an older library: the same bits.
    private void SameUnderOlderNames(string older, GoldenReport report)
    {
        using var now = TrainingArea.Base(_folder, _folder.Root.GetProperty("base").GetString()!, _workspace.Backend);
        using var then = TrainingArea.Base(_folder, _folder.Root.GetProperty("base").GetString()!, _workspace.Backend);
        Attach(now, _folder.Path);
        Attach(then, older);
        report.Floats("older_names.logits", _folder.ShapeOf("logits"), Logits(then), Logits(now), 0);
    }

    // A parameter by the adapter's or the base's name for it.
    private Parameter Find(string name)
    {
        var theirs = name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name;
        foreach (var side in (ReadOnlySpan<string>)[".lora_A.weight", ".lora_B.weight"])
        {
            if (!theirs.EndsWith(side, StringComparison.Ordinal)) continue;
            if (_model.Names.Ours(theirs[..^side.Length]) is not { } linear || _model.LinearAt(linear).Adapter is not Lora lora) break;
            return side == ".lora_A.weight" ? lora.A : lora.B;
        }
        var path = _model.Names.Ours(theirs);
        foreach (var (at, parameter) in _model.Parameters()) if (at == path) return parameter;
        throw _folder.Error(name, "is no parameter of the model.");
    }
}
