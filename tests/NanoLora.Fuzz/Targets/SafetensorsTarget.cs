using NanoLora.Nn;

namespace NanoLora.Fuzz;

/// <summary>
/// safetensors, and folders of shards: an input that begins with a brace is an index, and what follows its first NUL, the shard one.safetensors. A valid
/// shard, two.safetensors, lies beside it; another lies outside of the folder, where no index may reach.
/// </summary>
public sealed class SafetensorsTarget : CheckpointTarget
{
    private const string Outside = "outside";   // the name of the tensor that nobody may see
    private readonly string[] _others;   // files that inputs before have left, or that are always there
    private string _path = "";

    /// <summary>Lays out the shards that do not change.</summary>
    public SafetensorsTarget()
    {
        var (two, outside) = (Path.Combine(Folder, "two.safetensors"), Path.Combine(Path.GetDirectoryName(Folder)!, "outside.safetensors"));
        SafetensorsWriter.Write(two, [new("b", [2], new float[] { 1, 2 })]);
        SafetensorsWriter.Write(outside, [new(Outside, [1], new float[1])]);
        string[] written = ["model.safetensors", "model.safetensors.index.json", "one.safetensors"];
        _others = [two, outside, .. written.Select(name => Path.Combine(Folder, name))];
    }

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input)
    {
        if (input is not [(byte)'{', ..]) return [_path = Put("model.safetensors", input), .. _others];
        var end = Array.IndexOf(input, (byte)0) is var at and >= 0 ? at : input.Length;
        _path = Put("model.safetensors.index.json", input.AsSpan(0, end));
        Put("one.safetensors", input.AsSpan(Math.Min(end + 1, input.Length)));
        return [_path, .. _others];
    }

    /// <inheritdoc/>
    protected override void Read()
    {
        Read(_path);
        if (!_path.EndsWith(".json", StringComparison.Ordinal)) return;
        using var file = Checkpoint.Open(_path);
        if (file.TryGet(Outside, out _)) throw new FindingException("the index reached a file outside of its folder");
    }
}
