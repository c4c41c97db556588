namespace NanoLora.Data;

/// <summary>
/// Light augmentation: turns, scales and shifts an image by a little, at random. What image <c>index</c> of a stream becomes depends on (seed, stream,
/// index) alone.
/// </summary>
/// <param name="Rotation">The largest turn either way, in radians.</param>
/// <param name="Scale">The largest relative growth or shrinking: 0.1 is 0.9 to 1.1.</param>
/// <param name="Shift">The largest shift along each axis, in pixels.</param>
public readonly record struct Augment(float Rotation, float Scale, float Shift)
{
    /// <summary>Leaves every pixel as it is.</summary>
    public static Augment None => default;

    // The output pixel (x, y) is read at   u = u0 + (x - u0) cos θ / s + (y - v0) sin θ / s - tx
    //                                      v = v0 - (x - u0) sin θ / s + (y - v0) cos θ / s - ty
    // with (u0, v0) the centre, linearly between its four neighbours; outside the image is 0. Along a row, (u, v) moves by a constant step.

    /// <summary>Writes the changed image as normalised floats. Allocates nothing.</summary>
    /// <param name="image">[channels, height, width].</param>
    /// <param name="size">The sizes of the image.</param>
    /// <param name="random">Numbers for this use; four are taken per image.</param>
    /// <param name="index">Which image of the stream it is, such as step x batch size + position.</param>
    /// <param name="target">[channels, height, width].</param>
    /// <param name="normalisation">How pixels become floats.</param>
    public void Apply(ReadOnlySpan<byte> image, ImageSize size, in Philox random, ulong index, Span<float> target, Normalisation normalisation)
    {
        if (image.Length != size.Length || target.Length < size.Length)
            throw new ArgumentException($"Augment: an image of {size} has {size.Length} values; the source has {image.Length}, the target {target.Length}.");
        if (!(Scale is >= 0 and < 1)) throw new ArgumentException($"Augment: the scale {Scale} must be at least 0 and below 1.");
        float angle = Rotation * Signed(random, 4 * index), zoom = 1 + Scale * Signed(random, 4 * index + 1);
        float tx = Shift * Signed(random, 4 * index + 2), ty = Shift * Signed(random, 4 * index + 3);
        float cos = MathF.Cos(angle) / zoom, sin = MathF.Sin(angle) / zoom, u0 = (size.Width - 1) / 2f, v0 = (size.Height - 1) / 2f;

        var plane = size.Height * size.Width;
        for (var c = 0; c < size.Channels; c++)
        {
            var source = image.Slice(c * plane, plane);
            var (gain, offset) = normalisation.Channel(c);
            for (var y = 0; y < size.Height; y++)
            {
                var row = target.Slice(c * plane + y * size.Width, size.Width);
                float uRow = u0 - u0 * cos + (y - v0) * sin - tx, vRow = v0 + u0 * sin + (y - v0) * cos - ty;
                for (var x = 0; x < row.Length; x++)
                    row[x] = Sample(source, size.Height, size.Width, uRow + x * cos, vRow - x * sin) * gain - offset;
            }
        }
    }

    /// <summary>The value between four pixels; pixels outside count as 0.</summary>
    private static float Sample(ReadOnlySpan<byte> plane, int height, int width, float u, float v)
    {
        float left = MathF.Floor(u), top = MathF.Floor(v), s = u - left, t = v - top;
        int x = (int)left, y = (int)top;
        float a, b, c, d;                                       // the corners: above left, above right, below left, below right
        if ((uint)x < (uint)(width - 1) && (uint)y < (uint)(height - 1))
        {
            var corner = plane.Slice(y * width + x, width + 2);
            (a, b, c, d) = (corner[0], corner[1], corner[width], corner[width + 1]);
        }
        else
        {
            (a, b) = (At(plane, height, width, x, y), At(plane, height, width, x + 1, y));
            (c, d) = (At(plane, height, width, x, y + 1), At(plane, height, width, x + 1, y + 1));
        }
        float above = a + (b - a) * s, below = c + (d - c) * s;
        return above + (below - above) * t;
    }

    private static float At(ReadOnlySpan<byte> plane, int height, int width, int x, int y) =>
        (uint)x < (uint)width && (uint)y < (uint)height ? plane[y * width + x] : 0;

    /// <summary>A number in [-1, 1).</summary>
    private static float Signed(in Philox random, ulong index) => 2 * random.Uniform(index) - 1;
}
