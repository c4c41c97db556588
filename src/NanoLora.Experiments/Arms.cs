using System.Diagnostics;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>What the arms start from: a pretrained base and upstream modules, made anew on a backend for each cell, so that no cell sees another's training.</summary>
/// <param name="ModelFolder">The base.</param>
/// <param name="ModulesFolder">The upstream modules, a PEFT folder each.</param>
/// <param name="Normalisation">How the base reads pixels.</param>
public sealed record ArmKit(string ModelFolder, string ModulesFolder, Normalisation Normalisation);

/// <summary>The arms: ways to learn a task from a few images, with the same head recipe for all.</summary>
public static class Arms
{
    /// <summary>Trains and tests one cell.</summary>
    public static Cell Run(CellKey key, Protocol protocol, FewShotDraw draw, ArmKit kit, Backend backend)
    {
        Pools.Check(draw);
        Mixture? mixture = null;
        var clock = Stopwatch.StartNew();
        var support = new ImageDataset(draw.Support, kit.Normalisation);
        var test = new ImageDataset(draw.Test, kit.Normalisation);
        if (key.Arm == ArmNames.PixelProbe) return HeadAlone(Pixels(draw.Support, kit), Pixels(draw.Test, kit));

        using var model = Vit.Load(kit.ModelFolder, backend);
        IReadOnlyList<LoraModule> modules = [];
        switch (key.Arm)
        {
            case ArmNames.LinearProbe: break;
            case ArmNames.FullFinetune: break;
            case ArmNames.Lora:
                Attach.Lora(model, protocol.LoraPattern, protocol.LoraRank, seed: Seed(key, protocol));
                break;
            case ArmNames.Uniform:
                mixture = Compose.Uniform(model, modules = Lora.LoadAll(kit.ModulesFolder, model));
                break;
            case ArmNames.Learned:
                mixture = Compose.Learned(model, modules = Lora.LoadAll(kit.ModulesFolder, model));
                break;
            case ArmNames.RandomModules:
                modules = RandomModules.Like(Lora.LoadAll(kit.ModulesFolder, model), model, Seed(key, protocol));
                mixture = Compose.Learned(model, modules);
                break;
            default: throw new ArgumentException($"\"{key.Arm}\" is not an arm; known are {string.Join(", ", ArmNames.Order)}.");
        }
        try
        {
            if (key.Arm is ArmNames.LinearProbe or ArmNames.Uniform)
                return HeadAlone(new FeatureDataset(support, model.FeaturesOf(support)), new FeatureDataset(test, model.FeaturesOf(test)));
            Heads.NearestMean(model, support);
            if (key.Arm == ArmNames.FullFinetune) model.Train();
            var history = Trainer.Fit(model, support, Options());
            return Tested(model.Correct(test), history.TrainedCount, key.Arm == ArmNames.Learned ? mixture!.Weights() : null);
        }
        finally
        {
            mixture?.Detach();
            foreach (var module in modules) module.Dispose();
        }

        Cell HeadAlone(IDataset from, IDataset on)
        {
            using var head = new FeatureClassifier(backend);
            Heads.NearestMean(head, from);
            var history = Trainer.Fit(head, from, Options());
            return Tested(head.Correct(on), history.TrainedCount, key.Arm == ArmNames.Uniform ? mixture!.Weights() : null);
        }

        Cell Tested(int correct, long trained, float[][]? weights) =>
            new(draw.Task.Name, key.Arm, key.Shots, key.Draw, (double)correct / test.Count, correct, test.Count, trained, clock.Elapsed.TotalSeconds, weights);

        FitOptions Options() => new()
        {
            Steps = protocol.Steps, BatchSize = protocol.BatchSize, HeadRate = protocol.HeadRate, FactorRate = protocol.At(protocol.LoraRate, key.Shots),
            BaseRate = protocol.At(protocol.FullRate, key.Shots), MixingRate = protocol.At(protocol.MixingRate, key.Shots), Seed = Seed(key, protocol), Augment = false,
        };
    }

    private static FeatureDataset Pixels(ImageSet set, ArmKit kit) => new(new ImageDataset(set, kit.Normalisation), set.ToFloats(kit.Normalisation));

    // The same order of samples for all arms of a draw, so that their differences are paired.
    private static ulong Seed(CellKey key, Protocol protocol) => protocol.Seed * 1_000_003 + (ulong)key.Draw * 101 + (ulong)key.Shots;
}

/// <summary>The control: modules of random numbers.</summary>
public static class RandomModules
{
    /// <summary>For each module one of the same ranks and, in every matrix, the same Frobenius norm of s B A, drawn at random.</summary>
    public static IReadOnlyList<LoraModule> Like(IReadOnlyList<LoraModule> modules, Model model, ulong seed)
    {
        var random = new List<LoraModule>();
        for (var n = 0; n < modules.Count; n++)
        {
            var updates = new Dictionary<string, Lora>();
            foreach (var (path, update) in modules[n].Updates)
            {
                var factors = update.Factors();
                var numbers = new Philox(seed, 0xC0117801ul + (ulong)n * 7919 + Philox.StreamOf(path));
                var (a, b) = (new float[factors.A.Length], new float[factors.B.Length]);
                for (var i = 0; i < a.Length; i++) a[i] = numbers.Normal((ulong)i);
                for (var i = 0; i < b.Length; i++) b[i] = numbers.Normal((ulong)(a.Length + i));
                var scale = (float)(factors.Norm() / new Factors(a, b, factors.In, factors.Out).Norm());
                for (var i = 0; i < b.Length; i++) b[i] *= scale;
                using var ta = model.Backend.Main.From(a, update.A.Shape);
                using var tb = model.Backend.Main.From(b, update.B.Shape);
                updates[path] = new Lora(ta, tb, update.Rank, column: update.Column);        // scale 1: s is in B
            }
            random.Add(new LoraModule($"random {n + 1}", updates));
            modules[n].Dispose();
        }
        return random;
    }
}
