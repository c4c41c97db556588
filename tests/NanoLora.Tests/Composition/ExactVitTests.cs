using System.Globalization;
using System.Text.Json.Nodes;
using NanoLora.Experiments.Verification;
using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

/// <summary>The forward in double precision that judges a reference in doubt, and that the judge excuses no error.</summary>
public sealed class ExactVitTests : EngineTest
{
    private const string Job = "svd-rslora-first";

    private readonly string _copy = Directory.CreateTempSubdirectory("nanolora-exact-").FullName;

    private static string Golden => Path.Combine(AppContext.BaseDirectory, "Golden", "composition");

    private static string Base => Path.Combine(Golden, "base", "vit");

    [Fact]
    public void The_base_s_logits_are_the_reference_s_in_double_precision()
    {
        using var file = Checkpoint.Open(Path.Combine(Golden, "uniform-vit", "golden.safetensors"));
        var want = Read(file, "base.logits");
        var got = ExactVit.Logits(Base, Read(file, "pixel_values"), new Dictionary<string, double[]>());
        Assert.InRange(Off(got, want), 0, 1e-7);   // the stored ones are rounded to float32
    }

    [Theory]
    [InlineData("uniform", 1)]
    [InlineData("uniform-times-half", 0.5)]
    public void Updates_of_weights_give_the_reference_s_logits_in_double_precision(string mix, double times)
    {
        using var file = Checkpoint.Open(Path.Combine(Golden, "uniform-vit", "golden.safetensors"));
        const string prefix = "uniform.delta.";
        var updates = file.Entries.Where(e => e.Name.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(e => $"{e.Name[prefix.Length..]}.weight", e => Array.ConvertAll(Read(file, e.Name), v => times * v));
        Assert.Equal(4, updates.Count);
        Assert.InRange(Off(ExactVit.Logits(Base, Read(file, "pixel_values"), updates), Read(file, $"{mix}.logits")), 0, 1e-7);
    }

    [Fact]
    public void An_update_that_fits_no_tensor_is_refused()
    {
        var images = new float[3 * 32 * 32];
        foreach (var name in (string[])["nowhere", "classifier.bias"])
        {
            var update = new Dictionary<string, double[]> { [name] = [1, 2] };
            Assert.Equal(name, Assert.Throws<CheckpointException>(() => ExactVit.Logits(Base, images, update)).Field);
        }
    }

    [Theory]   // values of mpmath, 50 digits
    [InlineData(1e-9, 1.1283791670955127e-9)]
    [InlineData(0.5, 0.5204998778130465)]
    [InlineData(-1, -0.8427007929497149)]
    [InlineData(2.5, 0.9995930479825550)]
    [InlineData(4, 0.9999999845827421)]
    [InlineData(5.99, 1)]
    [InlineData(-7, -1)]
    [InlineData(0, 0)]
    public void Erf_is_good_to_1e_15(double z, double want) => Assert.InRange(Math.Abs(ExactVit.Erf(z) - want), 0, 1e-15 * Math.Abs(want));

    [Theory]   // in units of 1e-6 of the norm, from the exact value: ours, the reference; the share is 2, rounding explains 5
    [InlineData(1.5, 1, true, false)]
    [InlineData(1.5, -3.7, true, true)]
    [InlineData(3, -1, false, false)]    // the reference is right: ours are wrong
    [InlineData(2.1, -3.7, false, true)]
    [InlineData(7, 3.7, false, true)]
    [InlineData(3.8, 3.7, true, false)]  // within the share of the stored logits, which is all that is asked
    [InlineData(0, 6, false, false)]     // that is no rounding: the files say two different things
    [InlineData(double.NaN, 3.7, false, true)]
    [InlineData(0, double.NaN, false, false)]
    public void The_judge_holds_to_the_same_share_and_says_whom_it_believed(double ours, double reference, bool ok, bool exact)
    {
        using var output = new StringWriter(CultureInfo.InvariantCulture);
        var report = new GoldenReport("folder", output);
        // The norm is 5; both errors lie across it, so that lengths stay.
        double[] truth = [3, 4];
        double[] At(double off) => [3 - 4 * off * 1e-6, 4 + 3 * off * 1e-6];
        PeftMergeCases.Logits(report, "a.logits", new Shape(2), Array.ConvertAll(At(ours), static v => (float)v), At(reference), () => truth);
        Assert.Equal((ok ? 1 : 0, ok ? 0 : 1), (report.Ok, report.Failed));
        Assert.Equal(exact, output.ToString().Contains("a.logits (exact: the reference is 3.7e-06 off, 2e-06 allowed)  error", StringComparison.Ordinal));
    }

    [Fact]
    public void A_reference_in_doubt_is_named_as_such()
    {
        var (result, text) = VerifyCopy(static (_, _) => { });
        Assert.Equal(0, result.ExitCode);
        Assert.Contains($"{Job}.logits (exact: the reference is 3.7e-06 off, 2e-06 allowed)  error", text);
    }

    [Theory]
    [InlineData(Job + ".logits", 1e-5)]
    [InlineData(Job + ".A.vit.encoder.layer.0.attention.attention.query", 1e-3)]
    [InlineData(Job + ".B.vit.encoder.layer.1.attention.attention.value", 1e-3)]
    public void Stored_values_that_are_wrong_fail(string tensor, double relative)
    {
        var (result, text) = VerifyCopy((name, values) =>
        {
            if (name == tensor) for (var i = 0; i < values.Length; i++) values[i] *= (float)(1 + (i % 2 == 0 ? relative : -relative));
        });
        Assert.Equal(1, result.ExitCode);
        // not held against the exact ones
        var line = Assert.Single(text.Split('\n'), static line => line.Contains($"  {Job}.logits  ", StringComparison.Ordinal));
        Assert.Contains("  FAIL  at", line);
    }

    public override void Dispose()
    {
        Directory.Delete(_copy, recursive: true);
        base.Dispose();
    }

    // The one job in a folder of its own, its tensors changed.
    private (VerifyResult Result, string Text) VerifyCopy(Action<string, float[]> change)
    {
        Copy(Base, Path.Combine(_copy, "base", "vit"));
        foreach (var module in Directory.GetDirectories(Path.Combine(Golden, "adapters", "vit"), "mixed-*"))
            Copy(module, Path.Combine(_copy, "adapters", "vit", Path.GetFileName(module)));
        var (from, to) = (Path.Combine(Golden, "peft-vit"), Directory.CreateDirectory(Path.Combine(_copy, "peft-vit")).FullName);
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(from, "golden.json")))!;
        json["numbers"] = new JsonObject { [Job] = json["numbers"]![Job]!.DeepClone() };
        File.WriteAllText(Path.Combine(to, "golden.json"), json.ToJsonString());
        using (var file = Checkpoint.Open(Path.Combine(from, "golden.safetensors")))
        {
            var tensors = new List<TensorSource>();
            foreach (var entry in file.Entries)
            {
                if (entry.Name != "pixel_values" && !entry.Name.StartsWith($"{Job}.", StringComparison.Ordinal)) continue;
                var values = Read(file, entry.Name);
                change(entry.Name, values);
                tensors.Add(new TensorSource(entry.Name, entry.Shape, values));
            }
            SafetensorsWriter.Write(Path.Combine(to, "golden.safetensors"), tensors);
        }
        using var output = new StringWriter(CultureInfo.InvariantCulture);
        var result = Verifier.Run([to], Backend, output);
        return (result, output.ToString());
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from)) File.WriteAllBytes(Path.Combine(to, Path.GetFileName(file)), File.ReadAllBytes(file));
    }

    private static float[] Read(Checkpoint file, string name)
    {
        var values = new float[file[name].Count];
        file.CopyTo(file[name], values);
        return values;
    }

    // ‖got - want‖ / ‖want‖
    private static double Off(double[] got, float[] want)
    {
        Assert.Equal(want.Length, got.Length);
        var (error, norm) = (0.0, 0.0);
        for (var i = 0; i < got.Length; i++) (error, norm) = (error + (got[i] - want[i]) * (got[i] - want[i]), norm + (double)want[i] * want[i]);
        return Math.Sqrt(error / norm);
    }
}
