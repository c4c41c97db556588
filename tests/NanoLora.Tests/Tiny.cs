using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests;

/// <summary>A small image transformer whose every part shows in the logits, modules that change it much, and samples to train it on.</summary>
internal static class Tiny
{
    public static readonly string[] Classes = ["a", "b", "c"];

    /// <summary>
    /// Two blocks of width 32 over 16 patches of 4 x 4. Matrices are drawn here, with deviation 0.2: their size is part of what the tolerances are for.
    /// </summary>
    public static Vit Model(Backend backend, ulong seed = 1)
    {
        var config = new VitConfig
        {
            ImageSize = 16,
            PatchSize = 4,
            Channels = 1,
            HiddenSize = 32,
            Layers = 2,
            Heads = 2,
            IntermediateSize = 64,
            ClassToken = false,
            Labels = Classes,
        };
        var model = Vit.Create(config, backend, seed);
        ulong stream = 0;
        foreach (var (_, parameter) in model.Parameters())
        {
            if (parameter.Shape.Rank < 2) continue;
            backend.Upload<float>(Normal(parameter.Value.Count, 1000 * seed + stream++, 0.2f), parameter.Value);
        }
        return model;
    }

    /// <summary>A module with A and B far from zero, rank and alpha of each linear as given.</summary>
    public static LoraModule Module(Model model, string name, ulong seed, Func<string, (int Rank, float Alpha)> sizes, bool rankStabilised = false)
    {
        var updates = new Dictionary<string, Lora>();
        foreach (var (path, linear) in Attach.Matching(model, "blocks.*.attn.(q|v)"))
        {
            var (rank, alpha) = sizes(path);
            var stream = seed * 1000 + (ulong)updates.Count;
            using var a = model.Backend.Main.From(Normal(rank * linear.In, 2 * stream, 0.3f), new Shape(rank, linear.In));
            using var b = model.Backend.Main.From(Normal(linear.Out * rank, 2 * stream + 1, 0.3f), new Shape(linear.Out, rank));
            updates[path] = new Lora(a, b, alpha, rankStabilised);
        }
        return new LoraModule(name, updates);
    }

    /// <summary>Three modules of different ranks and scales, none of them 1; the second is rank-stabilised, the third has ranks by name.</summary>
    public static LoraModule[] Modules(Model model) =>
    [
        Module(model, "plain", 11, static _ => (2, 5)),
        Module(model, "stabilised", 12, static _ => (4, 3), rankStabilised: true),
        Module(model, "patterned", 13, static path => path.EndsWith('q') ? (3, 4) : (5, 2)),
    ];

    public static float[] Images(int count, ulong seed = 5) => Normal(count * 256, seed, 1);

    public static float[] Logits(Classifier model, int count = 6, Workspace? workspace = null)
    {
        workspace ??= model.Backend.Main;
        using var scope = workspace.Scope(grad: false);
        return model.Forward(workspace.From(Images(count), new Shape(count, 1, 16, 16))).ToArray();
    }

    /// <summary>All values of all parameters below a module, one after the other.</summary>
    public static float[] Values(Module module) =>
        [.. module.Parameters().Select(static p => p.Value.Value).Where(static v => v.DType == DType.F32).SelectMany(static v => v.ToArray())];

    public static float[] Normal(int count, ulong seed, float deviation)
    {
        var (random, values) = (new Philox(seed, 99), new float[count]);
        for (var i = 0; i < count; i++) values[i] = deviation * random.Normal((ulong)i);
        return values;
    }

    public static void Close(float[] want, float[] got, double tolerance, string what = "")
    {
        Assert.Equal(want.Length, got.Length);
        for (var i = 0; i < want.Length; i++)
        {
            if (!(Math.Abs(want[i] - got[i]) <= tolerance)) Assert.Fail($"{what} [{i}]: got {got[i]}, want {want[i]}, tolerance {tolerance}");
        }
    }
}

/// <summary>Images whose class is the direction they point in, plus noise. Reading allocates nothing but tensors.</summary>
internal sealed class TinySet : IDataset
{
    private const int Pixels = 256;
    private readonly float[] _images;
    private readonly int[] _labels;
    private readonly float[] _row = new float[Pixels * 64];
    private readonly int[] _classes = new int[64];

    public TinySet(int count, ulong seed = 3)
    {
        (_images, _labels) = (Tiny.Normal(count * Pixels, seed, 0.5f), new int[count]);
        var directions = Tiny.Normal(Tiny.Classes.Length * Pixels, 4, 1);
        for (var i = 0; i < count; i++)
        {
            _labels[i] = i % Tiny.Classes.Length;
            for (var p = 0; p < Pixels; p++) _images[i * Pixels + p] += directions[_labels[i] * Pixels + p];
        }
    }

    public Span<float> Image(int i) => _images.AsSpan(i * Pixels, Pixels);

    public string Name => "directions";

    public int Count => _labels.Length;

    public IReadOnlyList<string> Classes => Tiny.Classes;

    public int Label(int index) => _labels[index];

    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        for (var i = 0; i < indices.Length; i++)
        {
            Image(indices[i]).CopyTo(_row.AsSpan(i * Pixels));
            _classes[i] = _labels[indices[i]];
        }
        var n = indices.Length;
        var images = workspace.From(_row.AsSpan(0, n * Pixels), new Shape(n, 1, 16, 16));
        return new Batch(images, workspace.From(_classes.AsSpan(0, n), new Shape(n)));
    }
}
