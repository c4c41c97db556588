namespace NanoLora.Data;

/// <summary>What a file holds, by its content.</summary>
internal enum FileKind
{
    Other,
    Picture,
    Idx,
    Task,
    Csv,
}

/// <summary>Reads the images of one file of any kind: a picture, an IDX file, a task file.</summary>
public static class ImageFiles
{
    /// <summary>What <see cref="Read"/> understands, as a part of a sentence.</summary>
    public const string Kinds = "PNG and JPEG pictures, IDX files of images, or task files";

    /// <summary>Reads all images of a file, or one of them, in the model's size. Classes mean nothing unless it is a task file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="processor">How the model wants its images.</param>
    /// <param name="index">Which image of the file, from 0; all if not given.</param>
    /// <param name="invert">Turns dark into bright before anything else.</param>
    /// <exception cref="ArgumentException">There is no such file or image.</exception>
    /// <exception cref="InvalidDataException">The file is of another kind, or malformed; the message names it.</exception>
    public static ImageSet Read(string path, ImageProcessor processor, int? index = null, bool invert = false)
    {
        if (Directory.Exists(path)) throw new ArgumentException($"{path} is a folder; give {Kinds}.");
        if (!File.Exists(path)) throw new ArgumentException($"{path}: there is no such file; give {Kinds}.");
        var kind = Kind(path);
        if (kind == FileKind.Picture)
        {
            Check(path, index, count: 1);
            return new(path, processor.Size, ModelImages.Read(path, processor, invert), [0], ["?"]);
        }
        var set = kind switch
        {
            FileKind.Task => TaskFile.Read(path).All(),
            FileKind.Idx => Idx.ReadImages(path),
            FileKind.Csv => throw new InvalidDataException($"{path} is an index of pictures; give {Kinds}."),
            _ => throw NotRead(path),
        };
        if (index is { } one)
        {
            Check(path, one, set.Count);
            set = set.Subset([one]);
        }
        return ModelImages.Fit(invert ? Resize.Invert(set) : set, processor);
    }

    /// <summary>What a file holds. By content: extensions are not trusted, but a text is an index only by its name.</summary>
    internal static FileKind Kind(string path)
    {
        var head = Head(path);
        if (Pictures.IsPicture(head)) return FileKind.Picture;
        if (head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]) || head.StartsWith((ReadOnlySpan<byte>)[0, 0, 8])) return FileKind.Idx;      // may be gzip
        if (Path.GetExtension(path).Equals(".csv", StringComparison.OrdinalIgnoreCase)) return FileKind.Csv;
        return head.Length > 8 && head[8] == (byte)'{' ? FileKind.Task : FileKind.Other;
    }

    // What pictures say of a kind that they know and do not read is more than that it is none of ours.
    private static InvalidDataException NotRead(string path)
    {
        try { Pictures.Decode(Head(path), path); }
        catch (InvalidDataException known) { return known; }
        return new($"{path} is none of {Kinds}; convert the image to PNG.");
    }

    private static ReadOnlySpan<byte> Head(string path)
    {
        var head = new byte[64];
        using var file = File.OpenRead(path);
        return head.AsSpan(0, file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false));
    }

    private static void Check(string path, int? index, int count)
    {
        if (index >= count) throw new ArgumentException($"{path} has no image {index}; it has {count}, from 0 on.");
    }
}
