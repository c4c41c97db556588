using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>A head alone: its inputs are features that were computed once. What trains nothing below the head trains on these.</summary>
public sealed class FeatureClassifier(Backend backend) : Classifier(backend, new NameMap(), "features")
{
    /// <inheritdoc/>
    public override Tensor Features(Tensor inputs) => inputs;
}

/// <summary>Rows of features with their classes.</summary>
/// <param name="source">The samples the features were computed from: names and classes are theirs.</param>
/// <param name="features">[count, width], row by row.</param>
public sealed class FeatureDataset(IDataset source, float[] features) : IDataset
{
    private readonly int _width = features.Length / Math.Max(1, source.Count);

    /// <inheritdoc/>
    public string Name => source.Name;

    /// <inheritdoc/>
    public int Count => source.Count;

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes => source.Classes;

    /// <inheritdoc/>
    public int Label(int index) => source.Label(index);

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var (rows, labels) = (new float[indices.Length * _width], new int[indices.Length]);
        for (var i = 0; i < indices.Length; i++)
        {
            features.AsSpan(indices[i] * _width, _width).CopyTo(rows.AsSpan(i * _width));
            labels[i] = source.Label(indices[i]);
        }
        return new Batch(workspace.From(rows, new Shape(indices.Length, _width)), workspace.From(labels, new Shape(indices.Length)));
    }
}
