using System.Globalization;
using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>What a command takes as IMAGE: a file of any kind that has images; behind a #, which image of the file.</summary>
internal static class ImageInput
{
    /// <summary>How the help texts say it.</summary>
    public const string Help = ImageFiles.Kinds + "; FILE#N takes image N of a file, from 0, FILE all of them";

    /// <summary>Reads images in the model's size, each with the name to show.</summary>
    /// <exception cref="CommandException">What is behind the # is no number.</exception>
    public static (ImageSet Images, IReadOnlyList<string> Names) Read(string text, ImageProcessor processor, bool invert)
    {
        var (path, index) = Split(text);
        var set = ImageFiles.Read(path, processor, index, invert);
        var shown = Printable.Of(path);
        if (index is { } one) return (set, [$"{shown}#{one}"]);
        return (set, set.Count == 1 ? [shown] : [.. Enumerable.Range(0, set.Count).Select(i => $"{shown}#{i}")]);
    }

    private static (string Path, int? Index) Split(string text)
    {
        var at = text.LastIndexOf('#');
        if (at < 0 || File.Exists(text)) return (text, null);
        return int.TryParse(text.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? (text[..at], index)
            : throw new CommandException($"{text}: \"{text[(at + 1)..]}\" is not the number of an image, from 0 on.");
    }
}
