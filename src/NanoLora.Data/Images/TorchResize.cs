namespace NanoLora.Data;

/// <summary>
/// Resizes as PyTorch does: <see cref="Interpolate"/> is torch's interpolate for float tensors, the others are how torchvision brings 8-bit pictures to
/// another size through it.
/// </summary>
public static class TorchResize
{
    // Without antialias (align_corners off), for n inputs and m outputs:   c = (i + ½) n / m - ½
    //     bilinear:  c cut to 0 and below; between ⌊c⌋ and the next pixel, which repeats at the end
    //     bicubic:   four pixels from ⌊c⌋ - 1 on, those outside repeat the edge; a = -0.75
    // With antialias: the taps of ResizeTaps (bicubic: a = -0.5).
    // Nearest: ⌊i n / m⌋; nearest-exact: ⌊(i + ½) n / m⌋, both with the ratio in float.

    /// <summary>Float planes at another size.</summary>
    /// <param name="planes">[planes, height, width].</param>
    /// <param name="height">Rows of the input.</param>
    /// <param name="width">Columns of the input.</param>
    /// <param name="newHeight">Rows of the output.</param>
    /// <param name="newWidth">Columns of the output.</param>
    /// <param name="mode">The kernel.</param>
    /// <param name="antialias">Whether the kernel widens when the image shrinks; for bilinear and bicubic.</param>
    /// <returns>[planes, newHeight, newWidth].</returns>
    /// <exception cref="ArgumentException">The sizes do not fit, or nearest with antialias.</exception>
    public static float[] Interpolate(ReadOnlySpan<float> planes, int height, int width, int newHeight, int newWidth, TorchMode mode, bool antialias = false)
    {
        if (height < 1 || width < 1 || newHeight < 1 || newWidth < 1 || planes.Length % ((long)height * width) != 0)
            throw new ArgumentException(
                $"Interpolate: {planes.Length} values are no planes of {height} x {width}, or cannot be made {newHeight} x {newWidth}.");
        var taps = mode is TorchMode.Bilinear or TorchMode.Bicubic;
        if (antialias && !taps) throw new ArgumentException($"Interpolate: {mode} has no antialias.");
        Axis rows = Axis.Of(height, newHeight, mode, antialias), columns = Axis.Of(width, newWidth, mode, antialias);
        var y = new float[checked(planes.Length / (height * width) * newHeight * newWidth)];
        var across = new double[height * newWidth];
        for (int from = 0, to = 0; from < planes.Length; from += height * width, to += newHeight * newWidth)
        {
            var x = planes.Slice(from, height * width);
            for (var i = 0; i < across.Length; i++)
            {
                var (row, o) = Math.DivRem(i, newWidth);
                var sum = 0.0;
                for (var t = o * columns.Stride; t < (o + 1) * columns.Stride; t++) sum += x[row * width + columns.Index[t]] * columns.Weight[t];
                across[i] = sum;
            }
            for (var i = 0; i < newHeight * newWidth; i++)
            {
                var (o, column) = Math.DivRem(i, newWidth);
                var sum = 0.0;
                for (var t = o * rows.Stride; t < (o + 1) * rows.Stride; t++) sum += across[rows.Index[t] * newWidth + column] * rows.Weight[t];
                y[to + i] = (float)sum;
            }
        }
        return y;
    }

    /// <summary>A picture at another size as torchvision's processors do it: two passes with weights of 15 bits, rounding to 8 bits between them.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="width">The new width.</param>
    /// <param name="height">The new height.</param>
    /// <param name="filter">Nearest, bilinear, bicubic or Lanczos.</param>
    public static Picture Resize(Picture picture, int width, int height, ResizeFilter filter)
    {
        ArgumentNullException.ThrowIfNull(picture);
        if (filter == ResizeFilter.Nearest) return Nearest(picture, width, height);
        filter = Known(filter);
        if (width != picture.Width)
        {
            var taps = new ResizeTaps(picture.Width, width, filter, 0, picture.Width);
            picture = FixedPoint.Across(picture, taps, Precision(taps));
        }
        if (height != picture.Height)
        {
            var taps = new ResizeTaps(picture.Height, height, filter, 0, picture.Height);
            picture = FixedPoint.Down(picture, taps, Precision(taps));
        }
        return picture;
    }

    /// <summary>A picture at another size as torchvision's tensors go through floats: not rounded between the passes, and to even at the end.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="width">The new width.</param>
    /// <param name="height">The new height.</param>
    /// <param name="filter">Bilinear or bicubic.</param>
    public static Picture ResizeByFloats(Picture picture, int width, int height, ResizeFilter filter)
    {
        ArgumentNullException.ThrowIfNull(picture);
        var mode = Known(filter) == ResizeFilter.Bilinear ? TorchMode.Bilinear : TorchMode.Bicubic;
        var planes = Interpolate(Array.ConvertAll(picture.Planes(), static p => (float)p), picture.Height, picture.Width, height, width, mode, antialias: true);
        var (pixels, plane) = (new byte[planes.Length], width * height);
        for (var i = 0; i < planes.Length; i++) pixels[i % plane * picture.Channels + i / plane] = (byte)Math.Clamp(MathF.Round(planes[i]), 0, 255);
        return new(width, height, picture.Channels, pixels);
    }

    private static ResizeFilter Known(ResizeFilter filter) => filter switch
    {
        ResizeFilter.Bilinear or ResizeFilter.Bicubic or ResizeFilter.Lanczos => filter,
        _ => throw new ArgumentException($"Resize: torchvision has no {filter} for pictures of its own; take Pillow's resize."),
    };

    // As many bits behind the point as the largest weight leaves room for in 16 bits.
    private static int Precision(ResizeTaps taps)
    {
        var most = 0.0;
        foreach (var w in taps.Weight) most = Math.Max(most, w);
        var bits = 0;
        while (bits < 22 && (int)(0.5 + most * (1 << (bits + 1))) < 1 << 15) bits++;
        return bits;
    }

    private static Picture Nearest(Picture picture, int width, int height)
    {
        Axis rows = Axis.Of(picture.Height, height, TorchMode.NearestExact, false), columns = Axis.Of(picture.Width, width, TorchMode.NearestExact, false);
        var channels = picture.Channels;
        var pixels = new byte[checked(width * height * channels)];
        for (var p = 0; p < width * height; p++)
            picture.Pixels.AsSpan((rows.Index[p / width] * picture.Width + columns.Index[p % width]) * channels, channels).CopyTo(pixels.AsSpan(p * channels));
        return new(width, height, channels, pixels);
    }

    /// <summary>For each output of one axis, the inputs it reads and their weights: [outputs, stride].</summary>
    private readonly record struct Axis(int[] Index, double[] Weight, int Stride)
    {
        public static Axis Of(int inputs, int outputs, TorchMode mode, bool antialias)
        {
            var axis = antialias ? Antialiased(inputs, outputs, mode) : Empty(outputs, mode switch { TorchMode.Bicubic => 4, TorchMode.Bilinear => 2, _ => 1 });
            if (antialias) return axis;
            for (var o = 0; o < outputs; o++)
            {
                if (axis.Stride == 1)
                {
                    axis.Index[o] = Math.Min((int)((o + (mode == TorchMode.NearestExact ? 0.5f : 0)) * ((float)inputs / outputs)), inputs - 1);
                    axis.Weight[o] = 1;
                    continue;
                }
                var centre = (o + 0.5) * inputs / outputs - 0.5;
                if (mode == TorchMode.Bilinear) centre = Math.Max(0, centre);
                var first = (int)Math.Floor(centre) - (axis.Stride == 4 ? 1 : 0);
                for (var t = 0; t < axis.Stride; t++)
                {
                    var x = Math.Abs(first + t - centre);
                    axis.Index[o * axis.Stride + t] = Math.Clamp(first + t, 0, inputs - 1);
                    axis.Weight[o * axis.Stride + t] = axis.Stride == 2 ? 1 - x : Cubic(x);
                }
            }
            return axis;
        }

        private static Axis Empty(int outputs, int stride) => new(new int[checked(outputs * stride)], new double[checked(outputs * stride)], stride);

        private static Axis Antialiased(int inputs, int outputs, TorchMode mode)
        {
            var taps = new ResizeTaps(inputs, outputs, mode == TorchMode.Bilinear ? ResizeFilter.Bilinear : ResizeFilter.Bicubic, 0, inputs);
            var axis = Empty(outputs, taps.Stride) with { Weight = taps.Weight };
            for (var i = 0; i < axis.Index.Length; i++) axis.Index[i] = Math.Min(taps.Start[i / taps.Stride] + i % taps.Stride, inputs - 1);
            return axis;
        }

        // Keys with a = -0.75
        private static double Cubic(double x) => x <= 1 ? (1.25 * x - 2.25) * x * x + 1 : x < 2 ? ((x - 5) * x + 8) * x * -0.75 + 3 : 0;
    }
}

/// <summary>The kernels of torch's interpolate.</summary>
public enum TorchMode
{
    /// <summary>The pixel at ⌊i n / m⌋.</summary>
    Nearest,

    /// <summary>The pixel in which the centre falls, as Pillow's nearest.</summary>
    NearestExact,

    /// <summary>Linear between pixel centres.</summary>
    Bilinear,

    /// <summary>Cubic convolution.</summary>
    Bicubic,
}
