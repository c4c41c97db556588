using NanoLora.Experiments.Verification;

namespace NanoLora.Tests.Models;

/// <summary>Whole models against the reference implementations: every hidden state, output, loss and gradient.</summary>
public sealed class ModelGoldenTests
{
    /// <summary>The cases that lie beside the tests, weights and all.</summary>
    public static TheoryData<string> Images { get; } =
    [
        "vit", "vit_interpolate", "deit", "deit_distilled", "dinov2", "dinov2_swiglu", "clip_vision",
        "siglip_vision", "siglip_classifier", "timm_vit", "timm_vit_interpolate", "timm_vit_gap",
    ];

    /// <summary>The same, of language models.</summary>
    public static TheoryData<string> Texts { get; } =
    [
        "gpt2", "llama", "llama_rope_llama3", "llama_rope_dynamic", "llama_rope_yarn", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3",
        "phi3_longrope", "opt", "opt_post_norm", "gpt_neox",
    ];

    /// <summary>The same, of classifiers of texts.</summary>
    public static TheoryData<string> Classifiers { get; } =
    [
        "bert", "roberta", "gpt2_classifier", "llama_classifier", "gpt_neox_classifier", "opt_classifier",
    ];

    [Theory]
    [MemberData(nameof(Images))]
    [MemberData(nameof(Texts))]
    [InlineData("t5")]
    [MemberData(nameof(Classifiers))]
    public void AgreesWithTheReference(string name)
    {
        using var backend = new CpuBackend();
        using var output = new StringWriter();
        var result = Verifier.Run([Folder(name)], backend, output);
        Assert.True(result.ExitCode == 0, output.ToString());
        Assert.True(result.Ok >= 15, output.ToString());
        Assert.Equal(0, backend.LiveBlocks);
    }

    [MnistFact]
    public void ReadsThePublishedCheckpointOfDigitsAndGuessesAsItsAuthorsSay()
    {
        using var backend = new CpuBackend();
        using var output = new StringWriter();
        var result = Verifier.Run([Folder("mnist_vit")], backend, output, new VerifyOptions { DataFolder = MnistFactAttribute.Data });
        Assert.True(result.ExitCode == 0, output.ToString());
        Assert.Equal(61, result.Ok);
    }

    /// <summary>A wrong weight is found: the verdict can be no.</summary>
    [Fact]
    public void SeesAWeightThatIsWrong()
    {
        using var copy = new TemporaryFolder();
        foreach (var file in Directory.EnumerateFiles(Folder("vit"))) File.Copy(file, Path.Combine(copy.Path, Path.GetFileName(file)));
        var weights = File.ReadAllBytes(Path.Combine(copy.Path, "model.safetensors"));
        weights[^2] ^= 0x40;                                                           // an exponent bit of the last value
        File.WriteAllBytes(Path.Combine(copy.Path, "model.safetensors"), weights);
        using var backend = new CpuBackend();
        using var output = new StringWriter();
        Assert.Equal(Verifier.Deviates, Verifier.Run([copy.Path], backend, output).ExitCode);
    }

    internal static string Folder(string name) => Path.Combine(AppContext.BaseDirectory, "Golden", "models", name);
}

/// <summary>A test that needs the published checkpoint and MNIST's test images: from NANOLORA_DATA, or a folder called data above the tests.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MnistFactAttribute : FactAttribute
{
    private const string Weights = "weights-vit-mnist/vit_mnist_gpu.pt";

    /// <summary>Where the data lie, or null.</summary>
    public static string? Data { get; } = Find();

    /// <summary>Skips where there are no data.</summary>
    public MnistFactAttribute()
    {
        if (Data is null) Skip = $"{Weights} and img-mnist are not here; name their folder in NANOLORA_DATA.";
    }

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("NANOLORA_DATA") is { Length: > 0 } named) return File.Exists(Path.Combine(named, Weights)) ? named : null;
        for (var at = AppContext.BaseDirectory; at is not null; at = Path.GetDirectoryName(at))
        {
            if (File.Exists(Path.Combine(at, "data", Weights))) return Path.Combine(at, "data");
        }
        return null;
    }
}

/// <summary>A folder that is gone after the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("nanolora-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
