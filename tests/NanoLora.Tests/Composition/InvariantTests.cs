using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

/// <summary>What holds of composition whatever the numbers: ranks that are not alpha, B not zero, three modules and more, values and not shapes.</summary>
public class InvariantTests : EngineTest
{
    private const double Near = 1e-5;

    [Fact]
    public void One_module_at_weight_one_is_the_module()
    {
        using var model = Tiny.Model(Backend);
        var @base = Tiny.Logits(model);
        foreach (var module in Tiny.Modules(model))                                     // LoRA, rsLoRA, rank patterns
        {
            var alone = Alone(model, module);
            Assert.True(Distance(@base, alone) > 0.1, "the module changes nothing");
            Tiny.Close(alone, With(model, Compose.Fixed(model, [module], [1])), Near, module.Name);
            module.Dispose();
        }
    }

    [Fact]
    public void Uniform_of_copies_is_the_module()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        foreach (var module in modules.All)
        {
            var alone = Alone(model, module);
            Tiny.Close(alone, With(model, Compose.Uniform(model, [module, module, module, module])), Near, module.Name);
        }
    }

    [Fact]
    public void One_hot_v_is_that_module()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        for (var n = 0; n < 3; n++)
        {
            var alone = Alone(model, modules.All[n]);
            var mixture = Compose.Learned(model, modules.All);
            foreach (var mixer in Mixers(mixture)) mixer.SetV([.. Enumerable.Range(0, 3).Select(m => m == n ? 200f : 0)]);
            Tiny.Close(alone, With(model, mixture), Near);
        }
    }

    [Fact]
    public void Learned_at_equal_v_is_uniform()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        var uniform = With(model, Compose.Uniform(model, modules.All));
        Tiny.Close(uniform, With(model, Compose.Learned(model, modules.All)), Near);
        Tiny.Close(uniform, With(model, Compose.Learned(model, modules.All, new LearnedOptions { Start = -3 })), Near);
        Tiny.Close(uniform, With(model, Compose.Learned(model, modules.All, new LearnedOptions { Kind = MixerKind.Sparsemax })), Near);
        Tiny.Close(uniform, With(model, Compose.Learned(model, modules.All, new LearnedOptions { Kind = MixerKind.Free })), Near);
    }

    [Fact]
    public void Composed_forward_is_the_dense_sum()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        float[] weights = [0.7f, -0.4f, 1.1f];
        var composed = With(model, Compose.Fixed(model, modules.All, weights));
        using var dense = Tiny.Model(Backend);
        foreach (var (path, linear) in dense.Linears())
        {
            if (!modules.All[0].Updates.ContainsKey(path)) continue;
            Backend.Upload<float>(Dense(linear, [.. modules.All.Select(m => m.Updates[path])], weights), linear.Weight.Value);
        }
        Tiny.Close(Tiny.Logits(dense), composed, Near);
    }

    [Fact]
    public void Order_of_modules_is_irrelevant()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        var m = modules.All;
        var sorted = With(model, Compose.Fixed(model, m, [0.2f, 0.5f, 0.9f]));
        Tiny.Close(sorted, With(model, Compose.Fixed(model, [m[2], m[0], m[1]], [0.9f, 0.2f, 0.5f])), Near);
    }

    [Fact]
    public void A_copy_minus_itself_is_the_base()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        var @base = Tiny.Logits(model);
        foreach (var module in modules.All) Tiny.Close(@base, With(model, Compose.Fixed(model, [module, module], [1, -1])), Near, module.Name);
    }

    [Fact]
    public void Gauge_changes_nothing()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        using var moved = new LoraModule("gauge", modules.All[1].Updates.ToDictionary(static u => u.Key, u => Gauge(u.Value)));
        float[] weights = [0.3f, 0.8f, 0.5f];
        var plain = With(model, Compose.Fixed(model, modules.All, weights));
        Tiny.Close(plain, With(model, Compose.Fixed(model, [modules.All[0], moved, modules.All[2]], weights)), Near);
    }

    [Fact]
    public void Merge_then_unmerge_gives_the_base_back_bit_for_bit()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        var mixture = Compose.Fixed(model, modules.All, [0.3f, -0.8f, 0.5f]);
        var (weights, composed) = (Tiny.Values(model), Tiny.Logits(model));
        Attach.Merge(model);
        Assert.All(model.Linears(), static l => Assert.Null(l.Value.Adapter));
        Tiny.Close(composed, Tiny.Logits(model), Near);
        Attach.Unmerge(model);
        Assert.Equal(weights, Tiny.Values(model));
        Assert.Equal(composed, Tiny.Logits(model));
        mixture.Detach();
    }

    [Fact]
    public void Gradient_of_v_is_right_and_sums_to_zero()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        var mixture = Compose.Learned(model, modules.All);
        var mixers = Mixers(mixture);
        for (var m = 0; m < mixers.Length; m++) mixers[m].SetV(Tiny.Normal(3, (ulong)m + 50, 0.8f));
        var gradients = Gradients(model, mixers);
        foreach (var dv in gradients) Assert.True(Math.Abs(dv.Sum()) <= 1e-6, $"Σ dv is {dv.Sum()}");
        Assert.True(gradients.Max(static dv => dv.Max(Math.Abs)) > 1e-3, "no gradient to speak of");
        // Central differences of a float32 loss near 1: rounding 1e-7 / h, curvature h²; h = 1e-2 leaves about 2e-4.
        const float h = 1e-2f;
        for (var m = 0; m < mixers.Length; m++)
        {
            var v = mixers[m].V.Value.ToArray();
            for (var n = 0; n < 3; n++)
            {
                double At(float by)
                {
                    float[] moved = [.. v];
                    moved[n] += by;
                    mixers[m].SetV(moved);
                    return Loss(model);
                }
                var difference = (At(h) - At(-h)) / (2 * h);
                mixers[m].SetV(v);
                Assert.True(Math.Abs(difference - gradients[m][n]) <= 2e-4, $"matrix {m}, module {n}: dv {gradients[m][n]}, difference {difference}");
            }
        }
        mixture.Detach();
    }

    [Fact]
    public void Frozen_tensors_are_bit_identical_after_training()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        var mixture = Compose.Learned(model, modules.All);
        model.NewHead(Tiny.Normal(3 * 32, 8, 0.1f), new float[3], Tiny.Classes);
        var frozen = model.Parameters().Where(static p => !p.Value.Trains && p.Value.Value.DType == DType.F32).Select(static p => p.Value).ToArray();
        var updates = modules.All.SelectMany(static m => m.Updates.Values).ToArray();
        float[] Frozen() => [.. frozen.SelectMany(static p => p.Value.ToArray()), .. updates.SelectMany(Tiny.Values)];
        var (before, head, v) = (Frozen(), Tiny.Values(model.Head!), Mixers(mixture)[0].V.Value.ToArray());
        Assert.Equal(Mixers(mixture).Length * 3 + 3 * 32 + 3, model.TrainedCount);
        Trainer.Fit(model, new TinySet(24), new FitOptions { Steps = 10, BatchSize = 8 });
        Assert.Equal(before, Frozen());
        Assert.NotEqual(head, Tiny.Values(model.Head!));
        Assert.NotEqual(v, Mixers(mixture)[0].V.Value.ToArray());
        mixture.Detach();
    }

    [Fact]
    public void Cat_is_the_exact_sum()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        float[] weights = [0.7f, -0.4f, 1.1f];
        foreach (var (path, linear) in model.Linears().Where(l => modules.All[0].Updates.ContainsKey(l.Key)))
        {
            var updates = modules.All.Select(m => m.Updates[path]).ToArray();
            var cat = Factors.Cat([.. updates.Select(static u => u.Factors())], weights);
            Assert.Equal(updates.Sum(static u => u.Rank), cat.Rank);
            var (dense, w0) = (Dense(linear, updates, weights), linear.Weight.Value.ToArray());
            Tiny.Close([.. dense.Select((w, i) => w - w0[i])], cat.Delta(), 2e-6, path);
        }
    }

    [Fact]
    public void The_scale_is_applied_once()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        float[] scales = [5f / 2, 3 / MathF.Sqrt(4), 4f / 3];
        for (var n = 0; n < 3; n++)
        {
            var lora = modules.All[n].Updates["blocks.0.attn.q"];
            Assert.Equal(scales[n], lora.Scale, 6);
            var (a, b, delta) = (lora.A.Value.ToArray(), lora.B.Value.ToArray(), lora.Factors().Delta());
            for (var o = 0; o < 32; o += 7)
            {
                for (var i = 0; i < 32; i += 5)
                {
                    var sum = 0.0;
                    for (var r = 0; r < lora.Rank; r++) sum += (double)b[o * lora.Rank + r] * a[r * 32 + i];
                    Assert.Equal(scales[n] * sum, delta[o * 32 + i], 5);
                }
            }
        }
    }

    [Fact]
    public void A_composition_of_compositions_is_one_of_products_of_weights()
    {
        using var model = Tiny.Model(Backend);
        using var modules = new Owned(Tiny.Modules(model));
        var flat = With(model, Compose.Fixed(model, modules.All, [1f / 6, 1f / 6, 2f / 3]));
        var inner = new List<Nn.Composition>();
        foreach (var path in modules.All[0].Updates.Keys)
        {
            var host = model.LinearAt(path);
            var pair = new Nn.Composition(host, [modules.All[0].Updates[path], modules.All[1].Updates[path]], new UniformMixer(Backend, 2));
            host.Adapter = new Nn.Composition(host, [pair, modules.All[2].Updates[path]], new FixedMixer(Backend, [1f / 3, 2f / 3]));
            inner.Add(pair);
        }
        Tiny.Close(flat, Tiny.Logits(model), Near);
        Attach.Merge(model);
        Tiny.Close(flat, Tiny.Logits(model), Near, "merged");
        Attach.Unmerge(model);
        Attach.Detach(model);
        foreach (var composition in inner) composition.Dispose();
    }

    // W0 + Σ w s B A, summed in double precision by hand.
    private static float[] Dense(Linear linear, Lora[] updates, float[] weights)
    {
        var (w, inputs) = (Array.ConvertAll(linear.Weight.Value.ToArray(), static x => (double)x), linear.In);
        for (var n = 0; n < updates.Length; n++)
        {
            var (a, b, rank) = (updates[n].A.Value.ToArray(), updates[n].B.Value.ToArray(), updates[n].Rank);
            var scale = weights[n] * (updates[n].RankStabilised ? updates[n].Alpha / Math.Sqrt(rank) : (double)updates[n].Alpha / rank);
            for (var o = 0; o < linear.Out; o++)
            {
                for (var r = 0; r < rank; r++) for (var i = 0; i < inputs; i++) w[o * inputs + i] += scale * b[o * rank + r] * a[r * inputs + i];
            }
        }
        return Array.ConvertAll(w, static x => (float)x);
    }

    // (B R, R⁻¹ A) with R = 2 I + N, N = ½ in one corner, so that R⁻¹ = ½ I - ¼ N.
    private Lora Gauge(Lora lora)
    {
        var (a, b, rank, inputs) = (lora.A.Value.ToArray(), lora.B.Value.ToArray(), lora.Rank, lora.A.Shape[1]);
        var (ga, gb) = (new float[a.Length], new float[b.Length]);
        for (var i = 0; i < a.Length; i++) ga[i] = 0.5f * a[i] - (i < inputs ? 0.125f * a[(rank - 1) * inputs + i] : 0);
        for (var i = 0; i < b.Length; i++) gb[i] = 2 * b[i] + (i % rank == rank - 1 ? 0.5f * b[i - i % rank] : 0);
        using var ta = Workspace.From(ga, lora.A.Shape);
        using var tb = Workspace.From(gb, lora.B.Shape);
        return new Lora(ta, tb, lora.Alpha, lora.RankStabilised);
    }

    private static float[] Alone(Vit model, LoraModule module)
    {
        Attach.Module(model, module);
        var logits = Tiny.Logits(model);
        Attach.Detach(model, dispose: false);
        return logits;
    }

    private static float[] With(Vit model, Mixture mixture)
    {
        var logits = Tiny.Logits(model);
        mixture.Detach();
        return logits;
    }

    private static LearnedMixer[] Mixers(Mixture mixture) => [.. mixture.Compositions.Select(static c => (LearnedMixer)c.Value.Mixer)];

    private float[][] Gradients(Vit model, LearnedMixer[] mixers)
    {
        using (Workspace.Scope())
        {
            Forward(model).Backward();
        }
        var gradients = mixers.Select(static m => m.V.Gradient!.ToArray()).ToArray();
        foreach (var mixer in mixers) mixer.V.ClearGradient();
        return gradients;
    }

    private double Loss(Vit model)
    {
        using var scope = Workspace.Scope(grad: false);
        return Forward(model).Item();
    }

    private Tensor Forward(Vit model)
    {
        var logits = model.Forward(Workspace.From(Tiny.Images(6), new Shape(6, 1, 16, 16)));
        return logits.CrossEntropy(Workspace.From([0, 1, 2, 2, 1, 0], new Shape(6)));
    }

    private static double Distance(float[] a, float[] b) => a.Zip(b).Max(static p => Math.Abs(p.First - p.Second));

    private sealed record Owned(LoraModule[] All) : IDisposable
    {
        public void Dispose()
        {
            foreach (var module in All) module.Dispose();
        }
    }
}
