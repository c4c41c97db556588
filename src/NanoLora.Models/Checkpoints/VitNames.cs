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
            case VitFamily.NanoVit or VitFamily.Vit: HuggingFace(rules, ["vit.", ""], VitBlock, "classifier"); break;
            case VitFamily.Deit: HuggingFace(rules, ["deit.", ""], VitBlock, distilled ? "cls_classifier" : "classifier"); break;
            case VitFamily.Dinov2: HuggingFace(rules, ["dinov2.", "dinov2_with_registers.", ""], Dinov2Block, "classifier"); break;
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
        (VitFamily.Dinov2, "mask_token") => shape,
        (VitFamily.Clip or VitFamily.Siglip, "position") => shape,
        (_, "cls_token" or "distillation_token" or "mask_token" or "registers" or "position" or "pool.probe") => new Shape(1, shape[0], shape[1]),
        _ => shape,
    };

    // Two generations: files have the first; the second is what adapters trained with transformers 5 name.
    private static readonly (string Ours, string Old, string Now)[] Attention =
    [
        ("attn.q", "attention.attention.query", "attention.q_proj"), ("attn.k", "attention.attention.key", "attention.k_proj"),
        ("attn.v", "attention.attention.value", "attention.v_proj"), ("attn.o", "attention.output.dense", "attention.o_proj"),
    ];

    private static readonly (string Ours, string Old, string Now)[] VitBlock =
    [
        .. Attention, ("norm1", "layernorm_before", "layernorm_before"), ("norm2", "layernorm_after", "layernorm_after"),
        ("mlp.fc1", "intermediate.dense", "mlp.fc1"), ("mlp.fc2", "output.dense", "mlp.fc2"),
    ];

    private static readonly (string Ours, string Old, string Now)[] Dinov2Block =
    [
        .. Attention, ("norm1", "norm1", "norm1"), ("norm2", "norm2", "norm2"),
        ("scale1", "layer_scale1.lambda1", "layer_scale1.lambda1"), ("scale2", "layer_scale2.lambda1", "layer_scale2.lambda1"),
        ("mlp.fc1", "mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2", "mlp.fc2"),
        ("mlp.in", "mlp.weights_in", "mlp.weights_in"), ("mlp.out", "mlp.weights_out", "mlp.weights_out"),
    ];

    private static readonly (string Ours, string Theirs)[] TowerBlock =
    [
        ("norm1", "layer_norm1"), ("attn.q", "self_attn.q_proj"), ("attn.k", "self_attn.k_proj"), ("attn.v", "self_attn.v_proj"),
        ("attn.o", "self_attn.out_proj"),         ("norm2", "layer_norm2"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2"),
    ];

    private static readonly (string Ours, string Theirs)[] TimmBlock =
    [
        ("norm1", "norm1"), ("attn.qkv", "attn.qkv"), ("attn.q_norm", "attn.q_norm"), ("attn.k_norm", "attn.k_norm"), ("attn.o", "attn.proj"),
        ("scale1", "ls1.gamma"),         ("norm2", "norm2"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2"), ("scale2", "ls2.gamma"),
    ];

    private static readonly (string Ours, string Theirs)[] VitPytorchBlock =
    [
        ("norm1", "0.norm"), ("attn.qkv", "0.fn.to_qkv"), ("attn.o", "0.fn.to_out.0"), ("norm2", "1.norm"),
        ("mlp.fc1", "1.fn.net.0"), ("mlp.fc2", "1.fn.net.3"),
    ];

    private static void HuggingFace(Rules rules, string[] prefixes, (string Ours, string Old, string Now)[] block, string head)
    {
        void Add(string ours, params ReadOnlySpan<string> names) => rules.Add(ours, prefixes, names);
        Add("patch", "embeddings.patch_embeddings.projection");
        Add("cls_token", "embeddings.cls_token");
        Add("distillation_token", "embeddings.distillation_token");
        Add("registers", "embeddings.register_tokens");
        Add("mask_token", "embeddings.mask_token");
        Add("position", "embeddings.position_embeddings");
        foreach (var (ours, old, now) in block) Add($"blocks.{{n}}.{ours}", $"encoder.layer.{{n}}.{old}", $"layers.{{n}}.{now}");
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
        foreach (var (ours, theirs) in TowerBlock) Add($"blocks.{{n}}.{ours}", $"encoder.layers.{{n}}.{theirs}");
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
        void Add(string ours, string name) => rules.Add(ours, [""], name);
        Add("patch", "patch_embed.proj");
        Add("cls_token", "cls_token");
        Add("distillation_token", "dist_token");
        Add("registers", "reg_token");
        Add("position", "pos_embed");
        Add("pre_norm", "norm_pre");
        foreach (var (ours, theirs) in TimmBlock) Add($"blocks.{{n}}.{ours}", $"blocks.{{n}}.{theirs}");
        Add("norm", "norm");
        Add("fc_norm", "fc_norm");
        Add("head", "head");
        Add("distillation_head", "head_dist");
    }

    private static void VitPytorch(Rules rules)
    {
        void Add(string ours, string name) => rules.Add(ours, [""], name);
        Add("patch", "to_patch_embedding.1");
        Add("cls_token", "cls_token");
        Add("position", "pos_embedding");
        foreach (var (ours, theirs) in VitPytorchBlock) Add($"blocks.{{n}}.{ours}", $"transformer.layers.{{n}}.{theirs}");
        Add("norm", "mlp_head.0");
        Add("head", "mlp_head.1");
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
