using System.Text.Json;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// A causal language model as the reference saved it: outputs and gradients, the same by the config of older versions, long texts, padded batches, and
/// greedy tokens with a cache.
/// </summary>
internal sealed class TextCases(GoldenFolder folder, Backend backend, GoldenReport report) : ModelCase(folder, backend, report)
{
    private static readonly string[] Others = ["long.", "padded.", "generate", "story", "bos."];

    /// <summary>Runs the case.</summary>
    /// <exception cref="NotBuiltException">The family is none of those that are built.</exception>
    public void Run()
    {
        using var model = Load();
        if (Folder.Holds("input_ids")) Pass(model, "", "labels");
        if (Folder.Holds("input_ids") && File.Exists(Path.Combine(Folder.Path, OlderConfig))) OlderKeys();
        if (Folder.Holds("long.input_ids")) Pass(model, "long.", "long.input_ids");
        model.Train(false);
        if (Folder.Holds("padded.input_ids")) Padded(model);
        for (var k = 0; Folder.Holds($"story{k}.input_ids"); k++) Story(model, $"story{k}.");
        if (Folder.Holds("bos.logits")) Bos(model);
        if (Folder.Holds("generate.prompt")) Generate(model);
        if (Folder.Holds("generate_batch.prompts")) GenerateBatch(model);
    }

    /// <inheritdoc/>
    protected override bool IsOfMainPass(string name) => !Others.Any(other => name.StartsWith(other, StringComparison.Ordinal));

    private LanguageModel Load()
    {
        try { return LanguageModel.Load(Folder.Path, Backend, keepType: false); }
        catch (CheckpointException e) when (e.Field == "model_type")
        {
            throw new NotBuiltException($"models like {Folder.Field(Folder.Root, "case", JsonValueKind.String).GetString()}");
        }
    }

    private void Pass(LanguageModel model, string prefix, string labels)
    {
        model.Train();
        using var scope = Backend.Scope();
        model.Trace = (name, x) => See(prefix + name, x);
        var logits = model.Forward(Folder.Load(Backend.Main, prefix + "input_ids"));
        model.Trace = null;
        See(prefix + "logits", logits);
        using var loss = Loss(logits, Folder.Ints(labels));
        See(prefix + "loss", loss);
        loss.Backward();
        SeeGradients(model, prefix, model.IsTransposed);
        Compare(prefix);
    }

    // The loss of token t + 1 given those up to t.
    private static Tensor Loss(Tensor logits, int[] labels, Reduction reduction = Reduction.Mean)
    {
        int batch = logits.Shape[0], tokens = logits.Shape[1];
        var next = new List<int>(labels.Length);
        for (var row = 0; row < batch; row++) next.AddRange(labels[(row * tokens + 1)..((row + 1) * tokens)]);
        return logits.Slice(1, 0, tokens - 1).CrossEntropy(logits.Workspace.From([.. next], new Shape(batch, tokens - 1)), reduction);
    }

    private void OlderKeys()
    {
        using var model = LanguageModel.Load(Folder.Path, Backend, keepType: false, OlderConfig);
        using var scope = Backend.Scope(grad: false);
        var logits = model.Forward(Folder.Load(Backend.Main, "input_ids"));
        Report.Floats($"{OlderConfig}: logits", logits.Shape, logits.ToArray(), Folder.Floats("logits"), Tolerance("logits"));
    }

    // padded.loss is left out: it counts what the reference guesses at the last padding token, where its attention, hidden from every key, is the mean of all.
    private void Padded(LanguageModel model)
    {
        using var scope = Backend.Scope(grad: false);
        var mask = Folder.Ints("padded.attention_mask");
        var ids = Folder.Load(Backend.Main, "padded.input_ids");
        var logits = model.Forward(ids, Padding(mask, ids.Shape[1]));
        var values = logits.ToArray();
        for (var i = 0; i < values.Length; i++) if (mask[i / logits.Cols] == 0) values[i] = 0;
        Report.Floats("padded.logits", logits.Shape, values, Folder.Floats("padded.logits"), Tolerance("padded.logits"));
    }

    private void Story(LanguageModel model, string prefix)
    {
        using var scope = Backend.Scope(grad: false);
        var ids = Folder.Ints(prefix + "input_ids");
        var logits = model.Forward(Backend.Main.From(ids, new Shape(1, ids.Length)));
        var all = logits.Reshape(ids.Length, logits.Cols);
        var (first, last) = (Folder.ShapeOf(prefix + "logits")[0], Folder.ShapeOf(prefix + "last_logits")[0]);
        See(prefix + "logits", all.Slice(0, 0, first));
        See(prefix + "last_logits", all.Slice(0, ids.Length - last, ids.Length));
        See(prefix + "nll", Loss(logits, ids, Reduction.None).Reshape(ids.Length - 1));
        See(prefix + "mean_nll", Loss(logits, ids));
        Compare(prefix);
    }

    private void Bos(LanguageModel model)
    {
        using var scope = Backend.Scope(grad: false);
        See("bos.logits", model.Forward(Folder.Load(Backend.Main, "generate.prompt")).Reshape(model.Vocabulary));
        Compare("bos.");
    }

    private void Generate(LanguageModel model)
    {
        var expected = Folder.Ints("generate.tokens");
        var logits = new List<float>();
        model.Trace = (name, x) => { if (name == "next_logits") logits.AddRange(x.ToArray()); };
        var tokens = Generator.Greedy(model, [Folder.Ints("generate.prompt")], expected.Length)[0];
        model.Trace = null;
        Report.Tensor("generate.tokens", Folder.ShapeOf("generate.tokens"), Comparison.Of(tokens, expected));
        Report.Floats("generate.logits", Folder.ShapeOf("generate.logits"), logits.ToArray(), Folder.Floats("generate.logits"), Tolerance("generate.logits"));
    }

    private void GenerateBatch(LanguageModel model)
    {
        var shape = Folder.ShapeOf("generate_batch.prompts");
        var (ids, padding) = (Folder.Ints("generate_batch.prompts"), Padding(Folder.Ints("generate_batch.attention_mask"), shape[1]));
        var prompts = Enumerable.Range(0, shape[0]).Select(row => ids[(row * shape[1] + padding[row])..((row + 1) * shape[1])]).ToArray();
        var count = Folder.ShapeOf("generate_batch.tokens")[1];
        Tokens("generate_batch.tokens", Generator.Greedy(model, prompts, count));
        if (!Folder.Holds("generate_stop.tokens")) return;
        Tokens("generate_stop.tokens", Generator.Greedy(model, prompts, count, Folder.Ints("generate_stop.eos_token_id")[0]));

        // Rows that have stopped are filled with the padding token.
        void Tokens(string name, int[][] rows)
        {
            var pad = model.Json!.Value.Int("pad_token_id", 0, min: 0);
            var width = rows.Max(static row => row.Length);
            var all = rows.SelectMany(row => row.Concat(Enumerable.Repeat(pad, width - row.Length))).ToArray();
            Report.Tensor(name, new Shape(rows.Length, width), Comparison.Of(all, Folder.Ints(name)));
        }
    }

    // How many tokens at the beginning of each row the mask hides.
    private int[] Padding(int[] mask, int tokens)
    {
        var padding = new int[mask.Length / tokens];
        for (var row = 0; row < padding.Length; row++)
        {
            padding[row] = Math.Max(0, Array.IndexOf(mask, 1, row * tokens, tokens) - row * tokens);
            if (mask.AsSpan(row * tokens + padding[row], tokens - padding[row]).Contains(0))
                throw Folder.Error("attention_mask", "hides tokens after the first that it shows.");
        }
        return padding;
    }
}
