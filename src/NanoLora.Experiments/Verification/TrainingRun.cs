using System.Text.Json;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// A model trained for a few steps, as PEFT and PyTorch train it: gradients of the first batch, merged weights, what each step of <see cref="Trainer"/> sees,
/// and what is left.
/// </summary>
internal sealed class TrainingRun : IDisposable
{
    private const string Prefix = "base_model.model.";

    private readonly GoldenFolder _folder;
    private readonly Model _model;
    private readonly Workspace _workspace;
    private readonly GoldenValues _values;
    private readonly GoldenBatches _batches;

    private TrainingRun(GoldenFolder folder, Backend backend)
    {
        (_folder, _workspace, _values) = (folder, backend.Main, new GoldenValues(folder));
        _model = TrainingArea.Base(folder, backend);
        try
        {
            if (folder.Holds("micro0.input_ids")) _batches = GoldenBatches.Of(_model, folder, "micro");
            else
            {
                using var file = Checkpoint.Open(Path.Combine(TrainingArea.BaseFolder(folder), "batches.safetensors"));
                _batches = GoldenBatches.Of(_model, file);
            }
        }
        catch
        {
            _model.Dispose();
            throw;
        }
        if (_model is LanguageModel) LeavePaddingOut();
    }

    /// <summary>An adapter as PEFT saved it, perhaps with a head: forward, gradients, merge, training.</summary>
    internal static void Adapter(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        var start = Path.Combine(folder.Path, "start");                                // of a PiSSA
        var isPissa = Directory.Exists(start);
        using var run = new TrainingRun(folder, backend);
        run._values.Add("base.logits", run.Logits());
        if (isPissa) AttachPissa(run._model, start);
        else Attach(run._model, folder.Path);
        run.Start();
        if (isPissa) run.Split();
        if (run.Expects("merged.logits")) run.Merged("merged.logits");
        run.Train();
        if (run.Expects("final.merged.logits")) run.Merged("final.merged.logits");
        run.Compare(report);
        if (isPissa) run.SameAsPlain(report);
        var older = Path.Combine(folder.Path, "older_names");
        if (Directory.Exists(older))
            report.Floats("older_names.logits", folder.ShapeOf("logits"), run.Fresh(older), run.Fresh(folder.Path), 0);   // the same bits
    }

    /// <summary>Full fine-tuning.</summary>
    internal static void Full(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        using var run = new TrainingRun(folder, backend);
        run._model.Train();
        run.Train();
        run.Compare(report);
    }

    /// <summary>
    /// A step of three batches of texts with different numbers of targets: the trainer's loss, and the gradients that the same shares give. What the trainer
    /// adds up shows in its gradient norm.
    /// </summary>
    internal static void Accumulation(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        using var run = new TrainingRun(folder, backend);
        run._model.Train();
        foreach (var name in run.Beginning("micro")) run._values.Skip(name);
        run._values.Skip("target_tokens");
        var (counts, shares, means) = (folder.Ints("target_tokens"), new List<float>(), new List<float>());
        for (var n = 0; n < counts.Length; n++)
        {
            using var scope = backend.Main.Scope();
            var batch = run._batches[backend.Main, n];
            report.Tensor($"micro{n}.targets", new Shape(), Comparison.Of([batch.Targets.ToInts().Count(static t => t != Batch.Ignored)], [counts[n]]));
            var loss = run._model.Forward(batch).CrossEntropy(batch.Targets);
            var share = loss * ((float)counts[n] / counts.Sum());
            share.Backward();
            shares.Add(share.Item());
            means.Add(loss.Item());
        }
        run.SeeGradients();
        using var optimiser = new AdamW(Trainer.Groups(run._model, new FitOptions()));
        var norm = optimiser.GradientNorm();
        optimiser.ClearGradients();
        var step = Trainer.Fit(run._model, run._batches, new FitOptions { Steps = 1, BatchSize = 1, Accumulation = counts.Length }).Steps[0];
        run._values.Add("share", [.. shares]);
        run._values.Add("loss", [step.Loss]);
        run._values.Add("mean_of_means", [means.Average()]);
        run.Compare(report);
        report.Floats("the trainer's gradient norm", new Shape(), [(float)step.GradientNorm], [(float)norm], 0, relative: 1e-6);
    }

    public void Dispose() => _model.Dispose();

    private static void Attach(Model model, string folder)
    {
        var module = PeftFolder.Load(folder, model);
        Nn.Attach.Module(model, module);
        foreach (var update in module.Updates.Values) update.Train();
        if (module.Head is { } head) ((Classifier)model).NewHead(head.Weight, head.Bias, head.Labels);
    }

    // Factors of a PiSSA's start, whose config does not say what they are: they belong to what our own decomposition leaves of the base.
    private static void AttachPissa(Model model, string folder)
    {
        using var saved = PeftFolder.Load(folder, model);
        foreach (var (path, from) in saved.Updates)
        {
            var to = Nn.Attach.Lora(model, path, from.Rank, from.Alpha, from.RankStabilised, kind: LoraKind.Pissa).Updates[path];
            model.Backend.Upload<float>(from.A.Value.ToArray(), to.A.Value);
            model.Backend.Upload<float>(from.B.Value.ToArray(), to.B.Value);
        }
    }

    // The reference hides padding from itself, which concerns nobody: a token that is none has no next one.
    private void LeavePaddingOut()
    {
        using var scope = _workspace.Scope(grad: false);
        var batch = _batches[_workspace, 0];
        var (tokens, lengths) = (batch.Inputs.Shape[1], batch.Lengths!);
        var real = new bool[batch.Inputs.Count];
        for (var i = 0; i < real.Length; i++) real[i] = i % tokens < lengths[i / tokens];
        foreach (var name in _values.Names.Where(static n => n.EndsWith("logits", StringComparison.Ordinal))) _values.Only(name, real);
    }

    private float[] Logits() => Logits(_model);

    private float[] Logits(Model model)
    {
        using var scope = _workspace.Scope(grad: false);
        return model.Forward(_batches[_workspace, 0]).ToArray();
    }

    // Logits of a new base under an adapter of a folder.
    private float[] Fresh(string adapter)
    {
        using var model = TrainingArea.Base(_folder, _workspace.Backend);
        Attach(model, adapter);
        return Logits(model);
    }

    // Logits, loss and gradients of the first batch.
    private void Start()
    {
        using (_workspace.Scope())
        {
            var batch = _batches[_workspace, 0];
            var logits = _model.Forward(batch);
            var loss = logits.CrossEntropy(batch.Targets);
            loss.Backward();
            _values.Add("logits", logits);
            _values.Add("loss", loss);
        }
        SeeGradients();
        foreach (var (_, parameter) in _model.Trained()) parameter.ClearGradient();
    }

    private void SeeGradients()
    {
        foreach (var name in Beginning("grad."))
        {
            var parameter = Find(name[5..]);
            _values.Add(name, parameter.Gradient?.ToArray() ?? new float[parameter.Value.Count]);
        }
    }

    // The adapter within the weights, then out again.
    private void Merged(string logits)
    {
        Nn.Attach.Merge(_model);
        _values.Add(logits, Logits());
        if (logits == "merged.logits")
        {
            foreach (var name in Beginning("merged.", but: logits)) _values.Add(name, InFile(name[7..]));
        }
        Nn.Attach.Unmerge(_model);
    }

    // What a PiSSA takes from its base, by our own decomposition: the second half of the plain LoRA that it is, [B, -B₀] [A; A₀].
    private void Split()
    {
        foreach (var name in Beginning("residual."))
        {
            var weight = name["residual.".Length..];
            var host = _model.LinearAt(_model.Names.Ours(weight[..^".weight".Length])!);
            using var plain = ((Pissa)host.Adapter!).AsLora();
            var (both, rank) = (plain.Factors(), plain.Rank / 2);
            var b = new float[host.Out * rank];
            for (var i = 0; i < b.Length; i++) b[i] = both.B[i / rank * 2 * rank + rank + i % rank];
            var start = new Factors(both.A[(rank * host.In)..], b, host.In, host.Out);
            var residual = host.Weight.Value.ToArray();
            start.AddTo(residual, host.In, 0);
            _values.Add(name, residual);
            _values.Add($"delta.{weight}", Array.ConvertAll(start.Delta(), static d => -d));
        }
    }

    // A PiSSA as a plain LoRA on the whole base: ours, PEFT's conversion, and PEFT's own file, whose start is found again.
    private void SameAsPlain(GoldenReport report)
    {
        foreach (var name in (ReadOnlySpan<string>)["trained", "trained_as_lora"]) Near($"{name}.logits", Fresh(Path.Combine(_folder.Path, name)));
        var pissas = _model.Linears().Where(static l => l.Value.Adapter is Pissa).ToList();
        using var plain = new LoraModule("plain", pissas.ToDictionary(static l => l.Key, static l => ((Pissa)l.Value.Adapter!).AsLora()));
        foreach (var (_, linear) in pissas)
        {
            var adapter = linear.Adapter!;
            linear.Adapter = null;
            adapter.Dispose();
        }
        Nn.Attach.Module(_model, plain);
        Near("as_lora.logits", Logits());
        Nn.Attach.Detach(_model, dispose: false);

        void Near(string name, float[] logits)
        {
            const string final = "final.logits";
            var want = _values.Compared(final, _folder.Floats(final));
            report.Floats(name, new Shape(want.Length / _folder.ShapeOf(final)[-1], _folder.ShapeOf(final)[-1]), _values.Compared(final, logits), want,
                TrainingArea.Tolerance(_folder, final));
        }
    }

    private void Train()
    {
        if (!Expects("train.loss")) return;
        var settings = _folder.Field(_folder.Root, "hyper_parameters", JsonValueKind.Object);
        double Number(string name) => _folder.Field(settings, name, JsonValueKind.Number, "hyper_parameters.").GetDouble();
        var rate = Number("lr");
        var history = Trainer.Fit(_model, _batches, new FitOptions
        {
            Steps = (int)Number("steps"),
            BatchSize = 1,
            FactorRate = rate,
            HeadRate = rate,
            BaseRate = rate,
            WeightDecay = Number("weight_decay"),
            DecayVectors = !settings.TryGetProperty("no_decay_on_vectors", out var none) || !none.GetBoolean(),
            Clip = (float)Number("clip"),
            Warmup = (int)Number("warmup"),
        });
        _values.Add("train.lr", [.. history.Steps.Select(s => (float)(rate * s.Rate))]);
        _values.Add("train.loss", [.. history.Steps.Select(static s => s.Loss)]);
        _values.Add("train.grad_norm", [.. history.Steps.Select(static s => (float)s.GradientNorm)]);
        _values.Add("final.logits", Logits());
        foreach (var name in Beginning("final.", "final.logits", "final.merged.logits")) _values.Add(name, InFile(name[6..]));
        if (!_folder.Has("final_not_comparable", JsonValueKind.Array)) return;
        foreach (var name in _folder.Root.GetProperty("final_not_comparable").EnumerateArray()) _values.Skip($"final.{name.GetString()}");
    }

    private bool Expects(string name) => _values.Names.Contains(name);

    private IEnumerable<string> Beginning(string with, params string[] but) =>
        _values.Names.Where(n => n.StartsWith(with, StringComparison.Ordinal) && !but.Contains(n));

    private void Compare(GoldenReport report) => _values.Compare(report, (name, _) => TrainingArea.Tolerance(_folder, name));

    // A parameter's values as the file has them.
    private float[] InFile(string name)
    {
        var parameter = Find(name);
        if (parameter.Shape.Rank < 2 || _model is not LanguageModel text || _model.Names.Ours(name) is not { } path || !text.IsTransposed(path))
            return parameter.Value.ToArray();
        using var scope = _workspace.Scope(grad: false);
        return parameter.Value.Transpose().ToArray();
    }

    // A parameter by the adapter's or the base's name for it.
    private Parameter Find(string name)
    {
        var theirs = name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name;
        if (theirs.LastIndexOf(".lora_", StringComparison.Ordinal) is var at and >= 0
            && _model.Names.Ours(theirs[..at]) is { } linear && _model.LinearAt(linear).Adapter is Lora lora)
        {
            switch (theirs[(at + 1)..])
            {
                case "lora_A.weight": return lora.A;
                case "lora_B.weight": return lora.B;
                case "lora_magnitude_vector" when lora is Dora dora: return dora.Magnitude;
            }
        }
        var path = _model.Names.Ours(theirs);
        foreach (var (own, parameter) in _model.Parameters()) if (own == path) return parameter;
        throw _folder.Error(name, "is no parameter of the model.");
    }
}
