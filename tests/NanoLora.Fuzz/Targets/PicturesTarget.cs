using NanoLora.Data;

namespace NanoLora.Fuzz;

/// <summary>Pictures: PNG, JPEG, PGM and PPM.</summary>
public sealed class PicturesTarget : FuzzTarget
{
    private string _path = "";

    // The decoder's own pools.
    /// <inheritdoc/>
    protected override long AllocationFloor => 32 << 20;

    // A byte of a PNG may unpack to a thousand, each of them eight pixels of a palette, of four channels.
    /// <inheritdoc/>
    protected override long AllocationPerByte => 48 << 10;

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input) => [_path = Put("picture", input)];

    /// <inheritdoc/>
    protected override void Read()
    {
        var picture = Pictures.Read(_path);
        var values = picture.Width * picture.Height * picture.Channels;
        if (picture.Width < 1 || picture.Height < 1 || picture.Channels is < 1 or > 4 || picture.Pixels.Length != values)
            throw new FindingException($"{picture.Pixels.Length} values for {picture.Width} x {picture.Height} pixels of {picture.Channels}");
        if (picture.Pixels.Length < 1 << 16) _ = picture.As(3);
    }

    /// <inheritdoc/>
    protected override bool IsRefusal(Exception e) => e is InvalidDataException;
}
