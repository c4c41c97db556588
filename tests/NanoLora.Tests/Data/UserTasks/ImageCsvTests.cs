using NanoLora.Data;
using static NanoLora.Tests.Data.UserTasks.PictureTree;

namespace NanoLora.Tests.Data.UserTasks;

public sealed class ImageCsvTests : IDisposable
{
    private readonly PictureTree _tree = new PictureTree().AddClass("p", 30, 0);

    public void Dispose() => _tree.Dispose();

    private ImageTask Read(string text, UserTaskOptions? options = null) =>
        ImageCsv.Read(_tree.AddText("index.csv", text).At("index.csv"), null, _tree.Processor(), options ?? _tree.Options);

    private string Refused(string text)
    {
        var message = Assert.Throws<InvalidDataException>(() => Read(text)).Message;
        Assert.StartsWith(_tree.At("index.csv") + ": ", message);
        return message[(_tree.At("index.csv").Length + 2)..];
    }

    [Fact]
    public void Paths_are_relative_to_the_index_and_classes_in_ordinal_order()
    {
        var task = Read($"path,label\np/03.png,bee\n{_tree.At("p/01.png")},Ant\np/02.png,bee\n", _tree.Options with { TestShare = 0 });
        Assert.Equal("index", task.Name);
        Assert.Equal(["Ant", "bee"], task.Classes);
        Assert.Equal([3, 1, 2], Contents(task.Train));
        Assert.Equal([1, 0, 1], task.Train.Labels);
        Assert.Null(task.Train.Groups);
    }

    [Fact]
    public void Quotes_line_ends_and_a_byte_order_mark_are_read_as_the_format_has_them()
    {
        _tree.Add("p/a, \"b\".png", 40).Add("p/two\nlines.png", 41);
        var text = "\uFEFF\"label\",path\r\n\"x, y\",\"p/a, \"\"b\"\".png\"\r\n\r\nz,\"p/two\nlines.png\"\r\n\"say \"\"hi\"\"\",p/00.png";
        var task = Read(text, _tree.Options with { TestShare = 0 });
        Assert.Equal(["say \"hi\"", "x, y", "z"], task.Classes);
        Assert.Equal([40, 41, 0], Contents(task.Train));
    }

    [Fact]
    public void Split_and_group_columns_are_kept()
    {
        var task = Read("path,label,split,group\np/00.png,a,train,Zoe\np/01.png,a,test,Ann\np/02.png,b,Training,Ann\np/03.png,b,val,Bob\n");
        Assert.Equal([0, 2], Contents(task.Train));
        Assert.Equal([1], Contents(task.Test));
        Assert.Equal([2, 0], task.Train.Groups!);
        Assert.Equal([0], task.Test.Groups!);
        Assert.Contains(_tree.Notes, n => n.Contains("1 images of the validation part are left out", StringComparison.Ordinal));
    }

    [Fact]
    public void Without_a_split_people_are_held_out_whole()
    {
        var rows = Enumerable.Range(0, 24).Select(i => $"p/{i:00}.png,{"ab"[i % 2]},person {i / 2}");
        var task = Read($"path,label,group\n{string.Join('\n', rows)}\n");
        Assert.Equal(4, task.Test.Count);                                                     // 2 of 12 people, 2 images each
        Assert.Empty(task.Train.Groups!.Intersect(task.Test.Groups!));
        var draw = FewShot.Draw(task, shots: 1, seed: 1, draw: 0);                            // 10 people for the test set
        Assert.Equal(20, draw.Test.Count);
    }

    [Theory]
    [InlineData("", "the file is empty; its first line is path,label")]
    [InlineData("path,label\n", "there is no picture in it, only the header")]
    [InlineData("path;label\np/00.png;a\n", "line 1: column 1 is \"path;label\"; known are path, label, split, group, with commas between")]
    [InlineData("path,label,spilt\np/00.png,a,train\n", "line 1: column 3 is \"spilt\"")]
    [InlineData("path,split\np/00.png,train\n", "line 1: there is no column label")]
    [InlineData("label,split\na,train\n", "line 1: there is no column path")]
    [InlineData("path,label,path\np/00.png,a,b\n", "line 1: there are two columns path")]
    [InlineData("path,label\np/00.png,a\np/01.png\n", "line 3: 1 fields, but the header has 2")]
    [InlineData("path,label\np/00.png,a,train\n", "line 2: 3 fields, but the header has 2")]
    [InlineData("path,label\np/00.png,a\np/none.png,a\n", "line 3: path: there is no file ")]
    [InlineData("path,label\np,a\n", "line 2: path: there is no file ")]
    [InlineData("path,label\n,a\n", "line 2: path: it is empty")]
    [InlineData("path,label\np/00.png, \n", "line 2: label: it is empty")]
    [InlineData("path,label,split\np/00.png,a,dev\n", "line 2: split: \"dev\" is none of train, val, test")]
    [InlineData("path,label,group\np/00.png,a,\n", "line 2: group: it is empty")]
    [InlineData("path,label\n\n\"p/00.png\",a\np/00.png,b\n", "line 4: path: ")]                 // the same picture twice
    [InlineData("path,label,split\np/00.png,a,train\np/01.png,b,test\n", "the class b has no training images, only 1 to test")]
    [InlineData("path,label\n\"p/00.png,a\np/01.png,b\n", "line 2: a quote opens a field and none closes it")]
    [InlineData("path,label\np/00.png,the \"a\"\n", "line 2: a quote does not belong around a part of a field")]
    [InlineData("path,label\n\"p/00.png\" ,a\n", "line 2: a quote does not belong around a part of a field")]
    public void What_is_wrong_is_refused_with_line_and_column(string text, string expected) => Assert.StartsWith(expected, Refused(text));

    [Fact]
    public void A_picture_that_is_none_is_refused_with_its_line()
    {
        _tree.AddText("p/bad.png", "no picture").AddText("p/zero.jpg", "");
        Assert.Matches(@"^line 4: path: .*bad\.png", Refused("path,label\n\"p/00.png\",\"a\nb\"\np/bad.png,a\np/zero.jpg,a\n"));
        Assert.Matches(@"^line 2: path: .*zero\.jpg", Refused("path,label\np/zero.jpg,a\n"));
    }

    [Fact]
    public void A_text_that_is_not_utf8_is_refused_with_its_line()
    {
        _tree.AddBytes("index.csv", [.. "path,label\np/00.png,a\np/01.png,"u8, 0xE4, .. "\n"u8]);
        var error = Assert.Throws<InvalidDataException>(() => ImageCsv.Read(_tree.At("index.csv"), null, _tree.Processor()));
        Assert.Contains("is not UTF-8; save the file as UTF-8", error.Message);
    }
}
