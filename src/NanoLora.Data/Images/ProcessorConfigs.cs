namespace NanoLora.Data;

/// <summary>
/// Hugging Face's preprocessor_config.json. What a file does not say is the default of the class it names. Channels are converted to the model's, whatever
/// do_convert_rgb says: without it, transformers fails on what is not RGB.
/// </summary>
internal static class HuggingFaceProcessor
{
    private const int MaxSide = 1 << 13;

    // Below this edge ConvNeXt's processor resizes to edge / crop_pct and crops; from it on, it makes the picture square by force.
    private const int ConvNextWhole = 384;

    private static readonly float[] Half = [0.5f, 0.5f, 0.5f];
    private static readonly float[] ClipMean = [0.48145466f, 0.4578275f, 0.40821073f], ClipDeviation = [0.26862954f, 0.26130258f, 0.27577711f];

    private static readonly Defaults[] Known =
    [
        new("ViT", ResizeFilter.Bilinear, false, 224, null, Half, Half),
        new("DeiT", ResizeFilter.Bicubic, false, 256, 224, Half, Half),
        new("CLIP", ResizeFilter.Bicubic, true, 224, 224, ClipMean, ClipDeviation),
        new("Bit", ResizeFilter.Bicubic, true, 224, 224, ClipMean, ClipDeviation),
        new("ConvNext", ResizeFilter.Bicubic, true, 384, null, Half, Half),
        new("Siglip", ResizeFilter.Bicubic, false, 224, null, Half, Half),
    ];

    private static readonly string[] Suffixes = ["ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor"];

    private static readonly HashSet<string> Fields = new(StringComparer.Ordinal)
    {
        "image_processor_type", "feature_extractor_type", "do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct", "do_rescale",
        "rescale_factor", "do_normalize", "image_mean", "image_std", "do_convert_rgb",
        // These say nothing of the pixels.
        "processor_class", "_processor_class", "model_input_names", "_valid_processor_keys", "default_to_square", "data_format", "input_data_format",
        "return_tensors", "disable_grouping", "device", "transformers_version", "_valid_kwargs_names", "auto_map",
    };

    /// <summary>What a class takes where the file is silent; a plain number as its size is a square, or its shortest edge.</summary>
    private sealed record Defaults(string Name, ResizeFilter Filter, bool ByShortest, int Size, int? Crop, float[] Mean, float[] Deviation);

    public static ImageProcessor Read(JsonFields config, ImageSize model, ImageBackend backend)
    {
        var defaults = Kind(config);
        foreach (var name in config.Names())
        {
            if (!Fields.Contains(name)) throw config.Error(name, "this field is not known, so its effect on the images is not; remove it if it has none.");
        }
        var rescale = config.Bool("do_rescale", true) ? config.Number("rescale_factor", 1 / 255.0) : 1;
        var normalises = config.Bool("do_normalize", true);
        var mean = normalises ? Channels(config, "image_mean", defaults.Mean, model) : null;
        var deviation = normalises ? Channels(config, "image_std", defaults.Deviation, model) : null;
        Normalisation normalisation;
        try { normalisation = new(mean, deviation, rescale); }
        catch (ArgumentException e) { throw config.Error(normalises ? "image_mean, image_std or rescale_factor" : "rescale_factor", e.Message, e); }
        return new(Steps(config, defaults, model, backend), model.Channels, normalisation, backend);
    }

    private static ImageSteps Steps(JsonFields config, Defaults defaults, ImageSize model, ImageBackend backend)
    {
        var rounding = backend == ImageBackend.Pillow ? CropRounding.TransformersPillow : CropRounding.TransformersTorchvision;
        var crop = config.Bool("do_center_crop", defaults.Crop is not null) ? Crop(config, defaults) : ((int Height, int Width)?)null;
        var filter = config.Has("resample") ? (ResizeFilter)config.Int("resample", 0, 5) : defaults.Filter;
        ImageSteps steps;
        if (!config.Bool("do_resize", true)) steps = new(Sizing.Keep, model.Height, model.Width);
        else
        {
            var (height, width, shortest) = Size(config, defaults);
            if (defaults.Name == "ConvNext")
            {
                if (!shortest) throw config.Error("size", "ConvNeXt's processor reads only the shortest edge; give \"shortest_edge\".");
                var part = config.Number("crop_pct", 224 / 256.0);
                if (!(part is > 0 and <= 1)) throw config.Error("crop_pct", $"it is {part}; a number above 0 and up to 1 is expected.");
                steps = height >= ConvNextWhole ? new(Sizing.Exact, height, height)
                    : new(Sizing.Shortest, height, height) { ResizeHeight = (int)(height / part), Crops = true };
            }
            else steps = shortest ? new(Sizing.Shortest, model.Height, model.Width) { ResizeHeight = height } : new(Sizing.Exact, height, width);
        }
        if (crop is var (rows, columns)) steps = steps with { Height = rows, Width = columns, Crops = true };
        return steps with { Filter = filter, Rounding = rounding };
    }

    private static Defaults Kind(JsonFields config)
    {
        var field = config.Has("image_processor_type") ? "image_processor_type" : "feature_extractor_type";
        if (config.Text(field) is not { } type) return Known[0];
        foreach (var known in Known)
        {
            foreach (var suffix in Suffixes) if (type == known.Name + suffix) return known;
        }
        throw config.Error(field, $"\"{type}\" is not known; known are the image processors of {string.Join(", ", Known.Select(static k => k.Name))}.");
    }

    // { height, width }, { shortest_edge }, or a number.
    private static (int Height, int Width, bool Shortest) Size(JsonFields config, Defaults defaults)
    {
        if (!config.Has("size")) return (defaults.Size, defaults.Size, defaults.ByShortest);
        if (!config.HasObject("size")) return config.Int("size", 1, MaxSide) is var side ? (side, side, defaults.ByShortest) : default;
        var size = config.Sub("size");
        foreach (var name in size.Names())
        {
            if (name is "height" or "width" or "shortest_edge") continue;
            throw size.Error(name, "this way to say a size is not known; known are height and width, and shortest_edge.");
        }
        if (!size.Has("shortest_edge")) return (size.Int("height", 1, MaxSide), size.Int("width", 1, MaxSide), false);
        if (size.Has("height") || size.Has("width")) throw size.Error("shortest_edge", "it stands beside a height or a width; only one of the two can hold.");
        return size.Int("shortest_edge", 1, MaxSide) is var edge ? (edge, edge, true) : default;
    }

    private static (int Height, int Width) Crop(JsonFields config, Defaults defaults)
    {
        if (!config.Has("crop_size")) return defaults.Crop is { } usual ? (usual, usual)
            : throw config.Error("crop_size", "it is missing, though do_center_crop is true.");
        if (!config.HasObject("crop_size")) return config.Int("crop_size", 1, MaxSide) is var side ? (side, side) : default;
        var crop = config.Sub("crop_size");
        return (crop.Int("height", 1, MaxSide), crop.Int("width", 1, MaxSide));
    }

    private static float[] Channels(JsonFields config, string name, float[] usual, ImageSize model)
    {
        var numbers = config.Floats(name, 4) ?? (model.Channels == 3 ? usual
            : throw config.Error(name, $"it is missing, and the usual one is for 3 channels; the model reads {model.Channels}."));
        return numbers.Length == 1 || numbers.Length == model.Channels ? numbers
            : throw config.Error(name, $"it has {numbers.Length} numbers, but the model reads {model.Channels} channels.");
    }
}

/// <summary>timm's config.json: the evaluation transform that timm.data.create_transform makes of its pretrained_cfg. It resizes by Pillow.</summary>
internal static class TimmProcessor
{
    private const int MaxSide = 1 << 13;

    private static readonly float[] Mean = [0.485f, 0.456f, 0.406f], Deviation = [0.229f, 0.224f, 0.225f];

    public static ImageProcessor Read(JsonFields config, ImageSize model)
    {
        int height = model.Height, width = model.Width;
        if (config.Floats("input_size", 3) is { } size)
        {
            if (size is not [var channels, var rows, var columns] || channels != model.Channels || !IsSide(rows) || !IsSide(columns))
            {
                var given = string.Join(", ", size);
                throw config.Error("input_size", $"[{given}] is not [channels, rows, columns] with the {model.Channels} channels that the model reads.");
            }
            (height, width) = ((int)rows, (int)columns);
        }
        float[] mean = config.Floats("mean", 4) ?? Mean, deviation = config.Floats("std", 4) ?? Deviation;
        foreach (var (name, numbers) in (ReadOnlySpan<(string, float[])>)[("mean", mean), ("std", deviation)])
        {
            if (numbers.Length != 1 && numbers.Length != model.Channels)
                throw config.Error(name, $"it has {numbers.Length} numbers, but the model reads {model.Channels} channels.");
        }
        Normalisation normalisation;
        try { normalisation = new(mean, deviation); }
        catch (ArgumentException e) { throw config.Error("mean or std", e.Message, e); }
        return new(Steps(config, height, width, mean, model.Channels), model.Channels, normalisation, ImageBackend.Pillow);
    }

    private static ImageSteps Steps(JsonFields config, int height, int width, float[] mean, int channels)
    {
        var part = config.Number("crop_pct", 0.875);
        if (!(part is > 0.01 and <= 4)) throw config.Error("crop_pct", $"it is {part}; a number above 0.01 and up to 4 is expected.");
        var filter = Filter(config);
        int rows = (int)Math.Floor(height / part), columns = (int)Math.Floor(width / part);
        if (rows < 1 || columns < 1) throw config.Error("crop_pct", $"it is {part}, which leaves nothing of {height} x {width} pixels.");
        var steps = new ImageSteps(Sizing.Exact, height, width)
        {
            ResizeHeight = rows, ResizeWidth = columns, Filter = filter, Crops = true, Rounding = CropRounding.Torchvision,
        };
        switch (config.Text("crop_mode") ?? "center")
        {
            case "squash": return steps;
            case "border":
                var fill = new byte[channels];
                for (var c = 0; c < channels; c++) fill[c] = (byte)Math.Clamp(Math.Round(255.0 * mean[Math.Min(c, mean.Length - 1)]), 0, 255);
                return steps with { Sizing = Sizing.Within, Fill = fill };
            // Where the input is not square, the configured interpolation is not handed on: it is bilinear.
            case "center":
                return rows == columns ? steps with { Sizing = Sizing.Shortest } : steps with { Sizing = Sizing.Cover, Filter = ResizeFilter.Bilinear };
            case var other: throw config.Error("crop_mode", $"\"{other}\" is not known; known are center, squash and border.");
        }
    }

    private static ResizeFilter Filter(JsonFields config) => config.Text("interpolation") switch
    {
        null or "bilinear" => ResizeFilter.Bilinear,
        "bicubic" => ResizeFilter.Bicubic,
        "nearest" => ResizeFilter.Nearest,
        "lanczos" => ResizeFilter.Lanczos,
        "box" => ResizeFilter.Box,
        "hamming" => ResizeFilter.Hamming,
        var other => throw config.Error("interpolation", $"\"{other}\" is not known; known are nearest, bilinear, bicubic, lanczos, box and hamming."),
    };

    private static bool IsSide(float side) => side is >= 1 and <= MaxSide && side == MathF.Floor(side);
}
