namespace NanoLora.Data;

/// <summary>What a task's samples may be used for. No sample belongs to two pools: <see cref="Pools"/> checks it.</summary>
public enum Pool
{
    /// <summary>Trains the base model.</summary>
    Pretraining,

    /// <summary>Trains a module that is composed later.</summary>
    Upstream,

    /// <summary>Measures few-shot learning; nothing else has seen it.</summary>
    HeldOut,
}

/// <summary>One classification task: samples to learn from, samples to measure with, of the same classes.</summary>
public abstract record LabelledTask
{
    /// <summary>Checks that both sets fit together.</summary>
    /// <exception cref="ArgumentException">The sets differ in classes, or only one of them has groups.</exception>
    private protected LabelledTask(string name, LabelledSet train, LabelledSet test, Pool pool)
    {
        if (!train.Classes.AsSpan().SequenceEqual(test.Classes)) throw new ArgumentException($"{name}: training and test set have different classes.");
        if (train.Groups is null != test.Groups is null)
            throw new ArgumentException($"{name}: only one of training and test set says who made the {train.Noun}s.");
        (Name, Pool) = (name, pool);
    }

    /// <summary>Names the task in errors and reports.</summary>
    public string Name { get; }

    /// <summary>What the samples may be used for.</summary>
    public Pool Pool { get; init; }

    /// <summary>The samples to learn from.</summary>
    public abstract LabelledSet Train { get; }

    /// <summary>The samples to measure with.</summary>
    public abstract LabelledSet Test { get; }

    /// <summary>The names of the classes.</summary>
    public string[] Classes => Train.Classes;

    /// <summary>Under which licence the samples may be used.</summary>
    public string Licence => Train.Licence;

    /// <summary>Whether the samples say who made them, so that people, not samples, can be held out.</summary>
    public bool HasGroups => Train.Groups is not null;

    /// <summary>Training and test samples as one set: a few-shot draw by maker splits them anew.</summary>
    public abstract LabelledSet All();

    /// <summary>The same task with some of its samples.</summary>
    /// <param name="keep">From whether a sample is in the test set, and its index there or in the training set.</param>
    public abstract LabelledTask Where(Func<bool, int, bool> keep);
}
