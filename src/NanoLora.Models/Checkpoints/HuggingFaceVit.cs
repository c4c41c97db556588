using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>Reads the configs of Hugging Face's image transformers, and of our own format, which is written alike. The defaults are the reference's.</summary>
internal static class HuggingFaceVit
{
    /// <summary>ViT, DeiT and nano_vit.</summary>
    public static VitFile Vit(ConfigNode node, Checkpoint checkpoint, VitFamily family)
    {
        bool Has(string name) => checkpoint.TryGet(name, out _);
        var distilled = family == VitFamily.Deit && (Says(node, "WithTeacher") || Has("distillation_classifier.weight"));
        var names = VitNames.Of(family, Has, distilled);
        var own = family == VitFamily.NanoVit;
        var config = Common(node, family, names, checkpoint, patch: 16, eps: own ? 1e-6f : 1e-12f, act: "gelu") with
        {
            IntermediateSize = node.Int("intermediate_size", 3072),
            QkvBias = node.Bool("qkv_bias", true),
            DistillationToken = family == VitFamily.Deit,
            MaskToken = HasPath("mask_token", names, checkpoint),
            Pooling = own ? Pooled(node) : distilled ? Pooling.ClsAndDistillation : Pooling.Cls,
        };
        return new(config, names, HasHead(node, names, checkpoint, config), ["vit.pooler.", "deit.pooler.", "pooler."], node);
    }

    /// <summary>DINOv2, with and without registers.</summary>
    public static VitFile Dinov2(ConfigNode node, Checkpoint checkpoint)
    {
        bool Has(string name) => checkpoint.TryGet(name, out _);
        var names = VitNames.Of(VitFamily.Dinov2, Has);
        var config = Common(node, VitFamily.Dinov2, names, checkpoint, patch: 14, eps: 1e-6f, act: "gelu");
        var gated = node.Bool("use_swiglu_ffn", false);
        var wide = (long)(config.HiddenSize * (double)node.Float("mlp_ratio", 4));
        if (wide is < 1 or > 1 << 24) throw node.Error("mlp_ratio", $"it gives a width of {wide}.");
        var registered = node.Text("model_type") == "dinov2_with_registers";
        config = config with
        {
            IntermediateSize = gated ? ((int)(wide * 2 / 3) + 7) / 8 * 8 : (int)wide,
            Gated = gated,
            QkvBias = node.Bool("qkv_bias", true),
            LayerScale = true,
            MaskToken = HasPath("mask_token", names, checkpoint),
            Antialias = registered,
            Registers = registered ? node.Int("num_register_tokens", 4, min: 0, max: 1024) : 0,
            PositionedTokens = 1,
            Pooling = Pooling.ClsAndMeanOfPatches,
        };
        return new(config, names, HasHead(node, names, checkpoint, config), [], node);
    }

    /// <summary>CLIP's image tower; <paramref name="tower"/> describes it, <paramref name="node"/> the whole file.</summary>
    public static VitFile Clip(ConfigNode node, ConfigNode tower, Checkpoint checkpoint)
    {
        var names = VitNames.Of(VitFamily.Clip, name => checkpoint.TryGet(name, out _));
        var projected = HasPath("head.weight", names, checkpoint) || Says(node, "WithProjection") || Says(node, "CLIPModel");
        var config = Common(tower, VitFamily.Clip, names, checkpoint, patch: 32, eps: 1e-5f, act: "quick_gelu") with
        {
            IntermediateSize = tower.Int("intermediate_size", 3072),
            PatchBias = false,
            PreNorm = true,
            Pooling = Pooling.Cls,
            Labels = [],
            ProjectionSize = projected ? node.Int("projection_dim", tower.Int("projection_dim", 512)) : 0,
        };
        string[] others = ["vision_model.embeddings.position_ids", "embeddings.position_ids", "text_model.", "text_projection.", "logit_scale"];
        return new(config, names, projected, others, node);
    }

    /// <summary>SigLIP's image tower, with its attention pooling or with a classifier on the mean of the patches.</summary>
    public static VitFile Siglip(ConfigNode node, ConfigNode tower, Checkpoint checkpoint)
    {
        bool Has(string name) => checkpoint.TryGet(name, out _);
        var names = VitNames.Of(VitFamily.Siglip, Has);
        var classifier = Has("classifier.weight") || Says(node, "ForImageClassification");
        var config = Common(tower, VitFamily.Siglip, names, checkpoint, patch: 16, eps: 1e-6f, act: "gelu_pytorch_tanh") with
        {
            IntermediateSize = tower.Int("intermediate_size", 3072),
            ClassToken = false,
            Pooling = !classifier && tower.Bool("vision_use_head", true) ? Pooling.Attention : Pooling.Mean,
            Labels = classifier ? VitFile.LabelsOf(node.Labels(), names, checkpoint) : [],
        };
        string[] others = ["vision_model.embeddings.position_ids", "embeddings.position_ids", "text_model.", "logit_scale", "logit_bias"];
        return new(config, names, classifier, classifier ? [.. others, "vision_model.head.", "head."] : others, node);
    }

    private static VitConfig Common(ConfigNode node, VitFamily family, NameMap names, Checkpoint checkpoint, int patch, float eps, string act)
    {
        var (rows, columns) = node.Size("image_size", 224);
        return new VitConfig
        {
            Family = family,
            ImageRows = rows,
            ImageColumns = columns,
            PatchSize = node.Int("patch_size", patch, max: 4096),
            Channels = node.Int("num_channels", 3, max: 4096),
            HiddenSize = node.Int("hidden_size", 768),
            Layers = node.Int("num_hidden_layers", 12, max: 4096),
            Heads = node.Int("num_attention_heads", 12),
            IntermediateSize = 1,
            Activation = node.Text("hidden_act", act),
            Eps = node.Float("layer_norm_eps", eps),
            Labels = VitFile.LabelsOf(node.Labels(), names, checkpoint),
            ImageMean = node.Floats("image_mean"),
            ImageStd = node.Floats("image_std"),
        };
    }

    private static Pooling Pooled(ConfigNode node) => node.Text("pooling", "mean") switch
    {
        "mean" => Pooling.Mean,
        "cls" => Pooling.Cls,
        var other => throw node.Error("pooling", $"\"{other}\" is not known; known are mean and cls."),
    };

    // A base model's file has no head; a classifier's that lacks one is refused when the head is asked for.
    private static bool HasHead(ConfigNode node, NameMap names, Checkpoint checkpoint, VitConfig config) =>
        config.Labels.Count > 0 && (HasPath("head.weight", names, checkpoint) || Says(node, "ForImageClassification") || config.Family == VitFamily.NanoVit);

    private static bool HasPath(string path, NameMap names, Checkpoint checkpoint) => names.Theirs(path).Any(name => checkpoint.TryGet(name, out _));

    private static bool Says(ConfigNode node, string part) =>
        node.Json.TryGetProperty("architectures", out var all) && all.ValueKind == System.Text.Json.JsonValueKind.Array
        && all.EnumerateArray().Any(a => a.ValueKind == System.Text.Json.JsonValueKind.String && a.GetString()!.Contains(part, StringComparison.Ordinal));
}
