namespace NanoLora.Nn;

/// <summary>What a classifier says of one input.</summary>
/// <param name="Label">The most probable class.</param>
/// <param name="Probability">Its probability.</param>
/// <param name="Probabilities">Of all classes.</param>
public sealed record Prediction(string Label, float Probability, float[] Probabilities)
{
    /// <summary>As in "cat (97.3 %)".</summary>
    public override string ToString() => FormattableString.Invariant($"{Label} ({100 * Probability:0.0} %)");
}

/// <summary>Testing and asking a classifier.</summary>
public static class Evaluation
{
    /// <summary>The share of samples whose highest score is their class.</summary>
    public static double Accuracy(this Classifier model, IDataset data, int batchSize = 128, Workspace? workspace = null) =>
        (double)model.Correct(data, batchSize, workspace) / Math.Max(1, data.Count);

    /// <summary>The number of samples whose highest score is their class.</summary>
    /// <exception cref="ArgumentException">The data's classes are not the head's.</exception>
    public static int Correct(this Classifier model, IDataset data, int batchSize = 128, Workspace? workspace = null)
    {
        if (model.Head is { } head && head.Out != data.Classes.Count)
            throw new ArgumentException($"Accuracy: the head of {model.Source} has {head.Out} classes, {data.Name} has {data.Classes.Count}. "
                + "Train a new head on it first.");
        var correct = 0;
        ForEachBatch(data, batchSize, workspace ?? model.Backend.Main, (batch, indices) =>
        {
            var guesses = model.Forward(batch).ArgMax(-1).ToInts();
            for (var i = 0; i < guesses.Length; i++) if (guesses[i] == data.Label(indices[i])) correct++;
        });
        return correct;
    }

    /// <summary>What the head sees of every sample: [count, features], row by row.</summary>
    public static float[] FeaturesOf(this Classifier model, IDataset data, int batchSize = 128, Workspace? workspace = null)
    {
        float[] all = [];
        ForEachBatch(data, batchSize, workspace ?? model.Backend.Main, (batch, indices) =>
        {
            var features = model.Features(batch);
            if (all.Length == 0) all = new float[data.Count * features.Cols];
            features.CopyTo(all.AsSpan(indices[0] * features.Cols, features.Count));
        });
        return all;
    }

    /// <summary>Label and probabilities for one input, [1, …] or without the leading axis.</summary>
    public static Prediction Predict(this Classifier model, Tensor input)
    {
        using var asking = new Asking(input.Workspace);
        using var scope = input.Workspace.Scope(grad: false);
        var one = input.Shape.Rank == 3 ? input.Reshape(1, input.Shape[0], input.Shape[1], input.Shape[2]) : input;
        if (one.Shape[0] != 1) throw new ArgumentException($"Predict: {input.Shape} is a batch; pass one input.");
        var probabilities = model.Forward(one).Softmax().ToArray();
        var best = Array.IndexOf(probabilities, probabilities.Max());
        return new Prediction(best < model.Labels.Count ? model.Labels[best] : best.ToString(), probabilities[best], probabilities);
    }

    private static void ForEachBatch(IDataset data, int batchSize, Workspace workspace, Action<Batch, int[]> action)
    {
        using var asking = new Asking(workspace);
        for (var start = 0; start < data.Count; start += batchSize)
        {
            using var scope = workspace.Scope(grad: false);
            var indices = Enumerable.Range(start, Math.Min(batchSize, data.Count - start)).ToArray();
            action(data.Read(workspace, indices), indices);
        }
    }
}

/// <summary>Dropout rests while a model is asked, also from within a training.</summary>
internal readonly struct Asking : IDisposable
{
    private readonly Workspace _workspace;
    private readonly bool _training;

    public Asking(Workspace workspace)
    {
        (_workspace, _training) = (workspace, workspace.Training);
        workspace.Training = false;
    }

    public void Dispose() => _workspace.Training = _training;
}

/// <summary>First heads.</summary>
public static class Heads
{
    /// <summary>
    /// A head from the class means of the features, which trains: row c is the unit vector from the grand mean m to the mean of class c, times
    /// <paramref name="sharpness"/> over the mean distance; the bias is -w·m. With one example a class it is a nearest-neighbour rule by angle.
    /// </summary>
    /// <exception cref="ArgumentException">A class without samples.</exception>
    public static void NearestMean(Classifier model, IDataset data, float sharpness = 10)
    {
        var (weight, bias) = NearestMean(model.FeaturesOf(data), data, sharpness);
        model.NewHead(weight, bias, data.Classes);
    }

    /// <summary>As above, from features [count, width] that were computed already.</summary>
    public static (float[] Weight, float[] Bias) NearestMean(float[] features, IDataset data, float sharpness = 10)
    {
        int classes = data.Classes.Count, width = features.Length / Math.Max(1, data.Count);
        var (means, counts, grand) = (new double[classes * width], new int[classes], new double[width]);
        for (var i = 0; i < data.Count; i++)
        {
            var c = data.Label(i);
            counts[c]++;
            for (var j = 0; j < width; j++) means[c * width + j] += features[i * width + j];
        }
        for (var c = 0; c < classes; c++)
        {
            if (counts[c] == 0) throw new ArgumentException($"Heads.NearestMean: class \"{data.Classes[c]}\" of {data.Name} has no sample.");
            for (var j = 0; j < width; j++) grand[j] += (means[c * width + j] /= counts[c]) / classes;
        }
        var lengths = new double[classes];
        for (var c = 0; c < classes; c++)
        {
            for (var j = 0; j < width; j++) lengths[c] += Math.Pow(means[c * width + j] - grand[j], 2);
            lengths[c] = Math.Sqrt(lengths[c]);
        }
        var scale = sharpness / Math.Max(lengths.Average(), 1e-12);
        var (weight, bias) = (new float[classes * width], new float[classes]);
        for (var c = 0; c < classes; c++)
        {
            var dot = 0.0;
            for (var j = 0; j < width; j++)
            {
                var w = (means[c * width + j] - grand[j]) / Math.Max(lengths[c], 1e-12) * scale;
                weight[c * width + j] = (float)w;
                dot += w * grand[j];
            }
            bias[c] = (float)-dot;
        }
        return (weight, bias);
    }
}
