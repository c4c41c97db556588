namespace NanoLora.Data;

/// <summary>Resizes as Pillow does, to the last bit: what nearly every published image model saw in training.</summary>
public static class PillowResize
{
    // 8 bits: rows first, then columns, each with weights of 22 bits behind the point; the result of either is rounded to a byte and clipped. What reads
    // alpha has its colours multiplied by it before, and divided by it after.
    private const int Bits = 22;

    /// <summary>A picture at another size.</summary>
    /// <param name="picture">The picture; colours with alpha are weighted by it, except by the nearest pixel.</param>
    /// <param name="width">The new width.</param>
    /// <param name="height">The new height.</param>
    /// <param name="filter">The kernel.</param>
    /// <param name="box">The part of the picture to resize, in its pixels, fractions included: left, top, right, bottom. All of it if not given.</param>
    /// <exception cref="ArgumentException">A size below 1, or a box that is not inside.</exception>
    public static Picture Resize(Picture picture, int width, int height, ResizeFilter filter, (float Left, float Top, float Right, float Bottom)? box = null)
    {
        ArgumentNullException.ThrowIfNull(picture);
        var part = box ?? (0, 0, picture.Width, picture.Height);
        if (width < 1 || height < 1 || (long)width * height > Pictures.MaxPixels)
            throw new ArgumentException($"Resize: {width} x {height} pixels; sides of at least 1 and {Pictures.MaxPixels} pixels at most are made.");
        if (!(part.Left >= 0 && part.Top >= 0 && part.Left < part.Right && part.Top < part.Bottom && part.Right <= picture.Width
            && part.Bottom <= picture.Height))
            throw new ArgumentException($"Resize: the box {part} is not inside of {picture.Width} x {picture.Height} pixels.");
        if ((width, height) == (picture.Width, picture.Height) && part == (0, 0, width, height)) return picture;
        if (filter == ResizeFilter.Nearest) return Nearest(picture, width, height, part);
        if (picture.Channels is 1 or 3) return TwoPasses(picture, width, height, filter, part);
        return Divided(TwoPasses(Multiplied(picture), width, height, filter, part));
    }

    /// <summary>A plane of floats at another size, by sums in double precision (Pillow's mode F).</summary>
    /// <param name="plane">[height, width].</param>
    /// <param name="height">Rows of the input.</param>
    /// <param name="width">Columns of the input.</param>
    /// <param name="newHeight">Rows of the output.</param>
    /// <param name="newWidth">Columns of the output.</param>
    /// <param name="filter">The kernel.</param>
    public static float[] Resize(ReadOnlySpan<float> plane, int height, int width, int newHeight, int newWidth, ResizeFilter filter)
    {
        if (height < 1 || width < 1 || newHeight < 1 || newWidth < 1 || plane.Length != (long)height * width)
            throw new ArgumentException($"Resize: {plane.Length} values of {height} x {width} cannot be made {newHeight} x {newWidth}.");
        if (filter == ResizeFilter.Nearest)
        {
            int[] rows = Centres(height, newHeight, 0, height), columns = Centres(width, newWidth, 0, width);
            var picked = new float[newHeight * newWidth];
            for (var i = 0; i < picked.Length; i++) picked[i] = plane[rows[i / newWidth] * width + columns[i % newWidth]];
            return picked;
        }
        var across = width == newWidth ? plane.ToArray() : Across(plane, width, new(width, newWidth, filter, 0, width));
        return height == newHeight ? across : Down(across, newWidth, new(height, newHeight, filter, 0, height));
    }

    private static Picture TwoPasses(Picture picture, int width, int height, ResizeFilter filter, (float Left, float Top, float Right, float Bottom) box)
    {
        if (width != picture.Width || box.Left != 0 || box.Right != width)
            picture = FixedPoint.Across(picture, new(picture.Width, width, filter, box.Left, box.Right), Bits);
        if (height != picture.Height || box.Top != 0 || box.Bottom != height)
            picture = FixedPoint.Down(picture, new(picture.Height, height, filter, box.Top, box.Bottom), Bits);
        return picture;
    }

    private static Picture Nearest(Picture picture, int width, int height, (float Left, float Top, float Right, float Bottom) box)
    {
        int[] rows = Centres(picture.Height, height, box.Top, box.Bottom), columns = Centres(picture.Width, width, box.Left, box.Right);
        var channels = picture.Channels;
        var pixels = new byte[width * height * channels];
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++)
                picture.Pixels.AsSpan((rows[y] * picture.Width + columns[x]) * channels, channels).CopyTo(pixels.AsSpan((y * width + x) * channels));
        }
        return new(width, height, channels, pixels);
    }

    // The input pixel under the centre of each output pixel. The step is added up, not multiplied: at the edge of a pixel the last bit decides.
    private static int[] Centres(int inputs, int outputs, float from, float to)
    {
        var step = (double)(to - from) / outputs;
        var at = from + step * 0.5;
        var centres = new int[outputs];
        for (var i = 0; i < outputs; i++, at += step) centres[i] = Math.Min((int)at, inputs - 1);
        return centres;
    }

    // y[o] = Σ_t w[o, t] x[start o + t],   along the rows
    private static float[] Across(ReadOnlySpan<float> x, int width, ResizeTaps taps)
    {
        int outputs = taps.Start.Length, rows = x.Length / width;
        var y = new float[rows * outputs];
        for (var row = 0; row < rows; row++)
        {
            for (var o = 0; o < outputs; o++)
            {
                var sum = 0.0;
                for (var t = 0; t < taps.Count[o]; t++) sum += x[row * width + taps.Start[o] + t] * taps.Weight[o * taps.Stride + t];
                y[row * outputs + o] = (float)sum;
            }
        }
        return y;
    }

    // The same along the columns.
    private static float[] Down(ReadOnlySpan<float> x, int width, ResizeTaps taps)
    {
        var y = new float[taps.Start.Length * width];
        for (var i = 0; i < y.Length; i++)
        {
            var (o, column) = Math.DivRem(i, width);
            var sum = 0.0;
            for (var t = 0; t < taps.Count[o]; t++) sum += x[(taps.Start[o] + t) * width + column] * taps.Weight[o * taps.Stride + t];
            y[i] = (float)sum;
        }
        return y;
    }

    // x a / 255, rounded:   t = x a + 128,   (t / 256 + t) / 256
    private static Picture Multiplied(Picture picture)
    {
        var (pixels, last) = ((byte[])picture.Pixels.Clone(), picture.Channels - 1);
        for (var p = 0; p < pixels.Length; p += picture.Channels)
        {
            for (var c = 0; c < last; c++)
            {
                var t = pixels[p + c] * pixels[p + last] + 128;
                pixels[p + c] = (byte)(((t >> 8) + t) >> 8);
            }
        }
        return picture with { Pixels = pixels };
    }

    // 255 x / a, cut off and clipped; where alpha is 0 or 255 colours stay.
    private static Picture Divided(Picture picture)
    {
        var (pixels, last) = ((byte[])picture.Pixels.Clone(), picture.Channels - 1);
        for (var p = 0; p < pixels.Length; p += picture.Channels)
        {
            var alpha = pixels[p + last];
            if (alpha is 0 or 255) continue;
            for (var c = 0; c < last; c++) pixels[p + c] = (byte)Math.Min(255, 255 * pixels[p + c] / alpha);
        }
        return picture with { Pixels = pixels };
    }
}

/// <summary>One pass of a resize of 8-bit pixels in fixed point: the sum, rounded and clipped to a byte.</summary>
internal static class FixedPoint
{
    /// <summary>Along the rows.</summary>
    public static Picture Across(Picture picture, ResizeTaps taps, int bits)
    {
        int channels = picture.Channels, outputs = taps.Start.Length, half = 1 << (bits - 1);
        var weights = taps.Fixed(bits);
        var pixels = new byte[checked(outputs * picture.Height * channels)];
        for (var y = 0; y < picture.Height; y++)
        {
            var x = picture.Pixels.AsSpan(y * picture.Width * channels, picture.Width * channels);
            var row = pixels.AsSpan(y * outputs * channels, outputs * channels);
            for (var o = 0; o < outputs; o++)
            {
                var w = weights.AsSpan(o * taps.Stride, taps.Count[o]);
                for (var c = 0; c < channels; c++)
                {
                    int sum = half, at = taps.Start[o] * channels + c;
                    for (var t = 0; t < w.Length; t++, at += channels) sum += x[at] * w[t];
                    row[o * channels + c] = Clip(sum >> bits);
                }
            }
        }
        return new(outputs, picture.Height, channels, pixels);
    }

    /// <summary>Along the columns; a row of sums at a time.</summary>
    public static Picture Down(Picture picture, ResizeTaps taps, int bits)
    {
        int length = picture.Width * picture.Channels, outputs = taps.Start.Length;
        var weights = taps.Fixed(bits);
        var pixels = new byte[checked(outputs * length)];
        var sums = new int[length];
        for (var o = 0; o < outputs; o++)
        {
            sums.AsSpan().Fill(1 << (bits - 1));
            for (var t = 0; t < taps.Count[o]; t++)
            {
                var w = weights[o * taps.Stride + t];
                var x = picture.Pixels.AsSpan((taps.Start[o] + t) * length, length);
                for (var i = 0; i < sums.Length; i++) sums[i] += x[i] * w;
            }
            var row = pixels.AsSpan(o * length, length);
            for (var i = 0; i < row.Length; i++) row[i] = Clip(sums[i] >> bits);
        }
        return new(picture.Width, outputs, picture.Channels, pixels);
    }

    private static byte Clip(int value) => (byte)Math.Clamp(value, 0, 255);
}
