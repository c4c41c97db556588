using System.Buffers.Binary;

namespace NanoLora.Data;

/// <summary>
/// Reads IDX files, the format of MNIST: two zero bytes, the element type (8: unsigned bytes), the number of axes, the sizes as big-endian 32-bit numbers,
/// then the elements. Plain or gzip.
/// </summary>
public static class Idx
{
    /// <summary>Reads the bytes of a file and the sizes of its axes.</summary>
    /// <exception cref="InvalidDataException">Not an IDX file of unsigned bytes, or its length is not what the header says.</exception>
    public static (byte[] Values, int[] Sizes) Read(string path)
    {
        using var file = new DataFile(path);
        Span<byte> word = stackalloc byte[4];
        file.Read(word, "magic number");
        if (word[0] != 0 || word[1] != 0) throw file.Error($"not an IDX file: the magic number is {Convert.ToHexString(word)}, 000008nn was expected.");
        if (word[2] != 8) throw file.Error($"element type {word[2]:X2} in the magic number; only 08, unsigned bytes, is read.");
        if (word[3] is < 1 or > 4) throw file.Error($"{word[3]} axes in the magic number; 1 to 4 are read.");

        var sizes = new int[word[3]];
        long count = 1;
        for (var axis = 0; axis < sizes.Length; axis++)
        {
            file.Read(word, $"size of axis {axis}");
            var size = BinaryPrimitives.ReadUInt32BigEndian(word);
            if (size > int.MaxValue) throw file.Error($"axis {axis} claims the size {size}.");
            sizes[axis] = (int)size;
            count = size == 0 ? 0 : count > DataFile.MaxBytes ? count : count * size;      // stays below 2^61, and says "too large" as well
        }
        return (file.ReadToEnd(count, $"elements [{string.Join(", ", sizes)}]"), sizes);
    }

    /// <summary>Reads labels: a file of one axis.</summary>
    public static int[] ReadLabels(string path)
    {
        var (values, sizes) = Read(path);
        if (sizes.Length != 1) throw new InvalidDataException($"{path}: labels have one axis; this file has {sizes.Length}.");
        return Array.ConvertAll(values, v => (int)v);
    }

    /// <summary>Reads a file of images, [n, h, w] or [n, h, w, channels], and its file of labels.</summary>
    /// <exception cref="InvalidDataException">A file is malformed, the counts disagree, or a label has no class; the message names file and field.</exception>
    public static ImageSet ReadImages(string name, string imagesPath, string labelsPath, string[] classes)
    {
        var images = ReadImages(imagesPath);
        var labels = ReadLabels(labelsPath);
        if (labels.Length != images.Count) throw new InvalidDataException($"{labelsPath}: {labels.Length} labels, but {imagesPath} has {images.Count} images.");
        for (var i = 0; i < labels.Length; i++)
        {
            if (labels[i] >= classes.Length) throw new InvalidDataException($"{labelsPath}: label {i} is {labels[i]}; {name} has {classes.Length} classes.");
        }
        return new(name, images.Size, images.Pixels, labels, classes);
    }

    /// <summary>Reads a file of images, [n, h, w] or [n, h, w, channels], without labels: one class, ?.</summary>
    /// <exception cref="InvalidDataException">The file is malformed or holds no images; the message names file and field.</exception>
    public static ImageSet ReadImages(string path)
    {
        var (values, sizes) = Read(path);
        if (sizes.Length is not (3 or 4))
            throw new InvalidDataException($"{path}: images have three axes, or four with colours last; this file has {sizes.Length}.");
        var channels = sizes.Length == 4 ? sizes[3] : 1;
        if (channels < 1 || sizes[1] < 1 || sizes[2] < 1)
            throw new InvalidDataException($"{path}: images of size [{string.Join(", ", sizes[1..])}] have no pixels.");
        var size = new ImageSize(channels, sizes[1], sizes[2]);
        return new(path, size, channels == 1 ? values : PlanesFirst(values, sizes[0], size), new int[sizes[0]], ["?"]);
    }

    /// <summary>[n, h, w, c] to [n, c, h, w].</summary>
    private static byte[] PlanesFirst(byte[] values, int count, ImageSize size)
    {
        var plane = size.Height * size.Width;
        var pixels = new byte[values.Length];
        for (var i = 0; i < count; i++)
        {
            var start = i * size.Length;
            for (var c = 0; c < size.Channels; c++)
            {
                for (var p = 0; p < plane; p++) pixels[start + c * plane + p] = values[start + p * size.Channels + c];
            }
        }
        return pixels;
    }
}
