using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>Brings images into the form that a model reads.</summary>
internal static class ModelImages
{
    /// <summary>The same images in the model's size and channels: gray for one channel, gray three times or RGB for three.</summary>
    /// <exception cref="CommandException">The model has another number of channels.</exception>
    public static ImageSet Fit(ImageSet set, VitConfig config)
    {
        set = (set.Size.Channels, config.Channels) switch
        {
            (3, 1) => Resize.Gray(set),
            (1, 3) => Made(set, set.Size with { Channels = 3 }, i => [.. set.Image(i), .. set.Image(i), .. set.Image(i)]),
            var (from, to) when from == to => set,
            var (from, to) => throw new CommandException($"{set.Name}: images of {from} channels cannot be made into the {to} that the model reads."),
        };
        return (set.Size.Height, set.Size.Width) == (config.ImageRows, config.ImageColumns) ? set : Resized(set, config.ImageRows, config.ImageColumns);
    }

    /// <summary>The same task in the model's size and channels.</summary>
    public static ImageTask Fit(ImageTask task, VitConfig config) => new(task.Name, Fit(task.Train, config), Fit(task.Test, config), task.Pool);

    /// <summary>Mean and deviation of a channel's pixels on the scale 0 to 1; 0 and 1 where the model does not say.</summary>
    public static (float Mean, float Deviation) Normalisation(VitConfig config, int channel) =>
        (Of(config.ImageMean, channel, 0), Of(config.ImageStd, channel, 1));

    /// <summary>How the model reads pixels.</summary>
    public static Normalisation Normalisation(Vit model) => new(model.Config.ImageMean, model.Config.ImageStd);

    private static float Of(IReadOnlyList<float>? values, int channel, float fallback) =>
        values is { Count: > 0 } ? values[Math.Min(channel, values.Count - 1)] : fallback;

    // Smaller by the mean of what a pixel covers, larger by the line between neighbours.
    private static ImageSet Resized(ImageSet set, int rows, int columns)
    {
        var (size, plane) = (set.Size, set.Size.Height * set.Size.Width);
        var smaller = rows <= size.Height && columns <= size.Width;
        return Made(set, new ImageSize(size.Channels, rows, columns), i =>
        {
            var image = new List<byte>(size.Channels * rows * columns);
            for (var c = 0; c < size.Channels; c++)
            {
                var from = set.Image(i).Slice(c * plane, plane);
                image.AddRange(smaller ? Resize.Area(from, size.Height, size.Width, rows, columns)
                    : Resize.Bilinear(from, size.Height, size.Width, rows, columns));
            }
            return [.. image];
        });
    }

    private static ImageSet Made(ImageSet set, ImageSize size, Func<int, byte[]> image)
    {
        var pixels = new byte[checked(set.Count * size.Length)];
        for (var i = 0; i < set.Count; i++) image(i).CopyTo(pixels, i * size.Length);
        return new(set.Name, size, pixels, set.Labels, set.Classes, set.Groups) { Licence = set.Licence, Source = set.Source };
    }
}

/// <summary>An image set as a model reads it, each channel normalised by the model's own mean and deviation.</summary>
/// <param name="set">The images, in the model's size and channels.</param>
/// <param name="config">The model.</param>
internal sealed class ModelDataset(ImageSet set, VitConfig config) : IDataset
{
    public string Name => set.Name;

    public int Count => set.Count;

    public IReadOnlyList<string> Classes => set.Classes;

    public int Label(int index) => set.Labels[index];

    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var (size, plane) = (set.Size, set.Size.Height * set.Size.Width);
        var (pixels, labels) = (new float[indices.Length * size.Length], new int[indices.Length]);
        for (var i = 0; i < indices.Length; i++)
        {
            var image = set.Image(indices[i]);
            for (var c = 0; c < size.Channels; c++)
            {
                var (mean, deviation) = ModelImages.Normalisation(config, c);
                var y = pixels.AsSpan(i * size.Length + c * plane, plane);
                for (var p = 0; p < plane; p++) y[p] = (image[c * plane + p] / 255f - mean) / deviation;
            }
            labels[i] = set.Labels[indices[i]];
        }
        var inputs = workspace.From(pixels, new Shape(indices.Length, size.Channels, size.Height, size.Width));
        return new Batch(inputs, workspace.From(labels, new Shape(indices.Length)));
    }
}
