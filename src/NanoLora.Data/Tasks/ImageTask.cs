namespace NanoLora.Data;

/// <summary>One classification task on images of one size.</summary>
public sealed record ImageTask : LabelledTask
{
    /// <summary>Makes a task after checking that both sets fit together.</summary>
    /// <exception cref="ArgumentException">The sets differ in size or classes, or only one of them has groups.</exception>
    public ImageTask(string name, ImageSet train, ImageSet test, Pool pool) : base(name, train, test, pool)
    {
        if (train.Size != test.Size) throw new ArgumentException($"{name}: training images are {train.Size}, test images {test.Size}.");
        (Train, Test) = (train, test);
    }

    /// <inheritdoc/>
    public override ImageSet Train { get; }

    /// <inheritdoc/>
    public override ImageSet Test { get; }

    /// <inheritdoc/>
    public override ImageSet All() => ImageSet.Concat(Name, Train, Test);

    /// <inheritdoc/>
    public override ImageTask Where(Func<bool, int, bool> keep) => new(Name, Train.Where(i => keep(false, i)), Test.Where(i => keep(true, i)), Pool);

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Train.Count} + {Test.Count} images of {Train.Size}, {Classes.Length} classes, {Pool}";
}
