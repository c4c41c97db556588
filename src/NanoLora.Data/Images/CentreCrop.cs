namespace NanoLora.Data;

/// <summary>Whose rounding a crop in the centre follows; they differ by a pixel.</summary>
public enum CropRounding
{
    /// <summary>torchvision, and so timm: half a pixel goes to the even side; of padding, the odd pixel comes last.</summary>
    Torchvision,

    /// <summary>transformers' processors on torchvision: half a pixel is cut off; of padding, the odd pixel comes last.</summary>
    TransformersTorchvision,

    /// <summary>transformers' processors on Pillow: half a pixel is cut off; of padding, the odd pixel comes first.</summary>
    TransformersPillow,
}

/// <summary>Cuts the centre out of a picture; where it is smaller, it is padded.</summary>
public static class CentreCrop
{
    /// <summary>The first pixel of the crop, along one axis; negative where padding comes before the picture.</summary>
    /// <param name="side">The pixels of the picture.</param>
    /// <param name="crop">The pixels of the crop.</param>
    /// <param name="rounding">Whose rounding.</param>
    public static int Start(int side, int crop, CropRounding rounding)
    {
        if (side < crop) return rounding == CropRounding.TransformersPillow ? -((crop - side + 1) / 2) : -((crop - side) / 2);
        return rounding == CropRounding.Torchvision ? (int)Math.Round((side - crop) / 2.0, MidpointRounding.ToEven) : (side - crop) / 2;
    }

    /// <summary>The centre of a picture.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="height">Rows of the crop.</param>
    /// <param name="width">Columns of the crop.</param>
    /// <param name="rounding">Whose rounding.</param>
    /// <param name="fill">The padding, a value per channel; black if not given.</param>
    public static Picture Of(Picture picture, int height, int width, CropRounding rounding, ReadOnlySpan<byte> fill = default)
    {
        ArgumentNullException.ThrowIfNull(picture);
        if ((height, width) == (picture.Height, picture.Width)) return picture;
        int top = Start(picture.Height, height, rounding), left = Start(picture.Width, width, rounding), channels = picture.Channels;
        var pixels = new byte[checked(height * width * channels)];
        for (var i = 0; !fill.IsEmpty && i < pixels.Length; i++) pixels[i] = fill[i % channels];
        int from = Math.Max(0, left), to = Math.Min(picture.Width, left + width);
        for (var y = Math.Max(0, top); y < Math.Min(picture.Height, top + height); y++)
        {
            picture.Pixels.AsSpan((y * picture.Width + from) * channels, (to - from) * channels)
                .CopyTo(pixels.AsSpan(((y - top) * width + from - left) * channels));
        }
        return new(width, height, channels, pixels);
    }
}
