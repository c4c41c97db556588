using System.CommandLine;
using NanoLora.Data;
using NanoLora.Experiments;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora study</c>: the comparison over many tasks, from a plan.</summary>
internal static class StudyCommand
{
    public static Command Create(Session session)
    {
        var plan = new Argument<string>("PLAN") { Description = "A JSON file: base, tasks, shots, draws, trainings, arms and settings." };
        var output = Inputs.Required("--out", "DIR", "Where the study keeps what it has done, and where results.json, results.csv and report.html go.");
        var data = Inputs.Text("--data", "DIR", "The folder of raw image sets, for tasks given by name; the plan's own if not given.");
        var threads = Inputs.Whole("--threads", "How many cells run side by side, one thread each.", Environment.ProcessorCount);
        var device = Devices.Option();
        var report = Inputs.Switch("--report", "Only write the report of what has been done so far.");
        var tables = Inputs.Text("--tables", "DIR",
            "Only write the report, from the raw tables of an earlier study: results.csv, weights.csv and similarities.csv.");
        var command = new ToolCommand("study", "Compares ways to learn a task over many tasks, each held out in turn.", """
            Trains a module per task, and for each held-out task learns it from a few images in every way that the plan names, with the modules of the other
            tasks. What is done is kept cell by cell: the same command goes on where an earlier one ended, however it ended, and several processes with the same
            PLAN and --out share the work, on one machine or on many that share a folder.
            """, "nanolora study plan.json --out study --data data", "nanolora study plan.json --out study --report          of what is done so far",
            "nanolora study plan.json --out again --tables study")
        { plan, output, data, threads, device, report, tables };
        command.SetAction(parsed =>
        {
            var (file, folder) = (parsed.GetValue(plan)!, parsed.GetValue(output)!);
            if (!File.Exists(file)) throw new CommandException($"{file}: there is no such file; name a plan.");
            var read = StudyPlan.Read(file);
            if (parsed.GetValue(tables) is { } from)
            {
                var results = StudyReport.FromTables(read, from);
                Show(session, results, OutputFolder.Prepare(folder));
                return 0;
            }
            return Run(session, read, folder, parsed.GetValue(data), parsed.GetValue(threads), parsed.GetValue(device)!, parsed.GetValue(report));
        });
        return command;
    }

    private static int Run(Session session, StudyPlan plan, string folder, string? data, int threads, string device, bool reportOnly)
    {
        data ??= plan.Data is { } own ? plan.Resolve(own) : null;
        var options = new UserTaskOptions { Note = line => session.Note($"{Printable.Of(line)}"), Cancellation = session.Cancellation };
        var tasks = StudyTasks.Load(plan, StudyBase.Of(plan.Resolve(plan.Model)), data, options);
        var study = new Study(plan, tasks, OutputFolder.Prepare(folder), Tool.Version, Devices.Workers(device, threads));

        var noun = tasks.Base.Noun;
        var heldOut = plan.HeldOutNames() is [var one] ? $"{one} held out" : $"{plan.HeldOutNames().Count} tasks held out in turn";
        session.Say($"{plan.Title}: {heldOut}, {study.Cells:N0} cells");
        if (tasks.Compared > 0) session.Say($"pools: held against the {tasks.Compared:N0} {noun}s that the base has seen");
        else session.Say($"pools: the plan names no \"pools\", so the tasks were not held against what the base has seen");
        if (tasks.LeftOut > 0) session.Say($"pools: {tasks.LeftOut:N0} {noun}s were left out, because another task or the base has them");
        var complete = reportOnly || Work(session, study);

        var results = study.Results(Machine.Facts());
        if (results.Cells.Count < study.Cells) session.Say($"{results.Cells.Count:N0} of {study.Cells:N0} cells are done");
        Show(session, results, folder);
        if (complete) return 0;
        session.Note($"interrupted; what is done is kept in {folder}");
        session.Note($"go on with: {session.CommandLine()}");
        return Session.Interrupted;
    }

    private static void Show(Session session, Results results, string folder)
    {
        var report = StudyReport.Save(results, folder);
        if (results.Cells.Count == 0) return;
        session.Out.WriteLine(Table.Of(results));
        session.Out.WriteLine(results.Conclusion);
        session.Out.WriteLine();
        session.Say($"report: {Path.GetFullPath(report)}");
    }

    private static bool Work(Session session, Study study)
    {
        var done = study.Done();
        if (done == study.Total) return true;
        if (done > 0) session.Say($"resumed: {done:N0} of {study.Total:N0} units of work were done");
        using var progress = session.Progress("study", study.Total - done);
        var shown = done;
        var gate = new Lock();
        return study.Run((now, note) =>
        {
            lock (gate)
            {
                progress.Advance(Math.Max(0, now - shown), note);
                shown = Math.Max(shown, now);
            }
        }, session.Cancellation);
    }
}
