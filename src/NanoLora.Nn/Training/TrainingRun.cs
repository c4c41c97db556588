using System.Globalization;
using System.Security.Cryptography;

namespace NanoLora.Nn;

/// <summary>
/// What makes a training this one and no other: all that decides over the bits it ends with, beside the values and moments that a state holds. Random numbers
/// and the order of samples follow from the seed and the number of the step.
/// </summary>
internal static class TrainingRun
{
    private const int Samples = 64;

    /// <summary>The facts, each under a name for messages.</summary>
    public static IReadOnlyList<KeyValuePair<string, string>> Describe(Model model, IDataset data, FitOptions options, Schedule schedule) =>
    [
        new("seed", Text(options.Seed)), new("steps", Text(schedule.Steps)),
        new("batch size", Text(options.BatchSize)), new("accumulation", Text(options.Accumulation)),
        new("schedule", $"{schedule.Kind}, {Text(schedule.Warmup)} steps of warm-up, {Text(schedule.Cycles)} cycles"),
        new("mixing rate", Text(options.MixingRate)), new("head rate", Text(options.HeadRate)),
        new("factor rate", Text(options.FactorRate)), new("base rate", Text(options.BaseRate)),
        new("weight decay", $"{Text(options.WeightDecay)}{(options.DecayVectors ? ", vectors too" : "")}"),
        new("betas", $"{Text(options.Beta1)}, {Text(options.Beta2)}"), new("clip", options.Clip is { } clip ? Text(clip) : "none"),
        new("label smoothing", Text(options.LabelSmoothing)), new("augmentation", options.Augment ? "yes" : "no"),
        new("data", DataOf(model.Backend.Main, data, options)), new("frozen weights", FrozenOf(model)),
    ];

    // Name and size, and the content of some samples from all over the set, as training reads them: other images, another normalisation or augmentation shows.
    private static string DataOf(Workspace workspace, IDataset data, FitOptions options)
    {
        var indices = new int[Math.Min(Samples, data.Count)];
        for (var i = 0; i < indices.Length; i++) indices[i] = (int)((long)i * data.Count / indices.Length);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var scope = workspace.Scope(grad: false);
        var batch = data.Read(workspace, indices, options.Augment ? new Philox(options.Seed, Philox.StreamOf("identity")) : null);
        Append(hash, batch.Inputs);
        Append(hash, batch.Targets);
        foreach (var length in batch.Lengths ?? []) hash.AppendData(BitConverter.GetBytes(length));
        var classes = data.Classes.Count > 0 ? $" of {Text(data.Classes.Count)} classes" : "";
        return $"{data.Name}, {Text(data.Count)} samples{classes}, SHA-256 {Digest(hash)}";
    }

    private static string FrozenOf(Model model)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (_, parameter) in model.Parameters()) if (!parameter.Trains) Append(hash, parameter.Value);
        return $"SHA-256 {Digest(hash)}";
    }

    private static void Append(IncrementalHash hash, Tensor values)
    {
        var bytes = new byte[(long)values.Count * values.DType.Bytes()];
        values.Backend.Download<byte>(values, bytes);
        hash.AppendData(bytes);
    }

    private static string Digest(IncrementalHash hash) => Convert.ToHexStringLower(hash.GetHashAndReset())[..16];

    private static string Text<T>(T value) where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);
}
