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
        Model = Vit.Load(Base, backend);
    }

    internal GoldenFolder Folder { get; }

    internal Workspace Workspace { get; }

    internal Backend Backend => Workspace.Backend;

    internal GoldenReport Report { get; }

    internal GoldenValues Values { get; }

    /// <summary>The folder of the base.</summary>
    internal string Base => Path.Combine(_place, "base", "vit");

    internal Vit Model { get; }

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
    internal LoraModule Module(string name, string generation = "vit")
    {
        var key = $"{generation}/{name}";
        if (_modules.TryGetValue(key, out var known)) return known;
        return _modules[key] = PeftFolder.Load(Path.Combine(_place, "adapters", generation, name), Model);
    }

    /// <summary>The logits of images [B, C, Y, X], with whatever is attached.</summary>
    internal float[] Logits(float[] images, Shape shape)
    {
        using var scope = Workspace.Scope(grad: false);
        return Model.Forward(Workspace.From(images, shape)).ToArray();
    }

    /// <summary>The logits of the case's own images.</summary>
    internal float[] Logits() => Logits(Values.Input("pixel_values"), Folder.ShapeOf("pixel_values"));

    /// <summary>The logits under a mixture, which is then taken out again.</summary>
    internal float[] Logits(Mixture mixture)
    {
        var logits = Logits();
        mixture.Detach();
        return logits;
    }

    /// <summary>Compares what was found with all tensors that are not inputs.</summary>
    internal void Compare() => Values.Compare(Report, static (name, want) => IsOutput(name) ? OfLargest * Largest(want) : Absolute);

    public void Dispose()
    {
        Attach.Detach(Model, dispose: false);
        foreach (var module in _modules.Values) module.Dispose();
        Model.Dispose();
    }

    private static bool IsOutput(string name) =>
        name.EndsWith("logits", StringComparison.Ordinal)
        || name.Contains(".delta.", StringComparison.Ordinal) || name.Contains(".merged.", StringComparison.Ordinal);

    private static double Largest(float[] values) => values.Length == 0 ? 0 : values.Max(Math.Abs);
}
