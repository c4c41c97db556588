using System.Buffers.Binary;
using System.Security.Cryptography;

namespace NanoLora.Data;

/// <summary>Labelled images of one size, 8 bits a value.</summary>
public sealed class ImageSet : LabelledSet
{
    /// <summary>Makes a set after checking that the arrays belong together.</summary>
    /// <param name="name">Names the set in errors and reports.</param>
    /// <param name="size">Channels, height and width of one image.</param>
    /// <param name="pixels">[count, channels, height, width].</param>
    /// <param name="labels">[count], each an index into <paramref name="classes"/>.</param>
    /// <param name="classes">The names of the classes.</param>
    /// <param name="groups">[count]: who drew or signed the image; none if unknown.</param>
    /// <exception cref="ArgumentException">The lengths disagree, or a label has no class.</exception>
    public ImageSet(string name, ImageSize size, byte[] pixels, int[] labels, string[] classes, int[]? groups = null) : base(name, labels, classes, groups)
    {
        if (size.Channels < 1 || size.Height < 1 || size.Width < 1) throw new ArgumentException($"{name}: an image of {size} has no pixels.");
        var need = (long)labels.Length * size.Length;
        if (pixels.Length != need)
            throw new ArgumentException($"{name}: {labels.Length} images of {size} need {need} bytes of pixels; there are {pixels.Length}.");
        (Size, Pixels) = (size, pixels);
    }

    /// <inheritdoc/>
    public override string Noun => "image";

    /// <summary>Channels, height and width of one image.</summary>
    public ImageSize Size { get; }

    /// <summary>All pixels: [count, channels, height, width].</summary>
    public byte[] Pixels { get; }

    /// <summary>The pixels of one image: [channels, height, width].</summary>
    public ReadOnlySpan<byte> Image(int index) => Pixels.AsSpan(index * Size.Length, Size.Length);

    /// <inheritdoc/>
    public override ImageSet Subset(ReadOnlySpan<int> indices, string? name = null)
    {
        var pixels = new byte[checked(indices.Length * Size.Length)];
        for (var i = 0; i < indices.Length; i++) Image(indices[i]).CopyTo(pixels.AsSpan(i * Size.Length));
        var (labels, groups) = Chosen(indices);
        return new(name ?? Name, Size, pixels, labels, Classes, groups) { Licence = Licence, Source = Source };
    }

    /// <summary>The images whose index passes, in their order.</summary>
    public ImageSet Where(Func<int, bool> keep)
    {
        var kept = Indices(keep);
        return kept.Length == Count ? this : Subset(kept);
    }

    /// <summary>
    /// One set after the other. Classes of the same name become one class, others are appended, so that it serves both for more images of the same classes
    /// and for further classes. Groups are kept if every set has them.
    /// </summary>
    /// <exception cref="ArgumentException">No set at all, or images of different sizes.</exception>
    public static ImageSet Concat(string name, params ReadOnlySpan<ImageSet> sets)
    {
        var (labels, classes, groups) = Joined(name, sets);
        var (pixels, start) = (new byte[checked(labels.Length * sets[0].Size.Length)], 0);
        foreach (var set in sets)
        {
            if (set.Size != sets[0].Size)
                throw new ArgumentException($"{name}: {set.Name} has images of {set.Size}, {sets[0].Name} of {sets[0].Size}; resize one.");
            set.Pixels.CopyTo(pixels, start);
            start += set.Pixels.Length;
        }
        return new(name, sets[0].Size, pixels, labels, classes, groups) { Licence = Joined(sets, s => s.Licence), Source = Joined(sets, s => s.Source) };
    }

    /// <summary>
    /// Names the content of an image: the first 128 bits of the SHA-256 of its pixels. Equal images have equal hashes; unequal ones, for all practical
    /// purposes, do not.
    /// </summary>
    public override UInt128 ContentHash(int index)
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
}

/// <summary>Channels, height and width of an image.</summary>
public readonly record struct ImageSize(int Channels, int Height, int Width)
{
    /// <summary>The number of values of one image.</summary>
    public int Length => checked(Channels * Height * Width);

    /// <summary>As in "1x28x28".</summary>
    public override string ToString() => $"{Channels}x{Height}x{Width}";
}
