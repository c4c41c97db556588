using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>How a task is learned and tested with a base, the same way in every arm: with a head on its features, or by answers of its own.</summary>
/// <param name="model">The base, with whatever an arm has put into it.</param>
public abstract class Learner(Model model)
{
    /// <summary>The base, with whatever an arm has put into it.</summary>
    public Model Model { get; } = model;

    /// <summary>Learns with the model as it is: only what lies above it trains, if there is anything.</summary>
    /// <param name="support">What to learn from.</param>
    /// <param name="test">What to test on.</param>
    /// <param name="options">How to train.</param>
    public abstract Learned Above(LabelledSet support, LabelledSet test, FitOptions options);

    /// <summary>Trains what is marked in the model, and what lies above it.</summary>
    /// <param name="support">What to learn from.</param>
    /// <param name="test">What to test on.</param>
    /// <param name="all">Whether all of the model trains.</param>
    /// <param name="options">How to train.</param>
    public abstract Learned Through(LabelledSet support, LabelledSet test, bool all, FitOptions options);

    /// <summary>Trains a module on a task; the model keeps it.</summary>
    /// <param name="samples">What to learn from; they are moved a little at random.</param>
    /// <param name="name">What the module is called.</param>
    /// <param name="options">The settings.</param>
    public abstract (LoraModule Module, History History) Module(LabelledSet samples, string name, ModuleOptions options);

    /// <summary>How many of a set's samples the model names rightly, by what it has learned already.</summary>
    public abstract int Correct(LabelledSet test);

    /// <summary>What the model makes of samples, [count, width] row by row.</summary>
    public abstract float[] Features(LabelledSet samples);
}

/// <summary>What came of it.</summary>
/// <param name="Correct">How many test samples are named rightly.</param>
/// <param name="Trained">How many numbers training could change.</param>
public readonly record struct Learned(int Correct, long Trained);
