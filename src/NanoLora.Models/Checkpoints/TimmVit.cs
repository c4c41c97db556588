using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// Reads the configs of timm's VisionTransformer. A published config often names only the architecture: what it does not say is taken from the shapes of the
/// tensors, and the number of heads and the norm's eps from the architecture's name.
/// </summary>
internal static class TimmVit
{
    private static readonly string[] Arguments =
    [
        "img_size", "patch_size", "in_chans", "num_classes", "embed_dim", "depth", "num_heads", "mlp_ratio", "qkv_bias", "qk_norm", "init_values",
        "class_token", "reg_tokens", "no_embed_class", "global_pool", "fc_norm", "pre_norm", "dynamic_img_size",
        "drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate", "weight_init", "fix_init",
    ];

    private static readonly (string Part, int Heads)[] HeadsByName =
    [
        ("_tiny_", 3), ("_little_", 5), ("_small_", 6), ("_medium_", 8), ("_base_", 12), ("_large_", 16),
        ("_huge_", 16), ("_so400m_", 16), ("_giant_", 16), ("_gigantic_", 16),
    ];

    /// <summary>Config and names of a file.</summary>
    public static VitFile Read(ConfigNode node, Checkpoint checkpoint)
    {
        bool Has(string name) => checkpoint.TryGet(name, out _);
        var architecture = node.Text("architecture");
        if (!architecture.StartsWith("vit_", StringComparison.Ordinal) && !architecture.StartsWith("deit", StringComparison.Ordinal))
            throw node.Error("architecture", $"\"{architecture}\" is no VisionTransformer (vit_*, deit*).");
        var args = node.Sub("model_args");
        foreach (var field in args.Fields()) if (!Arguments.Contains(field)) throw args.Error(field, "this argument is not supported.");

        var names = VitNames.Of(VitFamily.Timm, Has);
        var patches = Shape(checkpoint, "patch_embed.proj.weight", 4);
        int hidden = args.Int("embed_dim", patches[0]), patch = args.Int("patch_size", patches[2], max: 4096);
        bool cls = args.Bool("class_token", Has("cls_token")), distilled = Has("dist_token");
        var registers = args.Int("reg_tokens", Has("reg_token") ? Shape(checkpoint, "reg_token", 3)[1] : 0, min: 0, max: 1024);
        var prefix = (cls ? 1 : 0) + (distilled ? 1 : 0) + registers;
        var entries = Shape(checkpoint, "pos_embed", 3)[1];
        var (rows, columns, positioned) = Grid(args, node, patch, entries, prefix);
        var pool = args.Text("global_pool", node.Text("global_pool", Has("fc_norm.weight") ? "avg" : "token"));
        var normed = Has("blocks.0.attn.q_norm.weight");
        var heads = args.Int("num_heads", normed ? hidden / Shape(checkpoint, "blocks.0.attn.q_norm.weight", 1)[0] : HeadsOf(architecture, hidden));
        var mlp = Shape(checkpoint, "blocks.0.mlp.fc1.weight", 2)[0];
        var clip = architecture.Contains("clip", StringComparison.Ordinal);
        var config = new VitConfig
        {
            Family = VitFamily.Timm,
            ImageRows = rows,
            ImageColumns = columns,
            PatchSize = patch,
            Channels = args.Int("in_chans", patches[1], max: 4096),
            HiddenSize = hidden,
            Layers = args.Int("depth", Depth(checkpoint), max: 4096),
            Heads = heads,
            IntermediateSize = args.Has("mlp_ratio") ? (int)Math.Clamp(hidden * (double)args.Float("mlp_ratio"), 1, 1 << 24) : mlp,
            Activation = architecture.Contains("quickgelu", StringComparison.Ordinal) ? "quick_gelu" : "gelu",
            Eps = clip ? 1e-5f : 1e-6f,
            ClassToken = cls,
            DistillationToken = distilled,
            Registers = registers,
            PositionedTokens = positioned,
            Antialias = true,
            FusedQkv = true,
            QkvBias = args.Bool("qkv_bias", Has("blocks.0.attn.qkv.bias")),
            QkNorm = args.Bool("qk_norm", normed),
            PatchBias = Has("patch_embed.proj.bias") || !clip,
            LayerScale = args.Has("init_values") || Has("blocks.0.ls1.gamma"),
            PreNorm = args.Bool("pre_norm", Has("norm_pre.weight")),
            NormAfterPooling = args.Bool("fc_norm", Has("fc_norm.weight")),
            Pooling = distilled && pool == "token" ? Pooling.ClsAndDistillation : pool switch
            {
                "token" => Pooling.Cls,
                "avg" => Pooling.MeanOfPatches,
                _ => throw node.Error("global_pool", $"\"{pool}\" is not supported; supported are token and avg."),
            },
            Labels = Labels(node, names, checkpoint),
            ImageMean = node.Sub("pretrained_cfg").Floats("mean"),
            ImageStd = node.Sub("pretrained_cfg").Floats("std"),
        };
        return new(config, names, config.Labels.Count > 0 && args.Int("num_classes", node.Int("num_classes", 1, min: 0), min: 0) > 0, [], node);
    }

    // The table has an entry for each patch, and for each token before them or for none (or, with registers, for the class token alone).
    private static (int Rows, int Columns, int Positioned) Grid(ConfigNode args, ConfigNode node, int patch, int entries, int prefix)
    {
        ReadOnlySpan<int> choices = args.Has("no_embed_class") ? [args.Bool("no_embed_class", false) ? 0 : prefix]
            : prefix > 1 ? [prefix, 0, 1]
            : prefix == 1 ? [1, 0] : [0];
        if (args.Has("img_size"))
        {
            var (rows, columns) = args.Size("img_size");
            foreach (var k in choices) if ((long)(rows / patch) * (columns / patch) + k == entries) return (rows, columns, k);
            throw args.Error("img_size", $"images of {rows} x {columns} in patches of {patch} do not give the {entries} entries of pos_embed.");
        }
        foreach (var k in choices)
        {
            var side = (int)Math.Round(Math.Sqrt(Math.Max(0, entries - k)));
            if (side > 0 && side * side + k == entries) return (side * patch, side * patch, k);
        }
        throw node.Error("model_args.img_size", $"it is missing, and the {entries} entries of pos_embed are not those of a square.");
    }

    private static int HeadsOf(string architecture, int hidden)
    {
        foreach (var (part, heads) in HeadsByName) if (architecture.Contains(part, StringComparison.Ordinal)) return heads;
        return Math.Max(1, hidden / 64);
    }

    private static int Depth(Checkpoint checkpoint)
    {
        var depth = 0;
        while (checkpoint.TryGet($"blocks.{depth}.norm1.weight", out _)) depth++;
        return depth;
    }

    private static string[] Labels(ConfigNode node, NameMap names, Checkpoint checkpoint)
    {
        var named = node.Json.TryGetProperty("label_names", out var list) && list.ValueKind == System.Text.Json.JsonValueKind.Array
            ? [.. list.EnumerateArray().Select(l => l.ValueKind == System.Text.Json.JsonValueKind.String ? l.GetString()!
                : throw node.Error("label_names", "a list of texts is expected."))]
            : Array.Empty<string>();
        return VitFile.LabelsOf(named, names, checkpoint);
    }

    private static int[] Shape(Checkpoint checkpoint, string name, int rank)
    {
        var entry = checkpoint[name];
        if (entry.Shape.Length != rank || entry.Shape.Any(static size => size is < 1 or > 1 << 24))
            throw new CheckpointException(checkpoint.Path, name, $"a tensor of {rank} axes is expected, not {entry}.");
        return [.. entry.Shape.Select(static size => (int)size)];
    }
}
