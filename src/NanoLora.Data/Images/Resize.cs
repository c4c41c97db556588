namespace NanoLora.Data;

/// <summary>
/// Brings 8-bit images to another size, to a square, to gray, to ink on black. Each method makes a new array and rounds to the nearest value.
/// </summary>
public static class Resize
{
    // Area:      y[o] = Σ_i |pixel i ∩ [o s, (o + 1) s]| x[i] / s        s = in / out, the width of an output pixel in input pixels
    // Bilinear:  y[o] = (1 - t) x[i] + t x[i + 1],  i + t = (o + 1/2) s - 1/2, the edge pixel repeated outside
    // Both are separable: rows first, then columns.

    /// <summary>The mean over the area that each output pixel covers: antialiased when shrinking, nearest pixel (with mixed borders) when growing.</summary>
    /// <param name="plane">[height, width].</param>
    /// <param name="height">Rows of the input.</param>
    /// <param name="width">Columns of the input.</param>
    /// <param name="newHeight">Rows of the output.</param>
    /// <param name="newWidth">Columns of the output.</param>
    public static byte[] Area(ReadOnlySpan<byte> plane, int height, int width, int newHeight, int newWidth) =>
        Separable(plane, height, width, Taps.Area(height, newHeight), Taps.Area(width, newWidth));

    /// <summary>Linear interpolation between pixel centres; for growing and small changes, as it skips pixels when shrinking by more than two.</summary>
    /// <inheritdoc cref="Area(ReadOnlySpan{byte}, int, int, int, int)"/>
    public static byte[] Bilinear(ReadOnlySpan<byte> plane, int height, int width, int newHeight, int newWidth) =>
        Separable(plane, height, width, Taps.Bilinear(height, newHeight), Taps.Bilinear(width, newWidth));

    /// <summary>Centres a plane in the smallest square that holds it; an odd row or column of padding goes to the end.</summary>
    public static byte[] PadSquare(ReadOnlySpan<byte> plane, int height, int width, byte fill = 0)
    {
        Check(plane, height, width);
        var side = Math.Max(height, width);
        var square = new byte[side * side];
        if (fill != 0) square.AsSpan().Fill(fill);
        int top = (side - height) / 2, left = (side - width) / 2;
        for (var y = 0; y < height; y++) plane.Slice(y * width, width).CopyTo(square.AsSpan((top + y) * side + left));
        return square;
    }

    /// <summary>All images at another size, by area.</summary>
    public static ImageSet Area(ImageSet set, int height, int width)
    {
        Taps down = Taps.Area(set.Size.Height, height), across = Taps.Area(set.Size.Width, width);
        return PlaneByPlane(set, set.Size with { Height = height, Width = width }, plane => Separable(plane, set.Size.Height, set.Size.Width, down, across));
    }

    /// <summary>All images centred in a square of their longer side.</summary>
    public static ImageSet PadSquare(ImageSet set, byte fill = 0)
    {
        var side = Math.Max(set.Size.Height, set.Size.Width);
        return PlaneByPlane(set, set.Size with { Height = side, Width = side }, plane => PadSquare(plane, set.Size.Height, set.Size.Width, fill));
    }

    /// <summary>Colour to gray as television does, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); gray images stay as they are.</summary>
    /// <exception cref="ArgumentException">Neither one nor three channels.</exception>
    public static ImageSet Gray(ImageSet set)
    {
        if (set.Size.Channels == 1) return set;
        if (set.Size.Channels != 3)
            throw new ArgumentException($"Gray: {set.Name} has {set.Size.Channels} channels; 1 or 3 (red, green, blue) are understood.");
        var plane = set.Size.Height * set.Size.Width;
        var pixels = new byte[set.Count * plane];
        for (var i = 0; i < set.Count; i++)
        {
            var image = set.Image(i);
            for (var p = 0; p < plane; p++) pixels[i * plane + p] = (byte)((299 * image[p] + 587 * image[plane + p] + 114 * image[2 * plane + p] + 500) / 1000);
        }
        return With(set, set.Size with { Channels = 1 }, pixels);
    }

    /// <summary>White on black for black on white: 255 - x.</summary>
    public static ImageSet Invert(ImageSet set) => With(set, set.Size, Array.ConvertAll(set.Pixels, p => (byte)(255 - p)));

    private static ImageSet PlaneByPlane(ImageSet set, ImageSize size, PlaneMap map)
    {
        int from = set.Size.Height * set.Size.Width, to = size.Height * size.Width, planes = set.Count * size.Channels;
        var pixels = new byte[checked(planes * to)];
        for (var i = 0; i < planes; i++) map(set.Pixels.AsSpan(i * from, from)).CopyTo(pixels, i * to);
        return With(set, size, pixels);
    }

    private delegate byte[] PlaneMap(ReadOnlySpan<byte> plane);

    private static ImageSet With(ImageSet set, ImageSize size, byte[] pixels) =>
        new(set.Name, size, pixels, set.Labels, set.Classes, set.Groups) { Licence = set.Licence, Source = set.Source };

    private static void Check(ReadOnlySpan<byte> plane, int height, int width)
    {
        if (height < 1 || width < 1 || plane.Length != (long)height * width)
            throw new ArgumentException($"Resize: {plane.Length} bytes are no plane of {height} x {width}.");
    }

    private static byte[] Separable(ReadOnlySpan<byte> plane, int height, int width, Taps down, Taps across)
    {
        Check(plane, height, width);
        int rows = down.Start.Length, cols = across.Start.Length;
        var middle = new float[height * cols];
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < cols; x++)
            {
                var sum = 0f;
                for (var t = 0; t < across.Length; t++)
                    sum += across.Weight[x * across.Length + t] * plane[y * width + Math.Min(across.Start[x] + t, width - 1)];
                middle[y * cols + x] = sum;
            }
        }

        var result = new byte[rows * cols];
        for (var y = 0; y < rows; y++)
        {
            for (var x = 0; x < cols; x++)
            {
                var sum = 0.5f;
                for (var t = 0; t < down.Length; t++) sum += down.Weight[y * down.Length + t] * middle[Math.Min(down.Start[y] + t, height - 1) * cols + x];
                result[y * cols + x] = (byte)Math.Clamp(sum, 0, 255);
            }
        }
        return result;
    }

    /// <summary>
    /// For each output pixel of one axis, the first input pixel it reads and the weights of that and the following ones; weights of pixels it does not read
    /// are 0.
    /// </summary>
    private readonly record struct Taps(int[] Start, float[] Weight, int Length)
    {
        public static Taps Area(int from, int to)
        {
            Check(from, to);
            var length = (from + to - 1) / to + 1;
            var taps = new Taps(new int[to], new float[to * length], length);
            for (var o = 0; o < to; o++)
            {
                // In units of 1 / to of an input pixel all borders are whole numbers: output o covers [o from, (o + 1) from].
                long begin = (long)o * from, end = begin + from;
                taps.Start[o] = (int)(begin / to);
                for (var t = 0; t < length; t++)
                {
                    long left = (taps.Start[o] + t) * (long)to, covered = Math.Min(end, left + to) - Math.Max(begin, left);
                    taps.Weight[o * length + t] = covered > 0 ? (float)((double)covered / from) : 0;
                }
            }
            return taps;
        }

        public static Taps Bilinear(int from, int to)
        {
            Check(from, to);
            var taps = new Taps(new int[to], new float[to * 2], 2);
            for (var o = 0; o < to; o++)
            {
                var place = Math.Clamp((o + 0.5) * from / to - 0.5, 0, from - 1);
                taps.Start[o] = (int)place;
                taps.Weight[2 * o + 1] = (float)(place - taps.Start[o]);
                taps.Weight[2 * o] = 1 - taps.Weight[2 * o + 1];
            }
            return taps;
        }

        private static void Check(int from, int to)
        {
            if (from < 1 || to < 1) throw new ArgumentException($"Resize: from {from} to {to} pixels; both must be at least 1.");
        }
    }
}
