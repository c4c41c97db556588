using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Whole models: a folder as the reference saved it, inputs, every hidden state, outputs, loss and gradients. <see cref="ImageCases"/> runs image
/// models, <see cref="TextCases"/> causal language models, <see cref="ClassifierCases"/> classifiers of texts, <see cref="PairCases"/> models that read one
/// text and write another.
/// </summary>
public sealed class ModelsArea : IGoldenArea
{
    /// <inheritdoc/>
    public string Name => "models";

    /// <inheritdoc/>
    public bool Recognises(GoldenFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return folder.Has("case", JsonValueKind.String) && folder.Has("tensors", JsonValueKind.Object) && folder.Has("reference", JsonValueKind.String)
            && (folder.Has("parameters", JsonValueKind.Number) || folder.Has("source", JsonValueKind.String));
    }

    /// <inheritdoc/>
    public void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(report);
        var name = folder.Root.GetProperty("case").GetString()!;
        report.Case("");
        try
        {
            if (folder.Holds("pixel_values")) new ImageCases(folder, backend, report).Run();
            else if (name == "mnist_vit") new MnistCase(folder, backend, options, report).Run();
            else if (folder.Holds("decoder_input_ids")) new PairCases(folder, backend, report).Run();
            else if (folder.Holds("labels") && folder.ShapeOf("labels").Rank == 1) new ClassifierCases(folder, backend, report).Run();
            else if (folder.Holds("input_ids") || folder.Holds("story0.input_ids")) new TextCases(folder, backend, report).Run();
            else throw new NotBuiltException($"models like {name}");
        }
        catch (Exception e) when (e is CheckpointException or ArgumentException or InvalidOperationException or OverflowException or InvalidDataException)
        {
            report.Fail(e.Message);
        }
    }
}
