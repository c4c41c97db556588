namespace NanoLora.Data;

/// <summary>The kernels of a resize, by Pillow's numbers, which are what a preprocessor_config.json calls "resample".</summary>
public enum ResizeFilter
{
    /// <summary>The pixel in which the centre falls.</summary>
    Nearest = 0,

    /// <summary>sinc(x) sinc(x / 3) to 3.</summary>
    Lanczos = 1,

    /// <summary>1 - |x| to 1.</summary>
    Bilinear = 2,

    /// <summary>The cubic convolution of Keys (1981) with a = -0.5, to 2.</summary>
    Bicubic = 3,

    /// <summary>1 to 0.5.</summary>
    Box = 4,

    /// <summary>A sinc under a Hamming window, to 1.</summary>
    Hamming = 5,
}

/// <summary>
/// For each output pixel of one axis, the first input pixel it reads, how many it reads, and their weights: the antialiased kernel, which widens as the image
/// shrinks and is cut at the border.
/// </summary>
internal sealed class ResizeTaps
{
    // For n inputs [from, to) and m outputs, r = (to - from) / m, s = max(1, r):
    //     centre c = from + (i + ½) r,   weight of input j = k((j + ½ - c) / s) / Σ,   for j in [⌊c - R s + ½⌋, ⌊c + R s + ½⌋),  R the reach of k
    // Pillow (ImagingPrecomputeCoeffs) and torch (interpolate with antialias) agree in this; what they do with the weights differs.

    public ResizeTaps(int inputs, int outputs, ResizeFilter filter, float from, float to)
    {
        double ratio = (double)(to - from) / outputs, scale = Math.Max(1, ratio), reach = Reach(filter) * scale;
        (Start, Count, Stride) = (new int[outputs], new int[outputs], (int)Math.Ceiling(reach) * 2 + 1);
        Weight = new double[checked(outputs * Stride)];
        for (var i = 0; i < outputs; i++)
        {
            double centre = from + (i + 0.5) * ratio, sum = 0;
            int first = Math.Max(0, (int)(centre - reach + 0.5)), end = Math.Min(inputs, (int)(centre + reach + 0.5));
            (Start[i], Count[i]) = (first, end - first);
            var weights = Weight.AsSpan(i * Stride, end - first);
            for (var j = 0; j < weights.Length; j++) sum += weights[j] = Kernel(filter, (j + first - centre + 0.5) * (1 / scale));
            if (sum == 0) continue;
            for (var j = 0; j < weights.Length; j++) weights[j] /= sum;
        }
    }

    public int[] Start { get; }

    public int[] Count { get; }

    /// <summary>[outputs, <see cref="Stride"/>].</summary>
    public double[] Weight { get; }

    /// <summary>The most inputs that an output reads.</summary>
    public int Stride { get; }

    /// <summary>The weights in fixed point with so many bits behind the point, rounded half away from zero.</summary>
    public int[] Fixed(int bits)
    {
        var scaled = new int[Weight.Length];
        for (var i = 0; i < scaled.Length; i++) scaled[i] = (int)(Weight[i] * (1 << bits) + (Weight[i] < 0 ? -0.5 : 0.5));
        return scaled;
    }

    private static double Reach(ResizeFilter filter) => filter switch
    {
        ResizeFilter.Box => 0.5,
        ResizeFilter.Bilinear or ResizeFilter.Hamming => 1,
        ResizeFilter.Bicubic => 2,
        ResizeFilter.Lanczos => 3,
        _ => throw new ArgumentException($"Resize: {filter} has no kernel."),
    };

    private static double Kernel(ResizeFilter filter, double x)
    {
        if (filter == ResizeFilter.Box) return x is > -0.5 and <= 0.5 ? 1 : 0;
        if (filter == ResizeFilter.Lanczos) return x is >= -3 and < 3 ? Sinc(x) * Sinc(x / 3) : 0;
        x = Math.Abs(x);
        return filter switch
        {
            ResizeFilter.Bilinear => x < 1 ? 1 - x : 0,
            ResizeFilter.Hamming => x == 0 ? 1 : x >= 1 ? 0 : Sinc(x) * (0.54f + 0.46f * Math.Cos(x * Math.PI)),   // floats, as there
            _ => x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0,
        };
    }

    private static double Sinc(double x) => x == 0 ? 1 : Math.Sin(x * Math.PI) / (x * Math.PI);
}
