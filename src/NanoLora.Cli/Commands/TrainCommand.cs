using System.CommandLine;
using System.Globalization;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora train</c>: LoRA modules, one a task, as PEFT folders.</summary>
internal static class TrainCommand
{
    public static Command Create(Session session)
    {
        var (options, usual) = (new ModuleOptions(), new TextTrainingOptions());
        var model = new Argument<string>("MODEL") { Description = ModelFolder.Help };
        var task = Inputs.Text("--task", "TASK", $"What to learn: {TaskInput.Help}; {TextOptions.Help}.");
        var all = Inputs.Switch("--all-upstream",
            "Instead of one task, every upstream task of the bundled base, from --data, each into a folder of its own within --out.");
        var data = Inputs.Text("--data", "DIR", "The folder of raw image sets, or text sets.");
        var (invert, share) = (TaskInput.InvertOption(), TaskInput.ShareOption());
        var output = Inputs.Required("--out", "DIR", "The adapter folder to write.");
        var rank = Inputs.OptionalWhole("--rank", $"The rank of A and B; {options.Rank} for images, {usual.Rank} for texts if not given.");
        var alpha = Inputs.Number("--alpha", "The numerator of the scale alpha / rank; the rank if not given.");
        var pattern = Inputs.Text("--pattern", "P", "Which linears, by path; * stands for any characters, (a|b) for one of several words. "
            + $"\"{options.Pattern}\" for images, \"{usual.Pattern}\" for texts if not given.");
        var steps = Inputs.OptionalWhole("--steps", $"Steps of the optimiser; {options.Steps} for images, {usual.Steps} for texts if not given.");
        var batch = Inputs.OptionalWhole("--batch", $"Images, or rows of texts, in a batch; {options.BatchSize} or {usual.BatchSize} if not given.");
        var rate = Inputs.Number("--rate",
            string.Create(CultureInfo.InvariantCulture, $"AdamW's rate for A and B; {options.Rate} for images, {usual.Rate} for texts if not given."));
        var dropout = Inputs.Number("--dropout", "The share of the input of A that training drops; 0 if not given.", 0, 1);
        var seed = Inputs.Seed("Of the start and the order of samples.");
        var device = Devices.Option();
        var every = ResumableTraining.EveryOption();
        var texts = new TextOptions();
        var pack = Inputs.Switch("--pack",
            "Texts to go on with: put short ones one behind the other in a row, with an end token between. A token sees the texts before its own.");
        var accumulate = Inputs.OptionalWhole("--accumulate", "Texts: batches whose gradients add up before a step; 1 if not given.");
        var dora = Inputs.Switch("--dora", "Texts: train a DoRA, which has the lengths of the weight's rows beside A and B.");
        var pissa = Inputs.Switch("--pissa", "Texts: start from the leading singular vectors of the weight (PiSSA); written as a LoRA of twice the rank.");
        var look = Inputs.OptionalWhole("--eval-every", "Texts: measure on the test samples after so many steps, too.");
        var sample = Inputs.Text("--sample", "PROMPT", "With --eval-every: show then how the model goes on with this.");
        var recompute = Inputs.Switch("--recompute",
            "Keep of each block only what enters it, and make the rest again in the backward pass: less memory, about a quarter more time, the same result.");
        var resume = Inputs.Switch("--resume", "Go on with a training in the same folder that was interrupted or killed.");
        var command = new ToolCommand("train", "Trains a LoRA module on a task.", """
            The module and a head of its own learn from the task's training images and are written as an adapter folder that the PEFT library reads, with a
            README.md that says what was measured. A language model learns to go on with texts, to complete prompts or to answer in conversations, without a
            head; with one, the labels of texts. The base stays as it is. The state of the training is kept in the folder until then: however it ends, the same
            command with --resume goes on, to the same bits.
            """, "nanolora train models/nano-vit --task digits.safetensors --out digits",
            "nanolora train models/nano-vit --task photos --out mine",
            "nanolora train models/nano-vit --task train-images.idx.gz,train-labels.idx.gz --rank 8 --out mine",
            "nanolora train models/nano-vit --all-upstream --data data --out models/nano-vit/modules",
            "nanolora train models/nano-text --all-upstream --data data --out models/nano-text/modules",
            "nanolora train my-llama --task answers.jsonl --steps 500 --eval-every 100 --out answers",
            "nanolora train my-bert --task topics.csv --out topics")
        { model, task, all, data, invert, share, output, rank, alpha, pattern, steps, batch, rate, dropout, seed, device, every, recompute, resume };
        texts.AddTo(command);
        Option[] ofTexts = [pack, accumulate, dora, pissa, look, sample];
        foreach (var option in ofTexts) command.Add(option);
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(task) is { } file && TextModels.Reads(ModelFolder.Of(parsed.GetValue(model)!), file))
            {
                TextOptions.RefuseImages(parsed, all, data, invert);
                if (parsed.GetValue(sample) is not null && parsed.GetValue(look) is null) throw new UsageException("--sample goes with --eval-every.");
                if (parsed.GetValue(dora) && parsed.GetValue(pissa)) throw new UsageException("give either --dora or --pissa.");
                usual = usual with
                {
                    Kind = parsed.GetValue(dora) ? LoraKind.Dora : parsed.GetValue(pissa) ? LoraKind.Pissa : LoraKind.Lora,
                    Pattern = parsed.GetValue(pattern) ?? usual.Pattern,
                    Rank = parsed.GetValue(rank) ?? usual.Rank,
                    Alpha = (float?)parsed.GetValue(alpha),
                    Dropout = (float)(parsed.GetValue(dropout) ?? 0),
                    Steps = parsed.GetValue(steps) ?? usual.Steps,
                    BatchSize = parsed.GetValue(batch) ?? usual.BatchSize,
                    Accumulation = parsed.GetValue(accumulate) ?? usual.Accumulation,
                    Rate = parsed.GetValue(rate) ?? usual.Rate,
                    Seed = parsed.GetValue(seed),
                    Pack = parsed.GetValue(pack),
                    RecomputeBlocks = parsed.GetValue(recompute),
                    CheckpointEvery = parsed.GetValue(every),
                    EvalEvery = parsed.GetValue(look),
                    Sample = parsed.GetValue(sample),
                };
                var input = texts.Of(parsed, file, parsed.GetValue(share));
                return new TextTraining(session, parsed.GetValue(model)!, input, usual, parsed.GetValue(device)!)
                    .Run(parsed.GetValue(output)!, parsed.GetValue(resume));
            }
            texts.Refuse(parsed, ofTexts);
            if (parsed.GetValue(all) == (parsed.GetValue(task) is not null)) throw new UsageException("give either --task or --all-upstream.");
            if (parsed.GetValue(all) && parsed.GetValue(data) is null) throw new UsageException("--all-upstream reads the tasks from --data.");
            if (parsed.GetValue(all) && (parsed.GetValue(invert) || parsed.GetValue(share) is not null))
                throw new UsageException("--invert and --test-share go with --task.");
            options = options with
            {
                Rank = parsed.GetValue(rank) ?? options.Rank,
                Alpha = (float?)parsed.GetValue(alpha),
                Pattern = parsed.GetValue(pattern) ?? options.Pattern,
                Dropout = (float)(parsed.GetValue(dropout) ?? 0),
                Steps = parsed.GetValue(steps) ?? (TextModels.Reads(ModelFolder.Of(parsed.GetValue(model)!)) ? ModuleOptions.ForTexts : options).Steps,
                BatchSize = parsed.GetValue(batch) ?? options.BatchSize,
                Rate = parsed.GetValue(rate) ?? options.Rate,
                Seed = parsed.GetValue(seed),
                RecomputeBlocks = parsed.GetValue(recompute),
                CheckpointEvery = parsed.GetValue(every),
            };
            var trainer = new ModuleTraining(session, parsed.GetValue(model)!, options, parsed.GetValue(device)!, parsed.GetValue(resume));
            var (folder, source) = (parsed.GetValue(output)!, parsed.GetValue(data));
            return parsed.GetValue(task) is not { } one ? trainer.TrainAll(source!, folder)
                : trainer.Train(new TaskInput(one, source, parsed.GetValue(invert), parsed.GetValue(share)), folder);
        });
        return command;
    }
}
