using System.Buffers.Binary;
using System.Security.Cryptography;

namespace NanoLora.Data;

/// <summary>Labelled images of one size, 8 bits a value. Nobody writes to the arrays once the set is made: sets share them.</summary>
public sealed class ImageSet
{
    /// <summary>Makes a set after checking that the arrays belong together.</summary>
    /// <param name="name">Names the set in errors and reports.</param>
    /// <param name="size">Channels, height and width of one image.</param>
    /// <param name="pixels">[count, channels, height, width].</param>
    /// <param name="labels">[count], each an index into <paramref name="classes"/>.</param>
    /// <param name="classes">The names of the classes.</param>
    /// <param name="groups">[count]: who drew or signed the image; none if unknown.</param>
    /// <exception cref="ArgumentException">The lengths disagree, or a label has no class.</exception>
    public ImageSet(string name, ImageSize size, byte[] pixels, int[] labels, string[] classes, int[]? groups = null)
    {
        if (size.Channels < 1 || size.Height < 1 || size.Width < 1) throw new ArgumentException($"{name}: an image of {size} has no pixels.");
        var need = (long)labels.Length * size.Length;
        if (pixels.Length != need)
            throw new ArgumentException($"{name}: {labels.Length} images of {size} need {need} bytes of pixels; there are {pixels.Length}.");
        if (groups is not null && groups.Length != labels.Length) throw new ArgumentException($"{name}: {labels.Length} labels, but {groups.Length} groups.");
        for (var i = 0; i < labels.Length; i++)
        {
            if ((uint)labels[i] >= (uint)classes.Length)
                throw new ArgumentException($"{name}: image {i} has the label {labels[i]}; there are {classes.Length} classes.");
        }
        (Name, Size, Pixels, Labels, Classes, Groups) = (name, size, pixels, labels, classes, groups);
    }

    /// <summary>Names the set in errors and reports.</summary>
    public string Name { get; }

    /// <summary>Channels, height and width of one image.</summary>
    public ImageSize Size { get; }

    /// <summary>All pixels: [count, channels, height, width].</summary>
    public byte[] Pixels { get; }

    /// <summary>The class of each image: [count].</summary>
    public int[] Labels { get; }

    /// <summary>The names of the classes.</summary>
    public string[] Classes { get; }

    /// <summary>Who made each image, [count]; null if unknown.</summary>
    public int[]? Groups { get; }

    /// <summary>Under which licence the images may be used.</summary>
    public string Licence { get; init; } = "";

    /// <summary>Where the images come from.</summary>
    public string Source { get; init; } = "";

    /// <summary>The number of images.</summary>
    public int Count => Labels.Length;

    /// <summary>The pixels of one image: [channels, height, width].</summary>
    public ReadOnlySpan<byte> Image(int index) => Pixels.AsSpan(index * Size.Length, Size.Length);

    /// <summary>How many images each class has.</summary>
    public int[] ClassCounts()
    {
        var counts = new int[Classes.Length];
        foreach (var label in Labels) counts[label]++;
        return counts;
    }

    /// <summary>The chosen images, in the order given; an index may come twice.</summary>
    public ImageSet Subset(ReadOnlySpan<int> indices, string? name = null)
    {
        var pixels = new byte[checked(indices.Length * Size.Length)];
        var labels = new int[indices.Length];
        var groups = Groups is null ? null : new int[indices.Length];
        for (var i = 0; i < indices.Length; i++)
        {
            Image(indices[i]).CopyTo(pixels.AsSpan(i * Size.Length));
            labels[i] = Labels[indices[i]];
            if (groups is not null) groups[i] = Groups![indices[i]];
        }
        return new(name ?? Name, Size, pixels, labels, Classes, groups) { Licence = Licence, Source = Source };
    }

    /// <summary>The images whose index passes, in their order.</summary>
    public ImageSet Where(Func<int, bool> keep)
    {
        var kept = new List<int>();
        for (var i = 0; i < Count; i++) if (keep(i)) kept.Add(i);
        return kept.Count == Count ? this : Subset([.. kept]);
    }

    /// <summary>
    /// One set after the other. Classes of the same name become one class, others are appended, so that it serves both for more images of the same classes
    /// and for further classes. Groups are kept if every set has them.
    /// </summary>
    /// <exception cref="ArgumentException">No set at all, or images of different sizes.</exception>
    public static ImageSet Concat(string name, params ReadOnlySpan<ImageSet> sets)
    {
        if (sets.IsEmpty) throw new ArgumentException($"{name}: nothing to concatenate.");
        var count = 0;
        var grouped = true;
        foreach (var set in sets)
        {
            if (set.Size != sets[0].Size)
                throw new ArgumentException($"{name}: {set.Name} has images of {set.Size}, {sets[0].Name} of {sets[0].Size}; resize one.");
            count = checked(count + set.Count);
            grouped &= set.Groups is not null;
        }

        var pixels = new byte[checked(count * sets[0].Size.Length)];
        var labels = new int[count];
        var groups = grouped ? new int[count] : null;
        var classes = new List<string>();
        var start = 0;
        foreach (var set in sets)
        {
            var map = new int[set.Classes.Length];
            for (var c = 0; c < map.Length; c++)
            {
                map[c] = classes.IndexOf(set.Classes[c]);
                if (map[c] >= 0) continue;
                map[c] = classes.Count;
                classes.Add(set.Classes[c]);
            }
            set.Pixels.CopyTo(pixels, start * set.Size.Length);
            for (var i = 0; i < set.Count; i++) labels[start + i] = map[set.Labels[i]];
            if (groups is not null) set.Groups!.CopyTo(groups, start);
            start += set.Count;
        }
        return new(name, sets[0].Size, pixels, labels, [.. classes], groups) { Licence = Joined(sets, s => s.Licence), Source = Joined(sets, s => s.Source) };
    }

    /// <summary>
    /// Names the content of an image: the first 128 bits of the SHA-256 of its pixels. Equal images have equal hashes; unequal ones, for all practical
    /// purposes, do not.
    /// </summary>
    public UInt128 ContentHash(int index)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Image(index), hash);
        return BinaryPrimitives.ReadUInt128BigEndian(hash);
    }

    /// <summary>
    /// Mean and standard deviation of all pixels, on the scale 0 to 1. A set of one gray value has the deviation 1, so that dividing by it is safe.
    /// </summary>
    public (float Mean, float Deviation) Statistics()
    {
        long sum = 0, squares = 0;
        foreach (var p in Pixels)
        {
            sum += p;
            squares += p * p;
        }
        if (Pixels.Length == 0) return (0, 1);
        double mean = (double)sum / Pixels.Length, variance = (double)squares / Pixels.Length - mean * mean;
        return ((float)(mean / 255), variance < 1e-9 ? 1 : (float)(Math.Sqrt(variance) / 255));
    }

    /// <summary>Writes one image as a row of normalised floats.</summary>
    public void CopyTo(int index, Span<float> row, Normalisation normalisation) => normalisation.Apply(Image(index), Size, row);

    /// <summary>All images as rows of normalised floats: [count, channels x height x width].</summary>
    public float[] ToFloats(Normalisation normalisation)
    {
        var rows = new float[Pixels.Length];
        for (var i = 0; i < Count; i++) CopyTo(i, rows.AsSpan(i * Size.Length), normalisation);
        return rows;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Count} images of {Size}, {Classes.Length} classes";

    private static string Joined(ReadOnlySpan<ImageSet> sets, Func<ImageSet, string> text)
    {
        var parts = new List<string>();
        foreach (var set in sets)
        {
            if (text(set).Length > 0 && !parts.Contains(text(set))) parts.Add(text(set));
        }
        return string.Join("; ", parts);
    }
}

/// <summary>Channels, height and width of an image.</summary>
public readonly record struct ImageSize(int Channels, int Height, int Width)
{
    /// <summary>The number of values of one image.</summary>
    public int Length => checked(Channels * Height * Width);

    /// <summary>As in "1x28x28".</summary>
    public override string ToString() => $"{Channels}x{Height}x{Width}";
}
