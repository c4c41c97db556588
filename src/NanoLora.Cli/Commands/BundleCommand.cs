using System.CommandLine;
using NanoLora.Data;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora bundle</c>: writes the held-out task, and what base and modules have seen.</summary>
internal static class BundleCommand
{
    public static Command Create(Session session)
    {
        var data = Inputs.Required("--data", "DIR", "The folder of raw image sets.");
        var output = Inputs.Required("--out", "DIR", "The folder of bundled models.");
        var command = new ToolCommand("bundle", "Writes the held-out task and the list of images seen before.", """
            That is what the demo needs beside base and modules: tasks/NAME.safetensors, the held-out task, and pools.safetensors, hashes of every image that
            pretraining and upstream tasks have. Together with pretrain and train --all-upstream this makes the folder of bundled models.
            """, "nanolora pretrain --data data --out models/nano-vit",
            "nanolora train models/nano-vit --all-upstream --data data --out models/nano-vit/modules",
            "nanolora bundle --data data --out models")
        { data, output };
        command.SetAction(parsed =>
        {
            var folder = OutputFolder.Prepare(parsed.GetValue(output)!);
            var tasks = OutputFolder.Prepare(Path.Combine(folder, "tasks"));
            var study = StudyData.Load(parsed.GetValue(data)!);
            var task = Path.Combine(tasks, $"{TaskFile.BaseName(study.HeldOut.Name)}.safetensors");
            var pools = Path.Combine(folder, "pools.safetensors");
            TaskFile.Write(task, study.HeldOut);
            PoolHashes.Write(pools, study.Pretraining, study.Upstream);
            var (samples, pretraining, upstream) = PoolHashes.Check(pools, TaskFile.Read(task));
            session.Say($"{task}: {study.HeldOut.Name}, {samples:N0} images, {study.HeldOut.Classes.Length} classes");
            session.Say($"{pools}: {pretraining:N0} pretraining and {upstream:N0} upstream images; none is held out");
            return 0;
        });
        return command;
    }
}
