using System.Globalization;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Files of torch.save: what PyTorch's own safe reader finds in them, and hostile ones. All that a hostile file could do is to create a file; each is read
/// from a folder where there is nothing else, and afterwards there must still be nothing else, nor a PWNED in the current folder.
/// </summary>
internal sealed class FormatsPyTorch(GoldenFolder folder, VerifyOptions options, GoldenReport report)
{
    private const string Data = "DATA/", Payload = "PWNED";

    internal void Run()
    {
        FormatsArea.Each(folder, report, "cases", "file", Case);
        FormatsArea.Each(folder, report, "hostile", "file", Hostile);
    }

    private void Case(JsonElement @case, string name)
    {
        if (Locate(name) is not { } path) return;
        if (!FormatsReading.OfFile(path).Hold(report, folder, @case, path)) return;
        using var file = Checkpoint.Open(path);
        if (file is not PyTorchFile) report.Fail($"is read as {file.GetType().Name}");
        if (@case.TryGetProperty("expected", out var expected)) Expected(file, Path.Combine(folder.Path, expected.GetString()!));
        else if (@case.TryGetProperty("sums", out var sums)) Sums(file, sums);
        else report.Fail("golden.json says neither what is expected nor its sums");
        if (@case.TryGetProperty("other_values", out var leaves)) Leaves(file, leaves);
    }

    private void Hostile(JsonElement @case, string name)
    {
        var place = Directory.CreateTempSubdirectory("nanolora-hostile-").FullName;
        try
        {
            var inner = Directory.CreateDirectory(Path.Combine(place, "in")).FullName;   // a path that leads up and out still ends below place
            var path = Path.Combine(inner, Path.GetFileName(name));
            File.Copy(Path.Combine(folder.Path, name), path);
            var loads = FormatsReading.OfFile(path).Hold(report, folder, @case, path);
            var left = Directory.GetFileSystemEntries(place, "*", SearchOption.AllDirectories).Where(e => e != inner && e != path).ToArray();
            if (left.Length > 0) report.Fail($"reading it created {string.Join(", ", left)}");
            else if (File.Exists(Payload)) report.Fail($"reading it created {Path.GetFullPath(Payload)}, or it was there before; remove it");
            else if (loads) report.Pass("loads, and nothing ran");
        }
        finally { Directory.Delete(place, recursive: true); }
    }

    // The file, below the golden folder or among the data sets; null if its data set is not there.
    private string? Locate(string name)
    {
        if (!name.StartsWith(Data, StringComparison.Ordinal)) return Path.Combine(folder.Path, name);
        var inData = name[Data.Length..];
        var dataset = inData[..inData.IndexOf('/', StringComparison.Ordinal)];
        var root = options.DataFolder;
        for (var at = Path.GetFullPath(folder.Path); root is null && at is not null; at = Path.GetDirectoryName(at))
            if (Directory.Exists(Path.Combine(at, "data", dataset))) root = Path.Combine(at, "data");
        if (root is not null && Directory.Exists(Path.Combine(root, dataset))) return Path.Combine(root, inData);
        report.Skip(dataset);
        return null;
    }

    private void Expected(Checkpoint file, string path)
    {
        using var expected = Checkpoint.Open(path);
        foreach (var want in expected.Entries)
        {
            if (!file.TryGet(want.Name, out var entry)) Deviates(want.Name, "is not in the file");
            else if (entry.DType != want.DType || !entry.Shape.SequenceEqual(want.Shape)) Deviates(want.Name, $"is {entry}, expected {want}");
            else if (file.Bytes(entry).CommonPrefixLength(expected.Bytes(want)) is var same && same < want.Length)
                Deviates(want.Name, $"differs from byte {same} on");
            else report.Pass(want.Name, $"{want.Length} bytes the same");
        }
        foreach (var entry in file.Entries) if (!expected.TryGet(entry.Name, out _)) Deviates(entry.Name, "is not expected in the file");
        if (file.Entries.Count == 0) report.Pass("loads: no tensors");
    }

    // [Σ x, Σ x²] of each tensor, summed here in double precision as there.
    private void Sums(Checkpoint file, JsonElement sums)
    {
        const double relative = 1e-9;   // of Σ |x|, or of Σ x²: what the order of adding may change
        foreach (var golden in sums.EnumerateObject())
        {
            if (!file.TryGet(golden.Name, out var entry)) { Deviates(golden.Name, "is not in the file"); continue; }
            var x = new float[entry.Count];
            file.CopyTo(entry, x);
            double sum = 0, squares = 0, magnitude = 0;
            foreach (var v in x) (sum, squares, magnitude) = (sum + v, squares + (double)v * v, magnitude + Math.Abs(v));
            Number($"Σ {golden.Name}", sum, golden.Value[0].GetDouble(), relative * magnitude);
            Number($"Σ² {golden.Name}", squares, golden.Value[1].GetDouble(), relative * squares);
        }
        var count = sums.EnumerateObject().Count();
        if (count != file.Entries.Count) report.Fail($"the file has {file.Entries.Count} tensors where {count} are expected");
    }

    private void Number(string name, double got, double want, double tolerance) =>
        report.Tensor(name, new Shape(), new Comparison(Math.Abs(got - want) <= tolerance, Math.Abs(got - want), tolerance, 0, got, want));

    private void Leaves(Checkpoint file, JsonElement leaves)
    {
        foreach (var leaf in leaves.EnumerateObject())
        {
            var want = AsPythonPrints(leaf.Value);
            if (!file.Metadata.TryGetValue(leaf.Name, out var got)) Deviates(leaf.Name, "is not in the file");
            else if (got != want) Deviates(leaf.Name, $"is \"{FormatsReading.OneLine(got)}\", expected \"{want}\"");
            else report.Pass(leaf.Name, $"is {FormatsReading.OneLine(got)}");
        }
    }

    // Of bytes, b'...' in Python, only their number is kept.
    private static string AsPythonPrints(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => "None",
        JsonValueKind.True => "True",
        JsonValueKind.False => "False",
        JsonValueKind.Number when value.GetRawText().AsSpan().ContainsAny('.', 'e', 'E') => value.GetDouble().ToString("R", CultureInfo.InvariantCulture),
        JsonValueKind.String when value.GetString() is ['b', '\'', .. var bytes, '\''] => $"{Count(bytes)} bytes",
        _ => value.ToString(),
    };

    // \x00 and \n are one byte each.
    private static int Count(string bytes)
    {
        var count = 0;
        for (var i = 0; i < bytes.Length; i++, count++)
            if (bytes[i] == '\\') i += bytes[i + 1] == 'x' ? 3 : 1;
        return count;
    }

    private void Deviates(string tensor, string how) => report.Tensor(tensor, default, Comparison.Fail(how));
}
