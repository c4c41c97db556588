using System.Text.Json;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Weight files: what must load, with its values, and what must be refused. <see cref="FormatsSafetensors"/>, <see cref="FormatsPyTorch"/> and
/// <see cref="FormatsPeft"/> read one format each. Their verdicts are the same: load; error (refuse); either; support (the values given, or a refusal that
/// names the field).
/// </summary>
public sealed class FormatsArea : IGoldenArea
{
    /// <inheritdoc/>
    public string Name => "formats";

    /// <inheritdoc/>
    public bool Recognises(GoldenFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return IsSafetensors(folder) || IsPyTorch(folder) || IsPeft(folder) || IsGguf(folder);
    }

    /// <inheritdoc/>
    public void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(report);
        if (IsGguf(folder)) throw new NotBuiltException("GGUF files");
        if (IsSafetensors(folder)) new FormatsSafetensors(folder, report).Run();
        else if (IsPyTorch(folder)) new FormatsPyTorch(folder, options, report).Run();
        else new FormatsPeft(folder, backend, report).Run();
        report.Case("");
    }

    /// <summary>Runs each case of a list of golden.json under its name; what leaves a case is its failure.</summary>
    internal static void Each(GoldenFolder folder, GoldenReport report, string list, string key, Action<JsonElement, string> run)
    {
        foreach (var @case in folder.Field(folder.Root, list, JsonValueKind.Array).EnumerateArray())
        {
            var name = folder.Field(@case, key, JsonValueKind.String, $"{list}.").GetString()!;
            report.Case(name);
            try { run(@case, name); }
            catch (Exception e) when (e is GoldenException or ArgumentException or InvalidOperationException or IOException or OverflowException)
            {
                report.Fail(e.Message);
            }
        }
    }

    private static bool IsSafetensors(GoldenFolder folder) => folder.Has("valid", JsonValueKind.Array) && folder.Has("malformed", JsonValueKind.Array);

    private static bool IsPyTorch(GoldenFolder folder) => folder.Has("cases", JsonValueKind.Array) && folder.Has("hostile", JsonValueKind.Array);

    private static bool IsGguf(GoldenFolder folder) => folder.Has("small_valid", JsonValueKind.Array);

    private static bool IsPeft(GoldenFolder folder)
    {
        if (!folder.Has("cases", JsonValueKind.Array) || folder.Root.GetProperty("cases").GetArrayLength() == 0) return false;
        var first = folder.Root.GetProperty("cases")[0];
        return first.ValueKind == JsonValueKind.Object && first.TryGetProperty("folder", out _) && first.TryGetProperty("base", out _);
    }
}
