using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

// Cells with chosen accuracies, so that a test knows what the statistics and the sentence must say.
internal static class MadeUp
{
    public static readonly string[] Names =
        [ArmNames.LinearProbe, ArmNames.FullFinetune, ArmNames.Lora, ArmNames.Uniform, ArmNames.Learned, ArmNames.RandomModules];

    // Small differences between draws that sum to zero, so a mean is exactly what was asked for but an interval has a width.
    private static readonly double[] Wobble = [0.004, -0.002, 0.003, -0.005, 0.000];

    /// <summary>Five draws of one arm whose mean difference to a probe at <paramref name="probe"/> is <paramref name="gain"/> points.</summary>
    public static IEnumerable<Cell> Arm(string arm, double gain, int shots = 1, string task = "Futurama", double probe = 0.3, double wobble = 1, int draws = 5)
    {
        for (var draw = 0; draw < draws; draw++)
        {
            // The probe moves with the draw too; pairing takes that out.
            var accuracy = probe + 0.05 * Math.Sin(draw + shots) + gain / 100 + (arm == ArmNames.LinearProbe ? 0 : wobble * Wobble[(draw + arm.Length) % 5]);
            yield return new Cell(task, arm, shots, draw, accuracy, (int)Math.Round(accuracy * 260), 260, 2522, 0.25);
        }
    }

    public static List<Cell> Cells(
        double full, double lora, double uniform, double learned, double? random, int shots = 1, string task = "Futurama", int draws = 5)
    {
        var cells = new List<Cell>();
        cells.AddRange(Arm(ArmNames.LinearProbe, 0, shots, task, draws: draws));
        cells.AddRange(Arm(ArmNames.FullFinetune, full, shots, task, draws: draws));
        cells.AddRange(Arm(ArmNames.Lora, lora, shots, task, draws: draws));
        cells.AddRange(Arm(ArmNames.Uniform, uniform, shots, task, draws: draws));
        cells.AddRange(Arm(ArmNames.Learned, learned, shots, task, draws: draws));
        if (random is { } r) cells.AddRange(Arm(ArmNames.RandomModules, r, shots, task, draws: draws));
        return cells;
    }

    public static Results Study(IReadOnlyList<Cell>? cells = null)
    {
        string[] modules = ["Greek", "Hebrew", "Korean <Hangul>"];
        string[] matrices = ["blocks.0.attn.qkv", "blocks.0.mlp.f1"];
        var all = cells ?? [.. Cells(-0.2, -0.7, 5.0, 5.1, 0.0), .. Cells(3.0, 2.4, 6.1, 7.2, 0.2, shots: 5)];
        var withWeights = all.Select(c => c.Arm == ArmNames.Learned ? c with { Weights = [[0.5f, 0.3f, 0.2f], [0.25f, 0.7f, 0.05f]] } : c).ToList();
        var results = new Results("Few shots & modules", "NanoViT <454,080>", modules, matrices,
            [new Fact("Processor", "some \"fast\" chip"), new Fact("Runtime", ".NET 10")], ulong.MaxValue,
            new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), [new Fact("Steps", "60")], withWeights);
        return results with { Conclusion = Conclusion.Of(results) };
    }
}
