using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>The training of modules for images or texts, each into a folder of its own.</summary>
/// <param name="session">Who is told, and who ends it.</param>
/// <param name="modelFolder">The base.</param>
/// <param name="options">The settings.</param>
/// <param name="device">Where to compute.</param>
/// <param name="resume">Whether to go on with what is there.</param>
internal sealed class ModuleTraining(Session session, string modelFolder, ModuleOptions options, string device, bool resume)
{
    /// <summary>Every upstream task of the bundled base of this kind; those whose folder is done already are passed over by --resume.</summary>
    public int TrainAll(string data, string folder)
    {
        OutputFolder.Prepare(folder);
        var base_ = StudyBase.Of(ModelFolder.Of(modelFolder));
        foreach (var task in base_ is TextStudyBase ? TextStudyData.Load(data).Upstream : (IReadOnlyList<LabelledTask>)ImagesOf(data))
        {
            var target = Path.Combine(folder, TaskFile.BaseName(task.Name));
            if (resume && IsDone(target)) session.Note($"{target} is done");
            else if (Train(base_, () => base_.Fit(task), target, inverted: false) is var code && code != 0) return code;
        }
        return 0;

        static ImageTask[] ImagesOf(string data) => [.. UserTask.Sources(data).Where(static t => t.Pool == Pool.Upstream)];
    }

    /// <summary>One task on images.</summary>
    public int Train(TaskInput task, string folder)
    {
        var base_ = ImageStudyBase.Of(ModelFolder.Of(modelFolder));
        return Train(base_, () => task.Read(session, base_.Processor), folder, task.Invert);
    }

    private int Train(StudyBase base_, Func<LabelledTask> read, string folder, bool inverted)
    {
        using var left = OutputFolder.NotLeftEmpty(folder);
        OutputFolder.PrepareAdapter(folder);
        using var backend = Devices.Open(device);
        using var model = base_.Open(backend);
        model.Title = ModelFolder.Title(model.Source);
        var task = read();
        var settings = Settings(task, inverted);
        var training = new ResumableTraining(session, folder, [.. settings, new($"training {base_.Noun}s", Digest(task.Train))]);
        var state = training.Begin(resume);
        training.Resumed(state, options.Steps);

        var progress = session.Progress(task.Name, options.Steps - (state?.Step ?? 0));
        var learner = base_.Over(model);
        var (module, history) = learner.Module(task.Train, task.Name, options with
        {
            Resume = state,
            Checkpoint = training.Save,
            Cancellation = session.Cancellation,
            Progress = step => progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.000}")),
        });
        progress.Dispose();
        if (history.State is { } now) return training.Interrupted(now, options.Steps);
        var measured = Measured(learner, task);
        PeftFolder.Save(folder, module, model);
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model.Title)));
        var text = string.Create(CultureInfo.InvariantCulture,
            $"A LoRA module of {module.Count:N0} values for {name}{(module.Head is null ? "" : ", with a head of its own")}.");
        var making = new Card.Making([.. settings.Skip(2)], session.Recipe(), measured);
        Card.Save(folder, Card.Adapter($"{task.Name}: LoRA of rank {options.Rank}", text, model.Title, Card.Samples(task), making));
        training.End();
        session.Say($"{folder}: {task.Name}, {module.Count:N0} values; {measured}");
        return 0;
    }

    private static string Measured(Learner learner, LabelledTask task)
    {
        if (task.Test.Count == 0) return $"Nothing: the task has no test {task.Test.Noun}s.";
        var (correct, count) = (learner.Correct(task.Test), task.Test.Count);
        return string.Create(CultureInfo.InvariantCulture,
            $"{100.0 * correct / count:0.0} % of {count:N0} test {task.Test.Noun}s are named rightly ({correct:N0}).");
    }

    private IReadOnlyList<Fact> Settings(LabelledTask task, bool inverted) =>
    [
        new("training", "train"), new("task", task.Name), new("linears", options.Pattern), new("rank", $"{options.Rank}"),
        new("alpha", Text(options.Alpha ?? options.Rank)), new("dropout", Text(options.Dropout)), new("steps", $"{options.Steps}"),
        new("batch", $"{options.BatchSize}"), new("rate", Text(options.Rate)), new("seed", $"{options.Seed}"),
        .. inverted ? [new Fact("images", "inverted")] : Array.Empty<Fact>(),
        .. Devices.Facts(device),
    ];

    // A training goes on with the samples it began with, or not at all.
    private static string Digest(LabelledSet set)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> sample = stackalloc byte[20];
        for (var i = 0; i < set.Count; i++)
        {
            BinaryPrimitives.WriteUInt128LittleEndian(sample, set.ContentHash(i));
            BinaryPrimitives.WriteInt32LittleEndian(sample[16..], set.Labels[i]);
            hash.AppendData(sample);
        }
        return $"{set.Count}, SHA-256 {Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}";
    }

    private static string Text(double value) => value.ToString("0.######", CultureInfo.InvariantCulture);

    // An adapter and its card are there, and no training has begun to replace them.
    private static bool IsDone(string folder) =>
        File.Exists(Path.Combine(folder, "README.md")) && File.Exists(Path.Combine(folder, Adapters.PeftConfig)) && !ResumableTraining.IsUnderWay(folder);
}
