using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Given weights: uniform composition and its scales, one module alone, nesting, weights per matrix and per row, modules without some matrices.
/// </summary>
internal static class MixingCases
{
    /// <summary>W0 + Σ (1/N) s_n B_n A_n, and what is near it.</summary>
    internal static void Uniform(CompositionCase c)
    {
        var (modules, n) = (c.Mixed, c.Mixed.Length);
        c.Values.Add("base.logits", c.Logits());
        for (var i = 0; i < n; i++)
        {
            Attach.Module(c.Model, modules[i]);
            c.Values.Add($"alone.{i}.logits", c.Logits());
            Attach.Detach(c.Model, dispose: false);
        }
        var uniform = Compose.Uniform(c.Model, modules);
        foreach (var (path, composition) in uniform.Compositions)
        {
            var name = c.Model.Names.Theirs(path).First(t => c.Folder.Holds($"uniform.delta.{t}"));
            c.Values.Add($"uniform.delta.{name}", composition.Factors().Delta());
            using var scope = c.Workspace.Scope();
            c.Values.Add($"uniform.merged.{name}", composition.Merged(c.Model.LinearAt(path)).Weight);
        }
        var logits = c.Logits(uniform);
        c.Values.Add("uniform.logits", logits);
        c.Values.Add("sum.logits", c.Logits(Compose.Uniform(c.Model, modules, n)));
        foreach (var (name, scale) in (ReadOnlySpan<(string, double)>)[("quarter", 0.25), ("half", 0.5), ("root-N", Math.Sqrt(n)), ("N", n)])
            c.Values.Add($"uniform-times-{name}.logits", c.Logits(Compose.Uniform(c.Model, modules, (float)scale)));
        c.Values.Add("nested.logits", Nested(c, modules));
        var gates = c.Values.Input("gates-per-matrix.gates");
        var weights = c.Matrices.Select((path, m) => (path, gates[(m * n)..((m + 1) * n)])).ToDictionary(static w => w.path, static w => w.Item2);
        c.Values.Add("gates-per-matrix.logits", c.Logits(Compose.Fixed(c.Model, modules, weights)));
        c.Compare();
        var shape = c.Folder.ShapeOf("uniform.logits");
        if (c.IsText)
        {
            // The uniform composition as PEFT's cat saved it, read as one adapter; and a module whose factors are others of the same product.
            Attach.Module(c.Model, c.Module("from-peft-cat-uniform"));
            var (saved, want) = (c.Logits(), c.Folder.Floats("uniform.logits"));
            Attach.Detach(c.Model, dispose: false);
            c.Report.Floats("from-peft-cat-uniform.logits", shape, saved, want, CompositionCase.Tolerance("uniform.logits", want));
            LoraModule[] turned = [modules[0], c.Module("mixed-1-gauge"), .. modules[2..]];
            c.Report.Floats("mixed-1-gauge: uniform.logits", shape, c.Logits(Compose.Uniform(c.Model, turned)), want,
                CompositionCase.Tolerance("uniform.logits", want));
            return;
        }
        // The same adapters under the names of a newer library: the same bits.
        var renamed = Enumerable.Range(0, n).Select(i => c.Module($"mixed-{i}", "vit-renamed")).ToArray();
        c.Report.Floats("vit-renamed.uniform.logits", shape, c.Logits(Compose.Uniform(c.Model, renamed)), logits, 0);
    }

    // Weights (1/3, 2/3) over two compositions: uniform of the first two modules, and of the others.
    private static float[] Nested(CompositionCase c, LoraModule[] modules)
    {
        var inner = new List<Composition>();
        var paths = c.Matrices;
        foreach (var path in paths)
        {
            var host = c.Model.LinearAt(path);
            Composition Of(LoraModule[] some) =>
                new(host, [.. some.Select(m => (Adapter?)m.Updates.GetValueOrDefault(path))], new UniformMixer(c.Backend, some.Length));
            Composition[] parts = [Of(modules[..2]), Of(modules[2..])];
            inner.AddRange(parts);
            host.Adapter = new Composition(host, parts, new FixedMixer(c.Backend, [1f / 3, 2f / 3]));
        }
        var logits = c.Logits();
        Attach.Detach(c.Model);
        foreach (var composition in inner) composition.Dispose();
        return logits;
    }

    /// <summary>Modules that lack some matrices: either a lacking matrix counts as a zero update, or the others share its weight.</summary>
    internal static void Missing(CompositionCase c)
    {
        var modules = c.Folder.Field(c.Numbers, "modules", JsonValueKind.Array, "numbers.").EnumerateArray().Select(m => c.Module(m.GetString()!)).ToArray();
        var (v, present) = (c.Values.Input("v"), c.Values.Input("present"));
        foreach (var policy in (ReadOnlySpan<string>)["zero", "present"])
        {
            var options = new LearnedOptions { SharePresent = policy == "present" };
            var uniform = options.SharePresent ? Compose.Learned(c.Model, modules, options) : Compose.Uniform(c.Model, modules);
            c.Values.Add($"{policy}.uniform.gates", Gates(uniform));
            c.Values.Add($"{policy}.uniform.logits", c.Logits(uniform));
            var learned = Compose.Learned(c.Model, modules, options);
            var mixers = learned.Compositions.Select(static m => (LearnedMixer)m.Value.Mixer).ToArray();
            for (var m = 0; m < mixers.Length; m++) mixers[m].SetV(v.AsSpan(m * modules.Length, modules.Length));
            c.Values.Add($"{policy}.learned.gates", Gates(learned));
            using (c.Workspace.Scope())
            {
                var logits = c.Model.Forward(c.Inputs());
                var loss = logits.CrossEntropy(c.Targets());
                loss.Backward();
                c.Values.Add($"{policy}.learned.logits", logits);
                c.Values.Add($"{policy}.learned.loss", loss);
            }
            c.Values.Add($"{policy}.learned.grad.v", [.. mixers.SelectMany(static m => m.V.Gradient!.ToArray())]);
            learned.Detach();
        }
        c.Compare();

        // A module without the matrix keeps its weight, and has nothing that it could weigh: 0 in the file.
        float[] Gates(Mixture mixture)
        {
            var gates = mixture.Weights().SelectMany(static w => w).ToArray();
            for (var i = 0; i < gates.Length; i++) gates[i] *= present[i];
            return gates;
        }
    }

    /// <summary>Weights that differ from row to row of the batch, the same for all matrices or not.</summary>
    internal static void PerRow(CompositionCase c)
    {
        var (modules, paths) = (c.Mixed, c.Matrices);
        c.Values.Add("base.logits", c.Logits());
        var (same, each) = (c.Values.Input("weights"), c.Values.Input("weights_per_matrix"));
        int rows = c.Folder.ShapeOf("weights")[0], n = modules.Length;
        var mixer = new GivenMixer();
        mixer.Set(c.Workspace, c.Workspace.From(same, new Shape(rows, n)));
        c.Values.Add("logits", c.Logits(Compose.Given(c.Model, modules, mixer)));
        c.Values.Add("per_matrix.logits", c.Logits(Compose.With(c.Model, modules, "given", (path, _) =>
        {
            var (own, weights, at) = (new GivenMixer(), new float[rows * n], Array.IndexOf(paths, path));
            for (var row = 0; row < rows; row++) each.AsSpan((row * paths.Length + at) * n, n).CopyTo(weights.AsSpan(row * n));
            own.Set(c.Workspace, c.Workspace.From(weights, new Shape(rows, n)));
            return own;
        })));
        c.Compare();
    }
}
