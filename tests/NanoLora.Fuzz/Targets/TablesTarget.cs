using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Fuzz;

/// <summary>Tasks of a user's own pictures as a CSV index. One picture, one.png, lies beside it.</summary>
public sealed class TablesTarget : FuzzTarget
{
    private readonly ImageProcessor _processor;
    private readonly string _picture;
    private string _path = "";

    /// <summary>Lays out the picture.</summary>
    public TablesTarget()
    {
        // 1 x 1, gray
        _picture = Put("one.png", Convert.FromBase64String("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="));
        _processor = ImageProcessor.Load(Folder, new ImageSize(1, 2, 2));
    }

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input) => [_path = Put("index.csv", input), _picture];

    /// <inheritdoc/>
    protected override void Read()
    {
        var task = ImageCsv.Read(_path, null, _processor);
        if (task.Classes.Length == 0) throw new FindingException("a task without classes");
    }

    /// <inheritdoc/>
    protected override bool IsRefusal(Exception e) => e is InvalidDataException or CheckpointException;
}
