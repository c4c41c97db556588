using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Experiments.Verification;

/// <summary>Files and the pixels in them: what must load has Pillow's pixels, what must be refused is refused by name.</summary>
internal sealed class ImagesDecodeCases(GoldenFolder folder, GoldenReport report)
{
    // Decoders of JPEG round differently; the reference's own transforms differ by up to 3.
    private const int JpegTolerance = 4;

    public void Run(JsonElement @case)
    {
        string Text(string name) => folder.Field(@case, name, JsonValueKind.String).GetString()!;
        var (file, verdict) = (Text("file"), Text("verdict"));
        report.Case(Path.GetFileName(file));
        var path = Path.Combine(folder.Path, file);
        if (!File.Exists(path)) throw new GoldenException(path, "file", "is missing; copy the folder again.");
        Picture? stored = null;
        Exception? refusal = null;
        try { stored = Pictures.Decode(File.ReadAllBytes(path), path, upright: false); }
        catch (InvalidDataException e) { refusal = e; }
        if (verdict == "load" && refusal is not null) report.Fail($"it must load, but: {refusal.Message}");
        else if (verdict == "load") Pixels(@case, path, stored!);
        else if (refusal is not null) Refused(path, refusal);
        else if (verdict == "error") report.Fail("it must be refused, but loads");
        else report.Tensor("loads", new Shape(), new Comparison(true, 0, 0));
    }

    // A refusal names the file, and is one of ours, not whatever went wrong inside.
    private void Refused(string path, Exception refusal) => report.Tensor("refused", new Shape(),
        refusal.Message.StartsWith(path, StringComparison.Ordinal) ? new Comparison(true, 0, 0)
            : Comparison.Fail($"the refusal does not name the file: {refusal.Message}"));

    private void Pixels(JsonElement @case, string path, Picture picture)
    {
        var tensors = folder.Field(@case, "tensors", JsonValueKind.Object);
        var exact = folder.Field(@case, "format", JsonValueKind.String).GetString() != "JPEG";
        var mode = folder.Field(@case, "mode", JsonValueKind.String).GetString()!;
        foreach (var tensor in tensors.EnumerateObject())
        {
            var (role, name) = (tensor.Name, tensor.Value.GetString()!);
            switch (role)
            {
                // Pillow has no one conversion of 16-bit gray to RGB; its values are compared instead.
                case "rgb" when mode.StartsWith('I'): break;
                case "rgb": Compare(role, name, picture.As(3), exact, Plain(tensors)); break;
                case "rgb_plain": break;                                             // the other way to bring chroma to full size: beside rgb
                case "rgb_upright":
                    var orientation = folder.Field(@case, "orientation", JsonValueKind.Number).GetInt32();
                    Turn(tensors, name, orientation, picture);
                    Compare(role, name, Pictures.Read(path).As(3), exact, Plain(tensors) is { } plain ? Exif.Upright(plain, orientation) : null);
                    break;
                case "gray": Compare(role, name, picture.As(1), exact, null); break;
                case "rgba": Compare(role, name, Rgba(picture), exact, null); break;
                case "values" or "samples":
                    var values = Png.Samples(File.ReadAllBytes(path), path).Values;
                    report.Tensor(role, folder.ShapeOf(name), Comparison.Of(Array.ConvertAll(values, static v => (int)v), folder.Ints(name)));
                    break;
                default: report.Fail($"the role {role} is not known"); break;
            }
        }
    }

    private void Compare(string role, string name, Picture got, bool exact, Picture? plain)
    {
        var shape = folder.ShapeOf(name);
        float[] pixels = Floats(got.Pixels), want = folder.Floats(name);
        var size = (shape[0], shape[1]);
        if ((got.Height, got.Width) != size)
        {
            report.Tensor(role, shape, Comparison.Fail($"{got.Height} x {got.Width} pixels where {size.Item1} x {size.Item2} are expected"));
            return;
        }
        var found = Comparison.Of(pixels, want, exact ? 0 : JpegTolerance);
        if (!found.Ok && plain is not null) found = Comparison.Of(pixels, Floats(plain.Pixels), JpegTolerance);
        report.Tensor(role, shape, found);
    }

    // Turning the stored reference must give the upright one, pixel by pixel; so a wrong turn cannot hide in JPEG's tolerance.
    private void Turn(JsonElement tensors, string upright, int orientation, Picture like)
    {
        var stored = new Picture(like.Width, like.Height, 3, folder.Bytes(folder.Field(tensors, "rgb", JsonValueKind.String).GetString()!));
        report.Tensor("turn", folder.ShapeOf(upright), Comparison.Of(Floats(Exif.Upright(stored, orientation).Pixels), folder.Floats(upright), 0));
    }

    private Picture? Plain(JsonElement tensors)
    {
        if (!tensors.TryGetProperty("rgb_plain", out var name)) return null;
        var shape = folder.ShapeOf(name.GetString()!);
        return new(shape[1], shape[0], 3, folder.Bytes(name.GetString()!));
    }

    private static Picture Rgba(Picture picture)
    {
        if (picture.Channels == 4) return picture;
        var (rgb, pixels) = (picture.As(3).Pixels, new byte[picture.Width * picture.Height * 4]);
        for (var p = 0; p < picture.Width * picture.Height; p++)
        {
            rgb.AsSpan(3 * p, 3).CopyTo(pixels.AsSpan(4 * p));
            pixels[4 * p + 3] = picture.Channels == 2 ? picture.Pixels[2 * p + 1] : (byte)255;
        }
        return picture with { Channels = 4, Pixels = pixels };
    }

    private static float[] Floats(byte[] bytes) => Array.ConvertAll(bytes, static b => (float)b);
}
