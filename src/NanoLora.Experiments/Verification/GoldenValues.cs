using System.Text.Json;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// What a run gave, by the names of the golden tensors: golden tensors are either inputs of the run, read here, or results, compared in the order of
/// golden.json. One that is neither is a failure.
/// </summary>
internal sealed class GoldenValues(GoldenFolder folder)
{
    private readonly HashSet<string> _inputs = new(StringComparer.Ordinal);
    private readonly Dictionary<string, float[]> _found = new(StringComparer.Ordinal);
    private readonly Dictionary<string, bool[]> _rows = new(StringComparer.Ordinal);

    /// <summary>Reads a tensor that the run starts from, as floats.</summary>
    internal float[] Input(string name)
    {
        _inputs.Add(name);
        return folder.Floats(name);
    }

    /// <summary>Reads a tensor of integers that the run starts from.</summary>
    internal int[] IntInput(string name)
    {
        _inputs.Add(name);
        return folder.Ints(name);
    }

    /// <summary>Takes a tensor out of the comparison.</summary>
    internal void Skip(string name) => _inputs.Add(name);

    /// <summary>Compares some rows of a tensor only: the tokens of texts, not what a model makes of the padding behind them.</summary>
    internal void Only(string name, bool[] rows) => _rows[name] = rows;

    /// <summary>The rows of a tensor that are compared, side by side.</summary>
    internal float[] Compared(string name, float[] values)
    {
        if (!_rows.TryGetValue(name, out var rows)) return values;
        var width = values.Length / rows.Length;
        return [.. values.Where((_, i) => rows[i / width])];
    }

    /// <summary>Notes a result.</summary>
    internal void Add(string name, float[] values) => _found[name] = values;

    /// <summary>Notes a result.</summary>
    internal void Add(string name, Tensor values) => _found[name] = values.ToArray();

    /// <summary>The names of all tensors, in the order of golden.json.</summary>
    internal IEnumerable<string> Names => folder.Field(folder.Root, "tensors", JsonValueKind.Object).EnumerateObject().Select(static t => t.Name);

    /// <summary>Compares all that are not inputs, each within its tolerance.</summary>
    internal void Compare(GoldenReport report, Func<string, float[], double> tolerance, double relative = 0)
    {
        foreach (var name in Names)
        {
            if (_inputs.Contains(name)) continue;
            var shape = folder.ShapeOf(name);
            if (!_found.TryGetValue(name, out var got))
            {
                report.Tensor(name, shape, Comparison.Fail("the run gives no such value"));
                continue;
            }
            var want = folder.Floats(name);
            if (_rows.ContainsKey(name) && got.Length == want.Length)
            {
                (got, want) = (Compared(name, got), Compared(name, want));
                shape = new Shape(want.Length / shape[-1], shape[-1]);
            }
            report.Floats(name, shape, got, want, tolerance(name, want), relative);
        }
    }
}
