using System.Text;

namespace NanoLora.Experiments;

/// <summary>The results as a table for the console, at most 100 columns wide.</summary>
public static class Table
{
    private const int Width = 100;

    /// <summary>A block per number of shots, a line per arm: accuracy, difference to the reference, trained parameters, seconds of a run.</summary>
    public static string Of(Results results)
    {
        ArgumentNullException.ThrowIfNull(results);
        var index = new CellIndex(results);
        var table = new StringBuilder();
        int? shots = null;
        foreach (var row in Summary.Of(index))
        {
            if (row.Shots != shots)
            {
                if (shots is not null) table.Append('\n');
                shots = row.Shots;
                Line(table, Text.Shots(row.Shots), "accuracy, %", $"to {index.ReferenceName}, points", "", "trained", "seconds");
                table.Append('─', Width).Append('\n');
            }
            var difference = row.Difference is { } d ? $"{Text.Points(d.Estimate.Mean),6} {Text.Ends(d.Estimate),-16}" : "";
            var mark = row.Difference is { IsClear: true } ? "*" : "";
            Line(table, index.Label(row.Arm), Text.PlusMinus(row.Accuracy), difference, mark, Text.Count(row.TrainedParameters), Text.Seconds(row.Seconds));
        }
        table.Append('\n').Append(Note(index)).Append('\n');
        return table.ToString();
    }

    /// <summary>What the intervals are over, and what the mark means.</summary>
    private static string Note(CellIndex index) => index.ByTask
        ? $"± (half a width) and [ ]: 95 % bootstrap intervals over {index.Sample}, then draws; * excludes 0, sign test p < 0.05"
        : $"± and [ ]: 95 % intervals over {index.Sample} (Student's t); differences paired by draw; * excludes 0";

    private static void Line(StringBuilder table, string arm, string accuracy, string difference, string mark, string trained, string seconds)
    {
        if (arm.Length > 26) arm = arm[..25] + "…";
        var line = $"{arm,-26}{accuracy,14}   {difference,-27}{mark,-3}{trained,15}{seconds,12}";
        table.Append(line.TrimEnd()).Append('\n');
    }
}
