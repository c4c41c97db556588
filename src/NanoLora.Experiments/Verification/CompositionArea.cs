using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Golden vectors of composition: LoRA modules mixed on one base (<see cref="MixingCases"/>), adapters that need care (<see cref="SpecialCases"/>), weights
/// that train (<see cref="LearningCases"/>), what PEFT's add_weighted_adapter makes (<see cref="PeftMergeCases"/>), a published module
/// (<see cref="RobertaCase"/>), and the statistics of a study (<see cref="StatisticsCase"/>). Logits and updates are held to 5e-6 of the largest magnitude in
/// the tensor; mixing weights, v, losses and gradients to 1e-5; what PEFT, the published module and the statistics give to what their golden.json says.
/// </summary>
public sealed class CompositionArea : IGoldenArea
{
    /// <inheritdoc/>
    public string Name => "composition";

    /// <inheritdoc/>
    public bool Recognises(GoldenFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return folder.Has("case", JsonValueKind.String) && folder.Has("tensors", JsonValueKind.Object)
            && folder.Has("settings", JsonValueKind.Object) && folder.Has("numbers", JsonValueKind.Object);
    }

    /// <inheritdoc/>
    public void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(report);
        var name = folder.Field(folder.Root, "case", JsonValueKind.String).GetString()!;
        try
        {
            if (name == "statistics")                                                          // which needs no model
            {
                new StatisticsCase(folder, report).Run();
                return;
            }
            if (name == "roberta-mnli")                                                       // whose base is not there
            {
                new RobertaCase(folder, backend, options, report).Run();
                return;
            }
            var run = CaseOf(name);
            using var scope = backend.Main.Scope();
            using var @case = new CompositionCase(folder, backend, report);
            run(@case);
        }
        catch (Exception e) when (e is CheckpointException or ArgumentException or InvalidOperationException) { report.Fail(e.Message); }
    }

    private static Action<CompositionCase> CaseOf(string name) => name switch
    {
        "uniform-vit" or "uniform-llama" => MixingCases.Uniform,
        "missing-vit" or "missing-llama" => MixingCases.Missing,
        "per-row-vit" or "per-row-llama" => MixingCases.PerRow,
        "learned-vit" or "learned-vit-head" or "learned-llama" => LearningCases.Learned,
        "peft-vit" or "peft-llama" => PeftMergeCases.All,
        "special-llama" => SpecialCases.All,
        "lorahub-llama" => throw new NotBuiltException("LoraHub's search"),
        "arrow-llama" => throw new NotBuiltException("Arrow's routing"),
        "wlora-llama" => throw new NotBuiltException("the gradient of the public WLoRA code"),
        "quantised-base" => throw new NotBuiltException("quantised bases"),
        "algebra" => throw new NotBuiltException("the algebra of merging outside of PEFT's"),
        _ => throw new NotBuiltException($"the composition case {name}"),
    };
}
