using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public class ResultsCsvTests
{
    private const string Header = "task,arm,shots,draw,training,accuracy,correct,tested,trained_parameters,seconds\n";

    [Fact]
    public void Cells_come_back_as_they_went()
    {
        List<Cell> cells = [.. MadeUpStudy.Of(tasks: 2, draws: 2).Cells, new Cell("a, \"b\"\nc", "d", Cell.AllShots, 0, 1.0 / 3, 1, 3, long.MaxValue, 1e-9)];
        Assert.Equal(cells, ResultsCsv.ReadCells(ResultsCsv.Cells(cells)));
        var windows = "\uFEFF" + ResultsCsv.Cells(cells[..^1]).Replace("\n", "\r\n", StringComparison.Ordinal);
        Assert.Equal(cells, ResultsCsv.ReadCells(windows + ResultsCsv.Cells(cells[^1..])[Header.Length..]));
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("task,arm,draw\n", "line 1: shots: column 3 is \"draw\"")]
    [InlineData("task,arm,shots,draw,training,accuracy,correct,tested,trained_parameters,seconds,more\n", "line 1: more: is no column")]
    [InlineData(Header + "a,lora,1,0,,0.5,1,2,3\n", "line 2: seconds: 9 fields where the header has 10")]
    [InlineData(Header + "\na,lora,one,0,,0.5,1,2,3,1\n", "line 3: shots: \"one\"")]
    [InlineData(Header + "a,lora,0,0,,0.5,1,2,3,1\n", "line 2: shots: \"0\"")]
    [InlineData(Header + "a,lora,1,-1,,0.5,1,2,3,1\n", "line 2: draw: \"-1\"")]
    [InlineData(Header + "a,lora,1,0,x,0.5,1,2,3,1\n", "line 2: training: \"x\"")]
    [InlineData(Header + "a,lora,1,0,,NaN,1,2,3,1\n", "line 2: accuracy: \"NaN\"")]
    [InlineData(Header + "a,lora,1,0,,1.5,1,2,3,1\n", "line 2: accuracy: 1.5 is not a share")]
    [InlineData(Header + "a,lora,1,0,,0.9,10,20,3,1\n", "line 2: accuracy: 0.9 is not 10 of 20")]
    [InlineData(Header + "a,lora,1,0,,1,3,2,3,1\n", "line 2: correct: 3 of 2")]
    [InlineData(Header + "a,lora,1,0,,0,0,0,3,1\n", "line 2: tested: \"0\"")]
    [InlineData(Header + "a,lora,1,0,,0.5,1,2,3,-1\n", "line 2: seconds: -1 is below 0")]
    [InlineData(Header + ",lora,1,0,,0.5,1,2,3,1\n", "line 2: task: is empty")]
    [InlineData(Header + "a,lora,1,0,,0.5,1,2,3,1\nb,lora,1,0,,0.5,1,2,3,1\na,lora,1,0,,0,0,2,3,1\n",
        "line 4: task: the same run (task, arm, shots, draw, training) as in line 2")]
    [InlineData(Header + "\"a,lora,1,0,,0.5,1,2,3,1\n", "line 2: a quoted field does not end")]
    [InlineData(Header + "a\"b,lora,1,0,,0.5,1,2,3,1\n", "line 2: a quote in the middle")]
    public void Broken_cells_are_refused_by_file_line_and_field(string csv, string says)
    {
        var message = Assert.Throws<InvalidDataException>(() => ResultsCsv.ReadCells(csv, "cells.csv")).Message;
        Assert.StartsWith("cells.csv: ", message, StringComparison.Ordinal);
        Assert.Contains(says, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_of_cells_become_means_and_come_back()
    {
        var study = MadeUp.Study();
        study = study with
        {
            Cells = [.. study.Cells.Select(c => c.Weights is null ? c : c with { Weights = [[0.5f + 0.1f * c.Draw, 0.3f, 0.2f], [0.25f, 0.7f, 0.05f]] })],
        };
        var (modules, matrices, weights) = ResultsCsv.ReadWeights(ResultsCsv.Weights(study));
        Assert.Equal(study.Modules, modules);
        Assert.Equal(study.Matrices, matrices);
        Assert.Equal([(1, 5), (5, 5)], weights.Select(w => (w.Shots, w.Runs)));
        Assert.Equal(0.7f, weights[0].Weights[0][0], 1e-6f);                                       // 0.5 + 0.1 (0 + 1 + 2 + 3 + 4) / 5
        Assert.Equal([0.25f, 0.7f, 0.05f], weights[1].Weights[1]);
    }

    [Theory]
    [InlineData("task,arm,shots,runs,matrix,a,a\n", "line 1: a: is the name of two columns")]
    [InlineData("task,arm,shots,runs,matrix,a\nt,learned,1,3,q,x\n", "line 2: a: \"x\"")]
    [InlineData("task,arm,shots,runs,matrix,a\nt,learned,1,3,q,1\nt,learned,1,3,q,1\n", "line 3: matrix: q is there twice")]
    [InlineData("task,arm,shots,runs,matrix,a\nt,learned,1,3,q,1\nt,learned,1,4,k,1\n", "line 3: runs: 4, but 3 in line 2")]
    [InlineData("task,arm,shots,runs,matrix,a\nt,learned,1,3,q,1\nu,learned,1,3,k,1\n", "line 3: matrix: the matrices of this task")]
    public void Broken_weights_are_refused(string csv, string says) =>
        Assert.Contains(says, Assert.Throws<InvalidDataException>(() => ResultsCsv.ReadWeights(csv, "weights.csv")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("task,training,a\nt,0,0.5\nt,0,0.5\n", "line 3: task: training 0 of t is there twice")]
    [InlineData("task,training,a\nt,,0.5\n", "line 2: training: \"\"")]
    public void Broken_similarities_are_refused(string csv, string says) =>
        Assert.Contains(says, Assert.Throws<InvalidDataException>(() => ResultsCsv.ReadSimilarities(csv, "similarities.csv")).Message,
            StringComparison.Ordinal);
}
