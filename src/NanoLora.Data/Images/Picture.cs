namespace NanoLora.Data;

/// <summary>A decoded picture, 8 bits a value.</summary>
/// <param name="Width">Pixels of a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="Channels">1: gray, 2: gray and alpha, 3: red, green, blue, 4: red, green, blue, alpha. Alpha is not multiplied in.</param>
/// <param name="Pixels">[height, width, channels].</param>
public sealed record Picture(int Width, int Height, int Channels, byte[] Pixels)
{
    /// <summary>
    /// The same picture with one channel (gray, by ITU-R BT.601) or three (gray is repeated). Alpha is dropped, not blended, as Pillow's conversions do.
    /// </summary>
    /// <exception cref="ArgumentException">Another number of channels is asked for.</exception>
    public Picture As(int channels)
    {
        if (channels is not (1 or 3)) throw new ArgumentException($"Picture: pictures are made gray (1 channel) or RGB (3), not of {channels} channels.");
        if (channels == Channels) return this;
        var pixels = new byte[checked(Width * Height * channels)];
        for (int from = 0, to = 0; to < pixels.Length; from += Channels, to += channels)
        {
            var (r, g, b) = Channels > 2 ? (Pixels[from], Pixels[from + 1], Pixels[from + 2]) : (Pixels[from], Pixels[from], Pixels[from]);
            if (channels == 3) (pixels[to], pixels[to + 1], pixels[to + 2]) = (r, g, b);
            else pixels[to] = Channels > 2 ? Gray(r, g, b) : r;
        }
        return new(Width, Height, channels, pixels);
    }

    /// <summary>The pixels channel by channel: [channels, height, width].</summary>
    public byte[] Planes()
    {
        if (Channels == 1) return Pixels;
        var plane = Width * Height;
        var planes = new byte[Pixels.Length];
        for (var c = 0; c < Channels; c++)
        {
            for (var p = 0; p < plane; p++) planes[c * plane + p] = Pixels[p * Channels + c];
        }
        return planes;
    }

    // 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point, rounded: the numbers of Pillow's convert("L").
    private static byte Gray(int r, int g, int b) => (byte)((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16);
}
