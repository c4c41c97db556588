using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

public sealed class VitTests : EngineFileTest
{
    private static VitConfig Small => new()
    {
        ImageSize = 12, PatchSize = 4, Channels = 2, HiddenSize = 24, Layers = 2, Heads = 3, IntermediateSize = 40,
        Labels = ["ant", "bee", "cat"], ImageMean = [0.1307f, 0.5f], ImageStd = [0.3081f, 0.25f],
    };

    [Theory]
    [MemberData(nameof(ModelGoldenTests.Images), MemberType = typeof(ModelGoldenTests))]
    public void SavesWhatItLoaded(string name)
    {
        using var model = Vit.Load(ModelGoldenTests.Folder(name), Backend);
        model.Save(Temporary.Path);
        using var again = Vit.Load(Temporary.Path, Backend);
        Same(model, again);
        Assert.Equal(model.Labels, again.Labels);
        Assert.Equal(Names(ModelGoldenTests.Folder(name)), Names(Temporary.Path));
    }

    [Theory]
    [InlineData(Pooling.Mean)]
    [InlineData(Pooling.Cls)]
    public void SavesWhatItCreated(Pooling pooling)
    {
        using var model = Vit.Create(Small with { Pooling = pooling }, Backend, 7);
        model.Save(Temporary.Path);
        using var again = Vit.Load(Temporary.Path, Backend);
        Same(model, again);
        Assert.Equal(Config(model), Config(again));
        Assert.Equal(Small.ImageStd, again.Config.ImageStd);
        Assert.Equal(Logits(model), Logits(again));
        Assert.DoesNotContain(again.Parameters(), p => p.Value.Trains);
    }

    [Fact]
    public void SavesTheFormatThatComesWithoutAConfig()
    {
        var config = Small with
        {
            Family = VitFamily.VitPytorch,
            Channels = 1,
            HeadSize = 64,
            FusedQkv = true,
            QkvBias = false,
            Pooling = Pooling.Cls,
            Activation = "relu",
            Eps = 1e-5f,
            ImageMean = null,
            ImageStd = null,
        };
        using var model = Vit.Create(config, Backend, 3);
        model.Save(Temporary.Path);
        File.Delete(Path.Combine(Temporary.Path, "config.json"));
        using var again = Vit.Load(Temporary.Path, Backend);
        Same(model, again);
        Assert.Equal(Logits(model), Logits(again));
    }

    [Fact]
    public void ANewHeadIsSavedWithItsLabels()
    {
        foreach (var name in (ReadOnlySpan<string>)["vit", "timm_vit", "siglip_classifier", "dinov2"])
        {
            using var model = Vit.Load(ModelGoldenTests.Folder(name), Backend);
            model.NewHead(new float[2 * model.FeatureSize], [0.25f, -0.5f], ["left", "right"]);
            model.Save(Temporary.Path);
            using var again = Vit.Load(Temporary.Path, Backend);
            Assert.Equal(["left", "right"], again.Labels);
            Assert.Equal([0.25f, -0.5f], again.Head!.Bias!.Value.ToArray());
        }
    }

    [Fact]
    public void HeadsWithoutAPlaceInTheFileAreRefused()
    {
        foreach (var name in (ReadOnlySpan<string>)["clip_vision", "siglip_vision", "deit_distilled"])
        {
            using var model = Vit.Load(ModelGoldenTests.Folder(name), Backend);
            model.NewHead(new float[2 * model.FeatureSize], new float[2], ["left", "right"]);
            Assert.Contains("new head", Assert.Throws<InvalidOperationException>(() => model.Save(Temporary.Path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void TheSeedGivesTheWeights()
    {
        using var a = Vit.Create(Small, Backend, 1);
        using var b = Vit.Create(Small, Backend, 1);
        using var c = Vit.Create(Small, Backend, 2);
        Same(a, b);
        var (weights, others) = (a.LinearAt("blocks.1.mlp.fc1").Weight.Value.ToArray(), c.LinearAt("blocks.1.mlp.fc1").Weight.Value.ToArray());
        Assert.NotEqual(weights, others);
        Assert.NotEqual(weights.AsSpan(0, 576).ToArray(), a.LinearAt("blocks.0.attn.q").Weight.Value.ToArray());
        var deviation = 1 / Math.Sqrt(Small.HiddenSize);
        Assert.All(weights, w => Assert.InRange(w, -2.001 * deviation, 2.001 * deviation));
        Assert.InRange(Math.Sqrt(weights.Average(w => (double)w * w)) / deviation, 0.825, 0.935);   // 0.88 is what cutting at two deviations leaves
        Assert.All(a.LinearAt("patch").Bias!.Value.ToArray(), v => Assert.Equal(0, v));
    }

    [Fact]
    public void Learns()
    {
        using var model = Vit.Create(Small, Backend, 5);
        model.Train();
        var (first, last) = (0f, 0f);
        for (var step = 0; step < 60; step++)
        {
            using var scope = Backend.Scope();
            var loss = model.Forward(Images(model, 6)).CrossEntropy(Backend.Main.From([0, 1, 2, 0, 1, 2], new Shape(6)));
            last = loss.Item();
            if (step == 0) first = last;
            loss.Backward();
            foreach (var (_, parameter) in model.Parameters()) Step(parameter);
        }
        Assert.InRange(first, 1.0, 1.2);
        Assert.True(last < 0.3 * first, $"the loss went from {first} to {last}");

        static void Step(Parameter p)
        {
            var (values, slopes) = (p.Value.ToArray(), p.Gradient!.ToArray());
            for (var i = 0; i < values.Length; i++) values[i] -= 0.2f * slopes[i];
            p.Value.Backend.Upload<float>(values, p.Value);
            p.ClearGradient();
        }
    }

    [Fact]
    public void BothGenerationsOfNamesLeadToTheSameMatrix()
    {
        using var model = Vit.Load(ModelGoldenTests.Folder("vit"), Backend);
        foreach (var name in (ReadOnlySpan<string>)["vit.encoder.layer.1.attention.output.dense.weight", "vit.layers.1.attention.o_proj.weight",
            "layers.1.attention.o_proj.weight", "encoder.layer.1.attention.output.dense.weight"])
            Assert.Equal("blocks.1.attn.o.weight", model.Names.Ours(name));
        Assert.Equal("blocks.1.mlp.fc2.bias", model.Names.Ours("vit.encoder.layer.1.output.dense.bias"));
        Assert.Equal("vit.encoder.layer.0.attention.attention.query.weight", model.Names.Theirs("blocks.0.attn.q.weight").First());
    }

    [Fact]
    public void WhatATimmConfigDoesNotSayComesFromTheTensors()
    {
        Copy("timm_vit");
        Write("config.json", """{"architecture": "vit_tiny_patch16_224", "num_classes": 10, "global_pool": "token"}""");
        using var model = Vit.Load(Temporary.Path, Backend);
        using var whole = Vit.Load(ModelGoldenTests.Folder("timm_vit"), Backend);
        Assert.Equal(Logits(whole), Logits(model));
    }

    [Fact]
    public void MatricesMayStayIn16Bits()
    {
        using (var model = Vit.Create(Small, Backend, 9))
        {
            model.Save(Temporary.Path);
            var path = Path.Combine(Temporary.Path, "model.safetensors");
            var narrow = new List<TensorSource>();
            using (var file = Checkpoint.Open(path))
            {
                foreach (var entry in file.Entries)
                {
                    var upper = new byte[entry.Count * 2];
                    for (var i = 0; i < entry.Count; i++) file.Bytes(entry).Slice(4 * i + 2, 2).CopyTo(upper.AsSpan(2 * i));
                    narrow.Add(new TensorSource(entry.Name, FileDType.BF16, entry.Shape, upper));
                }
            }
            SafetensorsWriter.Write(path, narrow);
        }
        using var kept = Vit.Load(Temporary.Path, Backend, keepType: true);
        using var widened = Vit.Load(Temporary.Path, Backend);
        Assert.Equal(DType.BF16, kept.LinearAt("blocks.0.attn.q").Weight.Value.DType);
        Assert.Equal(DType.F32, kept.LinearAt("blocks.0.attn.q").Bias!.Value.DType);
        var (a, b) = (Logits(kept), Logits(widened));
        for (var i = 0; i < a.Length; i++) Assert.Equal(b[i], a[i], 1e-6f);
    }

    [Fact]
    public void PredictsOneImage()
    {
        using var model = Vit.Create(Small, Backend, 4);
        model.NewHead(new float[3 * 24], [0, 3, 0], Small.Labels);
        using var scope = Backend.Scope();
        var prediction = model.Predict(Backend.Main.Zeros(new Shape(2, 12, 12)));
        Assert.Equal("bee", prediction.Label);
        Assert.Equal(MathF.Exp(3) / (MathF.Exp(3) + 2), prediction.Probability, 1e-5f);
        Assert.Equal("bee (90.9 %)", prediction.ToString());
        var (two, colours) = (Backend.Main.Zeros(new Shape(2, 2, 12, 12)), Backend.Main.Zeros(new Shape(1, 3, 12, 12)));
        Assert.Contains("is a batch", Assert.Throws<ArgumentException>(() => model.Predict(two)).Message, StringComparison.Ordinal);
        Assert.Contains("[B, 2, Y, X]", Assert.Throws<ArgumentException>(() => model.Forward(colours)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("vit", "\"model_type\": \"vit\"", "\"model_type\": \"swin\"", "model_type", "siglip_vision_model")]
    [InlineData("vit", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"mish\"", "hidden_act", "quick_gelu")]
    [InlineData("vit", "\"hidden_size\": 36", "\"hidden_size\": 48", "patch_embeddings.projection.weight", "[36, 3, 8, 8] in the file; the model wants [48,")]
    [InlineData("vit", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "encoder.layer.2.layernorm_before.weight", "missing")]
    [InlineData("vit", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "encoder.layer.1.", "no place")]
    [InlineData("vit", "\"patch_size\": 8", "\"patch_size\": -8", "patch_size", "whole number")]
    [InlineData("vit", "\"image_size\": 32", "\"image_size\": 65536, \"quantization_config\": {}", "quantization_config", "not supported")]
    [InlineData("vit", "\"num_channels\": 3", "\"num_channels\": 4096, \"x\": 0", "patch_embeddings.projection.weight", "4096")]
    [InlineData("vit", "\"num_attention_heads\": 3", "\"num_attention_heads\": 7", "sizes", "7 heads")]
    [InlineData("vit", "\"0\": \"LABEL_0\"", "\"11\": \"LABEL_0\"", "id2label", "0 to 9")]
    [InlineData("timm_vit", "\"embed_dim\": 36", "\"embed_dim\": 36, \"block_fn\": \"x\"", "model_args.block_fn", "not supported")]
    [InlineData("timm_vit", "\"global_pool\": \"token\"", "\"global_pool\": \"map\"", "global_pool", "token and avg")]
    public void SaysWhatIsWrong(string @case, string old, string other, string field, string why)
    {
        Copy(@case);
        var config = File.ReadAllText(Path.Combine(Temporary.Path, "config.json"));
        Assert.Contains(old, config, StringComparison.Ordinal);
        Write("config.json", config.Replace(old, other, StringComparison.Ordinal));
        var error = Assert.Throws<CheckpointException>(() => Vit.Load(Temporary.Path, Backend));
        Assert.Contains(field, error.Field, StringComparison.Ordinal);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
        Assert.Contains(Temporary.Path, error.Path, StringComparison.Ordinal);
    }

    [Fact]
    public void AnAdapterIsNotSavedSilently()
    {
        using var model = Vit.Create(Small, Backend, 1);
        using var a = Backend.Main.Zeros(new Shape(2, 24));
        using var b = Backend.Main.Zeros(new Shape(24, 2));
        model.LinearAt("blocks.0.attn.q").Adapter = new Lora(a, b, 4);
        Assert.Contains("blocks.0.attn.q", Assert.Throws<InvalidOperationException>(() => model.Save(Temporary.Path)).Message, StringComparison.Ordinal);
    }

    private static void Same(Vit a, Vit b)
    {
        var others = b.Parameters().ToDictionary(p => p.Key, p => p.Value);
        Assert.Equal(others.Count, a.Parameters().Count());
        foreach (var (path, parameter) in a.Parameters())
        {
            Assert.Equal(parameter.Shape, others[path].Shape);
            Assert.Equal(parameter.Value.ToArray(), others[path].Value.ToArray());
        }
    }

    private static VitConfig Config(Vit model) => model.Config with { Labels = [], ImageMean = null, ImageStd = null };

    private static string[] Names(string folder)
    {
        using var file = Checkpoint.Open(folder);
        return [.. file.Entries.Select(e => e.ToString()).Order(StringComparer.Ordinal)];
    }

    private Tensor Images(Vit model, int count)
    {
        var c = model.Config;
        var pixels = new float[count * c.Channels * c.ImageRows * c.ImageColumns];
        var random = new Philox(11, 0);
        for (var i = 0; i < pixels.Length; i++) pixels[i] = random.Normal((ulong)i);
        return Backend.Main.From(pixels, new Shape(count, c.Channels, c.ImageRows, c.ImageColumns));
    }

    private float[] Logits(Vit model)
    {
        using var scope = Backend.Scope(grad: false);
        return model.Forward(Images(model, 3)).ToArray();
    }

    private void Copy(string @case)
    {
        foreach (var file in (ReadOnlySpan<string>)["config.json", "model.safetensors"])
            File.Copy(Path.Combine(ModelGoldenTests.Folder(@case), file), Path.Combine(Temporary.Path, file));
    }

    private void Write(string file, string text) => File.WriteAllText(Path.Combine(Temporary.Path, file), text);
}
