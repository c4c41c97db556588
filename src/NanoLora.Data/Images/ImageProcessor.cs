using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>What resizes pictures: two programs that the same config means different pixels to.</summary>
public enum ImageBackend
{
    /// <summary>Pillow: what nearly every checkpoint was trained with, and timm's only one.</summary>
    Pillow,

    /// <summary>torchvision, which transformers 5 takes by default.</summary>
    Torchvision,
}

/// <summary>
/// Brings a picture into the form that a model reads: channels, size and normalisation, as the model's files say and as transformers or timm do it. Several
/// threads may use one at once.
/// </summary>
public sealed class ImageProcessor
{
    private readonly ImageSteps _steps;
    private readonly ImageBackend _backend;

    internal ImageProcessor(ImageSteps steps, int channels, Normalisation normalisation, ImageBackend backend)
    {
        (_steps, _backend, Normalisation) = (steps, backend, normalisation);
        Size = new(channels, steps.Height, steps.Width);
    }

    /// <summary>How a model wants its images: what its folder says, else what it says itself.</summary>
    /// <inheritdoc cref="Load(string, ImageSize, IReadOnlyList{float}?, IReadOnlyList{float}?, ImageBackend)" path="/exception"/>
    public static ImageProcessor For(IImageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var images = model.Images;
        return Load(model.Source, new ImageSize(images.Channels, images.Rows, images.Columns), images.Mean, images.Deviation);
    }

    /// <summary>
    /// Reads how a model wants its images: from Hugging Face's preprocessor_config.json, else from timm's config.json, else the picture is brought to the
    /// model's size by Pillow's bilinear filter and normalised by the model's own numbers.
    /// </summary>
    /// <param name="modelFolder">The folder of the model, or a file in it.</param>
    /// <param name="size">The channels, rows and columns that the model reads.</param>
    /// <param name="mean">The model's own mean per channel, where the folder does not say.</param>
    /// <param name="deviation">The model's own deviation per channel, where the folder does not say.</param>
    /// <param name="backend">What resizes; timm's transforms are Pillow's whatever it is.</param>
    /// <exception cref="InvalidDataException">A field is not understood; the message names file and field.</exception>
    public static ImageProcessor Load(
        string modelFolder, ImageSize size, IReadOnlyList<float>? mean = null, IReadOnlyList<float>? deviation = null,
        ImageBackend backend = ImageBackend.Pillow)
    {
        var folder = Directory.Exists(modelFolder) ? modelFolder : Path.GetDirectoryName(Path.GetFullPath(modelFolder))!;
        var path = Path.Combine(folder, "preprocessor_config.json");
        if (File.Exists(path)) return HuggingFaceProcessor.Read(JsonFields.Read(path), size, backend);
        path = Path.Combine(folder, "config.json");
        if (File.Exists(path) && JsonFields.Read(path) is var config && config.HasObject("pretrained_cfg"))
            return TimmProcessor.Read(config.Sub("pretrained_cfg"), size);
        return new(new ImageSteps(Sizing.Exact, size.Height, size.Width), size.Channels, new Normalisation(mean, deviation), backend);
    }

    /// <summary>The channels, rows and columns of what <see cref="Shape(Picture)"/> makes.</summary>
    public ImageSize Size { get; }

    /// <summary>How the pixels become floats.</summary>
    public Normalisation Normalisation { get; }

    /// <summary>
    /// Converts the channels, resizes, crops and pads: 8-bit [channels, height, width] of <see cref="Size"/>, as an <see cref="ImageSet"/> holds it.
    /// </summary>
    /// <exception cref="ArgumentException">The config leaves the size to the picture, and this one has not the model's.</exception>
    public byte[] Shape(Picture picture)
    {
        var shaped = Fit(picture);
        if (shaped.Height == Size.Height && shaped.Width == Size.Width) return shaped.Planes();
        throw new ArgumentException(
            $"ImageProcessor: the model's config does not bring pictures to one size, and this one would be {shaped.Height} x {shaped.Width} where "
            + $"{Size.Height} x {Size.Width} is read; resize it first.");
    }

    /// <summary>Makes what the model reads: <see cref="Shape(Picture)"/>, then normalised.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="y">[channels, height, width] of <see cref="Size"/>.</param>
    /// <exception cref="ArgumentException">The config leaves the size to the picture, and this one has not the model's; or y is too short.</exception>
    public void Apply(Picture picture, Span<float> y) => Normalisation.Apply(Shape(picture), Size, y);

    /// <summary>Reads a picture file, PNG, JPEG, PGM or PPM, into what the model reads: [channels, height, width] of <see cref="Size"/>, in the workspace.</summary>
    /// <exception cref="InvalidDataException">It is no picture, or none that the model's config takes; the message names the file.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public Tensor Read(string path, Workspace workspace)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        var values = new float[Size.Length];
        Normalisation.Apply(ModelImages.Read(path, this), Size, values);
        return workspace.From(values, new Shape(Size.Channels, Size.Height, Size.Width));
    }

    /// <summary>As <see cref="Shape(Picture)"/>, but of whatever size the config makes of this picture, values of a pixel side by side.</summary>
    public Picture Fit(Picture picture)
    {
        ArgumentNullException.ThrowIfNull(picture);
        picture = picture.As(Size.Channels);
        var (height, width) = _steps.Resized(picture.Height, picture.Width);
        picture = _backend == ImageBackend.Pillow ? PillowResize.Resize(picture, width, height, _steps.Filter)
            : TorchResize.Resize(picture, width, height, _steps.Filter);
        return _steps.Crops ? CentreCrop.Of(picture, _steps.Height, _steps.Width, _steps.Rounding, _steps.Fill) : picture;
    }
}

/// <summary>How the size of the resized picture follows from that of the picture.</summary>
internal enum Sizing
{
    /// <summary>It stays.</summary>
    Keep,

    /// <summary>Rows and columns are given.</summary>
    Exact,

    /// <summary>The shorter side is given, the other keeps the ratio: ⌊side · long / short⌋.</summary>
    Shortest,

    /// <summary>Both sides are divided by the same ratio and rounded, so that the given rows and columns are covered.</summary>
    Cover,

    /// <summary>The same, so that they are not exceeded.</summary>
    Within,
}

/// <summary>Resize, then crop.</summary>
/// <param name="Sizing">How the picture is resized.</param>
/// <param name="Height">Rows of the result; where it is not the same for all pictures, of those that fit the model.</param>
/// <param name="Width">Columns of the result.</param>
internal sealed record ImageSteps(Sizing Sizing, int Height, int Width)
{
    public ResizeFilter Filter { get; init; } = ResizeFilter.Bilinear;

    /// <summary>Rows that the resize aims at; for the shortest edge, that edge.</summary>
    public int ResizeHeight { get; init; } = Height;

    /// <summary>Columns that the resize aims at.</summary>
    public int ResizeWidth { get; init; } = Width;

    /// <summary>Whether the centre is cut out, or the picture padded.</summary>
    public bool Crops { get; init; }

    public CropRounding Rounding { get; init; }

    /// <summary>The padding, a value per channel; empty for black.</summary>
    public byte[] Fill { get; init; } = [];

    /// <summary>The size after the resize.</summary>
    public (int Height, int Width) Resized(int height, int width)
    {
        if (Sizing == Sizing.Keep) return (height, width);
        if (Sizing == Sizing.Exact) return (ResizeHeight, ResizeWidth);
        if (Sizing == Sizing.Shortest)
            return width <= height ? (Scaled(ResizeHeight, height, width), ResizeHeight) : (ResizeHeight, Scaled(ResizeHeight, width, height));
        double down = (double)height / ResizeHeight, across = (double)width / ResizeWidth;
        var ratio = Sizing == Sizing.Cover ? Math.Min(down, across) : Math.Max(down, across);
        return (Rounded(height / ratio), Rounded(width / ratio));
    }

    // ⌊edge · long / short⌋, as Python divides: the product is exact, the quotient a double.
    private static int Scaled(int edge, int longer, int shorter) => checked((int)((double)((long)edge * longer) / shorter));

    private static int Rounded(double side) => Math.Max(1, checked((int)Math.Round(side, MidpointRounding.ToEven)));
}
