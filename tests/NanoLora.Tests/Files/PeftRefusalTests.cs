using NanoLora.Experiments.Verification;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>
/// Adapters that ask for more than a LoRA, and broken ones: the refusal of each names the very field or tensor. What loads is for
/// <see cref="GoldenFormatsTests"/>.
/// </summary>
public sealed class PeftRefusalTests : IDisposable
{
    private const string Format = "peft";

    private readonly CpuBackend _backend = new(1);
    private readonly ExactLanguageModel _model;

    public PeftRefusalTests() => _model = ExactLanguageModel.Load(Path.Combine(GoldenFormats.Folder(Format), "base-llama"), _backend);

    public static TheoryData<string> Refused => Cases("error", "support", "either");

    public void Dispose()
    {
        _model.Dispose();
        var left = _backend.LiveBlocks;
        _backend.Dispose();
        Assert.Equal(0, left);
    }

    [Theory, MemberData(nameof(Refused))]
    public void IsRefusedByName(string folder)
    {
        var path = Path.Combine(GoldenFormats.Folder(Format), folder);
        if (Loads.TryGetValue(folder, out var updates))
        {
            using var module = PeftFolder.Load(path, _model);
            Assert.Equal(updates, module.Updates.Count);
            return;
        }
        var refusal = Assert.Throws<CheckpointException>(() => PeftFolder.Load(path, _model));
        Assert.StartsWith(path, refusal.Path, StringComparison.Ordinal);
        Assert.Equal($"{refusal.Path}: {refusal.Field}: ", refusal.Message[..(refusal.Path.Length + refusal.Field.Length + 4)]);
        Assert.Equal(Fields[folder], refusal.Field);
    }

    // Those that load although they need not, or although their names are not PEFT's: with how many updates.
    private static readonly Dictionary<string, int> Loads = new()
    {
        ["bad-weights-names-default"] = 4,
        ["dora"] = 4,
        ["dora-rslora"] = 14,
        ["init-pissa"] = 4,
        ["lora-bias"] = 4,
    };

    private const string Q0 = "base_model.model.model.layers.0.self_attn.q_proj", V0 = "base_model.model.model.layers.0.self_attn.v_proj";

    // The field or tensor that the refusal of each folder must name.
    private static readonly Dictionary<string, string> Fields = new()
    {
        ["alora"] = "alora_invocation_tokens",
        ["arrow"] = "arrow_config",
        ["bdlora"] = "use_bdlora",
        ["bias-all"] = "bias",
        ["bias-lora-only"] = "bias",
        ["init-corda"] = "corda_config",
        ["init-loftq"] = "loftq_config",
        ["init-lora-ga"] = "lora_ga_config",
        ["init-mica"] = "init_lora_weights",
        ["init-olora"] = "init_lora_weights",
        ["init-pissa-niter-4"] = "init_lora_weights",
        ["init-unknown"] = "init_lora_weights",
        ["kasa"] = "kasa_config",
        ["layer-replication"] = "layer_replication",
        ["megatron"] = "megatron_config",
        ["modules-to-save-suffix"] = "modules_to_save",
        ["monteclora"] = "monteclora_config",
        ["qalora"] = "use_qalora",
        ["target-embedding"] = "base_model.model.model.embed_tokens.lora_embedding_A",
        ["target-parameters"] = "target_parameters",
        ["trainable-tokens"] = "trainable_token_indices",
        ["unknown-field"] = "use_future_thing",
        ["velora"] = "velora_config",
        ["method-ia3"] = "peft_type",
        ["method-loha"] = "peft_type",
        ["method-lokr"] = "peft_type",
        ["method-adalora"] = "peft_type",
        ["method-oft"] = "peft_type",
        ["method-hra"] = "peft_type",
        ["method-vera"] = "peft_type",
        ["method-boft"] = "peft_type",
        ["method-fourierft"] = "peft_type",
        ["method-ln-tuning"] = "peft_type",
        ["method-prompt-tuning"] = "peft_type",
        ["method-prefix-tuning"] = "peft_type",
        ["bad-config-empty"] = "file",
        ["bad-config-cut"] = "file",
        ["bad-config-list"] = "file",
        ["bad-config-no-type"] = "peft_type",
        ["bad-config-type-unknown"] = "peft_type",
        ["bad-config-type-lower"] = "peft_type",
        ["bad-config-r-missing"] = "r",
        ["bad-config-r-zero"] = "r",
        ["bad-config-r-negative"] = "r",
        ["bad-config-r-text"] = "r",
        ["bad-config-r-other"] = Q0 + ".lora_A.weight",
        ["bad-config-alpha-text"] = "lora_alpha",
        ["bad-config-alpha-null"] = "lora_alpha",
        ["bad-config-targets-null"] = "target_modules",
        ["bad-config-targets-empty"] = "target_modules",
        ["bad-config-targets-none-match"] = Q0 + ".lora_A.weight",
        ["bad-config-targets-other"] = Q0 + ".lora_A.weight",
        ["bad-config-targets-fewer"] = V0 + ".lora_A.weight",
        ["bad-config-regex-bad"] = "target_modules",
        ["bad-config-pattern-type"] = "rank_pattern",
        ["bad-config-pattern-rank"] = Q0 + ".lora_A.weight",
        ["bad-weights-missing"] = "adapter_model.safetensors",
        ["bad-weights-lora-b-missing"] = Q0 + ".lora_A.weight",
        ["bad-weights-module-missing"] = "model.layers.0.self_attn.q_proj",
        ["bad-weights-shape"] = Q0 + ".lora_A.weight",
        ["bad-weights-swapped"] = Q0 + ".lora_A.weight",
        ["bad-weights-transposed"] = Q0 + ".lora_A.weight",
        ["bad-weights-extra-module"] = "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight",
        ["bad-weights-extra-kind"] = Q0 + ".lora_X.weight",
        ["bad-weights-names-bare"] = "model.layers.0.self_attn.q_proj.lora_A.weight",
        ["bad-weights-nan"] = Q0 + ".lora_B.weight",
        ["bad-weights-integers"] = Q0 + ".lora_A.weight",
        ["bad-weights-magnitude-without-dora"] = Q0 + ".lora_magnitude_vector",
        ["bad-weights-bias-without-flag"] = Q0 + ".lora_B.bias",
        ["bad-weights-garbage"] = "header length",
    };

    private static TheoryData<string> Cases(params string[] verdicts) =>
        [.. GoldenFormats.Read(Format).GetProperty("cases").EnumerateArray().Where(c => verdicts.Contains(c.GetProperty("verdict").GetString()))
            .Select(c => c.GetProperty("folder").GetString()!)];
}
