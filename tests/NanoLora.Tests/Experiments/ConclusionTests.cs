using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public class ConclusionTests
{
    private const string Head = "On Futurama, over 5 draws (differences in accuracy points, 95 % confidence): ";

    [Fact]
    public void Both_compositions_win_and_the_control_does_not() => Assert.Equal(
        Head + "at 1 shot per class, learned and uniform composition both beat the linear probe (+5.0, +4.5), LoRA from scratch (+5.5, +5.0) and "
        + "full fine-tuning (+6.0, +5.5), "
        + "and the gain is transfer, as random modules do not have it (learned +5.0 and uniform +4.5 over them).",
        Conclusion.Of(MadeUp.Cells(full: -1, lora: -0.5, uniform: 4.5, learned: 5, random: 0)));

    [Fact]
    public void Compositions_part_ways() => Assert.Equal(
        Head + "at 1 shot per class, learned composition beats the linear probe (+5.0), shows no clear difference from LoRA from scratch (+0.1) and "
        + "falls behind full fine-tuning (-3.0), "
        + "while uniform composition shows no clear difference from the linear probe (0.0) and falls behind LoRA from scratch (-4.9) and "
        + "full fine-tuning (-8.0), "
        + "and the gain is transfer, as random modules do not have it (learned +5.0 over them).",
        Conclusion.Of(MadeUp.Cells(full: 8, lora: 4.9, uniform: 0, learned: 5, random: 0)));

    [Fact]
    public void No_gain_needs_no_control() => Assert.Equal(
        Head + "at 1 shot per class, learned and uniform composition both fall behind the linear probe (-2.0, -3.0), LoRA from scratch (-4.0, -5.0) "
        + "and full fine-tuning (-4.0, -5.0).",
        Conclusion.Of(MadeUp.Cells(full: 2, lora: 2, uniform: -3, learned: -2, random: 0)));

    [Fact]
    public void Nothing_is_clear() => Assert.Equal(
        Head + "at 1 shot per class, learned and uniform composition both show no clear difference from the linear probe (+0.1, 0.0), "
        + "LoRA from scratch (+0.1, 0.0) and full fine-tuning (+0.1, 0.0).",
        Conclusion.Of(MadeUp.Cells(full: 0, lora: 0, uniform: 0, learned: 0.1, random: 0)));

    [Fact]
    public void Random_modules_that_do_as_well_deny_transfer() => Assert.EndsWith(
        ", but the gain is not shown to be transfer, as it is not clear over random modules (learned +0.1 and uniform -0.1).",
        Conclusion.Of(MadeUp.Cells(full: 0, lora: 0, uniform: 4.8, learned: 5, random: 4.9)), StringComparison.Ordinal);

    [Fact]
    public void Random_modules_that_gain_less_leave_a_part() => Assert.EndsWith(
        ", and part of the gain is transfer, as random modules also beat the probe (+2.0) but by less (learned +3.0 over them, "
        + "which is not shown for uniform +0.1).",
        Conclusion.Of(MadeUp.Cells(full: 0, lora: 0, uniform: 2.1, learned: 5, random: 2)), StringComparison.Ordinal);

    [Fact]
    public void Without_the_control_it_stays_open() => Assert.EndsWith(
        ", and without the control of random modules it stays open whether the gain is transfer.",
        Conclusion.Of(MadeUp.Cells(full: 0, lora: 0, uniform: 5, learned: 5, random: null)), StringComparison.Ordinal);

    [Fact]
    public void One_draw_decides_nothing() => Assert.Equal(
        Head.Replace("5 draws", "1 draw", StringComparison.Ordinal) + "at 1 shot per class, learned and uniform composition both have "
        + "too few draws to be compared with the linear probe (+5.3, +5.3), LoRA from scratch (+5.3, +5.3) and full fine-tuning (+5.8, +5.8).",
        Conclusion.Of(MadeUp.Cells(full: 0, lora: 0, uniform: 5, learned: 5, random: 0, draws: 1)));

    [Fact]
    public void Each_number_of_shots_has_its_clause_in_one_sentence()
    {
        var sentence = Conclusion.Of([.. MadeUp.Cells(0, 0, 5, 5, 0, shots: 5), .. MadeUp.Cells(0, 0, 5, 5, 0, shots: 1)]);
        Assert.Matches("at 1 shot per class, .*; at 5 shots per class, ", sentence);
        Assert.DoesNotMatch(@"\. ", sentence);
        Assert.EndsWith(".", sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_tasks_are_counted() => Assert.StartsWith(
        "Over 2 tasks, each held out in turn (",
        Conclusion.Of([.. MadeUp.Cells(0, 0, 5, 5, 0, task: "a"), .. MadeUp.Cells(0, 0, 5, 5, 0, task: "b")]), StringComparison.Ordinal);

    [Fact]
    public void Without_a_composition_there_is_nothing_to_conclude() =>
        Assert.StartsWith(
            "There is nothing to conclude", Conclusion.Of([.. MadeUp.Arm(ArmNames.LinearProbe, 0), .. MadeUp.Arm(ArmNames.Lora, 1)]), StringComparison.Ordinal);

    [Fact]
    public void A_composition_alone_is_still_compared() => Assert.Equal(
        Head + "at 1 shot per class, uniform composition beats the linear probe (+5.0), and "
        + "without the control of random modules it stays open whether the gain is transfer.",
        Conclusion.Of([.. MadeUp.Arm(ArmNames.LinearProbe, 0), .. MadeUp.Arm(ArmNames.Uniform, 5)]));

    [Fact]
    public void Few_tasks_decide_nothing() => Assert.Contains(
        "learned and uniform composition both have too few tasks to be compared with the linear probe (+5.0, 5 of 5 and +5.0, 5 of 5)",
        Conclusion.Of([.. Enumerable.Range(0, 5).SelectMany(t => MadeUp.Cells(0, 0, 5, 5, 0, task: $"task {t}"))]), StringComparison.Ordinal);

    [Fact]
    public void Many_tasks_need_both_verdicts()
    {
        // Learned wins everywhere; uniform gains as much in the mean but loses two of eight tasks, so its sign test does not agree.
        var cells = Enumerable.Range(0, 8).SelectMany(t => MadeUp.Cells(0, 0, t < 2 ? -0.5 : 7, 5, 0, task: $"task {t}"));
        var sentence = Conclusion.Of([.. cells]);
        Assert.StartsWith("Over 8 tasks, each held out in turn (", sentence, StringComparison.Ordinal);
        Assert.Contains("learned composition beats the linear probe (+5.0), LoRA from scratch (+5.0) and full fine-tuning (+5.0), while uniform composition "
            + "shows no clear difference from the linear probe (+5.1, 6 of 8)", sentence, StringComparison.Ordinal);
        Assert.EndsWith("and the gain is transfer, as random modules do not have it (learned +5.0 over them).", sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unfinished_study_says_so()
    {
        var study = MadeUp.Study();
        Assert.StartsWith("So far, with 60 of 90 runs: on Futurama, over 5 draws", Conclusion.Of(study with { Planned = 90 }), StringComparison.Ordinal);
        Assert.Equal(Conclusion.Of(study), Conclusion.Of(study with { Planned = 60 }));
    }
}
