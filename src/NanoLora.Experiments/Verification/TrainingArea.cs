using System.Text.Json;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Golden vectors of adapters and training: a model's gradients and ten steps under LoRA or in full (<see cref="TrainingRun"/>), and the pieces of a training
/// by themselves (<see cref="TrainingPieces"/>). Each tensor has its own tolerance, tol_abs in golden.json.
/// </summary>
public sealed class TrainingArea : IGoldenArea
{
    /// <inheritdoc/>
    public string Name => "training";

    /// <inheritdoc/>
    public bool Recognises(GoldenFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return KindOf(folder) is not null;
    }

    /// <inheritdoc/>
    public void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(report);
        var run = KindOf(folder) ?? throw folder.Error("case", "is of no known kind of training.");
        try
        {
            using var scope = backend.Main.Scope();
            run(folder, backend, report);
        }
        catch (Exception e) when (e is CheckpointException or ArgumentException or InvalidOperationException) { report.Fail(e.Message); }
    }

    // By what golden.json holds.
    private static Action<GoldenFolder, Backend, GoldenReport>? KindOf(GoldenFolder folder)
    {
        if (!folder.Has("case", JsonValueKind.String) || !folder.Has("tensors", JsonValueKind.Object)) return null;
        if (folder.Has("settings", JsonValueKind.Object)) return null;                 // a case of composition
        if (folder.Has("adapted", JsonValueKind.Object)) return TrainingRun.Adapter;
        if (folder.Has("moments", JsonValueKind.Object)) return TrainingPieces.Dropout;
        if (folder.Has("checks", JsonValueKind.Object) && folder.Root.GetProperty("checks").TryGetProperty("total_target_tokens", out _))
            return TrainingRun.Accumulation;
        if (!folder.Has("hyper_parameters", JsonValueKind.Object)) return null;
        var settings = folder.Root.GetProperty("hyper_parameters");
        if (settings.TryGetProperty("smoothing", out _)) return TrainingPieces.Losses;
        if (settings.TryGetProperty("polynomial", out _)) return TrainingPieces.Schedules;
        if (settings.EnumerateObject().Any(static s => s.Value.ValueKind == JsonValueKind.Object && s.Value.TryGetProperty("optimizer", out _)))
            return TrainingPieces.Optimisers;
        return folder.Root.GetProperty("tensors").TryGetProperty("train.loss", out _) ? TrainingRun.Full : null;
    }

    /// <summary>tol_abs of a tensor; that of the logits for those of the base, where they come without one.</summary>
    internal static double Tolerance(GoldenFolder folder, string tensor)
    {
        var tensors = folder.Field(folder.Root, "tensors", JsonValueKind.Object);
        var row = folder.Field(tensors, tensor, JsonValueKind.Object, "tensors.");
        if (tensor == "base.logits" && !row.TryGetProperty("tol_abs", out _)) return Tolerance(folder, "logits");
        return folder.Field(row, "tol_abs", JsonValueKind.Number, $"tensors.{tensor}.").GetDouble();
    }

    /// <summary>The folder of the base that the case names, beside the case's own.</summary>
    internal static string BaseFolder(GoldenFolder folder) =>
        Path.Combine(Path.GetDirectoryName(Path.GetFullPath(folder.Path))!, folder.Field(folder.Root, "base", JsonValueKind.String).GetString()!);

    /// <summary>The base, in F32.</summary>
    /// <exception cref="NotBuiltException">It is of no family that is built.</exception>
    internal static Model Base(GoldenFolder folder, Backend backend)
    {
        var path = BaseFolder(folder);
        var config = Path.Combine(path, "config.json");
        if (!File.Exists(config)) throw folder.Error("base", $"{config} is missing; copy the bases beside the case's folder.");
        using var json = JsonDocument.Parse(File.ReadAllBytes(config));
        var type = json.RootElement.TryGetProperty("model_type", out var named) ? named.GetString() : null;
        try
        {
            return type switch
            {
                "vit" => Vit.Load(path, backend),
                "t5" => T5.Load(path, backend, keepType: false),
                _ => LanguageModel.Load(path, backend, keepType: false),
            };
        }
        catch (CheckpointException e) when (e.Field == "model_type") { throw new NotBuiltException($"models like {type}"); }
    }
}
