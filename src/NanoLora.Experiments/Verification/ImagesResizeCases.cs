using System.Text.Json;
using NanoLora.Data;
using NanoLora.Models;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Resizes of given arrays: 8-bit pictures and float planes as Pillow does, tensors and tables of positions as torch, transformers and timm do.
/// </summary>
internal sealed class ImagesResizeCases(GoldenFolder folder, Backend backend, GoldenReport report)
{
    // No tolerance is given for torchvision's tensors: 8-bit results of the same sums, which float noise can take over a half.
    private const double TorchvisionTolerance = 1;

    public void Run(JsonElement @case)
    {
        var name = Text(@case, "case");
        report.Case(name);
        foreach (var tensor in folder.Field(@case, "tensors", JsonValueKind.Array).EnumerateArray())
        {
            var (backendName, key) = (tensor.GetString()!, $"{name}/{tensor.GetString()}");
            var got = backendName switch
            {
                "pil" => Pillow(@case),
                "torchvision" => Floats(TorchResize.ResizeByFloats(Source(@case), Int(@case, "width"), Int(@case, "height"), Filter(@case)).Pixels),
                "torch" => Torch(@case),
                "transformers" or "timm" => Positions(@case, key, backendName == "timm"),
                _ => throw new GoldenException(folder.Path, $"{name}.tensors",
                    $"\"{backendName}\" is not known; this tool knows pil, torchvision, torch, transformers and timm."),
            };
            report.Floats(backendName, folder.ShapeOf(key), got, folder.Floats(key), Tolerance(@case, backendName));
        }
    }

    private float[] Pillow(JsonElement @case)
    {
        int width = Int(@case, "width"), height = Int(@case, "height");
        if (Text(@case, "mode") == "F")
        {
            var (source, shape) = (Text(@case, "source"), folder.ShapeOf(Text(@case, "source")));
            return PillowResize.Resize(folder.Floats(source), shape[0], shape[1], height, width, Filter(@case));
        }
        (float, float, float, float)? box = null;
        if (@case.TryGetProperty("box_left_top_right_bottom", out var sides))
            box = (sides[0].GetSingle(), sides[1].GetSingle(), sides[2].GetSingle(), sides[3].GetSingle());
        return Floats(PillowResize.Resize(Source(@case), width, height, Filter(@case), box).Pixels);
    }

    private float[] Torch(JsonElement @case)
    {
        var shape = folder.ShapeOf(Text(@case, "source"));
        var mode = Text(@case, "filter") switch
        {
            "nearest" => TorchMode.Nearest,
            "nearest-exact" => TorchMode.NearestExact,
            "bilinear" => TorchMode.Bilinear,
            "bicubic" => TorchMode.Bicubic,
            var other => throw new GoldenException(folder.Path, "filter", $"\"{other}\" is not known."),
        };
        var antialias = @case.TryGetProperty("antialias", out var value) && value.GetBoolean();
        int height = shape[shape.Rank - 2], width = shape[shape.Rank - 1];
        return TorchResize.Interpolate(folder.Floats(Text(@case, "source")), height, width, Int(@case, "height"), Int(@case, "width"), mode, antialias);
    }

    // What Vit does with its table: [1, prefix + n², D] to another grid, the prefix untouched.
    private float[] Positions(JsonElement @case, string key, bool antialias)
    {
        using var scope = backend.Scope(grad: false);
        var source = Text(@case, "source");
        var (from, to, prefix) = (folder.ShapeOf(source), folder.ShapeOf(key), Int(@case, "prefix_tokens"));
        int n = (int)Math.Round(Math.Sqrt(from[1] - prefix)), m = (int)Math.Round(Math.Sqrt(to[1] - prefix)), d = from[2];
        var values = folder.Floats(source);
        var grid = backend.Main.From(values.AsSpan(prefix * d), new Shape(n * n, d));
        var moved = PositionTable.Matrix(backend.Main, (n, n), (m, m), antialias).MatMul(grid);
        return [.. values.AsSpan(0, prefix * d), .. moved.ToArray()];
    }

    private Picture Source(JsonElement @case)
    {
        var source = Text(@case, "source");
        var shape = folder.ShapeOf(source);
        return new(shape[1], shape[0], shape.Rank == 2 ? 1 : shape[2], folder.Bytes(source));
    }

    // Palette indices and bits are never mixed: Pillow takes the nearest whatever it is told.
    private ResizeFilter Filter(JsonElement @case) => Text(@case, "mode") is "P" or "1" ? ResizeFilter.Nearest
        : Enum.TryParse<ResizeFilter>(Text(@case, "filter"), ignoreCase: true, out var filter) ? filter
        : throw new GoldenException(folder.Path, "filter", $"\"{Text(@case, "filter")}\" is not known.");

    private static double Tolerance(JsonElement @case, string name) =>
        @case.TryGetProperty("tolerance", out var all) && all.TryGetProperty(name, out var one) ? one.GetDouble() : TorchvisionTolerance;

    private string Text(JsonElement @case, string name) => folder.Field(@case, name, JsonValueKind.String).GetString()!;

    private int Int(JsonElement @case, string name) => folder.Field(@case, name, JsonValueKind.Number).GetInt32();

    private static float[] Floats(byte[] bytes) => Array.ConvertAll(bytes, static b => (float)b);
}
