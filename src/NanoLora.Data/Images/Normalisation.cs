using System.Numerics.Tensors;

namespace NanoLora.Data;

/// <summary>
/// How 8-bit pixels become what a model reads: each channel is scaled, has its mean subtracted and is divided by its deviation. One mean or deviation serves
/// any number of channels.
/// </summary>
public sealed class Normalisation
{
    // y = (x / scale - mean) / deviation,   computed as   y = x gain - offset   with   gain = 1 / (scale deviation),   offset = mean / deviation
    private readonly float[] _gain, _offset;

    /// <summary>Makes a normalisation; null stands for no mean (0) and no deviation (1).</summary>
    /// <param name="mean">A mean per channel, or one for all, on the scale of the scaled pixels.</param>
    /// <param name="deviation">A deviation per channel, or one for all.</param>
    /// <param name="rescale">What pixels are multiplied with first; 1/255 takes them from 0 to 1.</param>
    /// <exception cref="ArgumentException">The numbers of channels differ, a deviation is 0, or a number is not finite.</exception>
    public Normalisation(IReadOnlyList<float>? mean, IReadOnlyList<float>? deviation, double rescale = 1 / 255.0)
    {
        Mean = mean is { Count: > 0 } ? [.. mean] : [0];
        Deviation = deviation is { Count: > 0 } ? [.. deviation] : [1];
        Rescale = rescale;
        if (Mean.Count > 1 && Deviation.Count > 1 && Mean.Count != Deviation.Count)
            throw new ArgumentException($"Normalisation: {Mean.Count} means, but {Deviation.Count} deviations; give one per channel, or one for all.");
        if (!double.IsFinite(rescale) || rescale == 0)
            throw new ArgumentException($"Normalisation: the rescale factor is {rescale}; it must be a number other than 0.");
        var scale = (float)(1 / rescale);
        (_gain, _offset) = (new float[Math.Max(Mean.Count, Deviation.Count)], new float[Math.Max(Mean.Count, Deviation.Count)]);
        for (var c = 0; c < _gain.Length; c++)
        {
            float m = Mean[Math.Min(c, Mean.Count - 1)], d = Deviation[Math.Min(c, Deviation.Count - 1)];
            (_gain[c], _offset[c]) = (1 / (scale * d), m / d);
            if (float.IsFinite(_gain[c]) && float.IsFinite(_offset[c])) continue;
            throw new ArgumentException(
                $"Normalisation: channel {c} has the mean {m} and the deviation {d}; the deviation must not be 0 and both must be numbers.");
        }
    }

    /// <summary>Makes the normalisation by one mean and one deviation, on the scale 0 to 1.</summary>
    public Normalisation(float mean, float deviation) : this([mean], [deviation])
    {
    }

    /// <summary>Pixels from 0 to 1: mean 0, deviation 1.</summary>
    public static Normalisation None { get; } = new(0, 1);

    /// <summary>The mean of each channel, or one for all.</summary>
    public IReadOnlyList<float> Mean { get; }

    /// <summary>The deviation of each channel, or one for all.</summary>
    public IReadOnlyList<float> Deviation { get; }

    /// <summary>What pixels are multiplied with before the mean is subtracted.</summary>
    public double Rescale { get; }

    /// <summary>The gain and offset of one channel: y = x gain - offset.</summary>
    /// <exception cref="ArgumentException">There are means or deviations for fewer channels.</exception>
    public (float Gain, float Offset) Channel(int channel)
    {
        if (_gain.Length == 1) return (_gain[0], _offset[0]);
        if ((uint)channel < (uint)_gain.Length) return (_gain[channel], _offset[channel]);
        throw new ArgumentException(
            $"Normalisation: there is no channel {channel}; means and deviations are of {_gain.Length} channels. Convert the images first.");
    }

    /// <summary>Writes one image as normalised floats. Allocates nothing.</summary>
    /// <param name="image">[channels, height, width].</param>
    /// <param name="size">The sizes of the image.</param>
    /// <param name="y">[channels, height, width].</param>
    /// <exception cref="ArgumentException">The lengths disagree, or there are means of another number of channels.</exception>
    public void Apply(ReadOnlySpan<byte> image, ImageSize size, Span<float> y)
    {
        if (image.Length != size.Length || y.Length < size.Length)
            throw new ArgumentException($"Normalisation: an image of {size} has {size.Length} values; the source has {image.Length}, the target {y.Length}.");
        if (_gain.Length > 1 && _gain.Length != size.Channels)
            throw new ArgumentException(
                $"Normalisation: an image of {size} does not fit means and deviations of {_gain.Length} channels; convert the images first.");
        var plane = size.Height * size.Width;
        for (var c = 0; c < size.Channels; c++)
        {
            var row = y.Slice(c * plane, plane);
            var (gain, offset) = Channel(c);
            TensorPrimitives.ConvertTruncating<byte, float>(image.Slice(c * plane, plane), row);
            TensorPrimitives.Multiply(row, gain, row);
            TensorPrimitives.Subtract(row, offset, row);
        }
    }
}
