using System.Text.RegularExpressions;
using System.Xml.Linq;
using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public class ReportTests
{
    [Fact]
    public void Report_shows_every_arm_and_every_run()
    {
        var study = MadeUp.Study();
        var html = Report.Html(study);
        foreach (var arm in MadeUp.Names) Assert.Contains(ArmNames.Label(arm), html, StringComparison.Ordinal);
        Assert.Contains(">1 shot per class<", html, StringComparison.Ordinal);
        Assert.Contains(">5 shots per class<", html, StringComparison.Ordinal);
        var runs = html[html.IndexOf("Every run", StringComparison.Ordinal)..];
        Assert.Equal(study.Cells.Count + 1, Regex.Count(runs, "<tr>"));
        Assert.Equal(5, Regex.Count(html, "<svg")); // accuracy, difference, legend, two heat maps
        Assert.Contains("1/N = .33", html, StringComparison.Ordinal);
        Assert.Contains(">.70</text>", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Report_encodes_what_comes_from_data()
    {
        const string Attack = "<script>alert('x')</script>&\"";
        string[] arms = [ArmNames.LinearProbe, ArmNames.Learned, "arm" + Attack];
        var study = MadeUp.Study([.. arms.SelectMany(arm => MadeUp.Arm(arm, 1, task: Attack))]);
        study = study with
        {
            Title = Attack,
            Model = Attack,
            Modules = [Attack, "b", "c"],
            Matrices = [Attack, "d"],
            Machine = [new Fact(Attack, Attack)],
            Settings = [new Fact(Attack, Attack)],
        };
        var html = Report.Html(study);
        Assert.DoesNotContain("<script", html, StringComparison.Ordinal);
        Assert.Contains("&lt;script&gt;", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Report_needs_nothing_from_elsewhere()
    {
        var html = Report.Html(MadeUp.Study());
        Assert.DoesNotMatch("https?:|//|url\\(|@import|<script|<link|<img|src=", html);
    }

    [Fact]
    public void Report_is_well_formed()
    {
        var html = Report.Html(MadeUp.Study([.. MadeUp.Cells(1, 2, 3, 4, 0, task: "a"), .. MadeUp.Cells(1, 2, 3, 4, 0, task: "b<c")]));
        var body = html[html.IndexOf("<body>", StringComparison.Ordinal)..(html.IndexOf("</body>", StringComparison.Ordinal) + 7)];
        var root = XDocument.Parse(body).Root!;
        Assert.Contains("Task by task", root.Value, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Report_and_table_bear_few_cells(int draws)
    {
        var study = MadeUp.Study(MadeUp.Cells(0, 0, 0, 0, 0, draws: draws));
        Assert.DoesNotContain("NaN", Report.Html(study) + Table.Of(study), StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_of_the_wrong_shape_are_refused_by_name()
    {
        var error = Assert.Throws<InvalidDataException>(() => Report.Html(MadeUp.Study() with { Modules = ["one"] }));
        Assert.Contains("'learned'", error.Message, StringComparison.Ordinal);
        Assert.Contains("[2][1]", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_pixel_probe_does_not_squeeze_the_differences()
    {
        var html = Report.Html(MadeUp.Study([.. MadeUp.Cells(0, 0, 5, 5, 0), .. MadeUp.Arm(ArmNames.PixelProbe, -13)]));
        var start = html.IndexOf("<h2>Difference", StringComparison.Ordinal);
        var figure = html[start..html.IndexOf("</figure>", start, StringComparison.Ordinal)];
        Assert.DoesNotContain(ArmNames.Label(ArmNames.PixelProbe), figure, StringComparison.Ordinal);
        Assert.Contains("left to the table above", figure, StringComparison.Ordinal);
        Assert.DoesNotContain("left to the table above", Report.Html(MadeUp.Study()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_module_outside_the_mix_has_no_column()
    {
        var study = MadeUp.Study();
        study = study with { Cells = [.. study.Cells.Select(c => c.Weights is null ? c : c with { Weights = [[0.6f, 0, 0.4f], [0.5f, 0, 0.5f]] })] };
        var html = Report.Html(study);
        Assert.Contains("1/N = .50", html, StringComparison.Ordinal);
        Assert.DoesNotContain(", Hebrew:", html, StringComparison.Ordinal);
        Assert.Contains(", Greek:", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Table_fits_the_console_and_says_what_is_clear()
    {
        var table = Table.Of(MadeUp.Study());
        var lines = table.Split('\n');
        Assert.All(lines, line => Assert.True(line.Length <= 100, line));
        Assert.Matches(@"learned composition +\d+\.\d ± \d+\.\d +\+5\.1 \[\+\d\.\d, \+\d\.\d\] +\* +2,522 +0\.25", table);
        Assert.Matches(@"random modules \(control\) +\d+\.\d ± \d+\.\d +0\.0 \[-\d\.\d, \+\d\.\d\] +2,522 +0\.25", table);
    }

    private static readonly Results Wide = MadeUpStudy.Of(draws: 6);

    [Fact]
    public void A_wide_study_fits_a_small_page_that_is_well_formed()
    {
        var html = Report.Html(Wide, "cells.csv");
        Assert.True(Wide.Cells.Count > 7000);
        Assert.InRange(html.Length, 100_000, 1_500_000);
        var body = html[html.IndexOf("<body>", StringComparison.Ordinal)..(html.IndexOf("</body>", StringComparison.Ordinal) + 7)];
        var text = XDocument.Parse(body).Root!.Value;
        string[] headings =
        [
            "In numbers", "Accuracy over shots", "Difference to the linear probe", "Difference to other arms", "Where the base helps at all", "Task by task",
            "What was learned", "similarity (CKA)", "Cost", "The arms", "Everything, by task",
        ];
        foreach (var heading in headings) Assert.Contains(heading, text, StringComparison.Ordinal);
        foreach (var (_, label, _, _) in MadeUpStudy.Arms) Assert.Contains(label, text, StringComparison.Ordinal);
        Assert.Contains("all training samples", text, StringComparison.Ordinal);
        Assert.DoesNotContain("unfinished", text, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", body, StringComparison.Ordinal);
        Assert.Contains("<a href=\"cells.csv\">", html, StringComparison.Ordinal);
        Assert.DoesNotMatch("https?:|//|url\\(|@import|<script|<link|<img|src=", html);
    }

    [Fact]
    public void Weights_that_follow_similarity_correlate_with_it()
    {
        // The made-up weights rise with similarity, so every task must show it, and the sentence must count them.
        var html = Report.Html(Wide);
        var correlations = Regex.Matches(html, "ρ (&#43;|\\+)(0\\.[6-9]\\d|1\\.00), p [^<]+");
        Assert.Equal(30, correlations.Count);                                                      // ten tasks at three numbers of shots
        Assert.Contains("ρ is above 0 in 10 of them (sign test, p 0.002)", html, StringComparison.Ordinal);
    }

    [Fact]
    public void A_study_with_gaps_says_what_is_missing()
    {
        var html = Report.Html(MadeUpStudy.Of(draws: 3, weights: false, keep: static c =>
            c.Task != "signs" && c.Arm != "learned-sparse" && (c.Arm, c.Draw, c.Shots) != (ArmNames.Lora, 2, 5)));
        Assert.Contains("unfinished study", html, StringComparison.Ordinal);
        Assert.Contains("<li>5 shots per class: LoRA from scratch 18 of 27</li>", html, StringComparison.Ordinal);
        Assert.Contains("<li>no run yet: learned, &lt;sparse&gt; &amp; few</li>", html, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", html, StringComparison.Ordinal);
        Assert.DoesNotContain("What was learned", html, StringComparison.Ordinal);
    }

    [Fact]
    public void A_study_of_very_few_runs_has_a_report()
    {
        for (var tasks = 1; tasks <= 3; tasks++)
        {
            for (var draws = 1; draws <= 2; draws++)
            {
                var study = MadeUpStudy.Of(tasks, draws, trainings: 1, keep: c => c.Shots != 5 || c.Arm == ArmNames.Learned);
                Assert.DoesNotContain("NaN", Report.Html(study) + Table.Of(study), StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void A_report_can_be_made_again_from_its_tables()
    {
        var (modules, matrices, weights) = ResultsCsv.ReadWeights(ResultsCsv.Weights(Wide));
        var (_, similarities) = ResultsCsv.ReadSimilarities(ResultsCsv.Similarities(Wide));
        var cells = ResultsCsv.ReadCells(Wide.ToCsv());
        var again = Wide with { Cells = cells, Modules = modules, Matrices = matrices, MeanWeights = weights, Similarities = similarities };
        Assert.Equal(Report.Html(Wide, "cells.csv"), Report.Html(again with { Conclusion = Conclusion.Of(again) }, "cells.csv"));
    }

    [Fact]
    public void Means_of_the_weights_are_all_a_report_needs()
    {
        var study = MadeUp.Study();
        var small = study.WithMeanWeights();
        Assert.All(small.Cells, c => Assert.Null(c.Weights));
        Assert.Equal(Report.Html(study), Report.Html(small));
        Assert.Equal(Report.Html(study), Report.Html(Results.FromJson(small.ToJson())));
    }
}
