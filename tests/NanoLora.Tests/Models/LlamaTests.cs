using System.Buffers.Binary;
using NanoLora.Experiments.Verification;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>Llama and its relatives: configs of all kinds, and the checkpoint of llama2.c.</summary>
public sealed class LlamaTests : EngineFileTest
{
    private static string Stories => Path.Combine(ModelGoldenTests.Folder("stories260k"), "stories260K.bin");

    /// <summary>A family that the library does not know is a config: here one that has Qwen 3's parts under a name of its own.</summary>
    [Fact]
    public void ANewModelOfTheKindIsAConfig()
    {
        var qwen = ModelGoldenTests.Folder("qwen3");
        File.Copy(Path.Combine(qwen, "model.safetensors"), Path.Combine(Temporary.Path, "model.safetensors"));
        File.WriteAllText(Path.Combine(Temporary.Path, "config.json"), """{"model_type": "brand_new"}""");
        Assert.Equal("model_type", Assert.Throws<CheckpointException>(() => LanguageModel.Load(Temporary.Path, Backend)).Field);
        File.WriteAllText(Path.Combine(Temporary.Path, "config.json"), "{}");
        Assert.Equal("model_type", Assert.Throws<CheckpointException>(() => LanguageModel.Load(Temporary.Path, Backend)).Field);
        using var model = Llama.Load(Temporary.Path, Backend, new LlamaConfig
        {
            Vocabulary = 100, HiddenSize = 32, Layers = 2, Heads = 4, KeyHeads = 2, HeadSize = 12, IntermediateSize = 56, MaxPositions = 96, QkNorm = true,
        });
        using var known = LanguageModel.Load(qwen, Backend);
        Assert.Equal(Logits(known), Logits(model));
    }

    /// <summary>Every part that a config can ask for, together, is written and read again.</summary>
    [Fact]
    public void SavesAModelThatHasEverything()
    {
        var config = new LlamaConfig
        {
            Vocabulary = 100, HiddenSize = 24, Layers = 3, Heads = 4, KeyHeads = 2, HeadSize = 8, IntermediateSize = 20, MaxPositions = 40,
            Activation = Activation.GeluTanh, Eps = 1e-5f, TiedHead = true, FusedQkv = true, FusedGate = true, QkvBias = true, MlpBias = true, QkNorm = true,
            ShiftedNorms = true, PostNorms = true, EmbeddingScale = 2.5f, AttentionScale = 0.3f, AttentionCap = 3, LogitCap = 1.5f, Windows = [5, 0, 7],
            Rotary = new()
            {
                Theta = 5000, Part = 0.75, Scaling = RotaryScaling.LongRope, Trained = 20, Factor = 2, ShortFactors = [1, 1.5, 2], LongFactors = [1, 3, 4],
            },
            LocalRotary = new() { Theta = 100 },
        };
        using var model = Llama.Create(config, Backend, 3);
        model.Save(Temporary.Path);
        using var again = LanguageModel.Load(Temporary.Path, Backend);
        Assert.Equal(Logits(model), Logits(again));
        Assert.Equal(Logits(model, 30), Logits(again, 30));
        var read = Assert.IsType<Llama>(again).Config;
        Assert.Equal(config.Windows, read.Windows);
        Assert.Equal(config.Rotary.LongFactors, read.Rotary.LongFactors);
        Assert.Equal(Plain(config), Plain(read));

        static LlamaConfig Plain(LlamaConfig c) => c with { Windows = [], Rotary = new(), LocalRotary = null };
    }

    [Theory]
    [InlineData(RotaryScaling.None)]
    [InlineData(RotaryScaling.Linear)]
    [InlineData(RotaryScaling.Dynamic)]
    [InlineData(RotaryScaling.Llama3)]
    [InlineData(RotaryScaling.Yarn)]
    public void APlainOneIsSavedAsLlama(RotaryScaling scaling)
    {
        var rotary = new RotaryConfig { Theta = 20000, Scaling = scaling, Factor = scaling == RotaryScaling.None ? 1 : 4, Trained = 12, Slow = 1, Fast = 4 };
        using var model = Llama.Create(new LlamaConfig
        {
            Vocabulary = 100, HiddenSize = 32, Layers = 2, Heads = 4, KeyHeads = 2, IntermediateSize = 40, QkvBias = true, OutputBias = true, Rotary = rotary,
            MaxPositions = 12,
        }, Backend, 5);
        model.Save(Temporary.Path);
        using var again = LanguageModel.Load(Temporary.Path, Backend);
        Assert.Contains("\"model_type\": \"llama\"", File.ReadAllText(Path.Combine(Temporary.Path, "config.json")), StringComparison.Ordinal);
        Assert.Equal(Logits(model, 20), Logits(again, 20));
        Assert.DoesNotContain(again.Parameters(), p => p.Value.Trains);
    }

    /// <summary>The trained model of llama2.c becomes an ordinary folder, which tells the story and has the losses that its authors' runtime has.</summary>
    [Fact]
    public void ReadsTheCheckpointOfLlama2cAndSavesItAsAFolder()
    {
        using (var model = Llama.LoadLlama2c(Stories, Backend))
        {
            int[] story = [403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396, 267, 337];
            Assert.Equal(story, Generator.Greedy(model, [[1]], story.Length)[0]);
            model.Save(Temporary.Path);
        }
        foreach (var file in (ReadOnlySpan<string>)["golden.json", "golden.safetensors"])
            File.Copy(Path.Combine(ModelGoldenTests.Folder("stories260k"), file), Path.Combine(Temporary.Path, file));
        using var output = new StringWriter();
        var result = Verifier.Run([Temporary.Path], Backend, output);
        Assert.True(result.ExitCode == 0, output.ToString());
        Assert.Equal(11, result.Ok);
    }

    [Theory]
    [InlineData(0, 0, "0 is no size")]
    [InlineData(0, 66, "do not go together")]
    [InlineData(3, 7, "do not go together")]
    [InlineData(2, 6, "its header says")]
    [InlineData(1, 1 << 24, "its header says")]
    [InlineData(5, int.MinValue, "2147483648 is no size")]
    [InlineData(5, -512, "its header says")]
    public void ADamagedCheckpointOfLlama2cIsRefused(int field, int value, string why)
    {
        var bytes = File.ReadAllBytes(Stories);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4 * field), value);
        var path = Path.Combine(Temporary.Path, "damaged.bin");
        File.WriteAllBytes(path, bytes);
        Assert.Contains(why, Assert.Throws<CheckpointException>(() => Llama.LoadLlama2c(path, Backend)).Message, StringComparison.Ordinal);
        File.WriteAllBytes(path, bytes.AsSpan(0, 27));
        Assert.Throws<CheckpointException>(() => Llama.LoadLlama2c(path, Backend));
        Assert.Throws<CheckpointException>(() => Llama.LoadLlama2c(path + "x", Backend));
    }

    [Theory]
    [InlineData("llama", "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"", "model_type", "mamba")]
    [InlineData("llama", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"mish\"", "hidden_act", "mish")]
    [InlineData("llama", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"quick_gelu\"", "hidden_act", "gated")]
    [InlineData("llama", "\"hidden_size\": 32", "\"hidden_size\": 48", "embed_tokens.weight", "[100, 32] in the file; the model wants [100, 48]")]
    [InlineData("llama", "\"hidden_size\": 32", "\"hidden_size\": 0", "hidden_size", "whole number")]
    [InlineData("llama", "\"head_dim\": 8", "\"head_dim\": 16777216, \"x\": 0", "q_proj.weight", "[67108864, 32]")]
    [InlineData("llama", "\"head_dim\": 8", "\"head_dim\": 7", "partial_rotary_factor", "pairs")]
    [InlineData("llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "layers.1.", "no place")]
    [InlineData("llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "layers.2.", "missing")]
    [InlineData("llama", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "sizes", "divide")]
    [InlineData("llama", "\"vocab_size\": 100", "\"vocab_size\": 100, \"quantization_config\": {}", "quantization_config", "not supported")]
    [InlineData("llama", "\"rope_type\": \"default\"", "\"rope_type\": \"mrope\"", "rope_parameters.rope_type", "mrope")]
    [InlineData("llama", "\"rope_type\": \"default\"", "\"rope_type\": \"linear\"", "rope_parameters.factor", "missing")]
    [InlineData("llama", "\"rope_type\": \"default\"", "\"rope_type\": \"default\", \"mrope_section\": [1]", "rope_parameters.mrope_section", "not supported")]
    [InlineData("llama", "\"rope_theta\": 10000.0", "\"rope_theta\": 0", "rope_parameters.rope_theta", "above 1")]
    [InlineData("llama_rope_yarn", "\"factor\": 4.0", "\"factor\": -4.0", "rope_parameters.factor", "above 0")]
    [InlineData("llama_rope_llama3", "\"high_freq_factor\": 4.0", "\"high_freq_factor\": 1.0", "high_freq_factor", "above low_freq_factor")]
    [InlineData("phi3_longrope", "1.6", "-1.6", "short_factor", "above 0")]
    [InlineData("gemma3", "\"full_attention\"", "\"chunked_attention\"", "", "chunked_attention")]
    [InlineData("llama", "\"vocab_size\": 100", "\"vocab_size\": 100, \"layer_types\": [\"linear_attention\"]", "layer_types", "linear_attention")]
    [InlineData("phi3_longrope", "\"original_max_position_embeddings\": 24", "\"original_max_position_embeddings\": 1", "original_max", "2 at least")]
    [InlineData("gemma2", "\"query_pre_attn_scalar\": 20", "\"query_pre_attn_scalar\": 0", "query_pre_attn_scalar", "above 0")]
    [InlineData("gemma2", "\"use_bidirectional_attention\": null", "\"use_bidirectional_attention\": true", "use_bidirectional_attention", "causal")]
    [InlineData("gpt2", "\"add_cross_attention\": false", "\"add_cross_attention\": true", "add_cross_attention", "not supported")]
    [InlineData("gpt2", "\"n_head\": 4", "\"n_head\": 5", "n_head", "divide")]
    [InlineData("gpt2", "\"activation_function\": \"gelu_new\"", "\"activation_function\": \"mish\"", "activation_function", "mish")]
    [InlineData("opt", "\"layer_norm_elementwise_affine\": true", "\"layer_norm_elementwise_affine\": false", "layer_norm_elementwise_affine", "not supported")]
    [InlineData("gpt_neox", "\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "num_attention_heads", "divide")]
    public void SaysWhatIsWrong(string name, string old, string other, string field, string why)
    {
        File.Copy(Path.Combine(ModelGoldenTests.Folder(name), "model.safetensors"), Path.Combine(Temporary.Path, "model.safetensors"));
        var config = File.ReadAllText(Path.Combine(ModelGoldenTests.Folder(name), "config.json"));
        Assert.Contains(old, config, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(Temporary.Path, "config.json"), config.Replace(old, other, StringComparison.Ordinal));
        var error = Assert.Throws<CheckpointException>(() => LanguageModel.Load(Temporary.Path, Backend));
        Assert.Contains(field, error.Field, StringComparison.Ordinal);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
        Assert.Contains(Temporary.Path, error.Path, StringComparison.Ordinal);
    }

    private float[] Logits(LanguageModel model, int length = 11)
    {
        using var scope = Backend.Scope(grad: false);
        return model.Forward(Backend.Main.From([.. Enumerable.Range(0, 2 * length).Select(i => 3 + i * 37 % 97)], new Shape(2, length))).ToArray();
    }
}
