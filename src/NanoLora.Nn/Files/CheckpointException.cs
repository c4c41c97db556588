namespace NanoLora.Nn;

/// <summary>A weight file that cannot be read or written: the message names the file, the field or tensor, and what to do.</summary>
public sealed class CheckpointException : IOException
{
    private const int MaxField = 300;   // names come from files, which may hold anything

    /// <summary>Says that <paramref name="field"/> of the file <paramref name="path"/> is wrong, and why.</summary>
    public CheckpointException(string path, string field, string message, Exception? inner = null)
        : base($"{path}: {(field.Length > MaxField ? field[..MaxField] + "..." : field)}: {message}", inner) => (Path, Field) = (path, field);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The field of the file, or the tensor.</summary>
    public string Field { get; }
}
