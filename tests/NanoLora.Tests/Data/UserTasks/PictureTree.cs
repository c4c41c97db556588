using NanoLora.Data;

namespace NanoLora.Tests.Data.UserTasks;

/// <summary>Pictures in folders, for one test: gray PNGs of 4 x 4, each of other pixels.</summary>
public sealed class PictureTree : IDisposable
{
    private readonly DataFiles _files = new();

    public const int Side = 4;

    public string Root => _files.Folder;

    public string At(string path) => Path.Combine(Root, path);

    /// <summary>How a model of one channel and 4 x 4 wants its images.</summary>
    public ImageProcessor Processor(int channels = 1, int side = Side) => ImageProcessor.Load(Root, new ImageSize(channels, side, side));

    public List<string> Notes { get; } = [];

    public UserTaskOptions Options => new() { Note = Notes.Add };

    /// <summary>Writes a picture; the same content gives the same pixels.</summary>
    public PictureTree Add(string path, int content)
    {
        _files.Write(path, Png(content));
        return this;
    }

    /// <summary>Writes so many pictures of a class, with contents of their own.</summary>
    public PictureTree AddClass(string folder, int count, int content)
    {
        for (var i = 0; i < count; i++) Add($"{folder}/{i:00}.png", content + i);
        return this;
    }

    public PictureTree AddText(string path, string text)
    {
        _files.Write(path, System.Text.Encoding.UTF8.GetBytes(text));
        return this;
    }

    public PictureTree AddBytes(string path, byte[] bytes)
    {
        _files.Write(path, bytes);
        return this;
    }

    public static byte[] Pixels(int content) => DataFiles.Set("one", 1, 1, (ulong)content + 1000, side: Side).Pixels;

    public static byte[] Png(int content) => DataFiles.Png(Side, Side, 8, 0, Pixels(content), y => y % 5);

    /// <summary>Which contents a set holds, in its order.</summary>
    public static int[] Contents(ImageSet set, int most = 400)
    {
        var known = Enumerable.Range(0, most).ToDictionary(c => Convert.ToHexString(Pixels(c)), c => c);
        return [.. Enumerable.Range(0, set.Count).Select(i => known[Convert.ToHexString(set.Image(i))])];
    }

    public void Dispose() => _files.Dispose();
}
