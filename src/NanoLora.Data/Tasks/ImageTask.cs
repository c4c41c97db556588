namespace NanoLora.Data;

/// <summary>What a task's images may be used for. No image belongs to two pools: <see cref="Pools"/> checks it.</summary>
public enum Pool
{
    /// <summary>Trains the base model.</summary>
    Pretraining,

    /// <summary>Trains a module that is composed later.</summary>
    Upstream,

    /// <summary>Measures few-shot learning; nothing else has seen it.</summary>
    HeldOut,
}

/// <summary>One classification task: images to learn from, images to measure with, of the same classes.</summary>
public sealed record ImageTask
{
    /// <summary>Makes a task after checking that both sets fit together.</summary>
    /// <exception cref="ArgumentException">The sets differ in size or classes, or only one of them has groups.</exception>
    public ImageTask(string name, ImageSet train, ImageSet test, Pool pool)
    {
        if (train.Size != test.Size) throw new ArgumentException($"{name}: training images are {train.Size}, test images {test.Size}.");
        if (!train.Classes.AsSpan().SequenceEqual(test.Classes)) throw new ArgumentException($"{name}: training and test set have different classes.");
        if (train.Groups is null != test.Groups is null) throw new ArgumentException($"{name}: only one of training and test set says who made the images.");
        (Name, Train, Test, Pool) = (name, train, test, pool);
    }

    /// <summary>Names the task in errors and reports.</summary>
    public string Name { get; }

    /// <summary>The images to learn from.</summary>
    public ImageSet Train { get; }

    /// <summary>The images to measure with.</summary>
    public ImageSet Test { get; }

    /// <summary>What the images may be used for.</summary>
    public Pool Pool { get; init; }

    /// <summary>The names of the classes.</summary>
    public string[] Classes => Train.Classes;

    /// <summary>Under which licence the images may be used.</summary>
    public string Licence => Train.Licence;

    /// <summary>Whether the images say who made them, so that people, not images, can be held out.</summary>
    public bool HasGroups => Train.Groups is not null;

    /// <summary>Training and test images as one set: a few-shot draw by drawer splits them anew.</summary>
    public ImageSet All() => ImageSet.Concat(Name, Train, Test);

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Train.Count} + {Test.Count} images of {Train.Size}, {Classes.Length} classes, {Pool}";
}
