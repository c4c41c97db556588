using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Images: files and the pixels in them, resizes, crops, and what image processors make of pictures, by Pillow, torchvision, transformers and timm.
/// </summary>
public sealed class ImagesArea : IGoldenArea
{
    /// <inheritdoc/>
    public string Name => "images";

    /// <inheritdoc/>
    public bool Recognises(GoldenFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return Kind(folder) is not null;
    }

    /// <inheritdoc/>
    public void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(report);
        var run = Kind(folder)!(folder, backend, report);
        foreach (var @case in folder.Root.GetProperty("cases").EnumerateArray())
        {
            try { run(@case); }
            catch (Exception e) when (e is GoldenException or InvalidDataException or ArgumentException or IOException or FormatException or OverflowException)
            {
                report.Fail(e.Message);
            }
        }
        report.Case("");
    }

    // What runs the cases, told by the fields that all of them have.
    private static Func<GoldenFolder, Backend, GoldenReport, Action<JsonElement>>? Kind(GoldenFolder folder)
    {
        if (!folder.Has("cases", JsonValueKind.Array) || folder.Root.GetProperty("cases").GetArrayLength() == 0) return null;
        if (All(static c => Has(c, "file", "verdict") && (Has(c, "mode") || Has(c, "pillow")))) return static (f, _, r) => new ImagesDecodeCases(f, r).Run;
        if (All(static c => Has(c, "case", "source", "tensors"))) return static (f, b, r) => new ImagesResizeCases(f, b, r).Run;
        if (All(static c => Has(c, "height", "width", "crop_height", "crop_width"))) return static (f, _, r) => new ImagesCropCases(f, r).Run;
        if (All(static c => Has(c, "processor", "image"))) return static (f, _, r) => new ImagesProcessorCases(f, r).Run;
        return null;

        bool All(Predicate<JsonElement> holds)
        {
            foreach (var @case in folder.Root.GetProperty("cases").EnumerateArray()) if (@case.ValueKind != JsonValueKind.Object || !holds(@case)) return false;
            return true;
        }
    }

    private static bool Has(JsonElement @case, params ReadOnlySpan<string> fields)
    {
        foreach (var field in fields) if (!@case.TryGetProperty(field, out _)) return false;
        return true;
    }
}

/// <summary>Crops: where each library's lands. Numbers only; a line per library and size.</summary>
internal sealed class ImagesCropCases(GoldenFolder folder, GoldenReport report)
{
    private static readonly (string Name, CropRounding Rounding)[] Libraries =
    [
        ("torchvision", CropRounding.Torchvision), ("transformers", CropRounding.TransformersTorchvision),
        ("transformers_pil", CropRounding.TransformersPillow),
    ];

    public void Run(JsonElement @case)
    {
        int Int(string name) => folder.Field(@case, name, JsonValueKind.Number).GetInt32();
        int height = Int("height"), width = Int("width"), rows = Int("crop_height"), columns = Int("crop_width");
        report.Case($"{rows}x{columns} of {height}x{width}");
        // The picture that the reference cropped: 1, 2, 3, … row by row, on 0.
        var pixels = new byte[height * width];
        for (var i = 0; i < pixels.Length; i++) pixels[i] = (byte)(i + 1);
        foreach (var (name, rounding) in Libraries)
        {
            if (!@case.TryGetProperty(name, out var place)) continue;
            int top = folder.Field(place, "top", JsonValueKind.Number).GetInt32(), left = folder.Field(place, "left", JsonValueKind.Number).GetInt32();
            int[] start = [CentreCrop.Start(height, rows, rounding), CentreCrop.Start(width, columns, rounding)];
            report.Tensor($"{name} top, left", new Shape(2), Comparison.Of(start, [top, left]));
            var want = new int[rows * columns];
            for (var i = 0; i < want.Length; i++)
            {
                int y = i / columns + top, x = i % columns + left;
                want[i] = y >= 0 && y < height && x >= 0 && x < width ? pixels[y * width + x] : 0;
            }
            var got = CentreCrop.Of(new Picture(width, height, 1, pixels), rows, columns, rounding);
            report.Tensor(name, new Shape(rows, columns), Comparison.Of(Array.ConvertAll(got.Pixels, static p => (int)p), want));
        }
    }
}
