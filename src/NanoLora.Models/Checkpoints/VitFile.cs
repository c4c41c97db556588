using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>What the files of an image transformer say: its config, how they call its parts, and what in them is of no concern.</summary>
/// <param name="Config">What the model is made of.</param>
/// <param name="Names">How the weight file calls the parts.</param>
/// <param name="HasHead">Whether there is a head to read.</param>
/// <param name="Ignored">Beginnings of names of tensors that belong to other parts of the checkpoint, such as a text tower.</param>
/// <param name="Json">The config.json, or null.</param>
internal sealed record VitFile(VitConfig Config, NameMap Names, bool HasHead, string[] Ignored, ConfigNode? Json)
{
    private const string Preprocessor = "preprocessor_config.json";

    private const string Known = "nano_vit, vit, deit, dinov2, dinov2_with_registers, clip, clip_vision_model, siglip, siglip_vision_model, vit_pytorch, "
        + "and timm's files, which have an architecture instead";

    /// <summary>The preprocessor_config.json that gave the images' mean and deviation, or null.</summary>
    public ConfigNode? Pixels { get; private init; }

    /// <summary>Reads what stands beside an open checkpoint.</summary>
    /// <exception cref="CheckpointException">The config is missing, damaged, or asks for something that is not supported.</exception>
    public static VitFile Read(string path, Checkpoint checkpoint)
    {
        bool Has(string name) => checkpoint.TryGet(name, out _);
        var folder = Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;
        var configPath = Path.Combine(folder, "config.json");
        if (Has("to_patch_embedding.1.weight") && !File.Exists(configPath)) return VitPytorch.Read(checkpoint, null);
        var node = ConfigNode.Read(configPath);
        if (node.Has("quantization_config"))
            throw node.Error("quantization_config", "quantised weights of this kind are not supported; give the weights in F32, F16 or BF16.");
        var file = (node.Has("architecture") && !node.Has("model_type") ? "timm" : node.Text("model_type")) switch
        {
            "timm" => TimmVit.Read(node, checkpoint),
            "vit_pytorch" => VitPytorch.Read(checkpoint, node),
            "nano_vit" => HuggingFaceVit.Vit(node, checkpoint, VitFamily.NanoVit),
            "vit" => HuggingFaceVit.Vit(node, checkpoint, VitFamily.Vit),
            "deit" => HuggingFaceVit.Vit(node, checkpoint, VitFamily.Deit),
            "dinov2" or "dinov2_with_registers" => HuggingFaceVit.Dinov2(node, checkpoint),
            "clip_vision_model" => HuggingFaceVit.Clip(node, node, checkpoint),
            "clip" => HuggingFaceVit.Clip(node, node.Sub("vision_config"), checkpoint),
            "siglip_vision_model" => HuggingFaceVit.Siglip(node, node, checkpoint),
            "siglip" => HuggingFaceVit.Siglip(node, node.Sub("vision_config"), checkpoint),
            var other => throw node.Error("model_type", $"\"{other}\" is not a known image transformer; known are {Known}."),
        };
        try { _ = Activations.Named(file.Config.Activation, configPath); }
        catch (NotSupportedException e) { throw node.Error("hidden_act", e.Message, e); }
        var images = Path.Combine(folder, Preprocessor);
        if (file.Config.ImageMean is null && File.Exists(images))
        {
            var pixels = ConfigNode.Read(images);
            file = file with { Config = file.Config with { ImageMean = pixels.Floats("image_mean"), ImageStd = pixels.Floats("image_std") }, Pixels = pixels };
        }
        try { return file with { Config = file.Config.Checked(configPath) }; }
        catch (ArgumentException e) { throw node.Error("sizes", e.Message, e); }
    }

    /// <summary>The classes of a head: as the config names them, or numbered, as many as the file's head has rows.</summary>
    public static string[] LabelsOf(string[] named, NameMap names, Checkpoint checkpoint)
    {
        if (named.Length > 0) return named;
        foreach (var name in names.Theirs("head.weight"))
        {
            if (!checkpoint.TryGet(name, out var entry)) continue;
            if (entry.Shape.Length != 2 || entry.Shape[0] is < 1 or > 1 << 20)
                throw new CheckpointException(checkpoint.Path, name, $"a head {entry} is none; [classes, features] is expected.");
            return [.. Enumerable.Range(0, (int)entry.Shape[0]).Select(static i => $"LABEL_{i}")];
        }
        return [];
    }

    /// <summary>Writes a model's folder: weights, then the config, without which they are no model. All are on the disk before one takes its name.</summary>
    public static void Write(Vit model, string folder)
    {
        const string weights = "model.safetensors";
        var config = model.Config;
        if (model.HeadIsNew && (config.Pooling is Pooling.ClsAndDistillation or Pooling.Attention || config.Family == VitFamily.Clip))
            throw new InvalidOperationException($"{folder}: files of {config.Family} with {config.Pooling} pooling hold no new head; "
                + "save it with its adapter.");
        var content = TensorFiles.WeightsOf(model, Path.Combine(folder, weights), (at, shape) => VitNames.FileShape(config, at, shape));
        List<(string, Action<Stream>)> files = [(weights, content)];
        if (model.File?.Pixels is { } pixels) files.Add((Preprocessor, AsJson(json => Rewrite(json, pixels, null))));
        files.Add(("config.json", AsJson(json =>
        {
            if (model.File?.Json is { } node) Rewrite(json, node, model.HeadIsNew ? config : null);
            else Describe(json, config);
        })));
        Directory.CreateDirectory(folder);
        AtomicFile.WriteTogether(folder, files);
    }

    private static Action<Stream> AsJson(Action<Utf8JsonWriter> write) => stream =>
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
        write(json);
    };

    // The file's own config; where the head is new, with its classes.
    private static void Rewrite(Utf8JsonWriter json, ConfigNode node, VitConfig? labelled)
    {
        json.WriteStartObject();
        foreach (var field in node.Json.EnumerateObject())
        {
            if (labelled is null || field.Name is not ("id2label" or "label2id" or "num_classes" or "num_labels" or "label_names" or "model_args"))
            {
                field.WriteTo(json);
                continue;
            }
            if (field.Name == "num_classes") json.WriteNumber("num_classes", labelled.Labels.Count);
            if (field.Name != "model_args") continue;
            json.WriteStartObject("model_args");
            foreach (var argument in field.Value.EnumerateObject()) if (argument.Name != "num_classes") argument.WriteTo(json);
            json.WriteNumber("num_classes", labelled.Labels.Count);
            json.WriteEndObject();
        }
        if (labelled is not null && labelled.Family == VitFamily.Timm)
        {
            json.WriteStartArray("label_names");
            foreach (var label in labelled.Labels) json.WriteStringValue(label);
            json.WriteEndArray();
        }
        else if (labelled is not null) WriteLabels(json, labelled.Labels);
        json.WriteEndObject();
    }

    // The config of a model that came without one, or was made here.
    private static void Describe(Utf8JsonWriter json, VitConfig c)
    {
        if (c.Family is not (VitFamily.NanoVit or VitFamily.VitPytorch))
            throw new InvalidOperationException($"Vit.Save: a new model of the family {c.Family} has no config to write; create it as {VitFamily.NanoVit}.");
        if (c.Family == VitFamily.NanoVit && Unlike(c) is { } field)
            throw new InvalidOperationException($"Vit.Save: the nano_vit format has no field for VitConfig.{field}.");
        json.WriteStartObject();
        json.WriteString("model_type", c.Family == VitFamily.NanoVit ? "nano_vit" : "vit_pytorch");
        if (c.ImageRows == c.ImageColumns) json.WriteNumber("image_size", c.ImageRows);
        else WriteNumbers(json, "image_size", [c.ImageRows, c.ImageColumns]);
        json.WriteNumber("patch_size", c.PatchSize);
        json.WriteNumber("num_channels", c.Channels);
        json.WriteNumber("hidden_size", c.HiddenSize);
        json.WriteNumber("num_hidden_layers", c.Layers);
        json.WriteNumber("num_attention_heads", c.Heads);
        if (c.HeadSize * c.Heads != c.HiddenSize) json.WriteNumber("head_dim", c.HeadSize);
        json.WriteNumber("intermediate_size", c.IntermediateSize);
        json.WriteString("hidden_act", c.Activation);
        json.WriteNumber("layer_norm_eps", c.Eps);
        json.WriteString("pooling", c.Pooling == Pooling.Cls ? "cls" : "mean");
        if (c.ImageMean is { } mean) WriteNumbers(json, "image_mean", mean);
        if (c.ImageStd is { } std) WriteNumbers(json, "image_std", std);
        WriteLabels(json, c.Labels);
        json.WriteEndObject();
    }

    // The first thing about a model that its nano_vit file would not say.
    private static string? Unlike(VitConfig c)
    {
        foreach (var (field, unlike) in (ReadOnlySpan<(string, bool)>)[
            (nameof(c.ClassToken), !c.ClassToken), (nameof(c.DistillationToken), c.DistillationToken), (nameof(c.Registers), c.Registers > 0),
            (nameof(c.PositionedTokens), c.PositionedPrefix != c.PrefixTokens), (nameof(c.PatchBias), !c.PatchBias), (nameof(c.FusedQkv), c.FusedQkv),
            (nameof(c.QkvBias), !c.QkvBias), (nameof(c.QkNorm), c.QkNorm), (nameof(c.LayerScale), c.LayerScale), (nameof(c.Gated), c.Gated),
            (nameof(c.PreNorm), c.PreNorm), (nameof(c.NormAfterPooling), c.NormAfterPooling), (nameof(c.ProjectionSize), c.ProjectionSize > 0),
            (nameof(c.Pooling), c.Pooling is not (Pooling.Cls or Pooling.Mean)), (nameof(c.HeadSize), c.HeadSize * c.Heads != c.HiddenSize),
            (nameof(c.Antialias), c.Antialias)])
        {
            if (unlike) return field;
        }
        return null;
    }

    private static void WriteLabels(Utf8JsonWriter json, IReadOnlyList<string> labels)
    {
        json.WriteStartObject("id2label");
        for (var i = 0; i < labels.Count; i++) json.WriteString($"{i}", labels[i]);
        json.WriteEndObject();
    }

    private static void WriteNumbers<T>(Utf8JsonWriter json, string name, IEnumerable<T> numbers) where T : IConvertible
    {
        json.WriteStartArray(name);
        foreach (var number in numbers) json.WriteRawValue(number.ToString(System.Globalization.CultureInfo.InvariantCulture));
        json.WriteEndArray();
    }
}
