using System.Buffers;
using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>An image set as the trainer reads it: normalised floats, moved a little at random while training.</summary>
/// <param name="set">The images.</param>
/// <param name="normalisation">How pixels become floats.</param>
/// <param name="augment">How far training moves an image.</param>
public sealed class ImageDataset(ImageSet set, Normalisation normalisation, Augment augment = default) : IDataset
{
    /// <summary>The images.</summary>
    public ImageSet Set => set;

    /// <inheritdoc/>
    public string Name => set.Name;

    /// <inheritdoc/>
    public int Count => set.Count;

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes => set.Classes;

    /// <inheritdoc/>
    public int Label(int index) => set.Labels[index];

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var size = set.Size;
        var pixels = ArrayPool<float>.Shared.Rent(indices.Length * size.Length);
        var labels = ArrayPool<int>.Shared.Rent(indices.Length);
        try
        {
            for (var i = 0; i < indices.Length; i++)
            {
                var target = pixels.AsSpan(i * size.Length, size.Length);
                if (random is { } numbers && augment != Augment.None) augment.Apply(set.Image(indices[i]), size, numbers, (ulong)i, target, normalisation);
                else set.CopyTo(indices[i], target, normalisation);
                labels[i] = set.Labels[indices[i]];
            }
            return Datasets.Batch(workspace, pixels, labels, indices.Length, size);
        }
        finally
        {
            ArrayPool<float>.Shared.Return(pixels);
            ArrayPool<int>.Shared.Return(labels);
        }
    }
}

/// <summary>The training side of a mixture: every read draws anew, so a sample's number says nothing of its content.</summary>
/// <param name="mixture">The tasks and how often each is drawn.</param>
/// <param name="normalisation">How pixels become floats.</param>
/// <param name="augment">How far training moves an image.</param>
public sealed class MixtureDataset(ImageMixture mixture, Normalisation normalisation, Augment augment) : IDataset
{
    /// <inheritdoc/>
    public string Name => string.Join(" + ", mixture.Tasks.Select(t => t.Name));

    /// <inheritdoc/>
    public int Count { get; } = mixture.Tasks.Sum(t => t.Train.Count);

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes { get; } = mixture.ClassNames();

    /// <inheritdoc/>
    public int Label(int index) => throw new NotSupportedException($"{Name}: samples are drawn as they are read; only the batch knows their classes.");

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var numbers = random ?? throw new NotSupportedException($"{Name}: a mixture is drawn at random; use MixtureTestSet to measure.");
        var size = mixture.Size;
        var pixels = ArrayPool<float>.Shared.Rent(indices.Length * size.Length);
        var labels = ArrayPool<int>.Shared.Rent(indices.Length);
        try
        {
            for (var i = 0; i < indices.Length; i++)
                labels[i] = mixture.Draw(numbers, (ulong)i, augment, pixels.AsSpan(i * size.Length, size.Length), normalisation);
            return Datasets.Batch(workspace, pixels, labels, indices.Length, size);
        }
        finally
        {
            ArrayPool<float>.Shared.Return(pixels);
            ArrayPool<int>.Shared.Return(labels);
        }
    }
}

/// <summary>The test side of a mixture: every n-th test image, as it is.</summary>
/// <param name="mixture">The tasks.</param>
/// <param name="every">Takes each image whose number is a multiple of this.</param>
/// <param name="normalisation">How pixels become floats.</param>
public sealed class MixtureTestSet(ImageMixture mixture, int every, Normalisation normalisation) : IDataset
{
    private readonly float[] _scratch = new float[mixture.Size.Length];

    /// <inheritdoc/>
    public string Name => "the test images of the mixture";

    /// <inheritdoc/>
    public int Count => (mixture.TestCount + every - 1) / every;

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes { get; } = mixture.ClassNames();

    /// <inheritdoc/>
    public int Label(int index)
    {
        lock (_scratch) return mixture.Test(index * every, _scratch, normalisation);
    }

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var size = mixture.Size;
        var (pixels, labels) = (new float[indices.Length * size.Length], new int[indices.Length]);
        for (var i = 0; i < indices.Length; i++) labels[i] = mixture.Test(indices[i] * every, pixels.AsSpan(i * size.Length, size.Length), normalisation);
        return Datasets.Batch(workspace, pixels, labels, indices.Length, size);
    }
}

/// <summary>Image sets as the trainer reads them.</summary>
public static class ImageSets
{
    /// <summary>The set as the trainer reads it.</summary>
    /// <param name="set">The images.</param>
    /// <param name="normalisation">How pixels become floats.</param>
    /// <param name="augment">How far training moves an image.</param>
    public static ImageDataset Normalised(this ImageSet set, Normalisation normalisation, Augment augment = default) => new(set, normalisation, augment);
}

file static class Datasets
{
    public static Batch Batch(Workspace workspace, float[] pixels, int[] labels, int count, ImageSize size) => new(
        workspace.From(pixels.AsSpan(0, count * size.Length), new Shape(count, size.Channels, size.Height, size.Width)),
        workspace.From(labels.AsSpan(0, count), new Shape(count)));
}
