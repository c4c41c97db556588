using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public class SummaryTests
{
    [Fact]
    public void Differences_are_paired_by_draw()
    {
        // Unpaired, the probe's own spread (±5 points) would bury a gain of 5 points; paired, only the wobble is left.
        var row = Summary.Of(MadeUp.Cells(0, 0, 5, 5, 0)).Single(r => r.Arm == ArmNames.Learned);
        Assert.Equal(0.05, row.Difference!.Estimate.Mean, 1e-12);
        Assert.Equal(2.776445105 * Math.Sqrt((16 + 4 + 9 + 25) / 4.0) / 1000 / Math.Sqrt(5), row.Difference.Estimate.HalfWidth, 1e-11);
        Assert.True(row.Accuracy.HalfWidth > 5 * row.Difference.Estimate.HalfWidth);
    }

    [Fact]
    public void A_draw_without_its_probe_is_left_out_of_the_difference()
    {
        var cells = MadeUp.Cells(0, 0, 5, 5, 0);
        cells.RemoveAll(c => c.Arm == ArmNames.LinearProbe && c.Draw == 2);
        var row = Summary.Of(cells).Single(r => r.Arm == ArmNames.Uniform);
        Assert.Equal((5, 4), (row.Accuracy.Count, row.Difference!.Estimate.Count));
    }

    [Fact]
    public void Several_tasks_are_the_sample_not_their_draws()
    {
        List<Cell> cells = [.. MadeUp.Cells(0, 0, 4, 4, 0, task: "a"), .. MadeUp.Cells(0, 0, 6, 6, 0, task: "b"), .. MadeUp.Cells(0, 0, 8, 8, 0, task: "c")];
        var difference = Summary.Of(cells).Single(r => r.Arm == ArmNames.Learned).Difference!.Estimate;
        Assert.Equal(3, difference.Count);
        Assert.Equal(0.06, difference.Mean, 1e-12);
        Assert.Equal(0.02, difference.Deviation, 1e-12);
    }

    [Fact]
    public void Summary_is_ordered_and_refuses_twins()
    {
        List<Cell> cells = [.. MadeUp.Arm("zebra", 1, shots: 5), .. MadeUp.Cells(0, 0, 0, 0, 0, shots: 5), .. MadeUp.Arm(ArmNames.PixelProbe, -10)];
        cells.AddRange(MadeUp.Cells(0, 0, 0, 0, 0));
        var rows = Summary.Of(cells);
        Assert.Equal([1, 1, 1, 1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 5], rows.Select(r => r.Shots));
        Assert.Equal([ArmNames.PixelProbe, .. MadeUp.Names], rows.Take(7).Select(r => r.Arm));
        Assert.Equal([.. MadeUp.Names, "zebra"], rows.Skip(7).Select(r => r.Arm));
        Assert.Null(rows.First(r => r.Arm == ArmNames.LinearProbe).Difference);
        cells.Add(cells[0]);
        Assert.Contains("zebra", Assert.Throws<ArgumentException>(() => Summary.Of(cells)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Trainings_are_averaged_within_a_draw()
    {
        List<Cell> cells = [.. MadeUp.Arm(ArmNames.LinearProbe, 0)];
        foreach (var cell in MadeUp.Arm(ArmNames.Uniform, 4))
        {
            cells.Add(cell with { Training = 0, Accuracy = cell.Accuracy - 0.01 });
            cells.Add(cell with { Training = 1, Accuracy = cell.Accuracy + 0.03 });
        }
        var row = Summary.Of(cells).Single(r => r.Arm == ArmNames.Uniform);
        Assert.Equal((5, 10), (row.Difference!.Estimate.Count, row.Runs));
        Assert.Equal(0.05, row.Difference.Estimate.Mean, 1e-12);
    }

    [Fact]
    public void Over_tasks_the_interval_is_the_bootstrap_of_tasks_then_draws()
    {
        // Tasks with 3, 2, … draws, so that a mean over draws is not the mean over tasks.
        var cells = new List<Cell>();
        var (layout, values) = (new List<int>(), new List<double>());
        for (var task = 0; task < 7; task++)
        {
            for (var draw = 0; draw < 2 + task % 2; draw++)
            {
                var difference = 0.01 * (task - 1) + 0.002 * draw;
                cells.Add(new Cell($"task {task}", ArmNames.LinearProbe, 1, draw, 0.3, 30, 100, 1, 1));
                cells.Add(new Cell($"task {task}", ArmNames.Learned, 1, draw, 0.3 + difference, 30, 100, 1, 1));
                values.Add(difference);
            }
            layout.Add(2 + task % 2);
        }
        var paired = Summary.Compare(cells, 1, ArmNames.Learned, ArmNames.LinearProbe)!;
        var expected = new Bootstrap(layout, seed: 1).Estimate([.. values]);
        Assert.Equal(expected.Mean, paired.Estimate.Mean, 1e-12);
        Assert.Equal(expected.Low, paired.Estimate.Low, 1e-12);
        Assert.Equal(expected.High, paired.Estimate.High, 1e-12);
        Assert.Equal((7, true), (paired.Estimate.Count, paired.ByTask));
        // Means of the tasks: -0.009 (both draws of -0.01 and -0.008), 0.002, …: one lost, six won; of the pairs, the first two and 0 of task 1 are not won.
        Assert.Equal((6, 1, 0), (paired.Sign.Wins, paired.Sign.Losses, paired.Sign.Ties));
        Assert.Equal((values.Count - 3, 2, 1), (paired.Pairs.Wins, paired.Pairs.Losses, paired.Pairs.Ties));
    }

    // n tasks with the same gain, the last `lost` of them lost by a little: the interval stays above 0.
    [Theory]
    [InlineData(5, 0, Verdict.Unmeasured)]
    [InlineData(6, 0, Verdict.Beats)]
    [InlineData(6, 1, Verdict.Unclear)]
    [InlineData(10, 1, Verdict.Beats)]
    [InlineData(10, 2, Verdict.Unclear)]
    public void Over_tasks_an_interval_and_a_sign_test_must_agree(int tasks, int lost, Verdict verdict)
    {
        var cells = new List<Cell>();
        for (var task = 0; task < tasks; task++) cells.AddRange(MadeUp.Cells(0, 0, 5, task < tasks - lost ? 5 : -0.5, 0, task: $"task {task}"));
        var paired = Summary.Compare(cells, 1, ArmNames.Learned, ArmNames.LinearProbe)!;
        Assert.True(paired.Estimate.Low > 0);
        Assert.Equal(verdict, paired.Verdict);
        Assert.Equal(verdict == Verdict.Beats ? Verdict.FallsBehind : verdict, Summary.Compare(cells, 1, ArmNames.LinearProbe, ArmNames.Learned)!.Verdict);
    }

    [Fact]
    public void All_training_images_come_last() =>
        Assert.Equal([1, 5, Cell.AllShots],
            Summary.ShotsIn([.. MadeUp.Arm("a", 0, shots: Cell.AllShots), .. MadeUp.Arm("a", 0, shots: 5), .. MadeUp.Arm("a", 0)]));
}
