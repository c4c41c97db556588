using System.Text.Json;
using NanoLora.Experiments.Verification;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>What is written loads again to the same bits, replaces nothing but adapters, and leaves nothing behind when it fails.</summary>
public sealed class PeftSaveTests : IDisposable
{
    private const string Q0 = "model.layers.0.self_attn.q_proj", K0 = "model.layers.0.self_attn.k_proj", Up1 = "model.layers.1.mlp.up_proj";

    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-").FullName;
    private readonly CpuBackend _backend = new(1);
    private readonly ExactLanguageModel _model;
    private readonly Random _random = new(3);

    public PeftSaveTests() => _model = ExactLanguageModel.Load(Path.Combine(GoldenFormats.Folder("peft"), "base-llama"), _backend);

    public void Dispose()
    {
        _model.Dispose();
        var left = _backend.LiveBlocks;
        _backend.Dispose();
        Directory.Delete(_folder, recursive: true);
        Assert.Equal(0, left);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("rslora")]
    [InlineData("rank-pattern")]
    [InlineData("rslora-patterns")]
    [InlineData("pattern-regex")]
    [InlineData("alpha-fraction")]
    [InlineData("modules-to-save")]
    [InlineData("dropout")]
    public void AnAdapterOfPeftComesBack(string folder)
    {
        using var module = PeftFolder.Load(Path.Combine(GoldenFormats.Folder("peft"), folder), _model);
        var path = Path.Combine(_folder, folder);

        PeftFolder.Save(path, module, _model);

        using var again = PeftFolder.Load(path, _model);
        Same(module, again);
        Assert.Equal("adapter_config.json adapter_model.safetensors",
            string.Join(' ', Directory.GetFiles(path).Select(Path.GetFileName).Order(StringComparer.Ordinal)));
        Assert.Equal([path], Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void RanksAlphasAndHeadComeBack()
    {
        var head = new HeadWeights(Numbers(5 * 32), Numbers(5), ["a", "b", "ü \"c\"", "d", ""]);
        using var module = new LoraModule("mine",
            new Dictionary<string, Lora> { [Q0] = New(Q0, 3, 0.1f), [K0] = New(K0, 5, 7), [Up1] = New(Up1, 5, -1e-7f), ["head"] = New("head", 2, 7) });
        using var whole = new LoraModule("mine", new Dictionary<string, Lora> { [Q0] = New(Q0, 3, 0.1f), [Up1] = New(Up1, 5, 1e30f) }, head);

        using var moduleAgain = Again(module);
        using var wholeAgain = Again(whole);
        Same(module, moduleAgain);
        Same(whole, wholeAgain);
    }

    [Fact]
    public void ASliceIsWrittenOverTheWholeOutput()
    {
        using var a = _backend.Main.From(Numbers(2 * 32), new Shape(2, 32));
        using var b = _backend.Main.From(Numbers(8 * 2), new Shape(8, 2));
        using var module = new LoraModule("slice", new Dictionary<string, Lora> { [Q0] = new(a, b, 3, column: 16) });

        using var again = Again(module);

        var (part, full) = (module.Updates[Q0].Factors().Delta(), again.Updates[Q0].Factors().Delta());
        Assert.Equal(part, full[(16 * 32)..(24 * 32)]);
        Assert.All(full[..(16 * 32)].Concat(full[(24 * 32)..]), x => Assert.Equal(0, x));
    }

    [Fact]
    public void ExactUpdatesHaveScaleOne()
    {
        var updates = new Dictionary<string, Factors>
        {
            [Q0] = new(Numbers(4 * 32), Numbers(32 * 4), 32, 32), [Up1] = new(Numbers(7 * 32), Numbers(44 * 7), 32, 44)
        };
        var path = Path.Combine(_folder, "cat");

        PeftFolder.Save(path, updates, null, _model);

        using var again = PeftFolder.Load(path, _model);
        Assert.Equal(updates.Keys.Order(), again.Updates.Keys.Order());
        foreach (var (at, factors) in updates)
        {
            Assert.Equal(1f, again.Updates[at].Scale);
            Assert.Equal(factors.A, again.Updates[at].A.Value.ToArray());
            Assert.Equal(factors.B, again.Updates[at].B.Value.ToArray());
        }
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(path, PeftConfig.FileName)));
        var fields = new[] { "r", "lora_alpha", "rank_pattern", "alpha_pattern" }.Select(f => JsonSerializer.Serialize(json.RootElement.GetProperty(f)));
        Assert.Equal(["4", "4", $$"""{"{{Up1}}":7}""", $$"""{"{{Up1}}":7}"""], fields);
    }

    [Fact]
    public void ReplacesAnAdapterAndKeepsWhatLiesBesideIt()
    {
        var path = Path.Combine(_folder, "a");
        using var first = new LoraModule("first", new Dictionary<string, Lora> { [Q0] = New(Q0, 3, 2) });
        using var second = new LoraModule("second", new Dictionary<string, Lora> { [K0] = New(K0, 2, 5) });
        Directory.CreateDirectory(path);
        PeftFolder.Save(path, first, _model);
        File.WriteAllText(Path.Combine(path, "README.md"), "card");
        File.WriteAllText(Path.Combine(path, "adapter_model.bin"), "old");
        Directory.CreateDirectory(Path.Combine(path, "runs"));

        PeftFolder.Save(path, second, _model);

        using var again = PeftFolder.Load(path, _model);
        Same(second, again);
        Assert.Equal("adapter_config.json adapter_model.safetensors README.md runs",
            string.Join(' ', Directory.GetFileSystemEntries(path).Select(Path.GetFileName).Order(StringComparer.OrdinalIgnoreCase)));
        Assert.Equal([path], Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void WhatIsNoAdapterIsNotReplaced()
    {
        using var module = new LoraModule("m", new Dictionary<string, Lora> { [Q0] = New(Q0, 3, 2) });
        var (file, other) = (Path.Combine(_folder, "file"), Path.Combine(_folder, "other"));
        File.WriteAllText(file, "x");
        Directory.CreateDirectory(other);
        File.WriteAllText(Path.Combine(other, "thesis.txt"), "x");

        Assert.Contains("is a file", Refused(file), StringComparison.Ordinal);
        Assert.Contains("only an adapter folder is replaced", Refused(other), StringComparison.Ordinal);
        Assert.Contains("does not exist", Refused(Path.Combine(_folder, "missing", "a")), StringComparison.Ordinal);

        Assert.Equal([file, other], Directory.GetFileSystemEntries(_folder).Order(StringComparer.Ordinal));
        Assert.Equal("x", File.ReadAllText(Path.Combine(other, "thesis.txt")));

        string Refused(string path) => Assert.Throws<CheckpointException>(() => PeftFolder.Save(path, module, _model)).Message;
    }

    [Fact]
    public void ModulesThatOneConfigCannotSayAreRefused()
    {
        using var a = new LoraModule("m", new Dictionary<string, Lora> { [Q0] = New(Q0, 3, 2), [K0] = New(K0, 3, 2, stabilised: true) });
        Assert.Contains("use_rslora",
            Assert.Throws<ArgumentException>(() => PeftFolder.Save(Path.Combine(_folder, "a"), a, _model)).Message, StringComparison.Ordinal);
        Assert.Contains("do not fit", Assert.Throws<ArgumentException>(() => PeftFolder.Save(Path.Combine(_folder, "a"),
            new Dictionary<string, Factors> { [Q0] = new(new float[31], new float[32], 31, 32) }, null, _model)).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void AllAdaptersOfAFolderInTheOrderOfTheirNames()
    {
        Assert.Contains("no folder in it", Assert.Throws<CheckpointException>(() => PeftFolder.LoadAll(_folder, _model)).Message, StringComparison.Ordinal);
        foreach (var name in (ReadOnlySpan<string>)["b", "a10", "B", "a9"])
        {
            using var module = new LoraModule(name, new Dictionary<string, Lora> { [Q0] = New(Q0, 3, 2) });
            PeftFolder.Save(Path.Combine(_folder, name), module, _model);
        }
        Directory.CreateDirectory(Path.Combine(_folder, "runs"));

        var modules = PeftFolder.LoadAll(_folder, _model);

        Assert.Equal(["B", "a10", "a9", "b"], modules.Select(m => m.Name));
        foreach (var module in modules) module.Dispose();
        File.Delete(Path.Combine(_folder, "b", PeftConfig.FileName));
        Assert.Contains(Path.Combine("b", PeftConfig.FileName),
            Assert.Throws<CheckpointException>(() => PeftFolder.LoadAll(_folder, _model)).Path, StringComparison.Ordinal);
        Assert.Contains("read it with Load",
            Assert.Throws<CheckpointException>(() => PeftFolder.LoadAll(Path.Combine(_folder, "a9"), _model)).Message, StringComparison.Ordinal);
    }

    private LoraModule Again(LoraModule module)
    {
        var path = Path.Combine(_folder, Guid.NewGuid().ToString("N"));
        PeftFolder.Save(path, module, _model);
        return PeftFolder.Load(path, _model);
    }

    private Lora New(string path, int rank, float alpha, bool stabilised = false)
    {
        var host = _model.LinearAt(path);
        using var a = _backend.Main.From(Numbers(rank * host.In), new Shape(rank, host.In));
        using var b = _backend.Main.From(Numbers(host.Out * rank), new Shape(host.Out, rank));
        return new Lora(a, b, alpha, stabilised);
    }

    private float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)(_random.NextDouble() - 0.5))];

    private static void Same(LoraModule expected, LoraModule actual)
    {
        Assert.Equal(expected.Updates.Keys.Order(), actual.Updates.Keys.Order());
        foreach (var (path, lora) in expected.Updates)
        {
            var other = actual.Updates[path];
            Assert.Equal((lora.Rank, lora.Alpha, lora.Scale, lora.RankStabilised, lora.Dropout),
                (other.Rank, other.Alpha, other.Scale, other.RankStabilised, other.Dropout));
            Assert.Equal(lora.A.Value.ToArray(), other.A.Value.ToArray());
            Assert.Equal(lora.B.Value.ToArray(), other.B.Value.ToArray());
        }
        Assert.Equal(expected.Head?.Weight, actual.Head?.Weight);
        Assert.Equal(expected.Head?.Bias, actual.Head?.Bias);
        Assert.Equal(expected.Head?.Labels, actual.Head?.Labels);
    }
}
