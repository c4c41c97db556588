using System.CommandLine;
using System.Globalization;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora compose</c>: modules of the user's choice into one composition, or one adapter.</summary>
internal static class ComposeCommand
{
    private sealed record Request(string Model, string[] Modules, string Output)
    {
        public required string Method { get; init; }
        public double? Scale { get; init; }
        public TaskInput? Task { get; init; }
        public TextTaskInput? Texts { get; init; }
        public int? Shots { get; init; }
        public int Draw { get; init; }
        public bool All { get; init; }
        public int Steps { get; init; }
        public ulong Seed { get; init; }
        public bool Export { get; init; }
        public string Device { get; init; } = Devices.Cpu;
    }

    public static Command Create(Session session)
    {
        var model = new Argument<string>("MODEL") { Description = ModelFolder.Help };
        var modules = new Argument<string[]>("MODULE") { Description = "Folders of PEFT adapters, or of such folders.", Arity = ArgumentArity.OneOrMore };
        var output = Inputs.Required("--out", "DIR", "The folder to write.");
        var method = Inputs.Text("--method", "M", "uniform: equal weights. learned: softmax(v), one v for each matrix, trained on --task.", "uniform");
        var scale = Inputs.Number("--scale", "For uniform: what the mean of the modules is multiplied with; 1 if not given.", double.NegativeInfinity);
        var task = Inputs.Text("--task", "TASK", $"What to fit the head, and for learned the weights, to: {TaskInput.Help}; {TextOptions.Help}.");
        var data = Inputs.Text("--data", "DIR", "The folder of raw image sets, for names of source tasks.");
        var (invert, share) = (TaskInput.InvertOption(), TaskInput.ShareOption());
        var shots = Inputs.OptionalWhole("--shots", "Train on so many images per class, and measure on the others.");
        var draw = Inputs.Whole("--draw", "Which draw of them, from 0.", 0, 0);
        var all = Inputs.Switch("--all", "Train on all training images of the task.");
        var steps = Inputs.Whole("--steps", "Steps of the optimiser.", new Protocol().Steps);
        var seed = Inputs.Seed("Of the draw and the order of samples.");
        var export = Inputs.Switch("--export", "Write an ordinary PEFT adapter, the exact sum, instead of a composition that refers to its modules.");
        var texts = new TextOptions();
        var device = Devices.Option();
        var command = new ToolCommand("compose", "Mixes LoRA modules of one base.", """
            W = W0 + sum of w_n s_n B_n A_n over the modules n. Base and modules stay as they are; what trains is one weight per module and matrix, and the head
            of the new task. On texts to go on with there is no head, only the weights.
            """, "nanolora compose models/nano-vit models/nano-vit/modules --out mix",
            "nanolora compose models/nano-vit models/nano-vit/modules --method learned --task photos --shots 5 --out mix2",
            "nanolora compose models/nano-vit a b c --method learned --task mine.safetensors --all --export --out adapter",
            "nanolora compose my-llama a b c --method learned --task answers.jsonl --all --out mix")
        { model, modules, output, method, scale, task, data, invert, share, shots, draw, all, steps, seed, export, device };
        texts.AddTo(command);
        command.SetAction(parsed =>
        {
            var (folder, text) = (ModelFolder.Of(parsed.GetValue(model)!), parsed.GetValue(task));
            var reads = TextModels.Reads(folder, text);
            if (reads) TextOptions.RefuseImages(parsed, data, invert);
            else texts.Refuse(parsed);
            return Run(session, Checked(new Request(folder, parsed.GetValue(modules)!, parsed.GetValue(output)!)
            {
                Method = parsed.GetValue(method)!, Scale = parsed.GetValue(scale),
                Task = text is not null && !reads ? new(text, parsed.GetValue(data), parsed.GetValue(invert), parsed.GetValue(share)) : null,
                Texts = text is not null && reads ? texts.Of(parsed, text, parsed.GetValue(share)) : null,
                Shots = parsed.GetValue(shots), Draw = parsed.GetValue(draw), All = parsed.GetValue(all), Steps = parsed.GetValue(steps),
                Seed = parsed.GetValue(seed), Export = parsed.GetValue(export), Device = parsed.GetValue(device)!,
            }));
        });
        return command;
    }

    private static Request Checked(Request request)
    {
        if (request.Method is not ("uniform" or "learned"))
            throw new UsageException($"--method: \"{request.Method}\" is not a method; known are uniform, learned.");
        var hasTask = request.Task is not null || request.Texts is not null;
        if (request.Method == "learned" && !hasTask) throw new UsageException("--method learned needs a task to learn from; give --task.");
        if (request is { Method: "learned", Scale: not null }) throw new UsageException("--scale goes with uniform; learned weights have the sum 1.");
        if (hasTask && (request.Shots is not null) == request.All)
            throw new UsageException("--task: give either --shots or --all, how much of it to train on.");
        if (!hasTask && (request.Shots is not null || request.All)) throw new UsageException("--shots and --all go with --task.");
        return request;
    }

    private static int Run(Session session, Request request)
    {
        using var left = OutputFolder.NotLeftEmpty(request.Output);
        if (request.Export) OutputFolder.PrepareAdapter(request.Output);
        else OutputFolder.Prepare(request.Output);
        if (!request.Export && File.Exists(Path.Combine(request.Output, Adapters.PeftConfig)))
            throw new CommandException($"{request.Output} is an adapter folder; name another for the composition.");
        using var backend = Devices.Open(request.Device);
        using var work = request.Texts is { } texts ? TextWork.Open(session, request.Model, backend, texts) : null;
        using var opened = work is not null ? null
            : TextModels.Reads(request.Model) ? TextModels.For(request.Modules, request.Model, backend) : Vit.Load(request.Model, backend);
        var model = work?.Model ?? opened!;
        model.Title = ModelFolder.Title(request.Model);
        var modules = Adapters.Load(model, request.Modules);
        try
        {
            var mixture = request.Method == "learned" ? Compose.Learned(model, modules) : Compose.Uniform(model, modules, (float)(request.Scale ?? 1));
            var measured = work is not null ? Fitted(session, request, work) : request.Task is { } task ? Fitted(session, request, (Vit)model, task) : null;
            if (measured is null && (work is not null || request.Task is not null)) return Session.Interrupted;
            if (request.Export) mixture.Export(request.Output);
            else mixture.Save(request.Output);
            var what = $"{request.Method} composition of {modules.Count} modules over {mixture.Compositions.Count} matrices";
            session.Say($"{request.Output}: {what}{(request.Export ? ", exported as one adapter" : "")}");
            Weights(session, mixture);
            if (measured is not null) session.Out.WriteLine(measured);
            mixture.Detach();
            return 0;
        }
        finally
        {
            foreach (var module in modules) module.Dispose();
        }
    }

    // Fits head and weights with the recipe of the study, and measures on what was not trained on; null if it was interrupted.
    private static string? Fitted(Session session, Request request, Vit model, TaskInput input)
    {
        var processor = model.Processor();
        var task = input.Read(session, processor);
        var (support, test) = (task.Train, task.Test);
        if (request.Shots is { } shots)
        {
            var drawn = FewShot.Draw(task, shots, request.Seed, request.Draw);
            Pools.Check(drawn);
            (support, test) = (drawn.Support, drawn.Test);
        }
        var protocol = new Protocol();
        var data = new ImageDataset(support, processor.Normalisation);
        Heads.NearestMean(model, data);
        if (!Fit(session, request, model, data, protocol.BatchSize)) return null;
        if (test.Count == 0) return $"trained on {support.Count} images; the task has no test images to measure with";
        var correct = model.Correct(new ImageDataset(test, processor.Normalisation));
        var (share, of) = (100.0 * correct / test.Count, request.Shots is null ? "" : $" of draw {request.Draw}");
        return string.Create(CultureInfo.InvariantCulture,
            $"{task.Name}: {share:0.0} % of {test.Count:N0} test images{of} ({correct:N0}), trained on {support.Count:N0}");
    }

    // The same on texts.
    private static string? Fitted(Session session, Request request, TextWork work)
    {
        const int batchSize = 8;
        if (request.Shots is { } shots) work.Draw(shots, request.Seed, request.Draw);
        var data = work.Dataset(work.Task.Train, "training");
        if (work.Classifier is { } classifier) Heads.NearestMean(classifier, data);
        else if (request.Method != "learned") return $"{work.Task.Name}: {work.Measured(batchSize)}";       // nothing is there to train
        if (!Fit(session, request, work.Model, data, batchSize)) return null;
        return string.Create(CultureInfo.InvariantCulture, $"{work.Task.Name}: {work.Measured(batchSize)} Trained on {work.Task.Train.Count:N0}.");
    }

    // False if it was interrupted.
    private static bool Fit(Session session, Request request, Model model, IDataset data, int batchSize)
    {
        var protocol = new Protocol();
        using var progress = session.Progress("compose", request.Steps);
        var history = Trainer.Fit(model, data, new FitOptions
        {
            Steps = request.Steps, BatchSize = batchSize, HeadRate = protocol.HeadRate, Seed = request.Seed, Augment = false,
            MixingRate = protocol.At(protocol.MixingRate, request.Shots ?? protocol.ManyShots), Cancellation = session.Cancellation,
            Progress = step => progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.000}")),
        });
        progress.Dispose();
        if (!history.Completed)
            session.Note($"interrupted after step {history.Steps.Count} of {request.Steps}; nothing was written. Start again with: {session.CommandLine()}");
        return history.Completed;
    }

    private static void Weights(Session session, Mixture mixture)
    {
        var weights = mixture.Weights();
        for (var n = 0; n < mixture.Modules.Count; n++)
        {
            var column = weights.Select(row => row[n]).ToArray();
            session.Say($"  {Printable.Of(mixture.Modules[n].Name),-24} weight {column.Average():0.000}, from {column.Min():0.000} to {column.Max():0.000}");
        }
    }
}
