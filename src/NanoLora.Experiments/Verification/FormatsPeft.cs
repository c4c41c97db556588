using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Adapters saved by PEFT on small bases, one folder per field that changes the mathematics, and broken ones: what loads must give PEFT's logits, which are
/// computed here in double precision (<see cref="ExactLanguageModel"/>) with the factors and the head that were read.
/// </summary>
internal sealed class FormatsPeft(GoldenFolder folder, Backend backend, GoldenReport report)
{
    private const double OfBase = 1e-5;   // of the largest logit: what the bases alone may deviate, for there the reference is in float32

    private readonly Dictionary<string, ExactLanguageModel> _bases = new(StringComparer.Ordinal);

    internal void Run()
    {
        try { FormatsArea.Each(folder, report, "cases", "folder", Case); }
        finally { foreach (var model in _bases.Values) model.Dispose(); }
    }

    private void Case(JsonElement @case, string name)
    {
        var path = Path.Combine(folder.Path, name);
        var model = Base(folder.Field(@case, "base", JsonValueKind.String).GetString()!);
        LoraModule? module = null;
        try
        {
            var reading = FormatsReading.Of(() => module = PeftFolder.Load(path, model));
            var verdict = @case.GetProperty("verdict").GetString();
            if (verdict == "support" && reading.Refusal is { } refusal && !IsOfTheAdapter(refusal.Field, path))
                report.Fail($"the refusal names {FormatsReading.OneLine(refusal.Field)}, which is neither a field of the config nor a tensor of the adapter");
            else if (!reading.Hold(report, folder, @case, path)) return;
            else if (!@case.TryGetProperty("tensor", out var tensor)) report.Pass("loads");
            else Compare(tensor.GetString()!, model, module, folder.Field(@case, "tolerance_abs", JsonValueKind.Number).GetDouble());
        }
        finally { module?.Dispose(); }
    }

    // A base is compared by itself when the first adapter asks for it.
    private ExactLanguageModel Base(string name)
    {
        if (_bases.TryGetValue(name, out var known)) return known;
        var model = _bases[name] = ExactLanguageModel.Load(Path.Combine(folder.Path, name), backend);
        Compare($"{name}/logits", model, null, OfBase * folder.Floats($"{name}/logits").Max(Math.Abs));
        return model;
    }

    private void Compare(string tensor, ExactLanguageModel model, LoraModule? module, double tolerance)
    {
        var want = folder.Floats(tensor);
        var got = model.Logits(folder.Ints("input_ids"), folder.ShapeOf("input_ids")[1], module);
        report.Floats(tensor, folder.ShapeOf(tensor), Array.ConvertAll(got, static v => (float)v), want, tolerance);
    }

    // A field that adapter_config.json has, or a tensor that the weights have.
    private static bool IsOfTheAdapter(string field, string path)
    {
        var config = Path.Combine(path, "adapter_config.json");
        if (File.Exists(config))
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(config));
            if (json.RootElement.TryGetProperty(field, out _)) return true;
        }
        foreach (var weights in Directory.GetFiles(path, "adapter_model.*"))
        {
            using var file = Checkpoint.Open(weights);
            if (file.TryGet(field, out _)) return true;
        }
        return false;
    }
}
