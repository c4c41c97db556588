using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// The base model of a comparison, and what its kind of samples has of its own: how tasks are read, how the base reads their samples, and what a head without
/// any model gets of them. All else is the same for images and texts.
/// </summary>
/// <param name="folder">The model's folder.</param>
public abstract class StudyBase(string folder)
{
    /// <summary>The model's folder.</summary>
    public string Folder { get; } = folder;

    /// <summary>What the model is called: the name of its folder.</summary>
    public string Name => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(Folder)));

    /// <summary>What one sample is called in messages: image, text.</summary>
    public abstract string Noun { get; }

    /// <summary>The files that make the base what it is, in an order of their own.</summary>
    public virtual IEnumerable<string> Files => Weights(Folder);

    /// <summary>The arm that needs no model: a head on the samples as they are.</summary>
    public abstract ArmMethod RawProbe { get; }

    /// <summary>The arm that leaves the base as it is: a head on its features, or, where it answers in words, nothing at all.</summary>
    public virtual ArmMethod Frozen => ArmMethod.LinearProbe;

    /// <summary>Reads the model, all weights frozen.</summary>
    public abstract Model Open(Backend backend);

    /// <summary>How tasks are learned with a model that was opened here.</summary>
    public abstract Learner Over(Model model);

    /// <summary>A set as the model reads it.</summary>
    /// <param name="set">The samples.</param>
    /// <param name="training">Whether they are moved a little at random, as where a module is trained.</param>
    public abstract IDataset Read(LabelledSet set, bool training = false);

    /// <summary>The support and the test samples of a draw as numbers that no model has a part in.</summary>
    public abstract (IDataset Support, IDataset Test) Raw(FewShotDraw<LabelledSet> draw);

    /// <summary>Reads a task file as it is.</summary>
    public abstract LabelledTask ReadFile(string path);

    /// <summary>The same task with samples as the model wants them.</summary>
    public abstract LabelledTask Fit(LabelledTask task);

    /// <summary>The tasks of a folder of raw sources, as they are there.</summary>
    public abstract TaskSource Sources(string data);

    /// <summary>Reads a task that a plan describes, with samples as the model wants them.</summary>
    /// <param name="spec">The task.</param>
    /// <param name="resolve">Makes a path of the plan one from here.</param>
    /// <param name="options">Who is told of what, and who ends the reading.</param>
    public abstract LabelledTask Read(TaskSpec spec, Func<string, string> resolve, UserTaskOptions options);

    /// <summary>The base in a folder.</summary>
    /// <exception cref="CheckpointException">It is no model that can be read.</exception>
    public static StudyBase Of(string folder) => TextToTextBase.Reads(folder) ? TextToTextBase.Of(folder)
        : TextStudyBase.Reads(folder) ? TextStudyBase.Of(folder) : ImageStudyBase.Of(folder);

    /// <summary>Why an arm cannot be run on the base, and what to do; null if it can.</summary>
    internal string? Refusal(Arm arm) => arm.Method switch
    {
        _ when arm.IsRaw && arm.Method != RawProbe => $"\"{arm.Name}\" is not for {Noun}s, which the base reads; take it out.",
        ArmMethod.LinearProbe when Frozen != arm.Method => $"\"{arm.Name}\" trains a head, and the base has none to train: it answers in words; "
            + $"use \"{ArmNames.Base}\", which trains nothing.",
        ArmMethod.Base when Frozen != arm.Method => $"\"{arm.Name}\" trains nothing, and the base cannot name a class before a head is trained; "
            + $"use \"{ArmNames.LinearProbe}\".",
        _ => null,
    };

    internal static IEnumerable<string> Weights(string folder) => Directory.GetFiles(folder, "*.safetensors").Order(StringComparer.Ordinal);
}

/// <summary>Tasks that can be read by name.</summary>
/// <param name="Names">Their names.</param>
/// <param name="Read">Reads the task of one of these names.</param>
public sealed record TaskSource(IReadOnlyList<string> Names, Func<string, LabelledTask> Read);

/// <summary>A vision transformer and its images.</summary>
/// <param name="folder">The model's folder.</param>
/// <param name="processor">How the model wants its images.</param>
public sealed class ImageStudyBase(string folder, ImageProcessor processor) : StudyBase(folder)
{
    private static readonly Augment Moved = new ModuleOptions().Augment;

    /// <summary>How the model wants its images.</summary>
    public ImageProcessor Processor => processor;

    /// <inheritdoc/>
    public override string Noun => "image";

    /// <inheritdoc/>
    public override ArmMethod RawProbe => ArmMethod.PixelProbe;

    /// <inheritdoc cref="StudyBase.Of"/>
    public static new ImageStudyBase Of(string folder)
    {
        using var backend = new CpuBackend(threads: 1);
        using var model = Vit.Load(folder, backend);
        return new(folder, model.Processor());
    }

    /// <inheritdoc/>
    public override Model Open(Backend backend) => Vit.Load(Folder, backend);

    /// <inheritdoc/>
    public override Learner Over(Model model) => new HeadLearner((Classifier)model, this);

    /// <inheritdoc/>
    public override IDataset Read(LabelledSet set, bool training = false) =>
        new ImageDataset((ImageSet)set, processor.Normalisation, training ? Moved : Augment.None);

    /// <inheritdoc/>
    public override (IDataset Support, IDataset Test) Raw(FewShotDraw<LabelledSet> draw) => (Pixels((ImageSet)draw.Support), Pixels((ImageSet)draw.Test));

    /// <inheritdoc/>
    public override LabelledTask ReadFile(string path) => TaskFile.Read(path);

    /// <inheritdoc/>
    public override LabelledTask Fit(LabelledTask task) => ModelImages.Fit((ImageTask)task, processor);

    /// <inheritdoc/>
    public override TaskSource Sources(string data)
    {
        var tasks = UserTask.Sources(data).ToDictionary(t => t.Name);
        return new([.. tasks.Keys], name => tasks[name]);
    }

    /// <inheritdoc/>
    public override LabelledTask Read(TaskSpec spec, Func<string, string> resolve, UserTaskOptions options)
    {
        var images = spec.Images!;
        var paths = Directory.Exists(resolve(images)) || File.Exists(resolve(images)) ? [images] : images.Split(',');
        return UserTask.Read(string.Join(',', paths.Select(resolve)), spec.Name, processor, options with { Invert = spec.Invert });
    }

    private FeatureDataset Pixels(ImageSet set) => new(Read(set), set.ToFloats(processor.Normalisation));
}
