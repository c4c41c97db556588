using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>Adapters on an image transformer: what PEFT computes, under both generations of names, with and without a head of their own.</summary>
public sealed class PeftVitTests : IDisposable
{
    private static readonly string Folder = GoldenFormats.Folder("peft-vit");

    private readonly CpuBackend _backend = new(2);
    private readonly Vit _model;

    public PeftVitTests() => _model = Vit.Load(Path.Combine(Folder, "base"), _backend);

    public void Dispose()
    {
        _model.Dispose();
        var left = _backend.LiveBlocks;
        _backend.Dispose();
        Assert.Equal(0, left);
    }

    [Theory]
    [InlineData("vit_lora_qv", "", 4, 5.02e-6)]
    [InlineData("vit_lora_qv", "older_names", 4, 5.02e-6)]
    [InlineData("vit_lora_all", "", 13, 8.76e-6)]
    [InlineData("vit_lora_head", "", 4, 1e-5)]
    [InlineData("vit_lora_head", "older_names", 4, 1e-5)]
    public void GivesTheLogitsOfPeft(string name, string names, int updates, double tolerance)
    {
        var module = PeftFolder.Load(Path.Combine(Folder, name, names), _model);
        Assert.Equal(updates, module.Updates.Count);
        Assert.Equal(name == "vit_lora_head", module.Head is not null);
        foreach (var (path, update) in module.Updates) _model.LinearAt(path).Adapter = update;      // the model's from here on
        if (module.Head is { } head) _model.NewHead(head.Weight, head.Bias, head.Labels);

        using var golden = Checkpoint.Open(Path.Combine(Folder, "golden.safetensors"));
        using var scope = _backend.Scope(grad: false);
        var logits = _model.Forward(golden.Load("images", _backend.Main)).ToArray();
        var expected = new float[golden[$"{name}/logits"].Count];
        golden.CopyTo(golden[$"{name}/logits"], expected);
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], (double)logits[i], tolerance);
    }

    [Fact]
    public void AllLinearMeansTheClassifierUnlessTheTaskSaysSo()
    {
        var folder = Directory.CreateTempSubdirectory("nanolora-").FullName;
        try
        {
            using (var module = PeftFolder.Load(Path.Combine(Folder, "vit_lora_all"), _model)) PeftFolder.Save(Path.Combine(folder, "a"), module, _model);
            var path = Path.Combine(folder, "a", PeftConfig.FileName);
            var text = File.ReadAllText(path);
            var list = text[text.IndexOf('[', text.IndexOf("\"target_modules\"", StringComparison.Ordinal))..];
            text = text.Replace(list[..(list.IndexOf(']') + 1)], "\"all-linear\"", StringComparison.Ordinal);
            File.WriteAllText(path, text);
            using (var module = PeftFolder.Load(Path.Combine(folder, "a"), _model)) Assert.Equal(13, module.Updates.Count);
            File.WriteAllText(path, text.Replace("\"task_type\": null", "\"task_type\": \"SEQ_CLS\"", StringComparison.Ordinal));
            Assert.Equal("base_model.model.classifier.lora_A.weight",
                Assert.Throws<CheckpointException>(() => PeftFolder.Load(Path.Combine(folder, "a"), _model)).Field);
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    [Fact]
    public void AHeadWithNewClassesComesBackWithTheirNames()
    {
        var folder = Path.Combine(Directory.CreateTempSubdirectory("nanolora-").FullName, "a");
        try
        {
            using var module = PeftFolder.Load(Path.Combine(Folder, "vit_lora_qv"), _model);
            var head = new HeadWeights([.. Enumerable.Range(0, 3 * _model.FeatureSize).Select(i => i / 7f)], [1, 2, 3], ["cat", "dog", "ünder"]);
            PeftFolder.Save(folder, module.Updates.ToDictionary(u => u.Key, u => u.Value.Factors()), head, _model);
            using var again = PeftFolder.Load(folder, _model);
            Assert.Equal(head.Weight, again.Head!.Weight);
            Assert.Equal(head.Bias, again.Head.Bias);
            Assert.Equal(head.Labels, again.Head.Labels);
        }
        finally { Directory.Delete(Path.GetDirectoryName(folder)!, recursive: true); }
    }
}
