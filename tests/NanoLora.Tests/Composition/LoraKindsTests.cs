using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

/// <summary>DoRA, PiSSA and LoRA with a bias: their start, what they add, how they merge, what files keep of them, and where they are refused.</summary>
public class LoraKindsTests : EngineTest
{
    private const string Pattern = "blocks.*.(attn.(q|v)|mlp.fc1)";

    [Theory]
    [InlineData(LoraKind.Dora)]
    [InlineData(LoraKind.Pissa)]
    public void At_its_start_it_changes_nothing(LoraKind kind)
    {
        using var model = Tiny.Model(Backend);
        var plain = Tiny.Logits(model);
        Attach.Lora(model, Pattern, 3, alpha: 5, seed: 1, kind: kind);
        Tiny.Close(plain, Tiny.Logits(model), 2e-5);
    }

    [Theory]
    [InlineData(LoraKind.Dora, false)]
    [InlineData(LoraKind.Dora, true)]
    [InlineData(LoraKind.Pissa, false)]
    [InlineData(LoraKind.Pissa, true)]
    public void Merged_it_gives_the_same_and_unmerged_the_same_bits(LoraKind kind, bool rankStabilised)
    {
        using var model = Tiny.Model(Backend);
        Moved(model, kind, rankStabilised);
        var (plain, adapted) = (Tiny.Values(model), Tiny.Logits(model));
        Attach.Merge(model);
        Tiny.Close(adapted, Tiny.Logits(model), 5e-5);
        Attach.Unmerge(model);
        Assert.Equal(plain, Tiny.Values(model));
        Assert.Equal(adapted, Tiny.Logits(model));
    }

    // What PEFT does in training: W of the input as it is, and of the dropped one what the gain changes.
    [Fact]
    public void Dropout_of_a_dora_leaves_the_frozen_path_alone()
    {
        using Tensor w = Workspace.From(Normal(40, 1), new Shape(5, 8)), b = Workspace.From(Normal(5, 2), new Shape(5));
        using Tensor a = Workspace.From(Normal(16, 3), new Shape(2, 8)), up = Workspace.From(Normal(10, 4), new Shape(5, 2));
        using var m = Workspace.From([1, 2, 3, 0.5f, 4], new Shape(5));
        using var host = new Linear(w, b);
        host.Adapter = new Dora(a, up, m, 3, dropout: 0.5f);
        using var scope = Workspace.Scope(grad: false);
        var x = Workspace.From(Normal(48, 5), new Shape(6, 8));
        try
        {
            Workspace.Training = true;
            Workspace.Streams = 7;
            var got = host.Forward(x).ToArray();
            Workspace.Streams = 7;
            var dropped = x.Dropout(0.5f);
            Assert.NotEqual(x.ToArray(), dropped.ToArray());
            var sum = w + 1.5f * up.MatMul(a);
            var gain = m / sum.Square().Sum(1).Sqrt();
            var product = dropped.MatMul(w, transposeB: true);
            var want = x.MatMul(w, transposeB: true) + b + product * (gain - Workspace.From([1f, 1, 1, 1, 1], new Shape(5)))
                + 1.5f * dropped.MatMul(a, transposeB: true).MatMul(up, transposeB: true) * gain;
            Tiny.Close(want.ToArray(), got, 1e-4);
        }
        finally { Workspace.Training = false; }
    }

    [Fact]
    public void A_trained_dora_moves_its_magnitude_and_leaves_the_base_alone()
    {
        using var model = Tiny.Model(Backend);
        var module = Attach.Lora(model, Pattern, 3, alpha: 5, seed: 1, kind: LoraKind.Dora);
        var before = model.Parameters().Where(static p => !p.Value.Trains).SelectMany(static p => p.Value.Value.ToArray()).ToArray();
        var magnitude = ((Dora)module.Updates["blocks.0.attn.q"]).Magnitude;
        var start = magnitude.Value.ToArray();
        var history = Trainer.Fit(model, new TinySet(24), new FitOptions { Steps = 12, BatchSize = 8, FactorRate = 1e-2 });
        Assert.True(history.Steps[^1].Loss < history.Steps[0].Loss);
        Assert.NotEqual(start, magnitude.Value.ToArray());
        Assert.Equal(before, model.Parameters().Where(static p => !p.Value.Trains).SelectMany(static p => p.Value.Value.ToArray()).ToArray());
    }

    [Fact]
    public void A_file_keeps_a_dora()
    {
        using var folder = new TemporaryFolder();
        using var model = Tiny.Model(Backend);
        var module = Moved(model, LoraKind.Dora, rankStabilised: true);
        var want = Tiny.Logits(model);
        PeftFolder.Save(Path.Combine(folder.Path, "dora"), module, model);
        Attach.Detach(model);
        Attach.Load(model, Path.Combine(folder.Path, "dora"));
        Assert.IsType<Dora>(model.LinearAt("blocks.0.attn.q").Adapter);
        Assert.Equal(want, Tiny.Logits(model));
    }

    [Fact]
    public void A_file_has_a_pissa_as_the_plain_lora_that_it_is()
    {
        using var folder = new TemporaryFolder();
        using var model = Tiny.Model(Backend);
        var module = Moved(model, LoraKind.Pissa, rankStabilised: true);
        var want = Tiny.Logits(model);
        PeftFolder.Save(Path.Combine(folder.Path, "pissa"), module, model);
        Attach.Detach(model);
        using var plain = Lora.Load(Path.Combine(folder.Path, "pissa"), model);
        Assert.All(plain.Updates.Values, static u => Assert.Equal((typeof(Lora), 6), (u.GetType(), u.Rank)));
        var mixture = Compose.Uniform(model, [plain, plain]);                          // which composes
        Tiny.Close(want, Tiny.Logits(model), 5e-5);
        mixture.Detach();
    }

    [Theory]
    [InlineData(LoraKind.Dora, "DoRA")]
    [InlineData(LoraKind.Pissa, "PiSSA")]
    public void What_does_not_compose_is_refused_by_name(LoraKind kind, string named)
    {
        using var model = Tiny.Model(Backend);
        using var module = Moved(model, kind, rankStabilised: false);
        foreach (var (_, linear) in model.Linears()) linear.Adapter = null;
        using var other = Tiny.Module(model, "other", 4, static _ => (3, 3));
        var host = model.LinearAt("blocks.0.attn.q");
        using var mixer = new UniformMixer(Backend, 1);
        Action[] composed =
        [
            () => Compose.Uniform(model, [other, module]),
            () => PeftMerge.WeightedAdapter("x", Backend, [module, other], [1, 1], new PeftMergeOptions { Combination = PeftCombination.Cat }),
            () => _ = new Nn.Composition(host, [module.Updates["blocks.0.attn.q"]], mixer),
        ];
        foreach (var compose in composed) Assert.Contains(named, Assert.Throws<ArgumentException>(compose).Message, StringComparison.Ordinal);
        Assert.All(model.Linears(), static l => Assert.Null(l.Value.Adapter));
    }

    [Fact]
    public void A_bias_is_weighted_like_its_product()
    {
        using var folder = new TemporaryFolder();
        using var model = Tiny.Model(Backend);
        using var biased = Biased(model);
        using var other = Tiny.Module(model, "other", 4, static _ => (2, 3));
        Attach.Module(model, biased);
        var alone = Tiny.Logits(model);
        Attach.Merge(model);                                                           // the linears of this model have biases to take them
        Tiny.Close(alone, Tiny.Logits(model), 2e-5);
        Attach.Unmerge(model);
        Attach.Detach(model, dispose: false);
        float[] Under(Mixture mixture)
        {
            var logits = Tiny.Logits(model);
            mixture.Detach();
            return logits;
        }
        Tiny.Close(alone, Under(Compose.Uniform(model, [biased, biased, biased])), 2e-5);
        var mixed = Compose.Fixed(model, [biased, other], [0.7f, -0.4f]);
        mixed.Export(Path.Combine(folder.Path, "exported"));
        var want = Under(mixed);
        using var exported = Lora.Load(Path.Combine(folder.Path, "exported"), model);
        Attach.Module(model, exported);
        Tiny.Close(want, Tiny.Logits(model), 2e-5);
        Attach.Detach(model, dispose: false);
        var (each, weights) = (new GivenMixer(), new float[6 * 2]);                    // row 0 the base, row 1 the module alone, the others the mixture
        (weights[2], weights[3]) = (1, 0);
        for (var row = 2; row < 6; row++) (weights[2 * row], weights[2 * row + 1]) = (0.7f, -0.4f);
        using var given = Workspace.From(weights, new Shape(6, 2));
        each.Set(Workspace, given);
        var (plain, rows) = (Tiny.Logits(model), Under(Compose.Given(model, [biased, other], each)));
        Tiny.Close([.. plain[..3], .. alone[3..6], .. want[6..]], rows, 2e-5);
    }

    [Fact]
    public void A_bias_that_the_linear_has_no_place_for_is_not_merged()
    {
        using Tensor w = Workspace.From(Normal(40, 1), new Shape(5, 8)), a = Workspace.From(Normal(16, 3), new Shape(2, 8));
        using Tensor b = Workspace.From(Normal(10, 4), new Shape(5, 2)), bias = Workspace.From(Normal(5, 2), new Shape(5));
        using var host = new Linear(w);
        host.Adapter = new Lora(a, b, 3, bias: bias);
        Assert.Contains("lora_bias", Assert.Throws<InvalidOperationException>(host.Merge).Message, StringComparison.Ordinal);
        Assert.NotNull(host.Adapter);
    }

    [Fact]
    public void What_cannot_be_attached_is_refused_and_leaves_nothing()
    {
        using var model = Tiny.Model(Backend);
        var live = Backend.LiveBlocks;
        Assert.Throws<ArgumentException>(() => Attach.Lora(model, "blocks.0.attn.q", 2, rows: ..8, kind: LoraKind.Dora));
        Assert.Throws<ArgumentException>(() => Attach.Lora(model, Pattern, 2, kind: LoraKind.Pissa, ranks: [new("*.fc1", 33)]));
        Assert.Throws<ArgumentException>(() => Attach.Lora(model, Pattern, 2, alpha: 0, kind: LoraKind.Pissa));
        Assert.Equal(live, Backend.LiveBlocks);
        Attach.Lora(model, "blocks.0.attn.q", 2, rows: 4..12, kind: LoraKind.Pissa);   // of a part of the rows: their own singular vectors
    }

    // A module of the kind, attached, and moved from its start.
    private LoraModule Moved(Vit model, LoraKind kind, bool rankStabilised)
    {
        var module = Attach.Lora(model, Pattern, 3, alpha: 5, rankStabilised: rankStabilised, seed: 1, kind: kind);
        ulong seed = 40;
        foreach (var update in module.Updates.Values)
        {
            foreach (var (path, parameter) in update.Parameters())
            {
                var (values, noise) = (parameter.Value.ToArray(), Tiny.Normal(parameter.Value.Count, seed++, 0.2f));
                for (var i = 0; i < values.Length; i++) values[i] = path == "lora_magnitude" ? values[i] * (1 + noise[i]) : values[i] + noise[i];
                Backend.Upload<float>(values, parameter.Value);
            }
        }
        module.Updates.Values.ToList().ForEach(static u => u.Train(false));
        return module;
    }

    private LoraModule Biased(Vit model)
    {
        var updates = new Dictionary<string, Lora>();
        foreach (var (path, linear) in Attach.Matching(model, "blocks.*.attn.(q|v)"))
        {
            var seed = 100 + 3 * (ulong)updates.Count;
            using var a = Workspace.From(Tiny.Normal(3 * linear.In, seed, 0.3f), new Shape(3, linear.In));
            using var b = Workspace.From(Tiny.Normal(linear.Out * 3, seed + 1, 0.3f), new Shape(linear.Out, 3));
            using var bias = Workspace.From(Tiny.Normal(linear.Out, seed + 2, 0.5f), new Shape(linear.Out));
            updates[path] = new Lora(a, b, 6, bias: bias);
        }
        return new LoraModule("biased", updates);
    }

    private sealed class TemporaryFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("nanolora-kinds-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
