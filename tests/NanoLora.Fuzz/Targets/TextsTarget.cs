using NanoLora.Data;

namespace NanoLora.Fuzz;

/// <summary>Tasks on texts: from a c on a CSV file, from another letter on lines of JSON.</summary>
public sealed class TextsTarget : FuzzTarget
{
    private string _path = "";

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input)
    {
        var isTable = input is [(byte)'c', ..];
        ReadOnlySpan<byte> content = input.AsSpan(Math.Min(1, input.Length));
        string[] files = [Put("task.csv", isTable ? content : []), Put("task.jsonl", isTable ? [] : content)];
        _path = files[isTable ? 0 : 1];
        return files;
    }

    /// <inheritdoc/>
    protected override void Read()
    {
        var task = TextTask.Read(_path);
        if (task.Train.Count == 0 || task.Kind == TextKind.Labelled != task.Classes.Count > 0)
            throw new FindingException("a task without samples, or with classes that it has not");
        if (task.Train.Concat(task.Test).Any(s => (s.Label >= 0) != (task.Kind == TextKind.Labelled) || s.Label >= task.Classes.Count))
            throw new FindingException("a sample whose label is no class");
    }

    /// <inheritdoc/>
    protected override bool IsRefusal(Exception e) => e is InvalidDataException;
}
