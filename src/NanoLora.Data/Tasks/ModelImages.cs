namespace NanoLora.Data;

/// <summary>Brings images and tasks into the form that a model reads.</summary>
public static class ModelImages
{
    /// <summary>The same task with images as the model wants them.</summary>
    /// <inheritdoc cref="Fit(ImageSet, ImageProcessor)" path="/exception"/>
    public static ImageTask Fit(ImageTask task, ImageProcessor processor) => new(task.Name, Fit(task.Train, processor), Fit(task.Test, processor), task.Pool);

    /// <summary>The same images as the model wants them: sets of its size pass through as they are, others go through the processor like pictures.</summary>
    /// <exception cref="ArgumentException">Images of this number of channels are no pictures.</exception>
    /// <exception cref="InvalidDataException">The result would be larger than an array.</exception>
    public static ImageSet Fit(ImageSet set, ImageProcessor processor)
    {
        if (set.Size == processor.Size) return set;
        if (set.Size.Channels is < 1 or > 4)
            throw new ArgumentException($"{set.Name}: images of {set.Size} cannot be made into {processor.Size}; those of 1 to 4 channels can.");
        PictureTask.CheckSize(set.Name, "images", set.Count, processor.Size);
        var (length, pixels) = (processor.Size.Length, new byte[set.Count * processor.Size.Length]);
        Parallel.For(0, set.Count, i => processor.Shape(AsPicture(set, i)).CopyTo(pixels, i * length));
        return new(set.Name, processor.Size, pixels, set.Labels, set.Classes, set.Groups) { Licence = set.Licence, Source = set.Source };
    }

    /// <summary>
    /// The same images with the classes of a model's head, if it has all classes of the set: in the head's order, with those that the set lacks. Otherwise the
    /// set as it is.
    /// </summary>
    public static ImageSet InOrderOf(IReadOnlyList<string> labels, ImageSet set)
    {
        string[] classes = [.. labels];
        int[] place = [.. set.Classes.Select(c => Array.IndexOf(classes, c))];
        if (Array.IndexOf(place, -1) >= 0) return set;
        int[] placed = Array.ConvertAll(set.Labels, l => place[l]);
        return new(set.Name, set.Size, set.Pixels, placed, classes, set.Groups) { Licence = set.Licence, Source = set.Source };
    }

    /// <summary>Reads a picture file as the model wants it: 8-bit [channels, height, width] of the processor's size.</summary>
    /// <param name="path">The file.</param>
    /// <param name="processor">How the model wants its images.</param>
    /// <param name="invert">Turns dark into bright first.</param>
    /// <exception cref="InvalidDataException">It is no picture, or none that the processor takes; the message names the file.</exception>
    public static byte[] Read(string path, ImageProcessor processor, bool invert = false)
    {
        var picture = Pictures.Read(path);
        try { return processor.Shape(invert ? Inverted(picture) : picture); }
        catch (Exception e) when (e is ArgumentException or InvalidDataException) { throw new InvalidDataException($"{path}: {e.Message}", e); }
    }

    /// <summary>The picture with dark for bright, 255 - x; its transparency stays.</summary>
    public static Picture Inverted(Picture picture)
    {
        var (pixels, channels) = ((byte[])picture.Pixels.Clone(), picture.Channels);
        var colours = channels is 2 or 4 ? channels - 1 : channels;
        for (var i = 0; i < pixels.Length; i++) if (i % channels < colours) pixels[i] = (byte)(255 - pixels[i]);
        return picture with { Pixels = pixels };
    }

    // [channels, height, width] to [height, width, channels]
    private static Picture AsPicture(ImageSet set, int index)
    {
        var (size, plane) = (set.Size, set.Size.Height * set.Size.Width);
        var image = set.Image(index);
        var pixels = new byte[image.Length];
        for (var c = 0; c < size.Channels; c++)
        {
            for (var p = 0; p < plane; p++) pixels[p * size.Channels + c] = image[c * plane + p];
        }
        return new(size.Width, size.Height, size.Channels, pixels);
    }
}
