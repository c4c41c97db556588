using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>How each family of image transformers calls the parts, and in which shapes its files hold them.</summary>
internal static class VitNames
{
    /// <summary>The names of a family; where there are several, those that the file has come first, and so are the ones to write.</summary>
    /// <param name="family">The family.</param>
    /// <param name="has">Whether the file has a tensor of that name.</param>
    /// <param name="distilled">Whether a DeiT has two heads.</param>
    public static NameMap Of(VitFamily family, Predicate<string> has, bool distilled = false)
    {
        var rules = new Rules(has);
        switch (family)
        {
            case VitFamily.NanoVit or VitFamily.Vit: HuggingFace(rules, "vit.", "classifier"); break;
            case VitFamily.Deit: HuggingFace(rules, "deit.", distilled ? "cls_classifier" : "classifier"); break;
            case VitFamily.Dinov2: HuggingFace(rules, "dinov2.", "classifier"); break;
            case VitFamily.Clip: Tower(rules, "visual_projection"); break;
            case VitFamily.Siglip: Tower(rules, "classifier"); break;
            case VitFamily.Timm: Timm(rules); break;
            default: VitPytorch(rules); break;
        }
        return rules.Map;
    }

    /// <summary>The shape in a family's file of the parameter at a path, for our shape.</summary>
    public static Shape FileShape(VitConfig config, string path, Shape shape) => (config.Family, path) switch
    {
        (VitFamily.VitPytorch, "patch.weight") => shape,
        (_, "patch.weight") => new Shape(shape[0], config.Channels, config.PatchSize, config.PatchSize),
        (VitFamily.Clip, "cls_token") => new Shape(shape[1]),
        (VitFamily.Clip or VitFamily.Siglip, "position") => shape,
        (_, "cls_token" or "distillation_token" or "registers" or "position" or "pool.probe") => new Shape(1, shape[0], shape[1]),
        _ => shape,
    };

    // Two generations: files have the first; the second is what adapters trained with transformers 5 name.
    private static void HuggingFace(Rules rules, string model, string head)
    {
        void Add(string ours, params ReadOnlySpan<string> names) => rules.Add(ours, [model, ""], names);
        Add("patch", "embeddings.patch_embeddings.projection");
        Add("cls_token", "embeddings.cls_token");
        Add("distillation_token", "embeddings.distillation_token");
        Add("registers", "embeddings.register_tokens");
        Add("mask_token", "embeddings.mask_token");
        Add("position", "embeddings.position_embeddings");
        foreach (var (ours, old, now) in (ReadOnlySpan<(string, string, string)>)[
            ("q", "attention.query", "q_proj"), ("k", "attention.key", "k_proj"), ("v", "attention.value", "v_proj"), ("o", "output.dense", "o_proj")])
        {
            Add($"blocks.{{n}}.attn.{ours}", $"encoder.layer.{{n}}.attention.{old}", $"layers.{{n}}.attention.{now}");
        }
        var dino = model == "dinov2.";
        foreach (var (ours, old, now) in dino
            ? (ReadOnlySpan<(string, string, string)>)[("norm1", "norm1", "norm1"), ("norm2", "norm2", "norm2"), ("scale1", "layer_scale1.lambda1", "layer_scale1.lambda1"), ("scale2", "layer_scale2.lambda1", "layer_scale2.lambda1"),
                ("mlp.fc1", "mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2", "mlp.fc2"), ("mlp.in", "mlp.weights_in", "mlp.weights_in"), ("mlp.out", "mlp.weights_out", "mlp.weights_out")]
            : [("norm1", "layernorm_before", "layernorm_before"), ("norm2", "layernorm_after", "layernorm_after"), ("mlp.fc1", "intermediate.dense", "mlp.fc1"), ("mlp.fc2", "output.dense", "mlp.fc2")])
        {
            Add($"blocks.{{n}}.{ours}", $"encoder.layer.{{n}}.{old}", $"layers.{{n}}.{now}");
        }
        Add("norm", "layernorm");
        rules.Add("head", [""], head);
        rules.Add("distillation_head", [""], "distillation_classifier");
    }

    // CLIP and SigLIP. A SigLIP tower saved alone has no prefix.
    private static void Tower(Rules rules, string head)
    {
        void Add(string ours, string name) => rules.Add(ours, ["vision_model.", ""], name);
        Add("patch", "embeddings.patch_embedding");
        Add("cls_token", "embeddings.class_embedding");
        Add("position", "embeddings.position_embedding.weight");
        Add("pre_norm", "pre_layrnorm");
        foreach (var (ours, theirs) in (ReadOnlySpan<(string, string)>)[("norm1", "layer_norm1"), ("attn.q", "self_attn.q_proj"), ("attn.k", "self_attn.k_proj"), ("attn.v", "self_attn.v_proj"), ("attn.o", "self_attn.out_proj"),
            ("norm2", "layer_norm2"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")])
        {
            Add($"blocks.{{n}}.{ours}", $"encoder.layers.{{n}}.{theirs}");
        }
        Add("norm", "post_layernorm");
        Add("pool.probe", "head.probe");
        Add("pool.in_weight", "head.attention.in_proj_weight");
        Add("pool.in_bias", "head.attention.in_proj_bias");
        Add("pool.o", "head.attention.out_proj");
        Add("pool.norm", "head.layernorm");
        Add("pool.mlp.fc1", "head.mlp.fc1");
        Add("pool.mlp.fc2", "head.mlp.fc2");
        rules.Add("head", [""], head);
    }

    private static void Timm(Rules rules)
    {
        foreach (var (ours, theirs) in (ReadOnlySpan<(string, string)>)[("patch", "patch_embed.proj"), ("cls_token", "cls_token"), ("distillation_token", "dist_token"), ("registers", "reg_token"), ("position", "pos_embed"),
            ("pre_norm", "norm_pre"), ("blocks.{n}.norm1", "blocks.{n}.norm1"), ("blocks.{n}.attn.qkv", "blocks.{n}.attn.qkv"), ("blocks.{n}.attn.q_norm", "blocks.{n}.attn.q_norm"),
            ("blocks.{n}.attn.k_norm", "blocks.{n}.attn.k_norm"), ("blocks.{n}.attn.o", "blocks.{n}.attn.proj"), ("blocks.{n}.scale1", "blocks.{n}.ls1.gamma"), ("blocks.{n}.norm2", "blocks.{n}.norm2"),
            ("blocks.{n}.mlp.fc1", "blocks.{n}.mlp.fc1"), ("blocks.{n}.mlp.fc2", "blocks.{n}.mlp.fc2"), ("blocks.{n}.scale2", "blocks.{n}.ls2.gamma"), ("norm", "norm"), ("fc_norm", "fc_norm"), ("head", "head"),
            ("distillation_head", "head_dist")])
        {
            rules.Add(ours, [""], theirs);
        }
    }

    private static void VitPytorch(Rules rules)
    {
        foreach (var (ours, theirs) in (ReadOnlySpan<(string, string)>)[("patch", "to_patch_embedding.1"), ("cls_token", "cls_token"), ("position", "pos_embedding"), ("norm", "mlp_head.0"), ("head", "mlp_head.1")])
            rules.Add(ours, [""], theirs);
        foreach (var (ours, theirs) in (ReadOnlySpan<(string, string)>)[("norm1", "0.norm"), ("attn.qkv", "0.fn.to_qkv"), ("attn.o", "0.fn.to_out.0"), ("norm2", "1.norm"), ("mlp.fc1", "1.fn.net.0"), ("mlp.fc2", "1.fn.net.3")])
            rules.Add($"blocks.{{n}}.{ours}", [""], $"transformer.layers.{{n}}.{theirs}");
    }

    private sealed class Rules(Predicate<string> has)
    {
        public NameMap Map { get; } = new();

        public void Add(string ours, ReadOnlySpan<string> prefixes, params ReadOnlySpan<string> names)
        {
            var all = new List<string>();
            foreach (var name in names) foreach (var prefix in prefixes) if (!all.Contains(prefix + name)) all.Add(prefix + name);
            Map.Add(ours, [.. all.Where(InFile), .. all.Where(name => !InFile(name))]);
        }

        private bool InFile(string name)
        {
            name = name.Replace("{n}", "0", StringComparison.Ordinal);
            return has(name) || has(name + ".weight");
        }
    }
}
