using System.CommandLine;
using System.Globalization;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Nn;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora pretrain</c>: makes the bundled base from raw images.</summary>
internal static class PretrainCommand
{
    private const int SaveEvery = 250;

    public static Command Create(Session session)
    {
        var options = new PretrainOptions();
        var data = Inputs.Required("--data", "DIR", "The folder of raw image sets.");
        var output = Inputs.Required("--out", "DIR", "The model folder to write: config.json, model.safetensors and a README.md.");
        var steps = Inputs.Whole("--steps", "Steps of the optimiser.", options.Steps);
        var batch = Inputs.Whole("--batch", "Images in a batch.", options.BatchSize);
        var seed = Inputs.Seed("Of the start, the draws and their augmentation.");
        var resume = Inputs.Switch("--resume", "Go on with an interrupted training in the same folder.");
        var command = new ToolCommand("pretrain", "Trains the base model from raw images.", $"""
            A small vision transformer, from random weights, on Fashion-MNIST, MNIST, Quick Draw and notMNIST. Images that an upstream or the held-out task
            has too are left out. The state is saved every {SaveEvery} steps and on Ctrl-C.
            """, "nanolora pretrain --data data --out models/nano-vit", "nanolora pretrain --data data --out models/nano-vit --resume")
        { data, output, steps, batch, seed, resume };
        command.SetAction(parsed => Run(session, parsed.GetValue(data)!, parsed.GetValue(output)!, parsed.GetValue(resume),
            options with { Steps = parsed.GetValue(steps), BatchSize = parsed.GetValue(batch), Seed = parsed.GetValue(seed) }));
        return command;
    }

    private static int Run(Session session, string dataFolder, string folder, bool resume, PretrainOptions options)
    {
        OutputFolder.Prepare(folder);
        var training = new ResumableTraining(folder, [new("training", "pretrain"), .. Chosen(options)]);
        var state = training.Begin(resume);
        var data = StudyData.Load(dataFolder);
        var mixture = data.Mixture();
        var begun = state?.Step ?? 0;
        if (begun > 0) session.Note($"resumed after step {begun} of {options.Steps}");
        using var backend = new CpuBackend();
        using var progress = session.Progress("pretrain", options.Steps - begun);
        while (true)
        {
            // A part of the training at a time: a training that goes on from a saved state ends with the bits of an unbroken one.
            using var pause = CancellationTokenSource.CreateLinkedTokenSource(session.Cancellation);
            var first = state?.Step ?? 0;
            var (model, history, accuracy) = Pretraining.Run(mixture, options with { Resume = state, Cancellation = pause.Token, Progress = Stepped }, backend);
            using (model)
            {
                if (history.Completed)
                {
                    progress.Dispose();
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
                state = history.State!;
                training.Save(state);
                if (!session.IsInterrupted) continue;
            }
            progress.Dispose();
            return session.Resumable($"interrupted after step {state.Step} of {options.Steps}; the state is saved in {folder}");

            void Stepped(FitProgress step)
            {
                progress.Advance(1, string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.000}"));
                if (step.Step - first >= SaveEvery) pause.Cancel();
            }
        }
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
