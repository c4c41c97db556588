using NanoLora.Models;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// A model that reads one text and writes another, as the reference saved it: both stacks, gradients, long texts, buckets of distances, greedy tokens.
/// </summary>
internal sealed class PairCases(GoldenFolder folder, Backend backend, GoldenReport report) : ModelCase(folder, backend, report)
{
    /// <summary>Runs the case.</summary>
    public void Run()
    {
        using var model = T5.Load(Folder.Path, Backend, keepType: false);
        Pass(model);
        if (File.Exists(Path.Combine(Folder.Path, OlderConfig))) OlderKeys();
        if (Folder.Holds("long.input_ids")) Long(model);
        if (Folder.Holds("buckets.distance")) Buckets(model);
        if (Folder.Holds("generate.prompt")) Generate(model);
    }

    /// <inheritdoc/>
    protected override bool IsOfMainPass(string name) =>
        !name.StartsWith("long.", StringComparison.Ordinal) && !name.StartsWith("generate", StringComparison.Ordinal);

    private Tensor Logits(T5 model) =>
        model.Forward(Folder.Load(Backend.Main, "input_ids"), Folder.Load(Backend.Main, "decoder_input_ids"), Lengths("attention_mask"));

    private void Pass(T5 model)
    {
        model.Train();
        using var scope = Backend.Scope();
        model.Trace = See;
        var logits = Logits(model);
        model.Trace = null;
        See("logits", logits);
        using var loss = logits.CrossEntropy(Folder.Load(Backend.Main, "labels"));
        See("loss", loss);
        loss.Backward();
        SeeGradients(model);
        model.Train(false);
        Compare();
    }

    private void OlderKeys()
    {
        using var model = T5.Load(Folder.Path, Backend, keepType: false, OlderConfig);
        using var scope = Backend.Scope(grad: false);
        var logits = Logits(model);
        Report.Floats($"{OlderConfig}: logits", logits.Shape, logits.ToArray(), Folder.Floats("logits"), Tolerance("logits"));
    }

    private void Long(T5 model)
    {
        using var scope = Backend.Scope(grad: false);
        See("long.logits", model.Forward(Folder.Load(Backend.Main, "long.input_ids"), Folder.Load(Backend.Main, "long.decoder_input_ids")));
        Compare("long.");
    }

    private void Buckets(T5 model)
    {
        var distances = Folder.Ints("buckets.distance");
        foreach (var (name, both) in (ReadOnlySpan<(string, bool)>)[("buckets.bidirectional", true), ("buckets.causal", false)])
        {
            var buckets = Array.ConvertAll(distances, distance => model.Bucket(distance, both));
            Report.Tensor(name, new Shape(buckets.Length), Comparison.Of(buckets, Folder.Ints(name)));
        }
    }

    private void Generate(T5 model)
    {
        var shape = Folder.ShapeOf("generate.prompt");
        var (ids, lengths) = (Folder.Ints("generate.prompt"), Lengths("generate.attention_mask"));
        var prompts = Enumerable.Range(0, shape[0]).Select(row => ids[(row * shape[1])..(row * shape[1] + lengths[row])]).ToArray();
        var steps = new List<float[]>();
        model.Trace = (name, x) => { if (name == "next_logits") steps.Add(x.ToArray()); };
        var count = Folder.ShapeOf("generate.tokens")[1];
        Tokens("generate.tokens", Generator.Greedy(model, Backend.Main, prompts, count));
        model.Trace = null;
        var logits = Enumerable.Range(0, shape[0]).SelectMany(row => steps.SelectMany(step => step.AsSpan(row * model.Vocabulary, model.Vocabulary).ToArray()));
        Report.Floats("generate.logits", Folder.ShapeOf("generate.logits"), [.. logits], Folder.Floats("generate.logits"), Tolerance("generate.logits"));
        if (Folder.Holds("generate_stop.tokens"))
            Tokens("generate_stop.tokens", Generator.Greedy(model, Backend.Main, prompts, count, Folder.Ints("generate_stop.eos_token_id")[0]));

        // Rows that have stopped are filled with the padding token.
        void Tokens(string name, int[][] rows)
        {
            var pad = model.Json.Int("pad_token_id", 0, min: 0);
            var width = rows.Max(static row => row.Length);
            var all = rows.SelectMany(row => row.Concat(Enumerable.Repeat(pad, width - row.Length))).ToArray();
            Report.Tensor(name, new Shape(rows.Length, width), Comparison.Of(all, Folder.Ints(name)));
        }
    }
}
