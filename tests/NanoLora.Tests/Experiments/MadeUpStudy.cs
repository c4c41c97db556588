using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

// A study of many tasks with known effects: an arm's accuracy is what its task and draw give, a gain of its own, and noise that pairing cannot take out.
internal static class MadeUpStudy
{
    /// <summary>Name, label, mean gain over the probe in points, whether it uses the upstream modules.</summary>
    public static readonly (string Name, string Label, double Gain, bool Modules)[] Arms =
    [
        (ArmNames.PixelProbe, "linear probe on pixels", -8, false), (ArmNames.LinearProbe, "linear probe", 0, false),
        (ArmNames.FullFinetune, "full fine-tuning", 0.5, false), (ArmNames.Lora, "LoRA from scratch", 0.2, false),
        ("single-best", "the single best module", 1.5, true),
        (ArmNames.Uniform, "uniform composition", 3, true), ("uniform-half", "uniform x 0.5", 1.8, true), ("uniform-double", "uniform x 2", -2, true),
        (ArmNames.Learned, "learned composition", 3.4, true), ("learned-scaled", "learned, free scale", 3.1, true),
        ("learned-global", "learned, one v", 3.2, true),
        ("learned-blocks", "learned, one v per block", 3.2, true), ("lora-from-uniform", "LoRA from the uniform mix", 3.8, true),
        ("full-from-uniform", "full fine-tuning from the uniform mix", 3.9, true), (ArmNames.RandomModules, "random modules (control)", 0.1, true),
        ("learned-sparse", "learned, <sparse> & few", 2.9, true),
    ];

    public static readonly string[] Tasks = ["Balinese", "Greek", "Hebrew", "Korean", "Latin", "Tagalog", "Futurama", "Armenian", "shapes", "signs"];

    public static readonly string[] Matrices =
        [.. Enumerable.Range(0, 6).SelectMany(block => (string[])[$"blocks.{block}.attn.qkv", $"blocks.{block}.attn.proj", $"blocks.{block}.mlp.f1"])];

    public static Results Of(int tasks = 10, int draws = 10, int trainings = 3, int[]? shots = null, Func<Cell, bool>? keep = null, bool weights = true)
    {
        var (cells, mixes, similar) = (new List<Cell>(), new List<MeanWeights>(), new List<Similarity>());
        var numbers = new Philox(7, Philox.StreamOf("made up"));
        var at = 0ul;
        foreach (var (t, task) in Tasks.Take(tasks).Index())
        {
            var level = 0.35 + 0.03 * t;
            double?[] near = [.. Enumerable.Range(0, tasks).Select(j => j == t ? (double?)null : 0.7 + 0.2 * numbers.Uniform(at++))];
            for (var training = 0; training < trainings; training++) similar.Add(new Similarity(task, training, [.. near.Select(c => c + 0.002 * training)]));
            foreach (var (k, n) in (shots ?? [1, 5, Cell.AllShots]).Index())
            {
                foreach (var (arm, _, gain, modules) in Arms)
                {
                    for (var draw = 0; draw < draws; draw++)
                    {
                        var shared = level + 0.12 * k + 0.03 * Math.Sin(3 * draw + t);
                        var own = gain / 100 * (1 - 0.15 * k) * (0.6 + 0.08 * t) + (arm == ArmNames.LinearProbe ? 0 : 0.008 * numbers.Normal(at++));
                        for (var training = 0; training < (modules ? trainings : 1); training++)
                        {
                            var correct = (int)Math.Round(400 * Math.Clamp(shared + own + (modules ? 0.004 * numbers.Normal(at++) : 0), 0, 1));
                            var trained = modules ? 2_544 : 29_976;
                            cells.Add(new Cell(task, arm, n, draw, correct / 400.0, correct, 400, trained, 0.4 + 0.1 * k, Training: modules ? training : null));
                        }
                    }
                }
                if (!weights || tasks == 1) continue;                                            // one task has no modules of others to mix
                float[][] rows = [.. Matrices.Select(_ =>
                    Array.ConvertAll(near, c => c is { } cka ? (float)Math.Exp(6 * (cka - 0.8) + 0.2 * numbers.Normal(at++)) : 0f))];
                foreach (var row in rows)
                {
                    var sum = row.Sum();
                    for (var j = 0; j < row.Length; j++) row[j] /= sum;
                }
                mixes.Add(new MeanWeights(task, ArmNames.Learned, n, draws * trainings, rows));
            }
        }
        var results = new Results("Ten tasks & sixteen arms", "nano-vit", Tasks[..tasks], Matrices, [new Fact("processor", "made up")], 1,
            new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), [new Fact("steps", "60")], keep is null ? cells : [.. cells.Where(keep)],
            Arms: [.. Arms.Select(a => new ArmFact(a.Name, a.Label, $"gains {a.Gain} points"))], Similarities: similar, MeanWeights: weights ? mixes : null,
            Planned: cells.Count);
        return results with { Conclusion = Conclusion.Of(results) };
    }
}
