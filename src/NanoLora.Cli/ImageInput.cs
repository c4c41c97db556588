using System.Globalization;
using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>What a command takes as IMAGE: a PNG, an IDX file of images, or a task file; behind a #, which image of the file.</summary>
internal static class ImageInput
{
    /// <summary>How the help texts say it.</summary>
    public const string Help = "PNG files, IDX files of images, or task files; FILE#N takes image N of a file, from 0, FILE all of them";

    /// <summary>Reads images, each with the name to show.</summary>
    /// <exception cref="CommandException">There is no such file or image, or it is of another kind.</exception>
    public static (ImageSet Images, IReadOnlyList<string> Names) Read(string text)
    {
        var (path, index) = Split(text);
        if (!File.Exists(path)) throw new CommandException($"{path}: there is no such file; give {Help}.");
        var set = Kind(path) switch
        {
            FileKind.Png => OfPng(path),
            FileKind.Task => TaskFile.Read(path).All(),
            FileKind.Idx => OfIdx(path),
            _ => throw new CommandException($"{path} is neither a PNG nor an IDX nor a task file; convert the image to PNG."),
        };
        if (index is not { } one) return (set, set.Count == 1 ? [path] : [.. Enumerable.Range(0, set.Count).Select(i => $"{path}#{i}")]);
        if (one >= set.Count) throw new CommandException($"{path} has no image {one}; it has {set.Count}, from 0 on.");
        return (set.Subset([one]), [$"{path}#{one}"]);
    }

    private enum FileKind { Other, Png, Idx, Task }

    private static (string Path, int? Index) Split(string text)
    {
        var at = text.LastIndexOf('#');
        if (at < 0 || File.Exists(text)) return (text, null);
        return int.TryParse(text.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? (text[..at], index)
            : throw new CommandException($"{text}: \"{text[(at + 1)..]}\" is not the number of an image, from 0 on.");
    }

    // By content: extensions are not trusted. An IDX file may be gzip.
    private static FileKind Kind(string path)
    {
        Span<byte> head = stackalloc byte[9];
        using (var file = File.OpenRead(path)) head = head[..file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)];
        if (head.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G'])) return FileKind.Png;
        if (head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]) || head.StartsWith((ReadOnlySpan<byte>)[0, 0, 8])) return FileKind.Idx;
        return head.Length == 9 && head[8] == '{' ? FileKind.Task : FileKind.Other;
    }

    private static ImageSet OfPng(string path)
    {
        var picture = Pictures.Read(path);
        picture = picture.As(picture.Channels > 2 ? 3 : 1);
        return new(path, new ImageSize(picture.Channels, picture.Height, picture.Width), picture.Planes(), [0], ["?"]);
    }

    // [n, h, w] or [n, h, w, channels], which becomes [n, channels, h, w]
    private static ImageSet OfIdx(string path)
    {
        var (values, sizes) = Idx.Read(path);
        if (sizes.Length is not (3 or 4))
            throw new CommandException($"{path}: images have three axes, or four with colours last; this file has {sizes.Length}.");
        var size = new ImageSize(sizes.Length == 4 ? sizes[3] : 1, sizes[1], sizes[2]);
        var (pixels, plane) = (new byte[values.Length], size.Height * size.Width);
        for (var i = 0; i < values.Length; i++)
        {
            var (image, within) = Math.DivRem(i, size.Length);
            pixels[image * size.Length + within % size.Channels * plane + within / size.Channels] = values[i];
        }
        return new(path, size, pixels, new int[sizes[0]], ["?"]);
    }
}
