using System.Diagnostics;
using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// What the arms start from: a pretrained base and upstream modules, made anew on a backend for each cell, so that no cell sees another's training.
/// </summary>
/// <param name="Base">The base.</param>
/// <param name="ModuleFolders">The upstream modules, a PEFT folder each, in the order of the mixing weights.</param>
public sealed record ArmKit(StudyBase Base, IReadOnlyList<string> ModuleFolders)
{
    /// <summary>The modules, on a model's backend.</summary>
    public IReadOnlyList<LoraModule> Modules(Model model)
    {
        var modules = new List<LoraModule>();
        try
        {
            foreach (var folder in ModuleFolders) modules.Add(Lora.Load(folder, model));
            return modules;
        }
        catch
        {
            foreach (var module in modules) module.Dispose();
            throw;
        }
    }
}

/// <summary>Runs the arms: ways to learn a task from a few samples, with the same recipe above the model for all.</summary>
public static class Arms
{
    /// <summary>Trains and tests one cell.</summary>
    /// <param name="key">Which.</param>
    /// <param name="protocol">The settings.</param>
    /// <param name="draw">What to learn from and what to test on.</param>
    /// <param name="kit">Makes base and modules.</param>
    /// <param name="backend">Where.</param>
    /// <param name="step">Told of each step of training.</param>
    public static Cell Run(CellKey key, Protocol protocol, FewShotDraw<LabelledSet> draw, ArmKit kit, Backend backend, Action<FitProgress>? step = null)
    {
        Pools.Check(draw);
        var arm = key.Arm;
        if (kit.Base.Refusal(arm) is { } refusal) throw new ArgumentException($"Arms: {kit.Base.Name}: {refusal}");
        Mixture? mixture = null;
        var clock = Stopwatch.StartNew();
        if (arm.IsRaw)
        {
            var raw = kit.Base.Raw(draw);
            return Tested(HeadLearner.Alone(backend, raw.Support, raw.Test, Options()), null);
        }

        using var model = kit.Base.Open(backend);
        var learner = kit.Base.Over(model);
        IReadOnlyList<LoraModule> modules = arm.UsesModules ? kit.Modules(model) : [];
        try
        {
            if (arm.RandomModules) modules = RandomModules.Like(modules, model, Seed(key, protocol));
            if (arm.Method == ArmMethod.BestModule) return Best();
            if (arm.Method == ArmMethod.Learned) mixture = Mixed(arm, model, modules);
            else if (arm.UsesModules) mixture = Compose.Uniform(model, modules, arm.Scale);
            if (arm.FromUniform) Attach.Fuse(model);
            if (arm.Method == ArmMethod.Lora) Attach.Lora(model, protocol.LoraPattern, protocol.LoraRank, seed: Seed(key, protocol));
            var learned = arm.TrainsBelowHead ? learner.Through(draw.Support, draw.Test, arm.Method == ArmMethod.FullFinetune, Options())
                : learner.Above(draw.Support, draw.Test, Options());
            return Tested(learned, Weights());
        }
        finally
        {
            mixture?.Detach();
            foreach (var module in modules) module.Dispose();
        }

        Cell Best()
        {
            var (best, found) = (0, new Learned(-1, 0));
            for (var n = 0; n < modules.Count; n++)
            {
                Attach.Module(model, modules[n]);
                var here = learner.Above(draw.Support, draw.Test, Options());
                Attach.Detach(model, dispose: false);
                if (here.Correct > found.Correct) (best, found) = (n, here);
            }
            var chosen = new float[modules.Count];
            chosen[best] = 1;
            var matrices = model.Linears().Count(l => modules.Any(m => m.Updates.ContainsKey(l.Key)));
            return Tested(found, [.. Enumerable.Repeat(chosen, matrices)]);
        }

        // Mixing weights are worth keeping where they are real modules' and not fused with what trains.
        float[][]? Weights() => arm.RandomModules || arm.FromUniform ? null : mixture?.Weights();

        Cell Tested(Learned learned, float[][]? weights) => new(
            draw.Task.Name, arm.Name, key.Shots, key.Draw, (double)learned.Correct / draw.Test.Count, learned.Correct, draw.Test.Count, learned.Trained,
            clock.Elapsed.TotalSeconds, weights, key.Training);

        FitOptions Options()
        {
            var rate = protocol.At(protocol.RatesOf(arm), key.Shots);
            return new()
            {
                Steps = protocol.StepsAt(key.Shots), BatchSize = protocol.BatchSize, HeadRate = protocol.HeadRate, FactorRate = rate,
                BaseRate = rate, MixingRate = rate, Seed = Seed(key, protocol), Augment = false, Progress = step,
            };
        }
    }

    private static Mixture Mixed(Arm arm, Model model, IReadOnlyList<LoraModule> modules)
    {
        var mixture = Compose.Learned(model, modules,
            new LearnedOptions { Sharing = arm.Sharing, Beta = arm.FreeScale || arm.Scale != 1 ? Sharing.Matrix : null });
        foreach (var (_, composition) in mixture.Compositions)
        {
            if (composition.Mixer is not LearnedMixer { Beta: { } beta } mixer) continue;
            mixer.SetBeta(arm.Scale);
            beta.Trains = arm.FreeScale;
        }
        return mixture;
    }

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
