using System.CommandLine;
using System.Globalization;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Nn;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora pretrain</c>: makes the bundled bases from raw images or texts.</summary>
internal static class PretrainCommand
{
    public static Command Create(Session session)
    {
        var (options, texts, writing) = (new PretrainOptions(), new TextPretrainOptions(), new TextToTextOptions());
        var text = Inputs.Switch("--text", "Makes the base for texts.");
        var textToText = Inputs.Switch("--text-to-text", "Makes the base that reads a text and writes another.");
        var data = Inputs.Required("--data", "DIR", "The folder of raw image or text sets.");
        var output = Inputs.Required("--out", "DIR", "The model folder to write: config.json, model.safetensors and a README.md.");
        var steps = Inputs.OptionalWhole("--steps",
            $"Steps of the optimiser; {options.Steps} on images, {texts.Steps} on texts and {writing.Steps} from text to text if not given.");
        var batch = Inputs.OptionalWhole("--batch", $"Images in a batch; {options.BatchSize} if not given.");
        var seed = Inputs.Seed("Of the start, the draws and their augmentation.");
        var device = Devices.Option();
        var every = ResumableTraining.EveryOption();
        var resume = Inputs.Switch("--resume", "Go on with a training in the same folder that was interrupted or killed.");
        var command = new ToolCommand("pretrain", "Trains a base model from raw images or texts.", """
            A small vision transformer, from random weights, on Fashion-MNIST, MNIST, Quick Draw and notMNIST; images that an upstream or the held-out task
            has too are left out. Or a small Llama with a tokenizer of its own, from word vectors, on GSM8K, BANKING77, SMS Spam, tiny Shakespeare and E2E;
            texts that CLINC150 has too are left out. The state of the training is kept in the folder until it is done: however it ends, the same command
            with --resume goes on, to the same bits.
            """, "nanolora pretrain --data data --out models/nano-vit", "nanolora pretrain --text --data data --out models/nano-text",
            "nanolora pretrain --text-to-text --data data --out models/nano-t5",
            "nanolora pretrain --data data --out models/nano-vit --resume")
        { text, textToText, data, output, steps, batch, seed, device, every, resume };
        command.SetAction(parsed =>
        {
            var (dataFolder, folder, on, again) = (parsed.GetValue(data)!, parsed.GetValue(output)!, parsed.GetValue(device)!, parsed.GetValue(resume));
            var (classifies, writes) = (parsed.GetValue(text), parsed.GetValue(textToText));
            if (classifies && writes) throw new UsageException("--text and --text-to-text make two bases; give one of them.");
            if (!classifies && !writes)
            {
                return Run(session, dataFolder, folder, on, again, options with
                {
                    Steps = parsed.GetValue(steps) ?? options.Steps,
                    BatchSize = parsed.GetValue(batch) ?? options.BatchSize,
                    Seed = parsed.GetValue(seed),
                    CheckpointEvery = parsed.GetValue(every),
                });
            }
            if (parsed.GetValue(batch) is not null) throw new UsageException("--batch counts images; a batch of texts is made of three parts of fixed sizes.");
            TextBaseOptions recipe = writes ? writing : texts;
            return PretrainTexts.Run(session, dataFolder, folder, on, again, recipe with
            {
                Steps = parsed.GetValue(steps) ?? recipe.Steps,
                Seed = parsed.GetValue(seed),
                CheckpointEvery = parsed.GetValue(every),
            });
        });
        return command;
    }

    private static int Run(Session session, string dataFolder, string folder, string device, bool resume, PretrainOptions options)
    {
        OutputFolder.Prepare(folder);
        var training = new ResumableTraining(session, folder, [new("training", "pretrain"), .. Chosen(options), .. Devices.Facts(device)]);
        var state = training.Begin(resume);
        var data = StudyData.Load(dataFolder);
        training.Resumed(state, options.Steps);
        using var backend = Devices.Open(device);
        var progress = session.Progress("pretrain", options.Steps - (state?.Step ?? 0));
        var (model, history, accuracy) = Pretraining.Run(data.Mixture(), options with
        {
            Resume = state,
            Checkpoint = training.Save,
            Cancellation = session.Cancellation,
            Progress = step => progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.000}")),
        }, backend);
        progress.Dispose();
        using var made = model;
        if (history.State is { } now) return training.Interrupted(now, options.Steps);

        model.Save(folder);
        var parameters = model.Parameters().Sum(p => (long)p.Value.Value.Count);
        var (every, classes) = (options.TestEvery, model.Labels.Count);
        var measured = string.Create(CultureInfo.InvariantCulture,
            $"{100 * accuracy:0.0} % of the test images are named rightly, every {every}th of them measured, among {classes} classes.");
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        var making = new Card.Making(Facts(options), session.Recipe(), measured);
        Card.Save(folder, Card.Base(name, parameters, data.Pretraining, Sources.PretrainingWeights, making));
        training.End();
        session.Say($"{folder}: {parameters:N0} parameters; {measured}");
        return 0;
    }

    private static IReadOnlyList<Fact> Chosen(PretrainOptions options) =>
        [new("steps", $"{options.Steps}"), new("batch", $"{options.BatchSize}"), new("seed", $"{options.Seed}")];

    private static IReadOnlyList<Fact> Facts(PretrainOptions options) =>
    [
        .. Chosen(options),
        new("optimiser", FormattableString.Invariant($"AdamW at {options.Rate}, weight decay {options.WeightDecay}, gradients clipped to norm 1")),
        new("schedule", $"{options.Warmup} steps of warm-up, then cosine to 0"),
        new("label smoothing", options.Smoothing.ToString(CultureInfo.InvariantCulture)),
        new("classes", "each image also turned by 90 degrees, as a class of its own"),
    ];
}
