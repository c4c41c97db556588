using System.CommandLine;
using System.Globalization;
using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora predict</c>: what a model says of images or texts.</summary>
internal static class PredictCommand
{
    private const int BatchSize = 64;

    public static Command Create(Session session)
    {
        var model = new Argument<string>("MODEL") { Description = ModelFolder.Help };
        var images = new Argument<string[]>("IMAGE|TEXT")
        {
            Description = $"{ImageInput.Help}; for a model of texts the texts.", Arity = ArgumentArity.OneOrMore,
        };
        var adapter = Inputs.Text("--adapter", "DIR", "A composition or a PEFT adapter; its head becomes the model's.");
        var invert = TaskInput.InvertOption();
        var top = Inputs.Whole("--top", "How many classes to show.", 5);
        var device = Devices.Option();
        var command = new ToolCommand("predict", "Names images or texts.", """
            A line each, with the most probable classes and their probabilities in percent. Pictures of any size, gray or in colour, are brought into the form
            that the model's files ask for: its size, its channels, its image_mean and image_std.
            """, "nanolora predict models/nano-vit drawing.png", "nanolora predict my-vit --adapter mine photo.jpg",
            "nanolora predict models/nano-vit --adapter mine 't10k-images-idx3-ubyte.gz#7' --top 3",
            "nanolora predict my-llama --adapter topics 'Where is my card?'")
        { model, images, adapter, invert, top, device };
        command.SetAction(parsed =>
        {
            using var backend = Devices.Open(parsed.GetValue(device)!);
            var folder = ModelFolder.Of(parsed.GetValue(model)!);
            if (TextModels.Reads(folder))
            {
                TextOptions.RefuseImages(parsed, invert);
                return TextMeasuring.Predict(session, backend, folder, parsed.GetValue(adapter), parsed.GetValue(images)!, parsed.GetValue(top));
            }
            return Run(session, backend, folder, parsed.GetValue(adapter), parsed.GetValue(images)!,
                parsed.GetValue(top), parsed.GetValue(invert));
        });
        return command;
    }

    private static int Run(Session session, Backend backend, string folder, string? adapter, string[] inputs, int top, bool invert)
    {
        using var model = Vit.Load(folder, backend);
        if (adapter is not null) Adapters.Attach(model, adapter);
        if (model.Head is null) throw new CommandException($"{folder} has no head; give an adapter that has one.");
        if (model.Config.ImageMean is null || model.Config.ImageStd is null)
            session.Note($"{folder} does not say how images are normalised; pixels are taken from 0 to 1");
        var processor = model.Processor();
        foreach (var input in inputs)
        {
            var (set, names) = ImageInput.Read(input, processor, invert);
            var data = new ImageDataset(set, processor.Normalisation);
            for (var start = 0; start < data.Count; start += BatchSize)
            {
                if (session.IsInterrupted) return Session.Interrupted;
                using var scope = backend.Scope(grad: false);
                int[] indices = [.. Enumerable.Range(start, Math.Min(BatchSize, data.Count - start))];
                var probabilities = model.Forward(data.Read(backend.Main, indices).Inputs).Softmax();
                var (values, classes) = (probabilities.ToArray(), probabilities.Cols);
                for (var i = 0; i < indices.Length; i++)
                    session.Out.WriteLine($"{names[start + i]}: {Best(values[(i * classes)..((i + 1) * classes)], model.Labels, top)}");
            }
        }
        return 0;
    }

    /// <summary>The most probable classes with their probabilities in percent.</summary>
    public static string Best(float[] probabilities, IReadOnlyList<string> labels, int top)
    {
        var best = Enumerable.Range(0, probabilities.Length).OrderByDescending(c => probabilities[c]).Take(top);
        return string.Join(", ", best.Select(c => string.Create(CultureInfo.InvariantCulture, $"{Label(c)} {100 * probabilities[c]:0.0} %")));

        string Label(int c) => c < labels.Count ? Printable.Of(labels[c]) : $"{c}";
    }
}
