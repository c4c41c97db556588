using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>A new head on the model's features, started from the class means.</summary>
/// <param name="model">The base.</param>
/// <param name="study">How it reads samples.</param>
public sealed class HeadLearner(Classifier model, StudyBase study) : Learner(model)
{
    /// <summary>A head alone, on features that were computed once.</summary>
    public static Learned Alone(Backend backend, IDataset support, IDataset test, FitOptions options)
    {
        using var head = new FeatureClassifier(backend);
        Heads.NearestMean(head, support);
        var history = Trainer.Fit(head, support, options);
        return new(head.Correct(test), history.TrainedCount);
    }

    /// <inheritdoc/>
    public override Learned Above(LabelledSet support, LabelledSet test, FitOptions options)
    {
        return Alone(model.Backend, Seen(support), Seen(test), options);

        FeatureDataset Seen(LabelledSet set) => new(study.Read(set), Features(set));
    }

    /// <inheritdoc/>
    public override Learned Through(LabelledSet support, LabelledSet test, bool all, FitOptions options)
    {
        var data = study.Read(support);
        Heads.NearestMean(model, data);
        if (all) model.Train();
        var history = Trainer.Fit(model, data, options);
        return new(Correct(test), history.TrainedCount);
    }

    /// <inheritdoc/>
    public override (LoraModule Module, History History) Module(LabelledSet samples, string name, ModuleOptions options) =>
        Upstream.Train(model, study.Read(samples, training: true), name, options);

    /// <inheritdoc/>
    public override int Correct(LabelledSet test) => model.Correct(study.Read(test));

    /// <inheritdoc/>
    public override float[] Features(LabelledSet samples) => model.FeaturesOf(study.Read(samples));
}
