using NanoLora.Models;
using NanoLora.Nn;
using NanoLora.Tests.Models;

namespace NanoLora.Tests.Files;

/// <summary>Adapters of text classifiers: a head of two linears, which PEFT saves as one module, and a published one.</summary>
public sealed class PeftTextClassifierTests : IDisposable
{
    private readonly CpuBackend _backend = new(2);
    private readonly TemporaryFolder _folder = new();

    public void Dispose()
    {
        Assert.Equal(0, _backend.LiveBlocks);
        _backend.Dispose();
        _folder.Dispose();
    }

    /// <summary>The head that an adapter of RoBERTa brings replaces both linears; a base that has none gets them.</summary>
    [Theory]
    [InlineData(TextPooling.Pooler)]
    [InlineData(TextPooling.Mean)]
    public void AHeadBringsItsPooler(TextPooling pooling)
    {
        using var model = Bert.Load(ModelGoldenTests.Folder("roberta"), _backend, pooling: pooling);
        Write(model, Numbers(32 * 32, 0.1f), Numbers(32, 0.2f), Numbers(2 * 32, 0.3f), [1, 2]);
        var before = States(model);
        Attach.Load(model, _folder.Path);
        Assert.Equal((TextPooling.Pooler, true), (model.Pooling, model.HeadIsNew));
        var (first, dense, logits) = (before.First, Numbers(32 * 32, 0.1f), States(model).Logits);
        for (var c = 0; c < 2; c++)
        {
            double sum = c + 1;
            for (var i = 0; i < 32; i++)
            {
                double h = Numbers(32, 0.2f)[i];
                for (var j = 0; j < 32; j++) h += dense[i * 32 + j] * first[j];
                sum += Numbers(64, 0.3f)[c * 32 + i] * Math.Tanh(h);
            }
            Assert.Equal(sum, logits[c], 1e-4);
        }

        // What it became is written with the adapter, and with a mixture, and comes back.
        var (again, mixed) = (Path.Combine(_folder.Path, "again"), Path.Combine(_folder.Path, "mixed"));
        using (var module = PeftFolder.Load(_folder.Path, model)) PeftFolder.Save(again, module, model);
        Attach.Detach(model);
        using (var module = PeftFolder.Load(again, model))
        {
            Assert.Equal(dense, module.Head!.Pooler!.Value.Weight);
            var mixture = Compose.Uniform(model, [module]);
            mixture.Save(mixed);
            mixture.Detach();
        }
        foreach (var folder in (string[])[again, mixed])
        {
            using var other = Bert.Load(ModelGoldenTests.Folder("roberta"), _backend, pooling: pooling);
            Attach.Load(other, folder);
            Assert.Equal(logits, States(other).Logits);
            Attach.Detach(other);
        }
    }

    [Fact]
    public void AHalfHeadIsRefused()
    {
        using var model = Bert.Load(ModelGoldenTests.Folder("roberta"), _backend);
        Refused("classifier.dense", null, null, Numbers(64, 0.3f), [1, 2]);
        Refused("classifier.out_proj", Numbers(32 * 32, 0.1f), Numbers(32, 0.2f), null, null);
        Refused("classifier.dense.bias", Numbers(32 * 32, 0.1f), Numbers(31, 0.2f), Numbers(64, 0.3f), [1, 2]);
        Refused("classifier.dense.weight", Numbers(33 * 32, 0.1f), Numbers(33, 0.2f), Numbers(64, 0.3f), [1, 2]);
        Refused("classifier.out_proj", Numbers(32 * 32, 0.1f), Numbers(32, 0.2f), Numbers(64, 0.3f), null);

        void Refused(string field, float[]? dense, float[]? denseBias, float[]? weight, float[]? bias)
        {
            Write(model, dense, denseBias, weight, bias);
            Assert.Contains(field, Assert.Throws<CheckpointException>(() => PeftFolder.Load(_folder.Path, model)).Field, StringComparison.Ordinal);
        }
    }

    /// <summary>The LoRA authors' RoBERTa on MNLI, under PEFT's names, on a model of that shape: values, head, and what composing copies must give.</summary>
    [PublishedAdapterFact]
    public void ReadsThePublishedAdapterOfRoberta()
    {
        const int layers = 12, width = 768;
        var config = new BertConfig
        {
            Roberta = true,
            Vocabulary = 50,
            HiddenSize = width,
            Layers = layers,
            Heads = 12,
            IntermediateSize = 16,                                                     // no adapter looks at the MLP
            Segments = 1,
            Activation = Activation.Gelu,
            Eps = 1e-5f,
            Positions = 20,
            FirstPosition = 2,
            Pooling = TextPooling.Mean,
        };
        using var model = Bert.Create(config, _backend, seed: 1);
        using var published = Checkpoint.Open(PublishedAdapterFactAttribute.FilePath!);
        var tensors = published.Entries.Select(e =>
        {
            var name = e.Name.Contains("lora_", StringComparison.Ordinal) ? $"{e.Name}.weight" : e.Name;
            return new TensorSource($"base_model.model.{name}", e.DType, e.Shape, published.Bytes(e).ToArray());
        });
        Write([.. tensors], rank: 8, alpha: 16);
        using var module = PeftFolder.Load(_folder.Path, model);
        Assert.Equal(2 * layers, module.Updates.Count);
        Assert.Equal((3 * width, width * width), (module.Head!.Weight.Length, module.Head.Pooler!.Value.Weight.Length));
        var b = new float[width * 8];
        published.CopyTo(published["roberta.encoder.layer.7.attention.self.value.lora_B"], b);
        Assert.Equal(b, module.Updates["blocks.7.attn.v"].B.Value.ToArray());
        Assert.All(module.Updates.Values, static update => Assert.Equal(2f, update.Scale));

        Attach.Load(model, _folder.Path);
        var alone = States(model).Logits;
        Assert.Equal(3, alone.Length);
        Attach.Detach(model);
        var plain = States(model).Logits;
        Assert.True(plain.Zip(alone).Max(static p => MathF.Abs(p.First - p.Second)) > 1e-3f, "the adapter changes nothing");
        var mixture = Compose.Uniform(model, [module, module, module]);
        var mixed = States(model).Logits;
        for (var c = 0; c < 3; c++) Assert.Equal(alone[c], mixed[c], 1e-4f);
        mixture.Detach();
    }

    private static float[] Numbers(int count, float step) => [.. Enumerable.Range(0, count).Select(i => MathF.Sin(1 + step * i))];

    // An adapter as PEFT saves one of a RoBERTa for sequences: modules_to_save names the whole head.
    private void Write(Bert model, float[]? dense, float[]? denseBias, float[]? weight, float[]? bias)
    {
        var tensors = new List<TensorSource>();
        foreach (var (path, linear) in model.Linears())
        {
            if (!path.EndsWith("attn.q", StringComparison.Ordinal)) continue;
            var name = $"base_model.model.{model.Names.Theirs(path).First()}";
            tensors.Add(new($"{name}.lora_A.weight", [2, linear.In], new float[2 * linear.In]));
            tensors.Add(new($"{name}.lora_B.weight", [linear.Out, 2], new float[2 * linear.Out]));
        }
        foreach (var (name, values, columns) in (ReadOnlySpan<(string, float[]?, int)>)[
            ("dense.weight", dense, 32), ("dense.bias", denseBias, 0), ("out_proj.weight", weight, 32), ("out_proj.bias", bias, 0)])
        {
            if (values is null) continue;
            tensors.Add(new($"base_model.model.classifier.{name}", columns == 0 ? [values.Length] : [values.Length / columns, columns], values));
        }
        Write(tensors, rank: 2, alpha: 2);
    }

    private void Write(List<TensorSource> tensors, int rank, int alpha)
    {
        SafetensorsWriter.Write(Path.Combine(_folder.Path, "adapter_model.safetensors"), tensors);
        var targets = tensors.Any(static t => t.Name.Contains("value.lora_A", StringComparison.Ordinal)) ? "[\"query\", \"value\"]" : "[\"query\"]";
        var config = $$"""
            {"peft_type": "LORA", "task_type": "SEQ_CLS", "r": {{rank}}, "lora_alpha": {{alpha}}, "target_modules": {{targets}},
             "modules_to_save": ["classifier", "score"], "bias": "none"}
            """;
        File.WriteAllText(Path.Combine(_folder.Path, "adapter_config.json"), config);
    }

    // The state of the first token, and the scores if there is a head.
    private (float[] First, float[] Logits) States(Bert model)
    {
        using var scope = _backend.Scope(grad: false);
        float[] states = [], logits = [];
        model.Trace = (at, x) => { if (at == "last_hidden") states = x.ToArray(); };
        var ids = _backend.Main.From([0, 17, 33, 42, 2], new Shape(1, 5));
        if (model.Head is null) model.Features(ids);
        else logits = model.Forward(ids).ToArray();
        model.Trace = null;
        return (states[..model.FeatureSize], logits);
    }
}

/// <summary>A test that needs the published adapter: from NANOLORA_DATA, or a folder called data above the tests.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PublishedAdapterFactAttribute : FactAttribute
{
    private const string Adapter = "adapter-roberta-base-mnli-lora/roberta_base_lora_mnli.bin";

    /// <summary>The file, or null.</summary>
    public static string? FilePath { get; } = Find();

    /// <summary>Skips where there is no such file.</summary>
    public PublishedAdapterFactAttribute()
    {
        if (FilePath is null) Skip = $"{Adapter} is not here; name its folder's parent in NANOLORA_DATA.";
    }

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("NANOLORA_DATA") is { Length: > 0 } named)
            return Path.Combine(named, Adapter) is var path && File.Exists(path) ? path : null;
        for (var at = AppContext.BaseDirectory; at is not null; at = Path.GetDirectoryName(at))
            if (Path.Combine(at, "data", Adapter) is var path && File.Exists(path)) return path;
        return null;
    }
}
