using System.Globalization;
using System.IO.Compression;

namespace NanoLora.Data;

/// <summary>
/// Reads Omniglot (Lake et al., 2015): zip files of 105 x 105 black and white PNGs named .../alphabet/characterNN/NNNN_DD.png, where DD says who drew it.
/// Each alphabet becomes a set: its characters are the classes, its drawers the groups, and ink is 255 on a ground of 0, as in MNIST.
/// </summary>
public static class Omniglot
{
    /// <summary>Height and width of the images in the files.</summary>
    public const int Side = 105;

    private const int MaxPngBytes = 1 << 16;

    private sealed record Drawing(string Character, int Drawer, byte[] Pixels);

    /// <summary>Reads the alphabets of all files, ordered by name. An alphabet that stands in several files is read from the first.</summary>
    /// <exception cref="InvalidDataException">A name or an image in the zip is not as described; the message names file and entry.</exception>
    public static List<ImageSet> Read(params ReadOnlySpan<string> zipPaths)
    {
        var alphabets = new SortedDictionary<string, List<Drawing>>(StringComparer.Ordinal);
        foreach (var path in zipPaths)
        {
            foreach (var (alphabet, drawings) in ReadZip(path)) alphabets.TryAdd(alphabet, drawings);
        }

        var sets = new List<ImageSet>();
        foreach (var (alphabet, drawings) in alphabets) sets.Add(ToSet(alphabet, drawings));
        return sets;
    }

    private static SortedDictionary<string, List<Drawing>> ReadZip(string path)
    {
        var alphabets = new SortedDictionary<string, List<Drawing>>(StringComparer.Ordinal);
        using var zip = ZipFile.OpenRead(path);
        foreach (var entry in zip.Entries)
        {
            if (!entry.Name.EndsWith(".png", StringComparison.Ordinal)) continue;
            var parts = entry.FullName.Split('/');
            var number = entry.Name.AsSpan(entry.Name.IndexOf('_', StringComparison.Ordinal) + 1)[..^".png".Length];
            if (parts.Length < 3 || !entry.Name.Contains('_', StringComparison.Ordinal)
                || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var drawer))
                throw new InvalidDataException($"{path}: the entry {entry.FullName} is not named alphabet/character/NNNN_DD.png.");
            if (!alphabets.TryGetValue(parts[^3], out var drawings)) alphabets.Add(parts[^3], drawings = []);
            drawings.Add(new(parts[^2], drawer, Ink(path, entry)));
        }
        return alphabets.Count > 0 ? alphabets : throw new InvalidDataException($"{path}: the zip holds no PNG.");
    }

    /// <summary>Decodes an image and turns black ink on white into 255 on 0.</summary>
    private static byte[] Ink(string path, ZipArchiveEntry entry)
    {
        var png = new byte[MaxPngBytes + 1];
        int length;
        using (var stream = entry.Open()) length = stream.ReadAtLeast(png, png.Length, throwOnEndOfStream: false);
        if (length > MaxPngBytes) throw new InvalidDataException($"{path}: {entry.FullName} has more than {MaxPngBytes} bytes.");

        var picture = Pictures.Decode(png.AsSpan(0, length), $"{path}: {entry.FullName}");
        if (picture is not { Width: Side, Height: Side, Channels: 1, Pixels: var pixels })
            throw new InvalidDataException($"{path}: {entry.FullName} is {picture.Channels}x{picture.Height}x{picture.Width}; 1x{Side}x{Side} was expected.");
        for (var i = 0; i < pixels.Length; i++) pixels[i] = (byte)(255 - pixels[i]);
        return pixels;
    }

    private static ImageSet ToSet(string alphabet, List<Drawing> drawings)
    {
        drawings.Sort((a, b) => string.CompareOrdinal(a.Character, b.Character) is var c && c != 0 ? c : a.Drawer.CompareTo(b.Drawer));
        var classes = new List<string>();
        var pixels = new byte[drawings.Count * Side * Side];
        int[] labels = new int[drawings.Count], drawers = new int[drawings.Count];
        for (var i = 0; i < drawings.Count; i++)
        {
            if (classes.Count == 0 || classes[^1] != drawings[i].Character) classes.Add(drawings[i].Character);
            drawings[i].Pixels.CopyTo(pixels, i * Side * Side);
            labels[i] = classes.Count - 1;
            drawers[i] = drawings[i].Drawer;
        }
        return new(alphabet, new(1, Side, Side), pixels, labels, [.. classes], drawers) { Licence = "MIT", Source = "https://github.com/brendenlake/omniglot" };
    }
}
