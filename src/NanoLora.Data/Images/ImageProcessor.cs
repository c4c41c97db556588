namespace NanoLora.Data;

/// <summary>Brings a picture into the form that a model reads: channels, size and normalisation, as the model's files say.</summary>
public sealed class ImageProcessor
{
    private ImageProcessor(ImageSize size, Normalisation normalisation) => (Size, Normalisation) = (size, normalisation);

    /// <summary>Reads how a model wants its images: a Hugging Face preprocessor_config.json, or timm's config.json, or what the model itself says.</summary>
    /// <param name="modelFolder">The folder of the model, or a file in it.</param>
    /// <param name="size">The channels, rows and columns that the model reads.</param>
    /// <param name="mean">The model's own mean per channel, where the folder does not say.</param>
    /// <param name="deviation">The model's own deviation per channel, where the folder does not say.</param>
    /// <exception cref="InvalidDataException">A field is not understood; the message names file and field.</exception>
    public static ImageProcessor Load(string modelFolder, ImageSize size, IReadOnlyList<float>? mean = null, IReadOnlyList<float>? deviation = null) =>
        new(size, new Normalisation(mean, deviation));

    /// <summary>The channels, rows and columns of what <see cref="Shape"/> makes.</summary>
    public ImageSize Size { get; }

    /// <summary>How the pixels become floats.</summary>
    public Normalisation Normalisation { get; }

    /// <summary>Converts the channels, resizes, crops and pads: 8-bit [channels, height, width] of <see cref="Size"/>, as an <see cref="ImageSet"/> holds it.</summary>
    public byte[] Shape(Picture picture)
    {
        ArgumentNullException.ThrowIfNull(picture);
        picture = picture.As(Size.Channels);
        var (planes, plane) = (picture.Planes(), picture.Width * picture.Height);
        var shaped = new byte[Size.Length];
        for (var c = 0; c < Size.Channels; c++)
        {
            Resize.Bilinear(planes.AsSpan(c * plane, plane), picture.Height, picture.Width, Size.Height, Size.Width)
                .CopyTo(shaped, c * Size.Height * Size.Width);
        }
        return shaped;
    }

    /// <summary>Makes what the model reads: <see cref="Shape"/>, then normalised.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="y">[channels, height, width] of <see cref="Size"/>.</param>
    public void Apply(Picture picture, Span<float> y) => Normalisation.Apply(Shape(picture), Size, y);
}
