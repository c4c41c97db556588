using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>Weights that train: every kind of mixer, at its start, at random numbers, and after twenty steps.</summary>
internal static class LearningCases
{
    private static readonly Dictionary<string, LearnedOptions> Variants = new(StringComparer.Ordinal)
    {
        ["per-matrix"] = new(),
        ["per-block"] = new() { Sharing = Sharing.Block },
        ["global"] = new() { Sharing = Sharing.Model },
        ["free"] = new() { Kind = MixerKind.Free },
        ["free-from-zero"] = new() { Kind = MixerKind.Free, Start = 0 },
        ["clamped"] = new() { Kind = MixerKind.Clamped, Start = 0.3f },
        ["beta-global"] = new() { Beta = Sharing.Model },
        ["beta-per-matrix"] = new() { Beta = Sharing.Matrix },
        ["sparsemax"] = new() { Kind = MixerKind.Sparsemax },
        ["detached"] = new() { Kind = MixerKind.DetachedSoftmax },
    };

    /// <summary>All variants that the folder has.</summary>
    internal static void Learned(CompositionCase c)
    {
        foreach (var name in c.Values.Names.Where(static n => n.EndsWith(".start.v", StringComparison.Ordinal)).Select(static n => n[..^8]).ToArray())
        {
            if (Variants.TryGetValue(name, out var options)) new Run(c, name, options).All();
            else throw new NotBuiltException($"the mixer {name}");
        }
        c.Compare();
    }

    private sealed class Run(CompositionCase c, string variant, LearnedOptions options)
    {
        private readonly (float[] Weight, float[] Bias)? _head =
            c.Folder.Holds("start.head.weight") ? (c.Values.Input("start.head.weight"), c.Values.Input("start.head.bias")) : null;
        private readonly LoraModule[] _modules = c.Mixed;

        internal void All()
        {
            At("start");
            At("random");
            Train();
        }

        // Gates, logits, loss and gradients on the first batch.
        private void At(string label)
        {
            var prefix = $"{variant}.{label}";
            var mixture = Begin(options);
            var (mixers, betas) = (Mixers(mixture), Betas(mixture));
            if (label == "random")
            {
                var (v, n) = (c.Values.Input($"{prefix}.v"), _modules.Length);
                for (var m = 0; m < mixers.Length; m++) mixers[m].SetV(v.AsSpan(m * n, n));
                if (betas.Length > 0)
                {
                    var beta = c.Values.Input($"{prefix}.beta");
                    for (var b = 0; b < betas.Length; b++) mixers.First(m => m.Beta == betas[b]).SetBeta(beta[b]);
                }
            }
            else
            {
                c.Values.Add($"{prefix}.v", Flat(mixers.Select(static m => m.V.Value)));
                if (betas.Length > 0) c.Values.Add($"{prefix}.beta", Flat(betas.Select(static b => b.Value)));
            }
            var gates = mixture.Weights();
            c.Values.Add($"{prefix}.gates", [.. gates.SelectMany(static g => g)]);
            var (logits, loss) = Backward(0);
            c.Values.Add($"{prefix}.logits", logits);
            c.Values.Add($"{prefix}.loss", [loss]);
            c.Values.Add($"{prefix}.grad.v", Flat(mixers.Select(static m => m.V.Gradient!)));
            if (betas.Length > 0) c.Values.Add($"{prefix}.grad.beta", Flat(betas.Select(static b => b.Gradient!)));
            if (_head is not null)
            {
                c.Values.Add($"{prefix}.grad.head.weight", Head.Weight.Gradient!);
                c.Values.Add($"{prefix}.grad.head.bias", Head.Bias!.Gradient!);
            }
            mixture.Detach();

            // The derivative before the mixer: the gates themselves as free weights.
            var free = Begin(new LearnedOptions { Kind = MixerKind.Free });
            var own = Mixers(free);
            for (var m = 0; m < own.Length; m++) own[m].SetV(gates[m]);
            Backward(0);
            c.Values.Add($"{prefix}.grad.gates", Flat(own.Select(static m => m.V.Gradient!)));
            free.Detach();
        }

        private void Train()
        {
            var mixture = Begin(options);
            var (mixers, betas) = (Mixers(mixture), Betas(mixture));
            var settings = c.Folder.Field(c.Settings, "training", JsonValueKind.Object, "settings.");
            double Number(string name) => c.Folder.Field(settings, name, JsonValueKind.Number, "settings.training.").GetDouble();
            var rates = new FitOptions { MixingRate = Number("lr"), HeadRate = Number("head_lr"), WeightDecay = Number("weight_decay"), DecayVectors = true };
            using var optimiser = new AdamW(Trainer.Groups(c.Model, rates));
            var (losses, path) = (new List<float>(), new List<float>());
            for (var step = 0; step < (int)Number("steps"); step++)
            {
                losses.Add(Backward(step).Loss);
                optimiser.Step(1);
                optimiser.ClearGradients();
                path.AddRange(Flat(mixers.Select(static m => m.V.Value)));
            }
            c.Values.Add($"{variant}.trained.loss", [.. losses]);
            c.Values.Add($"{variant}.trained.loss_float32", [.. losses]);
            c.Values.Add($"{variant}.trained.v_after_step", [.. path]);
            if (betas.Length > 0) c.Values.Add($"{variant}.trained.beta", Flat(betas.Select(static b => b.Value)));
            c.Values.Add($"{variant}.trained.gates", [.. mixture.Weights().SelectMany(static g => g)]);
            c.Values.Add($"{variant}.trained.logits", c.Logits(batch: 0));
            if (_head is not null)
            {
                c.Values.Add($"{variant}.trained.head.weight", Head.Weight.Value);
                c.Values.Add($"{variant}.trained.head.bias", Head.Bias!.Value);
            }
            mixture.Detach();
        }

        // A fresh mixture, and the new head if the case has one.
        private Mixture Begin(LearnedOptions how)
        {
            if (_head is { } head) ((Classifier)c.Model).NewHead(head.Weight, head.Bias, [.. head.Bias.Select(static (_, k) => $"{k}")]);
            return Compose.Learned(c.Model, _modules, how);
        }

        private Linear Head => ((Classifier)c.Model).Head!;

        // Logits and loss of the step's batch; gradients stay with the parameters.
        private (float[] Logits, float Loss) Backward(int step)
        {
            using var scope = c.Workspace.Scope();
            var batch = step % c.Batches;
            var logits = c.Model.Forward(c.Inputs(batch));
            var loss = logits.CrossEntropy(c.Targets(batch));
            loss.Backward();
            return (logits.ToArray(), loss.Item());
        }

        private static LearnedMixer[] Mixers(Mixture mixture) => [.. mixture.Compositions.Select(static m => (LearnedMixer)m.Value.Mixer).Distinct()];

        private static Parameter[] Betas(Mixture mixture) => [.. Mixers(mixture).Select(static m => m.Beta).OfType<Parameter>().Distinct()];

        private static float[] Flat(IEnumerable<Tensor> tensors) => [.. tensors.SelectMany(static t => t.ToArray())];
    }
}
