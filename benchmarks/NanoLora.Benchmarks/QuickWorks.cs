using NanoLora.Models;

namespace NanoLora.Benchmarks;

/// <summary>What `quick` compares.</summary>
internal static class QuickWorks
{
    private const int Modules = 8, ManyModules = 32, SmallBatch = 16, BaseBatch = 8, ThreadsBatch = 4;

    /// <summary>The bundled model's size.</summary>
    public static readonly VitConfig Nano = new()
    {
        ImageSize = 28, PatchSize = 7, Channels = 1, HiddenSize = 96, Layers = 4, Heads = 4, IntermediateSize = 384,
        Labels = [.. Enumerable.Range(0, 72).Select(i => $"{i}")],
    };

    /// <summary>ViT-Ti/16, ViT-S/16 and ViT-B/16: images of 224 x 224, 197 tokens, 12 blocks, the class token's features.</summary>
    public static readonly VitConfig Tiny = Sixteen(192), Small = Sixteen(384), Base = Sixteen(768);

    /// <summary>A causal language model of 134 million parameters; its batch has 4 x 256 tokens.</summary>
    public static readonly QuickGpt2 Language = new(Vocabulary: 32000, Width: 768, Layers: 12, Heads: 12, Tokens: 256, Batch: 4);

    /// <summary>Products at the shapes of ViT-B/16 and ViT-S/16, and LoRA's.</summary>
    public static IEnumerable<QuickContest> Products()
    {
        (int M, int K, int N, QuickTarget Target)[] shapes =
        [
            (1576, 768, 768, QuickTargets.LargeProduct), (1576, 768, 3072, QuickTargets.LargeProduct), (1576, 3072, 768, QuickTargets.LargeProduct),
            (3152, 384, 384, QuickTargets.MiddleProduct), (64, 768, 768, QuickTargets.SmallProduct),
            (1576, 768, 8, QuickTargets.Skinny), (1576, 8, 768, QuickTargets.Skinny),
        ];
        foreach (var (m, k, n, target) in shapes)
        {
            yield return Product(new QuickPair($"{m} x {k} x {n}", Ours($"gemm {m} {k} {n}"), Theirs($"gemm {m} {k} {n}"))
            {
                Flops = QuickFlops.Product(m, k, n), Bytes = 4.0 * (m * k + k * n + m * n), Target = target,
            });
        }

        const int rows = 1576, width = 768;
        QuickEntrant alone = Ours($"gemm {rows} {width} {width}"), adapted = Ours($"lora {rows} {width} {width}");
        var update = QuickFlops.Update(rows, width, width, QuickProtocol.Rank);
        yield return Product(
            new($"{rows} x {width} x {width} and a LoRA of rank {QuickProtocol.Rank}", adapted, Theirs(adapted.Request))
            {
                Flops = QuickFlops.Product(rows, width, width) + update,
            },
            new($"{rows} x {width} x {width} and a LoRA of rank {QuickProtocol.Rank}, beside no LoRA", alone, adapted)
            {
                Kind = QuickKind.Itself, SameResult = false, Target = QuickTargets.LoraOnProduct,
            });
        var stack = $"stack {rows} {width} {width} {Modules}";
        yield return Product(new QuickPair($"gated stack of {Modules} modules on {rows} x {width} x {width}", Ours(stack), Theirs(stack))
        {
            Flops = Modules * update, Target = QuickTargets.Skinny,
        });

        static QuickContest Product(params QuickPair[] pairs)
        {
            var runs = 4e9 / pairs[0].Flops;
            return new((int)Math.Clamp(runs / 2, 3, 40), (int)Math.Max(1, runs), 9, 2, pairs) { First = (int)Math.Max(1, runs) };
        }
    }

    /// <summary>Operations. A turn moves some 200 MB; before, so many runs that the loops have been compiled for the last time.</summary>
    public static IEnumerable<QuickContest> Operations()
    {
        foreach (var op in QuickOps.All)
        {
            var pair = new QuickPair(op.Title, Ours($"op {op.Name}"), Theirs($"op {op.Name}"))
            {
                Kind = QuickKind.Operation, Bytes = op.Bytes, Target = QuickTargets.Operation,
            };
            yield return new((int)Math.Clamp(6e8 / op.Bytes, 2, 40), (int)Math.Max(1, 2e8 / op.Bytes), 9, 2, pair)
            {
                First = (int)Math.Max(1, 4e8 / op.Bytes), Pauses = 3,
            };
        }
    }

    /// <summary>Models: training steps and inference.</summary>
    /// <param name="folder">Holds the folders that <see cref="WriteFiles"/> has written.</param>
    /// <param name="batch">The rows of ViT-S/16's batch.</param>
    /// <param name="beside">Whether TorchSharp runs, which composes in two ways.</param>
    public static IEnumerable<QuickContest> Models(string folder, int batch, bool beside)
    {
        string nano = Path.Combine(folder, "nano"), tiny = Path.Combine(folder, "tiny"), small = Path.Combine(folder, "small"),
            large = Path.Combine(folder, "base"), language = Path.Combine(folder, "language");
        yield return Step("LoRA step, nano ViT, batch 32", $"vit lora 32 1 {nano}", Lora(Nano, 32), QuickTargets.NanoStep) with
        {
            WarmUps = 15,
            Pauses = 3,
            First = 3,
            Runs = 10,
            Rounds = 15,
            Seconds = 6,
        };
        yield return Step($"LoRA step, ViT-Ti/16, batch {SmallBatch}", $"vit lora {SmallBatch} 1 {tiny}", Lora(Tiny, SmallBatch), QuickTargets.TinyStep) with
        {
            WarmUps = 1,
            Pauses = 2,
            Rounds = 7,
            Seconds = 6,
        };
        yield return Compositions(small, batch, beside);
        yield return Large($"LoRA step, ViT-B/16, batch {BaseBatch}", "vit", $"{BaseBatch} 1 {large}", Lora(Base, BaseBatch));
        yield return Large($"LoRA step, GPT-2 of {Language.Parameters / 1e6:0}M parameters, {Language.Batch} x {Language.Tokens} tokens",
            "gpt2", $"{Language.Batch} 1 {language}", QuickFlops.Step(Language, QuickProtocol.Rank));
        yield return Step($"inference, ViT-B/16, batch {BaseBatch}", $"vit infer {BaseBatch} 0 {large}", QuickFlops.Forward(Base, BaseBatch),
            QuickTargets.Inference) with
        {
            Seconds = 8,
        };
        var threads = Ours($"vit lora {ThreadsBatch} 1 {small}");
        yield return Works(new QuickPair($"LoRA step, ViT-S/16, batch {ThreadsBatch}: one thread, beside two", threads, threads with { Threads = 1 })
        {
            Kind = QuickKind.Itself, Target = QuickTargets.TwoThreads,
        }) with
        { Seconds = 5 };
    }

    // A step as it is, and one that recomputes its blocks, both beside the same step of TorchSharp, which has no such thing of its own.
    private static QuickContest Large(string title, string family, string what, double flops)
    {
        var theirs = Theirs($"{family} lora {what}");
        return Works(
            new(title, Ours(theirs.Request), theirs) { Kind = QuickKind.Work, Flops = flops, Target = QuickTargets.LargeStep },
            new($"{title}, recomputing", Ours($"{family} recomputed {what}"), theirs)
            {
                Kind = QuickKind.Work, Flops = flops, Target = QuickTargets.RecomputedStep,
            });
    }

    // The LoRA step and learned composition take turns together, so that one is told beside the other of the same round.
    private static QuickContest Compositions(string folder, int batch, bool beside)
    {
        QuickEntrant lora = Ours($"vit lora {batch} 1 {folder}"), eight = Learned(Modules), many = Learned(ManyModules);
        var flops = QuickFlops.Step(Small, batch, Modules * QuickProtocol.Rank, factors: false);
        var what = $"ViT-S/16, batch {batch}";
        List<QuickPair> pairs =
        [
            new($"LoRA step, {what}", lora, Theirs(lora.Request)) { Kind = QuickKind.Work, Flops = Lora(Small, batch), Target = QuickTargets.SmallStep },
            new($"learned composition of {Modules} modules, {what}{(beside ? " (TorchSharp: a loop, as PEFT does it)" : "")}", eight, Theirs(eight.Request))
            {
                Kind = QuickKind.Work, Flops = flops,
            },
        ];
        if (beside)
        {
            pairs.Add(new("the same (TorchSharp: stacked by hand into one gated LoRA)", eight, Theirs($"vit stacked {batch} {Modules} {folder}"))
            {
                Kind = QuickKind.Work, Flops = flops,
            });
        }
        pairs.AddRange([Beside(eight, Modules, QuickTargets.EightModules), Beside(many, ManyModules, QuickTargets.ThirtyTwoModules)]);
        return Works([.. pairs]) with { Seconds = 30 };

        QuickEntrant Learned(int modules) => Ours($"vit learned {batch} {modules} {folder}");

        QuickPair Beside(QuickEntrant learned, int modules, QuickTarget target) =>
            new($"learned composition of {modules} modules, {what}, beside a LoRA step", lora, learned)
            {
                Kind = QuickKind.Itself, SameResult = false, Target = target,
            };
    }

    /// <summary>Writes the models, modules and batches.</summary>
    public static void WriteFiles(string folder)
    {
        QuickFiles.Write(Path.Combine(folder, "nano"), Nano, 1, 32);
        QuickFiles.Write(Path.Combine(folder, "tiny"), Tiny, 1, SmallBatch);
        QuickFiles.Write(Path.Combine(folder, "small"), Small, ManyModules, SmallBatch);
        QuickFiles.Write(Path.Combine(folder, "base"), Base, 1, BaseBatch);
        QuickFiles.Write(Path.Combine(folder, "language"), Language);
    }

    private static VitConfig Sixteen(int width) => new()
    {
        HiddenSize = width, Heads = width / 64, IntermediateSize = 4 * width, Pooling = Pooling.Cls, Labels = [.. Enumerable.Range(0, 100).Select(i => $"{i}")],
    };

    private static double Lora(VitConfig config, int batch) => QuickFlops.Step(config, batch, QuickProtocol.Rank, factors: true);

    private static QuickContest Step(string title, string request, double flops, QuickTarget target) =>
        Works(new QuickPair(title, Ours(request), Theirs(request)) { Kind = QuickKind.Work, Flops = flops, Target = target });

    // Steps of seconds: the first, which is not timed, has compiled all code.
    private static QuickContest Works(params QuickPair[] pairs) => new(0, 1, 5, 18, pairs) { OwnProcesses = true };

    private static QuickEntrant Ours(string request) => new(QuickSide.NanoLora, request);

    private static QuickEntrant Theirs(string request) => new(QuickSide.TorchSharp, request);
}
