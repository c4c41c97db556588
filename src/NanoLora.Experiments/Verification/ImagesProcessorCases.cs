using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// What a model is fed: each processor's config is loaded as a model folder's, and its result compared. It starts from the reference's decoded pixels, so that
/// decoders of JPEG do not matter; the files themselves are decoded and compared once each.
/// </summary>
internal sealed class ImagesProcessorCases(GoldenFolder folder, GoldenReport report)
{
    private const int JpegTolerance = 4;

    private readonly HashSet<string> _decoded = new(StringComparer.Ordinal);

    public void Run(JsonElement @case)
    {
        string Text(string name) => folder.Field(@case, name, JsonValueKind.String).GetString()!;
        var image = Text("image");
        report.Case($"{Text("processor")}/{Path.GetFileName(image)}");
        if (!@case.TryGetProperty("tensors", out var tensors)) return;               // the reference itself failed here
        var picture = Decoded(image);
        foreach (var tensor in tensors.EnumerateObject())
        {
            var (backend, key) = (tensor.Name, tensor.Value.GetString()!);
            var shape = folder.ShapeOf(key);
            var processor = ImageProcessor.Load(Path.Combine(folder.Path, Text("config")), new ImageSize(shape[0], shape[1], shape[2]),
                backend: backend == "torchvision" ? ImageBackend.Torchvision : ImageBackend.Pillow);
            var fitted = processor.Fit(picture);
            var (planes, size) = (fitted.Planes(), new ImageSize(fitted.Channels, fitted.Height, fitted.Width));
            if (size != new ImageSize(shape[0], shape[1], shape[2]))
            {
                report.Tensor(backend, shape, Comparison.Fail($"{size} where {shape} is expected"));
                continue;
            }
            var got = new float[size.Length];
            if (backend.EndsWith("_bytes", StringComparison.Ordinal)) for (var i = 0; i < got.Length; i++) got[i] = planes[i];
            else processor.Normalisation.Apply(planes, size, got);
            var tolerance = folder.Field(folder.Field(@case, "tolerance", JsonValueKind.Object), backend, JsonValueKind.Number).GetDouble();
            report.Floats(backend, shape, got, folder.Floats(key), tolerance);
        }
    }

    private Picture Decoded(string image)
    {
        var key = $"decoded/{Path.GetFileName(image)}";
        var shape = folder.ShapeOf(key);
        var want = new Picture(shape[1], shape[0], shape[2], folder.Bytes(key));
        if (_decoded.Add(key))
        {
            var got = Pictures.Read(Path.Combine(folder.Path, image)).As(3);
            var tolerance = Path.GetExtension(image) == ".jpg" ? JpegTolerance : 0;
            report.Floats(key, shape, Array.ConvertAll(got.Pixels, static p => (float)p), Array.ConvertAll(want.Pixels, static p => (float)p), tolerance);
        }
        return want;
    }
}
