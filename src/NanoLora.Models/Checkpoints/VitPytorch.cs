using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// Reads image transformers with the names of the vit-pytorch package, which come as PyTorch files without a config: all sizes are taken from the tensors, one
/// channel, square images, heads of 64, ReLU, norms with eps 1e-5. A config.json with "model_type": "vit_pytorch" may say otherwise.
/// </summary>
internal static class VitPytorch
{
    private const int HeadSize = 64;

    /// <summary>Config and names of a file.</summary>
    public static VitFile Read(Checkpoint checkpoint, ConfigNode? given)
    {
        var node = given ?? ConfigNode.Of(checkpoint.Path, System.Text.Json.JsonDocument.Parse("{}").RootElement);
        var names = VitNames.Of(VitFamily.VitPytorch, name => checkpoint.TryGet(name, out _));
        var (hidden, area) = Sizes("to_patch_embedding.1.weight");
        var channels = node.Int("num_channels", 1, max: 1);                            // several channels would lie innermost in a patch
        var patch = node.Int("patch_size", Root(area, "to_patch_embedding.1.weight"), max: 4096);
        var positions = checkpoint["pos_embedding"];
        if (positions.Shape.Length != 3 || positions.Shape[1] is < 2 or > 1 << 24)
            throw new CheckpointException(checkpoint.Path, positions.Name, $"a table [1, tokens, width] is expected, not {positions}.");
        var (rows, columns) = node.Size("image_size", Root((int)positions.Shape[1] - 1, positions.Name) * patch);
        var inner = Sizes("transformer.layers.0.0.fn.to_out.0.weight").Columns;
        var size = node.Int("head_dim", inner % HeadSize == 0 ? HeadSize : inner);
        var depth = 0;
        while (checkpoint.TryGet($"transformer.layers.{depth}.0.norm.weight", out _)) depth++;
        var config = new VitConfig
        {
            Family = VitFamily.VitPytorch,
            ImageRows = rows,
            ImageColumns = columns,
            PatchSize = patch,
            Channels = channels,
            HiddenSize = node.Int("hidden_size", hidden),
            Layers = node.Int("num_hidden_layers", depth, max: 4096),
            Heads = node.Int("num_attention_heads", inner / size),
            HeadSize = size,
            IntermediateSize = node.Int("intermediate_size", Sizes("transformer.layers.0.1.fn.net.0.weight").Rows),
            Activation = node.Text("hidden_act", "relu"),
            Eps = node.Float("layer_norm_eps", 1e-5f),
            FusedQkv = true,
            QkvBias = false,
            Pooling = node.Text("pooling", "cls") switch
            {
                "cls" => Pooling.Cls,
                "mean" => Pooling.Mean,
                var other => throw node.Error("pooling", $"\"{other}\" is not known; known are cls and mean."),
            },
            Labels = VitFile.LabelsOf(node.Labels(), names, checkpoint),
            ImageMean = node.Floats("image_mean"),
            ImageStd = node.Floats("image_std"),
        };
        return new(config.Checked(checkpoint.Path), names, true, [], given);

        (int Rows, int Columns) Sizes(string name)
        {
            var entry = checkpoint[name];
            if (entry.Shape.Length != 2 || entry.Shape.Any(static s => s is < 1 or > 1 << 24))
                throw new CheckpointException(checkpoint.Path, name, $"a matrix is expected, not {entry}.");
            return ((int)entry.Shape[0], (int)entry.Shape[1]);
        }

        int Root(int square, string name)
        {
            var side = (int)Math.Round(Math.Sqrt(square));
            return side * side == square ? side
                : throw new CheckpointException(checkpoint.Path, name, $"{square} is no area of a square; a config.json may give image_size and patch_size.");
        }
    }
}
