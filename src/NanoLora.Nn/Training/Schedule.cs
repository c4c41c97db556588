namespace NanoLora.Nn;

/// <summary>How the rate moves after the warm-up; the formulas are those of transformers.</summary>
public enum ScheduleKind
{
    /// <summary>It stays.</summary>
    Constant,
    /// <summary>Down to 0 in a line.</summary>
    Linear,
    /// <summary>½ (1 + cos 2π c p), p the progress, c the cycles: half a cycle goes down to 0 once.</summary>
    Cosine,
    /// <summary>½ (1 + cos π (c p mod 1)): c hard restarts.</summary>
    CosineRestarts,
    /// <summary>(1 - p)^power down to an end rate.</summary>
    Polynomial,
    /// <summary>1 / √ of the step, in units of the warm-up.</summary>
    InverseSqrt,
}

/// <summary>A learning-rate schedule: linear warm-up from 0, then a curve.</summary>
/// <param name="Kind">The curve.</param>
/// <param name="Steps">The planned number of steps.</param>
/// <param name="Warmup">Steps of warm-up; the first has rate 0.</param>
/// <param name="Cycles">For the cosines; 0.5 for one fall, and a whole number of restarts.</param>
/// <param name="Power">For the polynomial.</param>
/// <param name="End">The polynomial's last rate, as a share of the first.</param>
public readonly record struct Schedule(ScheduleKind Kind, int Steps, int Warmup = 0, double Cycles = 0.5, double Power = 1, double End = 0)
{
    /// <summary>The share of the full rate at a step, from 0.</summary>
    public double At(int step)
    {
        if (step < Warmup) return (double)step / Math.Max(1, Warmup);
        var progress = (double)(step - Warmup) / Math.Max(1, Steps - Warmup);
        switch (Kind)
        {
            case ScheduleKind.Linear: return Math.Max(0, 1 - progress);
            case ScheduleKind.Cosine: return Math.Max(0, 0.5 * (1 + Math.Cos(2 * Math.PI * Cycles * progress)));
            case ScheduleKind.CosineRestarts: return progress >= 1 ? 0 : Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * (Cycles * progress % 1))));
            case ScheduleKind.Polynomial: return step > Steps ? End : (1 - End) * Math.Pow(1 - progress, Power) + End;
            case ScheduleKind.InverseSqrt:
                double scale = Warmup > 0 ? Warmup : 10_000;
                return 1 / Math.Sqrt((step + scale - Warmup) / scale);
            default: return 1;
        }
    }
}
