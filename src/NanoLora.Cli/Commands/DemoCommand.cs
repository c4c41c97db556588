using System.CommandLine;
using NanoLora.Data;
using NanoLora.Experiments;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora demo</c>: all arms on the bundled held-out task.</summary>
internal static class DemoCommand
{
    public static Command Create(Session session)
    {
        var (protocol, forTexts) = (new Protocol(), Protocol.ForTexts);
        var text = Inputs.Switch("--text", "On texts instead of images: intents of what people ask an assistant.");
        var output = Inputs.Text("--out", "DIR", "Where results.json, results.csv and report.html go.", "nanolora-demo");
        var shots = Inputs.Wholes("--shots", "Support samples per class.", protocol.Shots);
        var draws = Inputs.Whole("--draws", "Draws of the support set; two or more give intervals.", protocol.Draws);
        var steps = Inputs.OptionalWhole("--steps",
            $"Steps of the optimiser, the same for all arms; {protocol.Steps} if not given, {forTexts.Steps} for texts.");
        var arms = Inputs.Text("--arms", "A,B",
            $"Only these arms. Known: {string.Join(", ", ArmNames.Order)}; with --text {ArmNames.BagOfWords} for the first.");
        var seed = Inputs.Seed("Of draws, orders and starts.");
        var models = Inputs.Text("--models", "DIR", "The folder of bundled models; looked for upwards from here and from the tool if not given.");
        var task = Inputs.Text("--task", "TASK", "A task file, or the name of one of the bundled tasks; not needed where there is one.");
        var device = Devices.Option();
        var resume = Inputs.Switch("--resume", "Go on with an interrupted demo in the same folder.");
        var command = new ToolCommand("demo", "Runs the comparison on a held-out task with the bundled model and modules.", """
            Learns a task that neither the base nor the modules have seen, from a few samples per class, in seven ways: linear probes on pixels (of texts: on
            words) and on features, full fine-tuning, a new LoRA, uniform and learned composition of the bundled modules, and the control with random
            modules. Ends with a table, one sentence that says what was found, and a report.
            """, "nanolora demo", "nanolora demo --text", "nanolora demo --shots 1,2,5 --draws 10 --out longer",
            "nanolora demo --resume              after Ctrl-C or a kill")
        { text, output, shots, draws, steps, arms, seed, models, task, device, resume };
        command.SetAction(parsed =>
        {
            var texts = parsed.GetValue(text);
            var usual = texts ? forTexts : protocol;
            var chosen = usual with
            {
                Shots = parsed.GetValue(shots)!.Values,
                Draws = parsed.GetValue(draws),
                Steps = parsed.GetValue(steps) ?? usual.Steps,
                Seed = parsed.GetValue(seed),
                Arms = Named(usual.Arms, parsed.GetValue(arms)),
            };
            if (chosen.Draws > MostDraws) throw new UsageException($"--draws: {chosen.Draws} is more than {MostDraws}, which would take hours.");
            return Run(session, chosen, parsed.GetValue(output)!, () => BundledModels.Find(parsed.GetValue(models), texts), parsed.GetValue(task),
                parsed.GetValue(device)!, parsed.GetValue(resume));
        });
        return command;
    }

    private const int MostDraws = 1000;

    private static int Run(Session session, Protocol protocol, string folder, Func<BundledModels> find, string? taskName, string device, bool resume)
    {
        OutputFolder.Prepare(folder);
        if (!resume) DemoStudy.RefuseInterrupted(folder);
        var models = find();
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

    private static IReadOnlyList<Arm> Named(IReadOnlyList<Arm> known, string? arms)
    {
        if (arms is null) return known;
        var named = arms.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (named.FirstOrDefault(name => known.All(arm => arm.Name != name)) is { } unknown)
            throw new UsageException($"--arms: \"{unknown}\" is not an arm; known are {string.Join(", ", known.Select(arm => arm.Name))}.");
        return named.Length > 0 ? [.. known.Where(arm => named.Contains(arm.Name))] : throw new UsageException("--arms: no arm is named.");
    }
}
