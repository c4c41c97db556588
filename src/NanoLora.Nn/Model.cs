namespace NanoLora.Nn;

/// <summary>A module that is a whole: it knows how its checkpoint calls its parts.</summary>
/// <param name="backend">Where its weights lie.</param>
/// <param name="names">How its file calls them.</param>
/// <param name="source">The file or folder it came from, for messages and for adapters to refer to.</param>
public abstract class Model(Backend backend, NameMap names, string source) : Module
{
    /// <summary>Where the weights lie.</summary>
    public Backend Backend { get; } = backend;

    /// <summary>How the checkpoint calls the parts.</summary>
    public NameMap Names { get; } = names;

    /// <summary>The file or folder it was read from.</summary>
    public string Source { get; } = source;

    /// <summary>What adapters call their base: <see cref="Source"/>, or the name under which others find it, as <c>org/name</c>.</summary>
    public string Title { get; set; } = source;

    /// <summary>
    /// Sees intermediate values by name while the model runs: "hidden.0" is what enters the first block, "hidden.K" what leaves block K, then "last_hidden".
    /// </summary>
    public Action<string, Tensor>? Trace { get; set; }

    /// <summary>The outputs (logits) for a batch of inputs.</summary>
    public abstract Tensor Forward(Tensor inputs);

    /// <summary>The outputs (logits) that the batch's targets are held against, a row each.</summary>
    public virtual Tensor Forward(Batch batch) => Forward(batch.Inputs);

    /// <summary>
    /// What training makes small: the mean cross entropy of the outputs with the batch's targets. A model that learns several things at once has one of its
    /// own.
    /// </summary>
    /// <param name="batch">The batch.</param>
    /// <param name="smoothing">The share of each target that is spread over all classes.</param>
    public virtual Tensor Loss(Batch batch, float smoothing = 0) => Forward(batch).CrossEntropy(batch.Targets, smoothing: smoothing);

    /// <summary>All linears with their paths.</summary>
    public IEnumerable<KeyValuePair<string, Linear>> Linears()
    {
        foreach (var (path, module) in Modules())
        {
            if (module is Linear linear) yield return new(path, linear);
        }
    }

    /// <summary>The linear at a path.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public Linear LinearAt(string path)
    {
        foreach (var (at, linear) in Linears()) if (at == path) return linear;
        throw new ArgumentException($"{Source}: the model has no linear at \"{path}\". It has {string.Join(", ", Linears().Take(8).Select(l => l.Key))}, …");
    }
}

/// <summary>The images that a model reads.</summary>
/// <param name="Channels">1 for gray, 3 for colour.</param>
/// <param name="Rows">Pixels from top to bottom.</param>
/// <param name="Columns">Pixels from left to right.</param>
/// <param name="Mean">What is taken from each channel's pixels, from 0 to 1; null where the model does not say.</param>
/// <param name="Deviation">What they are divided by then; null where the model does not say.</param>
public sealed record ImageForm(int Channels, int Rows, int Columns, IReadOnlyList<float>? Mean, IReadOnlyList<float>? Deviation);

/// <summary>A model that reads images.</summary>
public interface IImageModel
{
    /// <summary>The file or folder it was read from: what else its images need stands there.</summary>
    string Source { get; }

    /// <summary>The images that it reads.</summary>
    ImageForm Images { get; }
}

/// <summary>A model that gives one row of class scores per input, from features and a head that can be replaced.</summary>
public abstract class Classifier(Backend backend, NameMap names, string source) : Model(backend, names, source)
{
    private Linear? _head, _pooler;

    /// <summary>The linear from features to class scores, or null where the checkpoint has none.</summary>
    public Linear? Head => _head;

    /// <summary>
    /// The linear below the head that models of texts count as a part of it (BERT's pooler.dense, RoBERTa's classifier.dense), or null where there is none.
    /// </summary>
    public Linear? Pooler => _pooler;

    /// <summary>Whether the pooler came with an adapter's head, not with the checkpoint.</summary>
    internal bool PoolerIsNew { get; private set; }

    /// <summary>
    /// Whether the head came by <see cref="NewHead(ReadOnlySpan{float}, ReadOnlySpan{float}, IReadOnlyList{string})"/>, not with the checkpoint:
    /// then it belongs to what was trained.
    /// </summary>
    public bool HeadIsNew { get; private set; }

    /// <summary>The names of the classes, in the order of the scores.</summary>
    public IReadOnlyList<string> Labels { get; protected set; } = [];

    /// <summary>What the head sees: [B, features].</summary>
    public abstract Tensor Features(Tensor inputs);

    /// <summary>What the head sees of a batch: [B, features]. Classifiers of texts need the rows' lengths; images are their inputs alone.</summary>
    public virtual Tensor Features(Batch batch) => Features(batch.Inputs);

    /// <inheritdoc/>
    public override Tensor Forward(Tensor inputs) =>
        (Head ?? throw new InvalidOperationException($"{Source}: the model has no head; give it one with NewHead.")).Forward(Features(inputs));

    /// <summary>Puts the checkpoint's head in place, without marking it.</summary>
    protected void SetHead(Linear? head, IReadOnlyList<string> labels)
    {
        Replace("head", _head = head);
        Labels = labels;
    }

    /// <summary>Puts the checkpoint's pooler in place.</summary>
    protected void SetPooler(Linear? pooler) => Replace("pooler", _pooler = pooler);

    /// <summary>Replaces head, and pooler if there comes one, by those of an adapter, frozen. The old ones are disposed.</summary>
    /// <exception cref="ArgumentException">They do not fit each other.</exception>
    internal virtual void NewHead(HeadWeights head)
    {
        var labels = head.Labels.Count == head.Bias.Length ? head.Labels : [.. Enumerable.Range(0, head.Bias.Length).Select(c => $"{c}")];
        if (head.Pooler is { } pooler)
        {
            var (old, width) = (_pooler, pooler.Bias.Length);
            if (width == 0 || pooler.Weight.Length % width != 0 || head.Weight.Length != width * labels.Count)
                throw new ArgumentException($"NewHead: a pooler of {pooler.Weight.Length} weights and {width} biases below {head.Weight.Length} weights.");
            using var w = Backend.Main.From(pooler.Weight, new Shape(width, pooler.Weight.Length / width));
            using var b = Backend.Main.From(pooler.Bias, new Shape(width));
            SetPooler(new Linear(w, b));
            PoolerIsNew = true;
            old?.Dispose();
        }
        NewHead(head.Weight, head.Bias, labels);
        _head!.Train(false);
    }

    /// <summary>Replaces the head by a new one that trains. The old one is disposed.</summary>
    /// <param name="weight">[classes, features], row by row.</param>
    /// <param name="bias">[classes]</param>
    /// <param name="labels">The names of the classes.</param>
    public void NewHead(ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, IReadOnlyList<string> labels)
    {
        var classes = labels.Count;
        if (bias.Length != classes || classes == 0 || weight.Length % classes != 0)
            throw new ArgumentException($"NewHead: {weight.Length} weights and {bias.Length} biases for {classes} classes.");
        var w = Backend.Main.From(weight, new Shape(classes, weight.Length / classes));
        var b = Backend.Main.From(bias, new Shape(classes));
        var old = _head;
        SetHead(new Linear(w, b), labels);
        w.Dispose();
        b.Dispose();
        old?.Dispose();
        HeadIsNew = true;
        _head!.Train();
    }
}
