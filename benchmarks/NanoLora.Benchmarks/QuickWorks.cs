using NanoLora.Models;

namespace NanoLora.Benchmarks;

/// <summary>A row of the comparison.</summary>
/// <param name="Title">What it is.</param>
/// <param name="Request">How NanoLora's half is asked for it; <see cref="QuickProtocol"/>.</param>
/// <param name="Flops">Floating-point operations of one run that no method can do without; the same for both halves.</param>
/// <param name="WarmUps">Runs that are not timed.</param>
/// <param name="Runs">Runs in a turn.</param>
/// <param name="Rounds">The most rounds; in each, both halves have a turn.</param>
/// <param name="Seconds">No further round begins after this time, once there are three.</param>
internal sealed record QuickWork(string Title, string Request, double Flops, int WarmUps, int Runs, int Rounds, double Seconds)
{
    /// <summary>How TorchSharp's half is asked, where it is another method for the same function.</summary>
    public string TorchRequest { get; init; } = Request;
}

/// <summary>What `quick` compares.</summary>
internal static class QuickWorks
{
    private const int Modules = 8;

    /// <summary>The bundled model's size.</summary>
    public static readonly VitConfig Nano = new()
    {
        ImageSize = 28, PatchSize = 7, Channels = 1, HiddenSize = 96, Layers = 4, Heads = 4, IntermediateSize = 384,
        Labels = [.. Enumerable.Range(0, 72).Select(i => $"{i}")],
    };

    /// <summary>ViT-S/16: images of 224 x 224, 197 tokens of width 384, 12 blocks, the class token's features.</summary>
    public static readonly VitConfig Small = new()
    {
        HiddenSize = 384, Heads = 6, IntermediateSize = 1536, Pooling = Pooling.Cls, Labels = [.. Enumerable.Range(0, 100).Select(i => $"{i}")],
    };

    /// <summary>Products at the shapes of ViT-B/16 and ViT-S/16, and LoRA's.</summary>
    public static IEnumerable<QuickWork> Products()
    {
        (int M, int K, int N)[] shapes =
            [(1576, 768, 768), (1576, 768, 3072), (1576, 3072, 768), (3152, 384, 384), (64, 768, 768), (1576, 768, 8), (1576, 8, 768)];
        foreach (var (m, k, n) in shapes)
        {
            var flops = 2.0 * m * k * n;
            yield return new($"{m} x {k} x {n}", $"gemm {m} {k} {n}", flops, 3, (int)Math.Max(1, 4e9 / flops), 9, 3);
        }
    }

    /// <summary>Models: training steps and inference.</summary>
    /// <param name="folder">Holds the folders that <see cref="WriteFiles"/> has written.</param>
    /// <param name="batch">The rows of ViT-S/16's batch when modules are composed.</param>
    /// <param name="beside">Whether TorchSharp's half runs, which does the same function in two ways.</param>
    public static IEnumerable<QuickWork> Models(string folder, int batch, bool beside)
    {
        var (nano, small) = (Path.Combine(folder, "nano"), Path.Combine(folder, "small"));
        yield return new("LoRA step, nano ViT, batch 32", $"vit lora 32 {nano}", Step(Nano, 32, QuickFiles.Rank, factors: true), 30, 10, 15, 8);
        yield return new("LoRA step, ViT-S/16, batch 16", $"vit lora 16 {small}", Step(Small, 16, QuickFiles.Rank, factors: true), 1, 1, 9, 32);
        var learned = Step(Small, batch, Modules * QuickFiles.Rank, factors: false);
        yield return new($"learned composition of {Modules} modules, ViT-S/16, batch {batch}{(beside ? " (TorchSharp: a loop, as PEFT does it)" : "")}",
            $"vit learned {batch} {small}", learned, 1, 1, 7, 55);
        if (beside)
        {
            yield return new("the same (TorchSharp: stacked by hand into one gated LoRA)", $"vit learned {batch} {small}", learned, 1, 1, 5, 24)
            {
                TorchRequest = $"vit stacked {batch} {small}",
            };
        }
        yield return new("inference, ViT-S/16, batch 8", $"vit infer 8 {small}", Forward(Small, 8), 2, 1, 11, 10);
    }

    /// <summary>Writes the models, modules and batches.</summary>
    public static void WriteFiles(string folder)
    {
        QuickFiles.Write(Path.Combine(folder, "nano"), Nano, 1, 32);
        QuickFiles.Write(Path.Combine(folder, "small"), Small, Modules, 16);
    }

    // The products of a forward pass: per token of a block, 2 (4 D² + 2 D M) in its linears and 4 T D in attention; the patches; the rest is small.
    private static double Forward(VitConfig c, int batch) => Patches(c, batch) + c.Layers * (batch * (double)Tokens(c) * Linears(c) + Attention(c, batch));

    // A step on frozen weights: forward, then the same linears again for dx, except that nothing goes back through q, k and v of the first block; attention
    // twice; and the updates of q and v, of rank r in all: 4 r D forward, 4 r D back, and 4 r D more where the factors train.
    private static double Step(VitConfig c, int batch, int r, bool factors)
    {
        double tokens = batch * (double)Tokens(c), d = c.HiddenSize;
        var back = tokens * (c.Layers * Linears(c) - 6 * d * d) + 2 * c.Layers * Attention(c, batch);
        return Forward(c, batch) + back + 2 * c.Layers * tokens * (factors ? 12 : 8) * r * d;
    }

    private static int Tokens(VitConfig c) => c.ImageRows / c.PatchSize * (c.ImageColumns / c.PatchSize) + 1;

    private static double Linears(VitConfig c) => 2.0 * (4.0 * c.HiddenSize * c.HiddenSize + 2.0 * c.HiddenSize * c.IntermediateSize);

    private static double Attention(VitConfig c, int batch) => 4.0 * batch * Tokens(c) * Tokens(c) * c.HiddenSize;

    private static double Patches(VitConfig c, int batch) => 2.0 * batch * (Tokens(c) - 1) * c.Channels * c.PatchSize * c.PatchSize * c.HiddenSize;
}
