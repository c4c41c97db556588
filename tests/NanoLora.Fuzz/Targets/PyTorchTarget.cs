namespace NanoLora.Fuzz;

/// <summary>Files of torch.save: the zip format and the stream of pickles before it.</summary>
public sealed class PyTorchTarget : CheckpointTarget
{
    private string _path = "";

    // An archive may hold a pickle packed to a thousandth of its size, and a value costs an object or two.
    /// <inheritdoc/>
    protected override long AllocationFloor => 8 << 20;

    /// <inheritdoc/>
    protected override long AllocationPerByte => 2048;

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input) => [_path = Put("model.pt", input)];

    /// <inheritdoc/>
    protected override void Read() => Read(_path);
}
