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

    /// <summary>tol_abs of a tensor.</summary>
    internal static double Tolerance(GoldenFolder folder, string tensor)
    {
        var row = folder.Field(folder.Field(folder.Root, "tensors", JsonValueKind.Object), tensor, JsonValueKind.Object, "tensors.");
        return folder.Field(row, "tol_abs", JsonValueKind.Number, $"tensors.{tensor}.").GetDouble();
    }

    /// <summary>The base that the case names, which lies beside its folder.</summary>
    /// <exception cref="NotBuiltException">It is no image model.</exception>
    internal static Classifier Base(GoldenFolder folder, string relative, Backend backend)
    {
        var path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(folder.Path))!, relative);
        var config = Path.Combine(path, "config.json");
        if (!File.Exists(config)) throw folder.Error("base", $"{config} is missing; copy the bases beside the case's folder.");
        using var json = JsonDocument.Parse(File.ReadAllBytes(config));
        if (!json.RootElement.TryGetProperty("model_type", out var type) || type.GetString() != "vit") throw new NotBuiltException("language models");
        return Vit.Load(path, backend);
    }
}
