using NanoLora.Nn;

namespace NanoLora.Fuzz;

/// <summary>What the targets of weight files share: every tensor is looked at, as bytes, as floats, as integers.</summary>
public abstract class CheckpointTarget : FuzzTarget
{
    private const int MaxLooked = 1 << 20;   // bytes of one tensor: a view of stride 0 may show more than is worth the time
    private readonly float[] _floats = new float[1 << 12];

    /// <inheritdoc/>
    protected override bool IsRefusal(Exception e) => e is CheckpointException;

    /// <summary>Reads a weight file whole.</summary>
    protected void Read(string path)
    {
        using var file = Checkpoint.Open(path);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var entry in file.Entries)
        {
            if (!seen.Add(entry.Name)) throw new FindingException($"two tensors are called {entry.Name}");
            if (entry.Length > MaxLooked) continue;
            Look(file.Bytes(entry));
            try
            {
                if (entry.Count <= _floats.Length) file.CopyTo(entry, _floats.AsSpan(0, (int)entry.Count));
                if (entry.Length <= _floats.Length) _ = file.ReadInt64(entry);
            }
            catch (CheckpointException) { }   // a value or a type without that form: the bytes are there all the same
        }
    }
}
