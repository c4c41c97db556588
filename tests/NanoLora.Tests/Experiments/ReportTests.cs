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
}
