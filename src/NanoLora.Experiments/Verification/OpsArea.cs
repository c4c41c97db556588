using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Groups of single operations: a list of cases, each with its op, parameters, inputs, upstream gradients and what is expected. <see cref="OpCases"/> says how
/// each op runs.
/// </summary>
public sealed class OpsArea : IGoldenArea
{
    /// <inheritdoc/>
    public string Name => "ops";

    /// <inheritdoc/>
    public bool Recognises(GoldenFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        if (!folder.Has("cases", JsonValueKind.Array)) return false;
        foreach (var @case in folder.Root.GetProperty("cases").EnumerateArray())
        {
            if (@case.ValueKind != JsonValueKind.Object || !@case.TryGetProperty("op", out _)) return false;
        }
        return folder.Root.GetProperty("cases").GetArrayLength() > 0;
    }

    /// <inheritdoc/>
    public void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(report);
        var workspace = new Workspace(backend);
        foreach (var json in folder.Root.GetProperty("cases").EnumerateArray()) Run(folder, json, workspace, report);
        report.Case("");
    }

    private static void Run(GoldenFolder folder, JsonElement json, Workspace workspace, GoldenReport report)
    {
        var name = folder.Field(json, "case", JsonValueKind.String).GetString()!;
        report.Case(name);
        using var scope = workspace.Scope();
        try
        {
            using var @case = new OpCase(folder, json, name, workspace);
            @case.Output("y", OpCases.Find(@case.Op)(@case));
            @case.Backward();
            @case.Compare(report);
        }
        catch (NotBuiltException e) { report.Missing(e.Message); }
        catch (Exception e) when (e is GoldenException or CheckpointException or ArgumentException or InvalidOperationException or NotSupportedException
            or OverflowException or FormatException or KeyNotFoundException)
        {
            report.Fail(e.Message);
        }
    }
}
