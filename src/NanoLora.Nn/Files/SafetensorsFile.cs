namespace NanoLora.Nn;

/// <summary>
/// A safetensors file: 8 bytes with the length of the header, the header in JSON, then the tensors' bytes without holes or overlaps.
/// The header is checked whole before anything is returned. Format: https://github.com/huggingface/safetensors#format
/// </summary>
public sealed unsafe class SafetensorsFile : Checkpoint
{
    private readonly MappedFile _file;

    /// <summary>Opens and checks a file that must be safetensors; <see cref="Checkpoint.Open"/> takes other kinds too.</summary>
    /// <exception cref="CheckpointException">The file is missing or no valid safetensors file.</exception>
    public SafetensorsFile(string path) : this(new MappedFile(path)) { }

    /// <summary>Takes a mapped file, which is closed with this checkpoint, or now if it is not valid.</summary>
    internal SafetensorsFile(MappedFile file) : base(file.Path)
    {
        _file = file;
        try
        {
            var header = SafetensorsHeader.Parse(file);
            List(header.Entries);
            Metadata = header.Metadata;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private protected override byte* Locate(TensorEntry entry) => _file.At(entry.Offset, entry.Length);

    private protected override FileWindow Look(TensorEntry entry, long start, long count) => _file.Window(entry.Offset + start, count);

    private protected override byte* LocatePrivate(TensorEntry entry) => _file.PrivateAt(entry.Offset, entry.Length);

    private protected override void Close() => _file.Dispose();
}
