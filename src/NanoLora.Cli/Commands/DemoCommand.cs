using System.CommandLine;
using NanoLora.Data;
using NanoLora.Experiments;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora demo</c>: all arms on the bundled held-out task.</summary>
internal static class DemoCommand
{
    public static Command Create(Session session)
    {
        var protocol = new Protocol();
        var output = Inputs.Text("--out", "DIR", "Where results.json, results.csv and report.html go.", "nanolora-demo");
        var shots = Inputs.Wholes("--shots", "Support images per class.", protocol.Shots);
        var draws = Inputs.Whole("--draws", "Draws of the support set; two or more give intervals.", protocol.Draws);
        var steps = Inputs.Whole("--steps", "Steps of the optimiser, the same for all arms.", protocol.Steps);
        var arms = Inputs.Text("--arms", "A,B", $"Only these arms. Known: {string.Join(", ", ArmNames.Order)}.");
        var seed = Inputs.Seed("Of draws, orders and starts.");
        var models = Inputs.Text("--models", "DIR", "The folder of bundled models; looked for upwards from here and from the tool if not given.");
        var task = Inputs.Text("--task", "TASK", "A task file, or the name of one of the bundled tasks; not needed where there is one.");
        var device = Devices.Option();
        var resume = Inputs.Switch("--resume", "Go on with an interrupted demo in the same folder.");
        var command = new ToolCommand("demo", "Runs the comparison on a held-out task with the bundled model and modules.", """
            Learns a task that neither the base nor the modules have seen, from a few images per class, in seven ways: linear probes on pixels and on
            features, full fine-tuning, a new LoRA, uniform and learned composition of the bundled modules, and the control with random modules. Ends with
            a table, one sentence that says what was found, and a report.
            """, "nanolora demo", "nanolora demo --shots 1,2,5 --draws 10 --out longer", "nanolora demo --resume              after Ctrl-C or a kill")
        { output, shots, draws, steps, arms, seed, models, task, device, resume };
        command.SetAction(parsed => Run(session, protocol with
        {
            Shots = parsed.GetValue(shots)!.Values,
            Draws = parsed.GetValue(draws),
            Steps = parsed.GetValue(steps),
            Seed = parsed.GetValue(seed),
            Arms = Named(parsed.GetValue(arms)),
        }, parsed.GetValue(output)!, parsed.GetValue(models), parsed.GetValue(task), parsed.GetValue(device)!, parsed.GetValue(resume)));
        return command;
    }

    private const int MostDraws = 1000;

    private static int Run(Session session, Protocol protocol, string folder, string? modelsFolder, string? taskName, string device, bool resume)
    {
        if (protocol.Draws > MostDraws) throw new UsageException($"--draws: {protocol.Draws} is more than {MostDraws}, which would take hours.");
        OutputFolder.Prepare(folder);
        if (!resume) DemoStudy.RefuseInterrupted(folder);
        var models = BundledModels.Find(modelsFolder);
        var base_ = StudyBase.Of(models.Model);
        var taskFile = models.Task(taskName);
        var (samples, pretraining, upstream) = PoolHashes.Check(models.Pools, base_.ReadFile(taskFile));
        var study = new DemoStudy(models, base_, taskFile, protocol, device);
        var done = resume ? study.Done(folder) : [];

        var task = study.Task;
        var people = task.HasGroups ? ", people held out for the test" : "";
        session.Say($"held-out task: {task.Name}, {task.Classes.Length} classes, {task.Train.Count + task.Test.Count} {base_.Noun}s{people}");
        session.Say($"base: {study.Model}, {study.Parameters:N0} parameters; {study.Modules.Count} upstream modules: {string.Join(", ", study.Modules)}");
        var seen = FormattableString.Invariant($"{pretraining:N0} of pretraining and {upstream:N0} upstream");
        session.Say($"pools: {samples:N0} held-out {base_.Noun}s compared by content with {seen}: none in common");
        if (done.Count > 0) session.Say($"resumed: {done.Count} of {study.Total} runs were done");
        session.Out.WriteLine();

        var results = study.Run(session, folder, done);
        results.SaveJson(DemoStudy.ResultsPath(folder));
        if (results.Cells.Count < study.Total)
            return session.Resumable($"interrupted: {results.Cells.Count} of {study.Total} runs are in {DemoStudy.ResultsPath(folder)}");
        results.SaveCsv(Path.Combine(folder, "results.csv"));
        var report = Path.Combine(folder, "report.html");
        Report.Save(results, report);
        session.Out.WriteLine(Table.Of(results));
        session.Out.WriteLine(results.Conclusion);
        session.Out.WriteLine();
        session.Say($"report: {Path.GetFullPath(report)}");
        return 0;
    }

    private static IReadOnlyList<Arm> Named(string? arms)
    {
        if (arms is null) return Arm.OfTheDemo;
        var named = arms.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (named.FirstOrDefault(arm => !ArmNames.Order.Contains(arm)) is { } unknown)
            throw new UsageException($"--arms: \"{unknown}\" is not an arm; known are {string.Join(", ", ArmNames.Order)}.");
        return named.Length > 0 ? [.. Arm.OfTheDemo.Where(arm => named.Contains(arm.Name))] : throw new UsageException("--arms: no arm is named.");
    }
}
