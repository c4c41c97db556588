namespace NanoLora.Experiments;

/// <summary>What a paired comparison shows.</summary>
public enum Verdict
{
    /// <summary>Clearly above the reference.</summary>
    Beats,

    /// <summary>No clear difference.</summary>
    Unclear,

    /// <summary>Clearly below the reference.</summary>
    FallsBehind,

    /// <summary>Too few tasks or draws to tell: no outcome could have been clear.</summary>
    Unmeasured,
}

/// <summary>One arm beside another at one number of shots, paired by task and draw; the trainings of a draw are averaged first.</summary>
/// <param name="Shots">Training examples per class.</param>
/// <param name="Arm">The arm.</param>
/// <param name="Reference">The arm it is compared with.</param>
/// <param name="Estimate">Mean difference in accuracy, arm less reference, with its interval.</param>
/// <param name="ByTask">Whether several tasks were compared; then the tests are over the means of the tasks, otherwise over the draws of the one task.</param>
/// <param name="Sign">Sign test over tasks (or draws): it counts wins and losses too.</param>
/// <param name="Wilcoxon">Signed-rank test over tasks (or draws).</param>
/// <param name="Pairs">Wins and losses over all pairs of task and draw. They are not independent, so its p is of no use.</param>
public sealed record Paired(
    int Shots, string Arm, string Reference, Estimate Estimate, bool ByTask, SignTest Sign, SignedRank Wilcoxon, SignTest Pairs)
{
    /// <summary>The p below which a sign test over tasks is clear.</summary>
    public const double Level = 0.05;

    /// <summary>
    /// Over the draws of one task: clear where Student's interval excludes 0. Over tasks: clear where the bootstrap interval excludes 0 and the sign test gives
    /// p &lt; <see cref="Level"/> as well, since with few tasks the interval alone is too narrow. That takes six tasks.
    /// </summary>
    public Verdict Verdict =>
        !Estimate.HasInterval || (ByTask && !CanBeClear(Estimate.Count)) ? Verdict.Unmeasured
        : !Estimate.ExcludesZero || (ByTask && Sign.P >= Level) ? Verdict.Unclear
        : Estimate.Mean > 0 ? Verdict.Beats : Verdict.FallsBehind;

    /// <summary>Whether arm and reference differ clearly.</summary>
    public bool IsClear => Verdict is Verdict.Beats or Verdict.FallsBehind;

    // All tasks on one side give 2 · 2⁻ⁿ.
    private static bool CanBeClear(int tasks) => 2 * Math.Pow(0.5, tasks) < Level;
}
