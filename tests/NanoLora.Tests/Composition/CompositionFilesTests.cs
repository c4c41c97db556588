using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

/// <summary>What comes back from files is what went in: modules, mixtures, and a mixture exported as one PEFT adapter.</summary>
public class CompositionFilesTests : EngineTest
{
    private const double Near = 1e-5;

    [Fact]
    public void Saved_and_reloaded_it_is_the_same()
    {
        using var folder = new Folder();
        using var model = Tiny.Model(Backend);
        var modules = new List<LoraModule>();
        foreach (var module in Tiny.Modules(model))
        {
            PeftFolder.Save(folder.At(module.Name), module, model);
            var read = Lora.Load(folder.At(module.Name), model);
            foreach (var (path, update) in module.Updates)
            {
                Assert.Equal(Tiny.Values(update), Tiny.Values(read.Updates[path]));
                Assert.Equal((update.Rank, update.Scale), (read.Updates[path].Rank, read.Updates[path].Scale));
            }
            modules.Add(read);
            module.Dispose();
        }
        var mixture = Compose.Learned(model, modules);
        foreach (var (_, composition) in mixture.Compositions) ((LearnedMixer)composition.Mixer).SetV([0.5f, -1, 0.25f]);
        var logits = Tiny.Logits(model);
        mixture.Save(folder.At("mixture"));
        mixture.Export(folder.At("exported"));
        using (var again = Tiny.Model(Backend))
        {
            var loaded = Mixture.Load(folder.At("mixture"), again);
            Assert.Equal(mixture.Weights(), loaded.Weights());
            Assert.Equal(logits, Tiny.Logits(again));
            loaded.Detach();
            foreach (var module in loaded.Modules) module.Dispose();
        }
        using (var again = Tiny.Model(Backend))
        {
            var exported = Lora.Load(folder.At("exported"), again);
            Assert.All(exported.Updates, u => Assert.Equal((modules.Sum(m => m.Updates[u.Key].Rank), 1f), (u.Value.Rank, u.Value.Scale)));
            Attach.Module(again, exported);
            Tiny.Close(logits, Tiny.Logits(again), Near);
        }
        mixture.Detach();
        foreach (var module in modules) module.Dispose();
    }

    [Fact]
    public void Exported_from_a_part_of_a_fused_linear_it_stays_there()
    {
        using var folder = new Folder();
        var config = new VitConfig
        {
            Family = VitFamily.Timm,
            ImageSize = 16,
            PatchSize = 4,
            Channels = 1,
            HiddenSize = 32,
            Layers = 2,
            Heads = 2,
            IntermediateSize = 64,
            FusedQkv = true,
            Labels = Tiny.Classes,
        };
        using var model = Vit.Create(config, Backend, 1);
        LoraModule Values(string name, ulong seed)                                     // of the values alone, the last third of qkv
        {
            var module = Attach.Lora(model, "*.attn.qkv", 3, alpha: 4, seed: seed, rows: 64..96, name: name);
            foreach (var (_, update) in module.Updates) Backend.Upload<float>(Tiny.Normal(32 * 3, seed, 0.5f), update.B.Value);
            Attach.Detach(model, dispose: false);
            foreach (var (_, update) in module.Updates) update.Train(false);
            return module;
        }
        using LoraModule first = Values("first", 1), second = Values("second", 2);
        var @base = Tiny.Logits(model);
        var mixture = Compose.Fixed(model, [first, second], [0.75f, 0.5f]);
        var logits = Tiny.Logits(model);
        Assert.True(@base.Zip(logits).Max(static p => Math.Abs(p.First - p.Second)) > 1e-3);
        mixture.Export(folder.At("exported"));
        mixture.Detach();
        var exported = Lora.Load(folder.At("exported"), model);
        Attach.Module(model, exported);
        Tiny.Close(logits, Tiny.Logits(model), Near);
    }

    [Fact]
    public void Attach_Load_takes_either_kind_of_folder_and_its_head()
    {
        using var folder = new Folder();
        float[] logits;
        using (var model = Tiny.Model(Backend))
        {
            var modules = new List<LoraModule>();
            foreach (var module in Tiny.Modules(model))
            {
                PeftFolder.Save(folder.At(module.Name), module, model);
                modules.Add(Lora.Load(folder.At(module.Name), model));
                module.Dispose();
            }
            var mixture = Compose.Fixed(model, modules, [0.5f, -0.25f, 1]);
            model.NewHead(Tiny.Normal(2 * 32, 77, 1), [0.5f, -0.5f], ["yes", "no"]);
            logits = Tiny.Logits(model);
            mixture.Save(folder.At("mixture"));
            mixture.Export(folder.At("exported"));
            mixture.Detach();
            foreach (var module in modules) module.Dispose();
        }
        foreach (var kind in (string[])["mixture", "exported"])
        {
            using var again = Tiny.Model(Backend);
            Attach.Load(again, folder.At(kind));
            Assert.Equal(["yes", "no"], again.Labels);
            Tiny.Close(logits, Tiny.Logits(again), Near, kind);
            Assert.Equal(0, again.TrainedCount);
        }
        using var untouched = Tiny.Model(Backend);
        Directory.CreateDirectory(folder.At("neither"));
        Assert.Contains("adapter_config.json", Assert.Throws<CheckpointException>(() => Attach.Load(untouched, folder.At("neither"))).Message);
    }

    [Fact]
    public void A_mixture_of_another_model_is_refused_and_loses_nothing()
    {
        using var folder = new Folder();
        using var model = Tiny.Model(Backend);
        using (var module = Tiny.Module(model, "m", 4, static _ => (2, 3))) PeftFolder.Save(folder.At("m"), module, model);
        using var read = Lora.Load(folder.At("m"), model);
        var mixture = Compose.Uniform(model, [read]);
        mixture.Save(folder.At("mixture"));
        mixture.Detach();
        var path = Path.Combine(folder.At("mixture"), "composition.json");
        var text = File.ReadAllText(path);
        (string From, string To, string Field)[] damages = [("blocks.1.attn.q", "blocks.7.attn.q", "weights"), ("composition-1", "composition-9", "format")];
        foreach (var (from, to, field) in damages)
        {
            File.WriteAllText(path, text.Replace(from, to, StringComparison.Ordinal));
            Assert.Equal(field, Assert.Throws<CheckpointException>(() => Mixture.Load(folder.At("mixture"), model)).Field);
        }
    }

    [Theory]
    [InlineData("\"use_dora\": false", "\"use_dora\": true", "lora_magnitude_vector, which use_dora asks for")]
    [InlineData("\"use_dora\": false", "\"lora_bias\": true", "lora_B.bias, which lora_bias asks for")]
    [InlineData("\"use_dora\": false", "\"lora_bias\": true, \"use_dora\": true", "goes not with use_dora")]
    [InlineData("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa_niter_4\"", "pissa_niter_4")]
    [InlineData("\"lora_alpha\": 3", "\"lora_alpha\": 0, \"init_lora_weights\": \"pissa\"", "init_lora_weights")]
    public void What_is_announced_and_missing_or_cannot_be_is_refused_by_name(string field, string value, string named)
    {
        using var folder = new Folder();
        using var model = Tiny.Model(Backend);
        using (var module = Tiny.Module(model, "m", 4, static _ => (2, 3))) PeftFolder.Save(folder.At("m"), module, model);
        var path = Path.Combine(folder.At("m"), "adapter_config.json");
        var config = File.ReadAllText(path);
        Assert.Contains(field, config, StringComparison.Ordinal);
        if (field.StartsWith("\"lora_alpha", StringComparison.Ordinal)) config = config.Replace("\"init_lora_weights\": true,", "", StringComparison.Ordinal);
        File.WriteAllText(path, config.Replace(field, value, StringComparison.Ordinal));
        var error = Assert.Throws<CheckpointException>(() => Lora.Load(folder.At("m"), model));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    private sealed class Folder : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nanolora-composition-");

        public string At(string name) => Path.Combine(_folder.FullName, name);

        public void Dispose() => _folder.Delete(recursive: true);
    }
}
