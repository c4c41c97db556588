using System.CommandLine;
using NanoLora.Data;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora bundle</c>: writes the held-out task, and what base and modules have seen.</summary>
internal static class BundleCommand
{
    public static Command Create(Session session)
    {
        var data = Inputs.Required("--data", "DIR", "The folder of raw image sets; with --text, of raw text sets.");
        var output = Inputs.Required("--out", "DIR", "The folder of bundled models.");
        var text = Inputs.Switch("--text", "For texts: text-tasks/NAME.safetensors and text-pools.safetensors.");
        var command = new ToolCommand("bundle", "Writes the held-out task and the list of samples seen before.", """
            That is what the demo needs beside base and modules: tasks/NAME.safetensors, the held-out task, and pools.safetensors, hashes of every image that
            pretraining and upstream tasks have; the same for texts. Together with pretrain and train --all-upstream this makes the folder of bundled models.
            """, "nanolora pretrain --data data --out models/nano-vit",
            "nanolora train models/nano-vit --all-upstream --data data --out models/nano-vit/modules",
            "nanolora bundle --data data --out models", "nanolora bundle --text --data data --out models")
        { data, output, text };
        command.SetAction(parsed =>
        {
            var models = new BundledModels(OutputFolder.Prepare(parsed.GetValue(output)!), parsed.GetValue(text));
            OutputFolder.Prepare(models.Tasks);
            if (models.Texts)
            {
                var texts = TextStudyData.Load(parsed.GetValue(data)!);
                var file = PathOf(models, texts.HeldOut);
                TextTaskFile.Write(file, texts.HeldOut);
                Write(session, models, file, TextTaskFile.Read(file), texts.Pretraining, texts.Upstream);
            }
            else
            {
                var study = StudyData.Load(parsed.GetValue(data)!);
                var file = PathOf(models, study.HeldOut);
                TaskFile.Write(file, study.HeldOut);
                Write(session, models, file, TaskFile.Read(file), study.Pretraining, study.Upstream);
            }
            return 0;
        });
        return command;
    }

    private static string PathOf(BundledModels models, LabelledTask task) => Path.Combine(models.Tasks, $"{TaskFile.BaseName(task.Name)}.safetensors");

    private static void Write(Session session, BundledModels models, string file, LabelledTask task, IEnumerable<LabelledTask> pretraining,
        IEnumerable<LabelledTask> upstream)
    {
        PoolHashes.Write(models.Pools, pretraining, upstream);
        var (samples, ofBase, ofModules) = PoolHashes.Check(models.Pools, task);
        session.Say($"{file}: {task.Name}, {samples:N0} {task.Train.Noun}s, {task.Classes.Length} classes");
        session.Say($"{models.Pools}: {ofBase:N0} pretraining and {ofModules:N0} upstream {task.Train.Noun}s; none is held out");
    }
}
