using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// A classifier of texts as the reference saved it: states, pooled state, scores, loss and gradients of a batch that is padded at the end, and each of its
/// texts alone.
/// </summary>
internal sealed class ClassifierCases(GoldenFolder folder, Backend backend, GoldenReport report) : ModelCase(folder, backend, report)
{
    /// <summary>Runs the case.</summary>
    public void Run()
    {
        using var model = TextClassifier.Load(Folder.Path, Backend, keepType: false);
        var lengths = Lengths("attention_mask");
        Pass(model, lengths);
        if (File.Exists(Path.Combine(Folder.Path, OlderConfig))) OlderKeys(lengths);
        if (Folder.Holds("logits")) Alone(model, lengths);
    }

    private Tensor Logits(TextClassifier model, int[] lengths) => model.Forward(Folder.Load(Backend.Main, "input_ids"), Segments(), lengths);

    // Families without segments have zeros in their place.
    private Tensor? Segments() =>
        Folder.Holds("token_type_ids") && Folder.Ints("token_type_ids").AsSpan().ContainsAnyExcept(0) ? Folder.Load(Backend.Main, "token_type_ids") : null;

    private void Pass(TextClassifier model, int[] lengths)
    {
        model.Train();
        using var scope = Backend.Scope();
        model.Trace = (name, x) =>
        {
            See(name, x, lengths);
            if (name == "hidden.0") See("embeddings", x, lengths);
        };
        var logits = Logits(model, lengths);
        model.Trace = null;
        See("logits", logits);
        using var loss = logits.CrossEntropy(Folder.Load(Backend.Main, "labels"));
        See("loss", loss);
        loss.Backward();
        SeeGradients(model, transposed: model.IsTransposed);
        model.Train(false);
        Compare();
    }

    private void OlderKeys(int[] lengths)
    {
        using var model = TextClassifier.Load(Folder.Path, Backend, keepType: false, pooling: null, OlderConfig);
        using var scope = Backend.Scope(grad: false);
        var logits = Logits(model, lengths);
        Report.Floats($"{OlderConfig}: logits", logits.Shape, logits.ToArray(), Folder.Floats("logits"), Tolerance("logits"));
    }

    // A text has the scores that it has in company.
    private void Alone(TextClassifier model, int[] lengths)
    {
        using var scope = Backend.Scope(grad: false);
        var (ids, segments, tokens) = (Folder.Ints("input_ids"), Segments()?.ToInts(), Folder.ShapeOf("input_ids")[1]);
        var logits = new List<float>();
        for (var row = 0; row < lengths.Length; row++)
        {
            var (start, end) = (row * tokens, row * tokens + lengths[row]);
            var shape = new Shape(1, lengths[row]);
            var own = segments is null ? null : Backend.Main.From(segments.AsSpan(start..end), shape);
            logits.AddRange(model.Forward(Backend.Main.From(ids.AsSpan(start..end), shape), own).ToArray());
        }
        Report.Floats("each alone: logits", Folder.ShapeOf("logits"), [.. logits], Folder.Floats("logits"), Tolerance("logits"));
    }
}
