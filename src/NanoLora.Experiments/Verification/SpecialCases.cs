using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Adapters that need care: ranks and alphas by name, biases beside B, which compose; DoRA and PiSSA, which run alone and are refused by name where they would
/// be composed. Logits are held to what golden.json states of PEFT's own rounding, which is in them. In those of the PiSSA is also that of PEFT's decomposition
/// of the base, in single precision where ours is exact: they are held to the stated share of their norm, or to the exact ones
/// (<see cref="PeftMergeCases.Logits"/>).
/// </summary>
internal static class SpecialCases
{
    private const string PissaLogits = "pissa.alone.logits";

    /// <summary>All of them.</summary>
    internal static void All(CompositionCase c)
    {
        var alone = new Dictionary<string, float[]>(StringComparer.Ordinal);
        foreach (var name in c.Values.Names.Where(static n => n.EndsWith(".alone.logits", StringComparison.Ordinal)).ToArray())
        {
            Attach.Module(c.Model, c.Module(name[..^".alone.logits".Length]));
            c.Values.Add(name, alone[name] = c.Logits());
            Attach.Detach(c.Model, dispose: false);
        }
        c.Values.Skip(PissaLogits);
        var modules = c.Folder.Field(c.Numbers, "uniform_of", JsonValueKind.Array, "numbers.").EnumerateArray().Select(m => c.Module(m.GetString()!)).ToArray();
        c.Values.Add("uniform.logits", c.Logits(Compose.Uniform(c.Model, modules)));
        c.Values.Add("biased-half.logits", c.Logits(Compose.Fixed(c.Model, [c.Module("biased")], [0.5f])));
        var plain = Plain(c);
        var stated = c.Folder.Field(c.Folder.Field(c.Folder.Root, "tolerance", JsonValueKind.Object), "logits", JsonValueKind.Object, "tolerance.");
        var ofLogits = c.Folder.Field(stated, "max_abs", JsonValueKind.Number, "tolerance.logits.").GetDouble();
        c.Values.Compare(c.Report, (name, want) => name.EndsWith("logits", StringComparison.Ordinal) ? ofLogits : CompositionCase.Tolerance(name, want));
        var ofPissa = Array.ConvertAll(c.Folder.Floats(PissaLogits), static v => (double)v);
        PeftMergeCases.Logits(c.Report, PissaLogits, c.Folder.ShapeOf(PissaLogits), alone[PissaLogits], ofPissa, () => c.ExactLogits("pissa"));
        foreach (var (name, shape, got, want, tolerance) in plain) c.Report.Floats(name, shape, got, want, tolerance);
        foreach (var refused in c.Folder.Field(c.Numbers, "must_be_refused", JsonValueKind.Object, "numbers.").EnumerateObject()) Refused(c, refused.Name);
    }

    // A PiSSA's residual base, and what it is as a plain LoRA: the product, as singular vectors have no fixed sign. It is a difference of two, held to what
    // either of them may be off by.
    private static List<(string Name, Shape Shape, float[] Got, float[] Want, double Tolerance)> Plain(CompositionCase c)
    {
        const string residual = "pissa.residual.", a = "pissa.as_lora.A.", b = "pissa.as_lora.B.";
        var products = new List<(string, Shape, float[], float[], double)>();
        foreach (var name in c.Values.Names.Where(static n => n.StartsWith(residual, StringComparison.Ordinal)).ToArray())
        {
            var theirs = name[residual.Length..];
            var path = c.Ours(theirs);
            var host = c.Model.LinearAt(path);
            using var lora = ((Pissa)c.Module("pissa").Updates[path]).AsLora();
            var factors = lora.Factors();
            var rank = factors.Rank / 2;
            var start = new float[host.Out * rank];                                    // -s B₀
            for (var i = 0; i < start.Length; i++) start[i] = factors.B[i / rank * 2 * rank + rank + i % rank];
            var rest = host.Weight.Value.ToArray();
            var taken = new Factors(factors.A[(rank * host.In)..], start, host.In, host.Out);
            taken.AddTo(rest, host.In, 0);
            c.Values.Add(name, rest);
            var want = new Factors(c.Values.Input(a + theirs), c.Values.Input(b + theirs), host.In, host.Out);
            products.Add(($"pissa.as_lora.B A.{theirs}", host.Weight.Shape, factors.Delta(), want.Delta(),
                CompositionCase.Tolerance(".delta.", taken.Delta())));
        }
        return products;
    }

    private static void Refused(CompositionCase c, string name)
    {
        try
        {
            Compose.Uniform(c.Model, [c.Module(name), c.Module("mixed-1")]).Detach();
            c.Report.Fail($"{name} is composed, and must be refused");
        }
        catch (ArgumentException e)
        {
            if (e.Message.Contains($"module {name}", StringComparison.Ordinal) && e.Message.Contains($"is a {name}", StringComparison.OrdinalIgnoreCase))
                c.Report.Pass($"refused: {e.Message}");
            else c.Report.Fail($"the refusal of {name} does not name what it is: {e.Message}");
        }
    }
}
