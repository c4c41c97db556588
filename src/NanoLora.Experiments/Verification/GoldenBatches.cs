using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// The batches of a golden case, by the names of transformers: pixel_values or input_ids, attention_mask, labels. As a data set each is one sample, and every
/// call gives the next one, whichever is asked for: a training that reads single samples sees them in the order in which the reference saw them.
/// </summary>
internal sealed class GoldenBatches : IDataset
{
    private readonly List<Func<Workspace, Batch>> _batches = [];
    private readonly Model _model;
    private int _next;

    private GoldenBatches(Model model) => _model = model;

    /// <inheritdoc/>
    public string Name => "golden batches";

    /// <inheritdoc/>
    public int Count => _batches.Count;

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes => (_model as Classifier)?.Labels ?? [];

    /// <summary>Reads a file whose tensors have the batch as their first axis.</summary>
    internal static GoldenBatches Of(Model model, Checkpoint file)
    {
        var batches = new GoldenBatches(model);
        var labels = file["labels"];
        var all = Integers(file, "labels");
        var (count, shape) = ((int)labels.Shape[0], Inner(labels));
        for (var n = 0; n < count; n++)
        {
            var own = all[(n * shape.Count)..((n + 1) * shape.Count)];
            if (model is Classifier)
            {
                var (pixels, entry) = (Inner(file["pixel_values"]), file["pixel_values"]);
                var images = new float[entry.Count];
                file.CopyTo(entry, images);
                batches.Add(images[(n * pixels.Count)..((n + 1) * pixels.Count)], pixels, own, shape);
            }
            else batches.Add(Part("input_ids", n), Part("attention_mask", n), Inner(file["input_ids"]), own, shape);
        }
        return batches;

        int[] Part(string name, int n) => Integers(file, name)[(n * Inner(file[name]).Count)..((n + 1) * Inner(file[name]).Count)];
    }

    /// <summary>Reads the batches of texts called PREFIX0, PREFIX1, … in a golden folder.</summary>
    internal static GoldenBatches Of(Model model, GoldenFolder folder, string prefix)
    {
        var batches = new GoldenBatches(model);
        for (var n = 0; folder.Holds($"{prefix}{n}.input_ids"); n++)
        {
            var labels = $"{prefix}{n}.labels";
            batches.Add(folder.Ints($"{prefix}{n}.input_ids"), folder.Ints($"{prefix}{n}.attention_mask"), folder.ShapeOf($"{prefix}{n}.input_ids"),
                folder.Ints(labels), folder.ShapeOf(labels));
        }
        return batches;
    }

    /// <summary>A batch by its number, in the workspace's current scope.</summary>
    internal Batch this[Workspace workspace, int number] => _batches[number](workspace);

    /// <inheritdoc/>
    public int Label(int index) => -1;

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null) => this[workspace, _next++ % Count];

    private void Add(float[] images, Shape ofImages, int[] labels, Shape ofLabels) =>
        _batches.Add(w => new Batch(w.From(images, ofImages), w.From(labels, ofLabels)));

    private void Add(int[] ids, int[] mask, Shape ofIds, int[] labels, Shape ofLabels)
    {
        var (tokens, lengths) = (ofIds[1], new int[ofIds[0]]);
        for (var i = 0; i < mask.Length; i++) lengths[i / tokens] += mask[i];
        var targets = _model is LanguageModel ? Following(labels, ofLabels[1]) : labels;
        _batches.Add(w => new Batch(w.From(ids, ofIds), w.From(targets, ofLabels)) { Lengths = lengths });
    }

    // Labels as transformers has them belong to the tokens; the target of a token is the label of the next one.
    private static int[] Following(int[] labels, int tokens)
    {
        var targets = new int[labels.Length];
        for (var i = 0; i < targets.Length; i++) targets[i] = (i + 1) % tokens == 0 ? Batch.Ignored : labels[i + 1];
        return targets;
    }

    private static int[] Integers(Checkpoint file, string name) => Array.ConvertAll(file.ReadInt64(file[name]), static i => checked((int)i));

    private static Shape Inner(TensorEntry entry)
    {
        int[] sizes = [.. entry.Shape.Select(static s => checked((int)s))];
        return new Shape(sizes.AsSpan(1));
    }
}
