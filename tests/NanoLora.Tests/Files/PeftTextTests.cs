using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>Adapters on language models: what PEFT computes with each, attached and merged.</summary>
public sealed class PeftTextTests : IDisposable
{
    private static readonly string Folder = GoldenFormats.Folder("peft");

    private readonly CpuBackend _backend = new(2);

    /// <summary>The adapters that load, with their bases and tolerances; a head of their own is a classifier's matter.</summary>
    public static TheoryData<string, string, double> Adapters
    {
        get
        {
            var data = new TheoryData<string, string, double>();
            foreach (var one in GoldenFormats.Read("peft").GetProperty("cases").EnumerateArray())
            {
                var name = one.GetProperty("folder").GetString()!;
                var more = name is "dora" or "dora-rslora" or "init-pissa" or "lora-bias";
                if ((one.GetProperty("verdict").GetString() != "load" && !more) || !one.TryGetProperty("tensor", out _) || name == "modules-to-save") continue;
                data.Add(name, one.GetProperty("base").GetString()!, one.GetProperty("tolerance_abs").GetDouble());
            }
            return data;
        }
    }

    public void Dispose()
    {
        Assert.Equal(0, _backend.LiveBlocks);
        _backend.Dispose();
    }

    [Fact]
    public void AnOutputLayerThatItCannotReplaceIsNotLeftOut()
    {
        using var model = LanguageModel.Load(Path.Combine(Folder, "base-llama"), _backend);
        Assert.Equal("modules_to_save", Assert.Throws<CheckpointException>(() => Attach.Load(model, Path.Combine(Folder, "modules-to-save"))).Field);
    }

    [Theory]
    [MemberData(nameof(Adapters))]
    public void GivesTheLogitsOfPeft(string name, string on, double tolerance)
    {
        using var golden = Checkpoint.Open(Path.Combine(Folder, "golden.safetensors"));
        using var model = LanguageModel.Load(Path.Combine(Folder, on), _backend);
        var plain = Near($"{on}/logits", 2e-5);
        Attach.Load(model, Path.Combine(Folder, name));
        var adapted = Near($"{name}/logits", tolerance);
        Attach.Merge(model);
        Near($"{name}/logits", tolerance);
        Attach.Unmerge(model);
        Assert.Equal(adapted, Logits());
        Attach.Detach(model);
        Assert.Equal(plain, Logits());

        float[] Near(string tensor, double allowed)
        {
            var (got, want) = (Logits(), new float[golden[tensor].Count]);
            golden.CopyTo(golden[tensor], want);
            Assert.Equal(want.Length, got.Length);
            for (var i = 0; i < got.Length; i++) Assert.Equal(want[i], (double)got[i], allowed);
            return got;
        }

        float[] Logits()
        {
            using var scope = _backend.Scope(grad: false);
            var ids = golden["input_ids"];
            int[] tokens = [.. golden.ReadInt64(ids).Select(static id => (int)id)];
            return model.Forward(_backend.Main.From(tokens, new Shape((int)ids.Shape[0], (int)ids.Shape[1]))).ToArray();
        }
    }
}
