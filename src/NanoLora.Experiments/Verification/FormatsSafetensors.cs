using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// safetensors files: valid ones with the first values and bytes of each tensor, malformed ones, and folders of shards with an index, right and wrong.
/// </summary>
internal sealed class FormatsSafetensors(GoldenFolder folder, GoldenReport report)
{
    internal void Run()
    {
        FormatsArea.Each(folder, report, "valid", "file", (@case, name) => File(@case, Path.Combine(folder.Path, name)));
        FormatsArea.Each(folder, report, "malformed", "file", (@case, name) => File(@case, Path.Combine(folder.Path, name)));
        FormatsArea.Each(folder, report, "sharded", "folder", (@case, name) => File(@case, Path.Combine(folder.Path, name, "model.safetensors.index.json")));
    }

    private void File(JsonElement @case, string path)
    {
        var place = path.EndsWith(".json", StringComparison.Ordinal) ? Path.GetDirectoryName(path)! : path;
        if (!FormatsReading.OfFile(path).Hold(report, folder, @case, place)) return;
        using var file = Checkpoint.Open(path);
        if (@case.TryGetProperty("tensors", out var tensors)) Tensors(file, tensors);
        else report.Pass($"loads: {file.Entries.Count} tensors");
        if (@case.TryGetProperty("metadata", out var metadata)) Metadata(file, metadata);
    }

    private void Tensors(Checkpoint file, JsonElement tensors)
    {
        var count = 0;
        foreach (var golden in tensors.EnumerateObject())
        {
            count++;
            if (!file.TryGet(golden.Name, out var entry)) report.Tensor(Name(golden.Name), default, Comparison.Fail("is not in the file"));
            else if (Deviation(file, entry, golden.Value) is { } deviation) report.Tensor(Name(golden.Name), default, Comparison.Fail(deviation));
            else Values(file, entry, golden.Value);
        }
        if (count != file.Entries.Count) report.Fail($"the file has {file.Entries.Count} tensors where {count} are expected");
        else if (count == 0) report.Pass("loads: no tensors");
    }

    // Type, shape and the first bytes.
    private string? Deviation(Checkpoint file, TensorEntry entry, JsonElement golden)
    {
        var shape = folder.Field(golden, "shape", JsonValueKind.Array).EnumerateArray().Select(static n => n.GetInt64());
        if (!entry.Shape.SequenceEqual(shape)) return $"is [{string.Join(", ", entry.Shape)}], expected [{string.Join(", ", shape)}]";
        if (golden.TryGetProperty("dtype", out var dtype) && dtype.GetString() is var type && type != entry.DType.FileName())
            return $"is {entry.DType.FileName()}, expected {type}";
        if (!golden.TryGetProperty("bytes_hex_first", out var hex)) return null;
        var bytes = Convert.ToHexStringLower(file.Bytes(entry)[..(int)Math.Min(entry.Length, hex.GetString()!.Length / 2)]);
        return bytes == hex.GetString() ? null : $"begins with the bytes {bytes}, expected {hex.GetString()}";
    }

    // As floats where there is such a form; as integers where floats do not hold them; by the bytes, compared above, where the refusal names the type.
    private void Values(Checkpoint file, TensorEntry entry, JsonElement golden)
    {
        var given = golden.TryGetProperty("values_first", out var values) && values.ValueKind == JsonValueKind.Array;
        double[] want = given ? [.. values.EnumerateArray().Select(Number)] : [];
        var name = Name(entry.Name);
        if (Floats(file, entry, out var floats) is not { } refusal)
        {
            var got = floats.AsSpan(0, Math.Min(want.Length, floats.Length));
            report.Floats(name, new Shape(want.Length), got, Array.ConvertAll(want, static v => (float)v), absolute: 0);
        }
        else if (!refusal.Contains(entry.DType.FileName(), StringComparison.Ordinal))
            report.Fail($"{name}: the refusal does not name the type: {FormatsReading.OneLine(refusal)}");
        else if (IsInteger(entry.DType) && Integers(file, entry, want) is { } deviation) report.Tensor(name, default, Comparison.Fail(deviation));
        else report.Pass(name, $"its bytes; as floats refused: {FormatsReading.OneLine(refusal[(file.Path.Length + 2)..])}");
    }

    private static string? Floats(Checkpoint file, TensorEntry entry, out float[] floats)
    {
        floats = new float[entry.Count];
        try { file.CopyTo(entry, floats); }
        catch (CheckpointException e) { return e.Message; }
        return null;
    }

    // What is wrong with integers that float32 does not hold. Those that 64 bits with a sign do not hold either are told by their bytes alone.
    private static string? Integers(Checkpoint file, TensorEntry entry, double[] want)
    {
        long[] integers;
        try { integers = file.ReadInt64(entry); }
        catch (CheckpointException e) { return entry.DType == FileDType.U64 ? null : e.Message; }
        for (var i = 0; i < want.Length; i++)
            if (integers[i] != want[i]) return $"integer {i} is {integers[i]}, expected {want[i]}";
        return null;
    }

    private void Metadata(Checkpoint file, JsonElement golden)
    {
        var want = golden.ValueKind == JsonValueKind.Object ? golden.EnumerateObject().ToDictionary(static p => p.Name, static p => p.Value.GetString()!) : [];
        foreach (var (key, value) in want)
        {
            if (file.Metadata.TryGetValue(key, out var got) && got == value) continue;
            report.Fail($"metadata \"{FormatsReading.OneLine(key)}\" is \"{FormatsReading.OneLine(got ?? "missing")}\"");
        }
        if (want.Count != file.Metadata.Count) report.Fail($"{file.Metadata.Count} metadata where {want.Count} are expected");
    }

    private static bool IsInteger(FileDType type) => type.FileName() is ['I' or 'U', ..];

    private static string Name(string tensor) => tensor.Length == 0 ? "\"\"" : FormatsReading.OneLine(tensor);

    // Infinities and NaN are texts.
    private double Number(JsonElement value) => value.ValueKind == JsonValueKind.Number ? value.GetDouble() : value.GetString() switch
    {
        "inf" => double.PositiveInfinity,
        "-inf" => double.NegativeInfinity,
        "nan" => double.NaN,
        var text => throw folder.Error("values_first", $"\"{text}\" is no number."),
    };
}
