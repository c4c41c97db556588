using System.Globalization;
using NanoLora.Experiments.Verification;
using NanoLora.Nn;

namespace NanoLora.Tests.Verification;

/// <summary>The verifier itself: what it calls a failure, what not built, and what it says.</summary>
public sealed class VerifierTests : EngineTest
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-verify-").FullName;

    private static string Linear => Path.Combine(AppContext.BaseDirectory, "Golden", "ops", "linear");

    [Fact]
    public void A_folder_that_agrees_is_0_with_a_line_a_tensor()
    {
        var (result, text) = Verify(Linear);
        Assert.Equal(0, result.ExitCode);
        Assert.Equal(result.Ok, text.Split('\n').Count(static line => line.TrimEnd().EndsWith("  ok", StringComparison.Ordinal)));
        Assert.Contains($"total: 1 folders, {result.Ok} ok, 0 FAIL, 0 not built, exit 0", text);
    }

    [Fact]
    public void A_wrong_number_fails_and_the_first_deviation_is_named()
    {
        Case("wrong",
            """{"case": "c", "op": "gelu", "params": {}, "inputs": {"x": [2]}, "upstream": {"dy": [2]}, "expected": """
            + """{"y": [2], "dx": [2]}, "tolerance_abs": {"y": 1e-6, "dx": 1e-6}}""",
            ("c/x", [0, 1]), ("c/dy", [1, 1]), ("c/y", [0, 0.9f]), ("c/dx", [0.5f, 7]));
        var (result, text) = Verify(_folder);
        Assert.Equal(1, result.ExitCode);
        Assert.Equal(2, result.Failed);
        Assert.Contains("c: y (at [1]: got 0.84134", result.FirstDeviation);
        Assert.Contains("the first that deviates is y", text);
    }

    [Fact]
    public void An_operation_that_is_missing_is_3_and_named()
    {
        Case("missing", """{"case": "c", "op": "no_such_op", "params": {}, "inputs": {}, "expected": {}, "tolerance_abs": {}}""");
        var (result, text) = Verify(_folder);
        Assert.Equal(3, result.ExitCode);
        Assert.Contains("not built: no_such_op", text);
    }

    [Fact]
    public void The_worst_of_several_folders_counts()
    {
        Case("missing", """{"case": "c", "op": "no_such_op", "params": {}, "inputs": {}, "expected": {}, "tolerance_abs": {}}""");
        Assert.Equal(3, Verify(Linear, Path.Combine(_folder, "missing")).Result.ExitCode);
        Assert.Equal(1, Verify(Path.Combine(_folder, "missing"), Path.Combine(_folder, "nowhere"), Linear).Result.ExitCode);
    }

    [Fact]
    public void An_area_is_searched_in_ordinal_order()
    {
        var none = """{"case": "c", "op": "no_such_op", "params": {}, "inputs": {}, "expected": {}, "tolerance_abs": {}}""";
        Case("b", none);
        Case("B/deep", none);
        Case("a", none);
        var (_, text) = Verify(_folder);
        var order = text.Split('\n').Where(static line => line.Contains("/c  not built", StringComparison.Ordinal)).Select(static line => line.Split("/c")[0]);
        var root = Path.GetFileName(_folder);
        Assert.Equal([$"{root}/B/deep", $"{root}/a", $"{root}/b"], order);
    }

    [Theory]
    [InlineData("nowhere", "does not exist")]
    [InlineData("empty", "golden.json")]
    [InlineData("broken", "golden.json")]
    [InlineData("list", "no JSON object")]
    [InlineData("no-tensors", "golden.safetensors")]
    [InlineData("no-tensor", "c/x")]
    [InlineData("no-tolerance", "tolerance_abs")]
    [InlineData("no-op", "op")]
    public void A_bad_folder_fails_and_names_the_file_or_field(string what, string word)
    {
        const string good = """{"case": "c", "op": "gelu", "params": {}, "inputs": {"x": [1]}, "expected": {"y": [1]}, "tolerance_abs": {"y": 1e-6}}""";
        var path = Path.Combine(_folder, what);
        if (what != "nowhere") Directory.CreateDirectory(path);
        if (what == "broken") File.WriteAllText(Path.Combine(path, "golden.json"), "{\"cases\": [");
        if (what == "list") File.WriteAllText(Path.Combine(path, "golden.json"), "[1]");
        if (what == "no-tensors") { Case(what, good); File.Delete(Path.Combine(path, "golden.safetensors")); }
        if (what == "no-tensor") Case(what, good, ("c/y", [0]));
        if (what == "no-tolerance") Case(what, good.Replace("\"y\": 1e-6", "", StringComparison.Ordinal), ("c/x", [0]), ("c/y", [0]));
        if (what == "no-op") Case(what, good.Replace("\"gelu\"", "7", StringComparison.Ordinal), ("c/x", [0]), ("c/y", [0]));
        var (result, text) = Verify(path);
        Assert.Equal(1, result.ExitCode);
        Assert.Equal(1, result.Failed);
        Assert.Contains(word, text);
    }

    [Fact]
    public void A_folder_of_another_kind_is_not_built()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "odd"));
        File.WriteAllText(Path.Combine(_folder, "odd", "golden.json"), """{"something": "else"}""");
        Assert.Equal(3, Verify(Path.Combine(_folder, "odd")).Result.ExitCode);
    }

    [Theory]
    [InlineData(1, 1.05, 0.1, 0, true)]
    [InlineData(1, 1.2, 0.1, 0, false)]
    [InlineData(100, 101, 0.1, 0.01, true)]
    [InlineData(0, double.NaN, 9, 9, false)]
    [InlineData(double.NaN, 0, 9, 9, false)]
    [InlineData(double.NaN, double.NaN, 0, 0, true)]
    [InlineData(double.PositiveInfinity, double.PositiveInfinity, 0, 0, true)]
    [InlineData(double.PositiveInfinity, double.NegativeInfinity, 1, 1, false)]
    [InlineData(3e38, double.PositiveInfinity, 1, 1, false)]
    public void Comparison_holds_to_its_tolerance_and_to_places_of_NaN(double want, double got, double absolute, double relative, bool ok) =>
        Assert.Equal(ok, Comparison.Of([0, (float)got, 0], [0, (float)want, 0], absolute, relative).Ok);

    [Fact]
    public void The_worst_element_is_the_one_furthest_beyond_its_own_tolerance()
    {
        var found = Comparison.Of([100.5f, 1.3f], [100, 1], 0.1, 0.01);
        Assert.False(found.Ok);
        Assert.Equal(1, found.Index);
        Assert.Equal(0.11, found.Tolerance, 6);
        Assert.False(Comparison.Of([1f], [1f, 2], 1).Ok);
        Assert.False(Comparison.Of((ReadOnlySpan<int>)[1, 2], (ReadOnlySpan<int>)[1, 3]).Ok);
    }

    public override void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        base.Dispose();
    }

    private (VerifyResult Result, string Text) Verify(params string[] folders)
    {
        using var output = new StringWriter(CultureInfo.InvariantCulture);
        var result = Verifier.Run(folders, Backend, output);
        return (result, output.ToString());
    }

    private void Case(string name, string json, params (string Name, float[] Values)[] tensors)
    {
        var path = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        File.WriteAllText(Path.Combine(path, "golden.json"), $"{{\"cases\": [{json}]}}");
        SafetensorsWriter.Write(Path.Combine(path, "golden.safetensors"),
            [.. tensors.Select(static t => new TensorSource(t.Name, [t.Values.Length], t.Values))]);
    }
}
