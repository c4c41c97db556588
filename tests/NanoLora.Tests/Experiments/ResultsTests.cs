using System.Globalization;
using NanoLora.Experiments;
using NanoLora.Nn;

namespace NanoLora.Tests.Experiments;

public class ResultsTests
{
    [Fact]
    public void Json_comes_back_as_it_went()
    {
        var study = MadeUp.Study();
        var json = study.ToJson();
        var back = Results.FromJson(json);
        Assert.Equal(json, back.ToJson());
        Assert.Equal(study.Cells.Select(c => c with { Weights = null }), back.Cells.Select(c => c with { Weights = null }));
        Assert.Equal(study.Modules, back.Modules);
        Assert.Equal(study.Machine, back.Machine);
        Assert.Equal((study.Seed, study.CreatedAt, study.Conclusion), (back.Seed, back.CreatedAt, back.Conclusion));
        var learned = back.Cells.First(c => c.Arm == ArmNames.Learned);
        Assert.Equal([0.25f, 0.7f, 0.05f], learned.Weights![1]);
        Assert.Null(back.Cells.First(c => c.Arm == ArmNames.Uniform).Weights);
        Assert.Contains("[0.25, 0.7, 0.05]", json, StringComparison.Ordinal); // a row of weights on one line
        Assert.Contains("Ελληνικά", (study with { Title = "Ελληνικά" }).ToJson(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{", "study.json")]
    [InlineData("{}", "study.json")]
    [InlineData("null", "study.json")]
    [InlineData("{\"title\": null}", "study.json")]
    public void Broken_json_is_refused_with_the_name_of_the_file(string json, string name) =>
        Assert.Contains(name, Assert.Throws<InvalidDataException>(() => Results.FromJson(json, name)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("[0.5")]
    [InlineData("7")]
    [InlineData("[\"a\"]")]
    [InlineData("[[null]]")]
    public void Broken_weights_are_refused(string weights)
    {
        var json = MadeUp.Study(MadeUp.Arm(ArmNames.Learned, 1).Take(1).ToList()).ToJson();
        var start = json.IndexOf("\"weights\": ", StringComparison.Ordinal) + 11;
        var end = json.IndexOf('}', start);
        Assert.Throws<InvalidDataException>(() => Results.FromJson(json[..start] + weights + json[end..]));
    }

    [Fact]
    public void Weights_that_are_not_numbers_are_refused()
    {
        var study = MadeUp.Study();
        study.Cells.First(c => c.Weights is not null).Weights![0][1] = float.NaN;
        Assert.Throws<InvalidDataException>(study.ToJson);
    }

    [Fact]
    public void Csv_has_a_line_per_cell_and_no_culture()
    {
        var before = CultureInfo.CurrentCulture;
        var comma = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        comma.NumberFormat.NumberDecimalSeparator = ",";
        comma.NumberFormat.NegativeSign = "~";
        try
        {
            CultureInfo.CurrentCulture = comma;
            var csv = MadeUp.Study([new Cell("a, \"b\"", "lora", 5, 3, 0.125, 25, 200, 12345, 1.5),
                new Cell("c", "lora", Cell.AllShots, -1, 1e-7, 0, 9, 1, 2, Training: 2)]).ToCsv();
            Assert.Equal(
                "task,arm,shots,draw,training,accuracy,correct,tested,trained_parameters,seconds\n"
                + "\"a, \"\"b\"\"\",lora,5,3,,0.125,25,200,12345,1.5\nc,lora,all,-1,2,1E-07,0,9,1,2\n", csv);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Files_are_replaced_whole_or_not_at_all()
    {
        var folder = Directory.CreateTempSubdirectory("nanolora-results-").FullName;
        try
        {
            var path = Path.Combine(folder, "results.json");
            var study = MadeUp.Study();
            study.SaveJson(path);
            Assert.Equal(study.ToJson(), Results.LoadJson(path).ToJson());
            Assert.Throws<TimeZoneNotFoundException>(() => AtomicFile.Write(path, stream =>
            {
                stream.WriteByte(1);
                throw new TimeZoneNotFoundException();
            }));
            Assert.Equal(study.ToJson(), Results.LoadJson(path).ToJson());
            (study with { Title = "second" }).SaveJson(path);
            Assert.Equal("second", Results.LoadJson(path).Title);
            Assert.Equal([path], Directory.GetFiles(Path.GetDirectoryName(path)!));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
