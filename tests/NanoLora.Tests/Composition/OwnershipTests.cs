using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

/// <summary>
/// Who holds what: a merged mixture is not taken apart, a new head stays with its mixture, strangers are refused, v and β are shared as asked.
/// </summary>
public sealed class OwnershipTests : EngineTest
{
    [Fact]
    public void A_merged_mixture_is_not_detached()
    {
        using var model = Tiny.Model(Backend);
        var modules = Tiny.Modules(model);
        var mixture = Compose.Uniform(model, modules);
        var logits = Tiny.Logits(model);
        Attach.Merge(model);
        Assert.Contains("Unmerge", Assert.Throws<InvalidOperationException>(mixture.Detach).Message, StringComparison.Ordinal);
        Attach.Unmerge(model);
        Assert.Equal(logits, Tiny.Logits(model));
        mixture.Detach();
        foreach (var module in modules) module.Dispose();
    }

    [Fact]
    public void A_loaded_mixture_keeps_its_head_when_it_is_exported()
    {
        var folder = Directory.CreateTempSubdirectory("nanolora-head-").FullName;
        try
        {
            using var model = Tiny.Model(Backend);
            model.NewHead(Tiny.Normal(2 * 32, 4, 1), [0.5f, -0.5f], ["x", "y"]);
            foreach (var module in Tiny.Modules(model))
            {
                PeftFolder.Save(Path.Combine(folder, module.Name), module, model);
                module.Dispose();
            }
            var modules = (string[])["plain", "stabilised"];
            var mixture = Compose.Uniform(model, [.. modules.Select(m => Lora.Load(Path.Combine(folder, m), model))]);
            mixture.Save(Path.Combine(folder, "mixture"));
            using var again = Tiny.Model(Backend);
            var loaded = Mixture.Load(Path.Combine(folder, "mixture"), again);
            loaded.Export(Path.Combine(folder, "exported"));
            using var exported = Lora.Load(Path.Combine(folder, "exported"), again);
            Assert.Equal(["x", "y"], exported.Head!.Labels);
            Assert.Equal(model.Head!.Weight.Value.ToArray(), exported.Head.Weight);
            foreach (var mix in (Mixture[])[mixture, loaded])
            {
                mix.Detach();
                foreach (var module in mix.Modules) module.Dispose();
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void A_module_of_another_model_is_refused_by_name()
    {
        using var model = Tiny.Model(Backend);
        using var a = Backend.Main.Zeros(new Shape(1, 32));
        using var b = Backend.Main.Zeros(new Shape(32, 1));
        using var stranger = new LoraModule("stranger", new Dictionary<string, Lora> { ["blocks.7.attn.q"] = new(a, b, 1) });
        Assert.Contains("stranger has an update of \"blocks.7.attn.q\"",
            Assert.Throws<ArgumentException>(() => Compose.Uniform(model, [stranger])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_v_for_the_model_and_one_beta_a_matrix()
    {
        using var model = Tiny.Model(Backend);
        var modules = Tiny.Modules(model);
        var mixture = Compose.Learned(model, modules, new LearnedOptions { Sharing = Sharing.Model, Beta = Sharing.Matrix });
        var mixers = mixture.Compositions.Select(c => (LearnedMixer)c.Value.Mixer).ToArray();
        Assert.Single(mixers.Select(m => m.V).Distinct());
        Assert.Equal(mixers.Length, mixers.Select(m => m.Beta).Distinct().Count());
        Assert.Equal(3 + mixers.Length, model.TrainedCount);
        mixture.Detach();
        foreach (var module in modules) module.Dispose();
    }
}
