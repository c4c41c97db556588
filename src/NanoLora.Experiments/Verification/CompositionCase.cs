using System.Text.Json;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// One case of composition on its way through the engine: the base, its modules by name, and what came out. Base and adapters lie beside the case.
/// </summary>
internal sealed class CompositionCase : IDisposable
{
    private const double OfLargest = 5e-6, Absolute = 1e-5;

    private readonly string _place;
    private readonly Dictionary<string, LoraModule> _modules = new(StringComparer.Ordinal);

    internal CompositionCase(GoldenFolder folder, Backend backend, GoldenReport report)
    {
        (Folder, Workspace, Report, Values) = (folder, backend.Main, report, new GoldenValues(folder));
        _place = Path.GetDirectoryName(Path.GetFullPath(folder.Path))!;
        IsText = folder.Holds("input_ids") || folder.Holds("batches.input_ids");
        Model = IsText ? LanguageModel.Load(Base, backend, keepType: false) : Vit.Load(Base, backend);
    }

    internal GoldenFolder Folder { get; }

    internal Workspace Workspace { get; }

    internal Backend Backend => Workspace.Backend;

    internal GoldenReport Report { get; }

    internal GoldenValues Values { get; }

    /// <summary>The folder of the base.</summary>
    internal string Base => Path.Combine(_place, "base", Kind);

    internal Model Model { get; }

    /// <summary>Whether the case is one of texts, not of images.</summary>
    internal bool IsText { get; }

    private string Kind => IsText ? "llama" : "vit";

    private string InputName => IsText ? "input_ids" : "pixel_values";

    /// <summary>What the case was made with.</summary>
    internal JsonElement Settings => Folder.Root.GetProperty("settings");

    /// <summary>What golden.json states beside the tensors.</summary>
    internal JsonElement Numbers => Folder.Root.GetProperty("numbers");

    /// <summary>The modules mixed-0, mixed-1, ….</summary>
    internal LoraModule[] Mixed
    {
        get
        {
            var modules = new LoraModule[Folder.Field(Settings, "mixed", JsonValueKind.Array, "settings.").GetArrayLength()];
            for (var n = 0; n < modules.Length; n++) modules[n] = Module($"mixed-{n}");
            return modules;
        }
    }

    /// <summary>Our paths of the adapted matrices, in the case's order.</summary>
    internal string[] Matrices => [.. Folder.Field(Numbers, "matrices", JsonValueKind.Array, "numbers.").EnumerateArray().Select(m => Ours(m.GetString()!))];

    /// <summary>Our path for a checkpoint's name of a linear.</summary>
    internal string Ours(string name) => Model.Names.Ours(name) ?? throw Folder.Error(name, "is no linear of the base.");

    /// <summary>A module by the name of its folder.</summary>
    internal LoraModule Module(string name, string? generation = null)
    {
        generation ??= Kind;
        var key = $"{generation}/{name}";
        if (_modules.TryGetValue(key, out var known)) return known;
        return _modules[key] = PeftFolder.Load(Path.Combine(_place, "adapters", generation, name), Model);
    }

    /// <summary>The number of batches of a case that has some.</summary>
    internal int Batches => Folder.ShapeOf("batches.labels")[0];

    /// <summary>The case's own images or texts, or those of one of its batches.</summary>
    internal Tensor Inputs(int? batch = null) => IsText ? Integers(InputName, batch) : Floats(InputName, batch);

    /// <summary>
    /// What they should give, in the order of the model's outputs: a class an image; of each token the next one's label, and nothing of the last.
    /// </summary>
    internal Tensor Targets(int? batch = null)
    {
        var labels = Integers("labels", batch);
        if (!IsText) return labels;
        var (ids, tokens) = (labels.ToInts(), labels.Shape[1]);
        for (var i = 0; i < ids.Length; i++) ids[i] = (i + 1) % tokens == 0 ? Batch.Ignored : ids[i + 1];
        return Workspace.From(ids, labels.Shape);
    }

    /// <summary>The logits of the case's own inputs or those of a batch, with whatever is attached.</summary>
    internal float[] Logits(int? batch = null)
    {
        using var scope = Workspace.Scope(grad: false);
        return Model.Forward(Inputs(batch)).ToArray();
    }

    /// <summary>The logits of the case's own inputs in double precision, some of the base's weights changed by updates of their own shape.</summary>
    internal double[] ExactLogits(IReadOnlyDictionary<string, double[]> updates)
    {
        if (!IsText) return ExactVit.Logits(Base, Values.Input(InputName), updates);
        using var exact = ExactLanguageModel.Load(Base, Backend);
        return exact.Logits(Values.IntInput(InputName), Folder.ShapeOf(InputName)[1], null, updates);
    }

    /// <summary>The logits of the case's own texts in double precision under a module by the name of its folder.</summary>
    internal double[] ExactLogits(string module)
    {
        using var exact = ExactLanguageModel.Load(Base, Backend);
        using var read = PeftFolder.Load(Path.Combine(_place, "adapters", Kind, module), exact);
        return exact.Logits(Values.IntInput(InputName), Folder.ShapeOf(InputName)[1], read);
    }

    /// <summary>The logits under a mixture, which is then taken out again.</summary>
    internal float[] Logits(Mixture mixture)
    {
        var logits = Logits();
        mixture.Detach();
        return logits;
    }

    /// <summary>Compares what was found with all tensors that are not inputs.</summary>
    internal void Compare() => Values.Compare(Report, Tolerance);

    /// <summary>What a tensor may be off by.</summary>
    internal static double Tolerance(string name, float[] want) => IsOutput(name) ? OfLargest * Largest(want) : Absolute;

    public void Dispose()
    {
        Attach.Detach(Model, dispose: false);
        foreach (var module in _modules.Values) module.Dispose();
        Model.Dispose();
    }

    private Tensor Floats(string name, int? batch)
    {
        var (all, shape, start) = Place(name, batch);
        return Workspace.From(Values.Input(all).AsSpan(start, shape.Count), shape);
    }

    private Tensor Integers(string name, int? batch)
    {
        var (all, shape, start) = Place(name, batch);
        return Workspace.From(Values.IntInput(all).AsSpan(start, shape.Count), shape);
    }

    // Where something of the case's own or of a batch stands: the tensor, the shape, the place in it.
    private (string Name, Shape Shape, int Start) Place(string name, int? batch)
    {
        if (batch is not { } n) return (name, Folder.ShapeOf(name), 0);
        var shape = Folder.ShapeOf($"batches.{name}");
        Span<int> sizes = stackalloc int[shape.Rank - 1];
        for (var i = 0; i < sizes.Length; i++) sizes[i] = shape[i + 1];
        var one = new Shape(sizes);
        return ($"batches.{name}", one, n * one.Count);
    }

    private static bool IsOutput(string name) =>
        name.EndsWith("logits", StringComparison.Ordinal)
        || name.Contains(".delta.", StringComparison.Ordinal) || name.Contains(".merged.", StringComparison.Ordinal);

    private static double Largest(float[] values) => values.Length == 0 ? 0 : values.Max(Math.Abs);
}
