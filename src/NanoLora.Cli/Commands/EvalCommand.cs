using System.CommandLine;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora eval</c>: the accuracy of a model, with or without an adapter; of one that goes on with texts, how well it foresees them.</summary>
internal static class EvalCommand
{
    public static Command Create(Session session)
    {
        var model = new Argument<string>("MODEL") { Description = ModelFolder.Help };
        var adapter = Inputs.Text("--adapter", "DIR", "A composition or a PEFT adapter; its head becomes the model's.");
        var task = Inputs.Required("--task", "TASK", $"What to measure on: {TaskInput.Help}; {TextOptions.Help}.");
        var data = Inputs.Text("--data", "DIR", "The folder of raw image sets, for names of source tasks.");
        var (invert, share) = (TaskInput.InvertOption(), TaskInput.ShareOption());
        var probe = Inputs.Switch("--probe", "Fit a head to --shots images per class first: the nearest class mean of the features.");
        var shots = Inputs.Whole("--shots", "Images per class of --probe.", 5);
        var draw = Inputs.OptionalWhole("--draw", "Measure on the test images of this draw, from 0: those to take for what compose trained with --shots.", 0);
        var seed = Inputs.Seed("Of the draw.");
        var texts = new TextOptions();
        var device = Devices.Option();
        var command = new ToolCommand("eval", "Measures accuracy on a task's test part, or perplexity.", """
            Where a task has no test images, all of its images are measured. A folder or an index that does not divide its images is divided as by train and
            compose: the test images are those that they did not learn from. Where images say who made them, a few-shot draw holds out people anew, so an
            adapter that was trained on a draw is measured with the --draw and --seed it was trained with. On texts to go on with, perplexity and the share of
            tokens foreseen are over what a training learns from (a completion, the assistant's words), and of prompts also how many completions the model
            writes to the letter.
            """,
            "nanolora eval models/nano-vit --adapter mine --task photos",
            "nanolora eval models/nano-vit --adapter mix --task mine.safetensors --draw 0",
            "nanolora eval models/nano-vit --task mine.safetensors --probe --shots 5",
            "nanolora eval my-llama --adapter sums --task sums.jsonl",
            "nanolora eval my-llama --task topics.csv --rank-answers")
        { model, adapter, task, data, invert, share, probe, shots, draw, seed, device };
        texts.AddTo(command);
        command.SetAction(parsed =>
        {
            if (!parsed.GetValue(probe) && parsed.GetValue(draw) is null && parsed.GetResult(shots) is { Implicit: false })
                throw new UsageException("--shots goes with --probe or --draw.");
            using var backend = Devices.Open(parsed.GetValue(device)!);
            var folder = ModelFolder.Of(parsed.GetValue(model)!);
            if (TextModels.Reads(folder, parsed.GetValue(task)))
            {
                TextOptions.RefuseImages(parsed, data, invert);
                if (parsed.GetValue(draw) is not null && !parsed.GetValue(probe))
                    throw new UsageException("--draw goes with --probe: texts are divided once for all draws.");
                var drawn = parsed.GetValue(probe) ? new TextMeasuring.Probe(parsed.GetValue(shots), parsed.GetValue(draw) ?? 0, parsed.GetValue(seed)) : null;
                return TextMeasuring.Evaluate(session, backend, folder, parsed.GetValue(adapter),
                    texts.Of(parsed, parsed.GetValue(task)!, parsed.GetValue(share)), drawn);
            }
            texts.Refuse(parsed);
            using var base_ = Vit.Load(folder, backend);
            if (parsed.GetValue(adapter) is { } trained) Adapters.Attach(base_, trained);
            var processor = base_.Processor();
            var input = new TaskInput(parsed.GetValue(task)!, parsed.GetValue(data), parsed.GetValue(invert), parsed.GetValue(share));
            var read = input.Read(session, processor, base_.Labels);
            var test = read.Test.Count > 0 ? read.Test : read.Train;
            if (parsed.GetValue(probe) || parsed.GetValue(draw) is not null)
            {
                var drawn = FewShot.Draw(read, parsed.GetValue(shots), parsed.GetValue(seed), parsed.GetValue(draw) ?? 0);
                Pools.Check(drawn);
                test = drawn.Test;
                if (parsed.GetValue(probe)) Heads.NearestMean(base_, new ImageDataset(drawn.Support, processor.Normalisation));
            }
            test = ModelImages.InOrderOf(base_.Labels, test);
            CheckHead(base_, test);
            var correct = base_.Correct(new ImageDataset(test, processor.Normalisation));
            session.Say($"{read.Name}: {100.0 * correct / test.Count:0.0} % of {test.Count:N0} images ({correct:N0})");
            return 0;
        });
        return command;
    }

    // As many classes are not enough: a head that has them in another order, or others, measures nothing.
    private static void CheckHead(Vit model, ImageSet test)
    {
        if (test.Count == 0) throw new CommandException($"{test.Name} has no test images.");
        if (model.Head is null) throw new CommandException($"{model.Source} has no head; give an adapter that has one, or --probe.");
        if (model.Labels.Count == test.Classes.Length && (model.Labels.SequenceEqual(test.Classes) || Numbered(model.Labels))) return;
        throw new CommandException($"the head names {Some(model.Labels)}, {test.Name} has {Some(test.Classes)}; give the adapter of this task, or --probe.");

        static bool Numbered(IReadOnlyList<string> labels) => labels.Select((l, n) => l == $"{n}" || l == $"LABEL_{n}").All(same => same);
        static string Some(IReadOnlyList<string> labels) => $"{labels.Count} classes ({string.Join(", ", labels.Take(3))}{(labels.Count > 3 ? ", …" : "")})";
    }
}
