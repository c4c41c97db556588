using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
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
        var all = Inputs.Switch("--all-upstream", "Instead of one task, every upstream task of --data, each into a folder of its own within --out.");
        var data = Inputs.Text("--data", "DIR", "The folder of raw image sets.");
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
            "nanolora train my-llama --task answers.jsonl --steps 500 --eval-every 100 --out answers",
            "nanolora train my-bert --task topics.csv --out topics")
        { model, task, all, data, invert, share, output, rank, alpha, pattern, steps, batch, rate, dropout, seed, device, every, resume };
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
                Steps = parsed.GetValue(steps) ?? options.Steps,
                BatchSize = parsed.GetValue(batch) ?? options.BatchSize,
                Rate = parsed.GetValue(rate) ?? options.Rate,
                Seed = parsed.GetValue(seed),
                CheckpointEvery = parsed.GetValue(every),
            };
            var trainer = new ModuleTraining(session, parsed.GetValue(model)!, options, parsed.GetValue(device)!, parsed.GetValue(resume));
            var (folder, source) = (parsed.GetValue(output)!, parsed.GetValue(data));
            return parsed.GetValue(task) is not { } one ? trainer.TrainAll(source!, folder)
                : trainer.Train(new TaskInput(one, source, parsed.GetValue(invert), parsed.GetValue(share)), folder);
        });
        return command;
    }

    /// <summary>The trainings of one command.</summary>
    private sealed class ModuleTraining(Session session, string modelFolder, ModuleOptions options, string device, bool resume)
    {
        /// <summary>Every upstream task; those whose folder is done already are passed over by --resume.</summary>
        public int TrainAll(string data, string folder)
        {
            OutputFolder.Prepare(folder);
            foreach (var task in UserTask.Sources(data).Where(t => t.Pool == Pool.Upstream))
            {
                var target = Path.Combine(folder, TaskFile.BaseName(task.Name));
                if (resume && IsDone(target)) session.Note($"{target} is done");
                else if (Train(processor => ModelImages.Fit(task, processor), target, inverted: false) is var code && code != 0) return code;
            }
            return 0;
        }

        /// <summary>One task.</summary>
        public int Train(TaskInput task, string folder) => Train(processor => task.Read(session, processor), folder, task.Invert);

        private int Train(Func<ImageProcessor, ImageTask> read, string folder, bool inverted)
        {
            using var left = OutputFolder.NotLeftEmpty(folder);
            OutputFolder.PrepareAdapter(folder);
            using var backend = Devices.Open(device);
            using var model = Vit.Load(ModelFolder.Of(modelFolder), backend);
            model.Title = ModelFolder.Title(model.Source);
            var processor = model.Processor();
            var task = read(processor);
            var settings = Settings(task, inverted);
            var training = new ResumableTraining(session, folder, [.. settings, new("training images", Digest(task.Train))]);
            var state = training.Begin(resume);
            training.Resumed(state, options.Steps);

            var progress = session.Progress(task.Name, options.Steps - (state?.Step ?? 0));
            var (module, history) = Upstream.Train(model, task, processor.Normalisation, options with
            {
                Resume = state,
                Checkpoint = training.Save,
                Cancellation = session.Cancellation,
                Progress = step => progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.000}")),
            });
            progress.Dispose();
            if (history.State is { } now) return training.Interrupted(now, options.Steps);
            var measured = Measured(model, task, processor.Normalisation);
            PeftFolder.Save(folder, module, model);
            var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model.Title)));
            var text = string.Create(CultureInfo.InvariantCulture, $"A LoRA module of {module.Count:N0} values for {name}, with a head of its own.");
            var making = new Card.Making([.. settings.Skip(2)], session.Recipe(), measured);
            Card.Save(folder, Card.Adapter($"{task.Name}: LoRA of rank {options.Rank}", text, model.Title, Card.Images(task), making));
            training.End();
            session.Say($"{folder}: {task.Name}, {module.Count:N0} values; {measured}");
            return 0;
        }

        private static string Measured(Vit model, ImageTask task, Normalisation normalisation)
        {
            if (task.Test.Count == 0) return "Nothing: the task has no test images.";
            var (correct, count) = (model.Correct(new ImageDataset(task.Test, normalisation)), task.Test.Count);
            return string.Create(CultureInfo.InvariantCulture, $"{100.0 * correct / count:0.0} % of {count:N0} test images are named rightly ({correct:N0}).");
        }

        private IReadOnlyList<Fact> Settings(ImageTask task, bool inverted) =>
        [
            new("training", "train"), new("task", task.Name), new("linears", options.Pattern), new("rank", $"{options.Rank}"),
            new("alpha", Text(options.Alpha ?? options.Rank)), new("dropout", Text(options.Dropout)), new("steps", $"{options.Steps}"),
            new("batch", $"{options.BatchSize}"), new("rate", Text(options.Rate)), new("seed", $"{options.Seed}"),
            .. inverted ? [new Fact("images", "inverted")] : Array.Empty<Fact>(),
            .. Devices.Facts(device),
        ];

        // A training goes on with the images it began with, or not at all.
        private static string Digest(ImageSet set)
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            hash.AppendData(set.Pixels);
            hash.AppendData(MemoryMarshal.AsBytes(set.Labels.AsSpan()));
            return $"{set.Count}, SHA-256 {Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}";
        }

        private static string Text(double value) => value.ToString("0.######", CultureInfo.InvariantCulture);

        // An adapter and its card are there, and no training has begun to replace them.
        private static bool IsDone(string folder) =>
            File.Exists(Path.Combine(folder, "README.md")) && File.Exists(Path.Combine(folder, Adapters.PeftConfig)) && !ResumableTraining.IsUnderWay(folder);
    }
}
