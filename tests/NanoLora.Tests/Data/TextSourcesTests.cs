using System.Text;
using NanoLora.Data;

namespace NanoLora.Tests.Data;

public sealed class TextSourcesTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    private void Write(string path, string text) => _files.Write(path, Encoding.UTF8.GetBytes(text));

    private LabelledTextTask Read(string name) => new TextSources(_files.Folder).Read(name);

    private string Message(string name) => Assert.Throws<InvalidDataException>(() => Read(name)).Message;

    [Fact]
    public void Only_what_is_there_has_names()
    {
        Assert.Empty(new TextSources(_files.Folder).Names);
        Write("text-sms-spam/sms.tsv", "");
        Assert.Equal(["sms-spam"], new TextSources(_files.Folder).Names);
        Assert.Contains("\"news\" is not a task of", Assert.Throws<ArgumentException>(() => Read("news")).Message);
        Assert.Contains("is not a folder", Assert.Throws<ArgumentException>(() => new TextSources(Path.Combine(_files.Folder, "nowhere"))).Message);
    }

    [Fact]
    public void A_text_and_its_category_stand_in_a_row()
    {
        Write("text-banking77/train.csv", "text,category\n\"Where is it, please?\",card\nI lost it,lost\n");
        Write("text-banking77/test.csv", "text,category\nIs it lost?,lost\nI LOST it!,lost\n");
        var task = Read("banking77");
        Assert.Equal(["card", "lost"], task.Classes);
        Assert.Equal(["Where is it, please?", "I lost it"], task.Train.Texts);
        Assert.Equal(["Is it lost?"], task.Test.Texts);                                       // the other has the words of a training text
        Assert.Equal("CC BY 4.0", task.Licence);
        Write("text-banking77/test.csv", "text,category\nalone\n");
        Assert.Contains("test.csv: line 2: 1 fields", Message("banking77"));
    }

    [Fact]
    public void What_is_not_divided_is_divided_the_same_way_each_time()
    {
        Write("text-sms-spam/sms.tsv", string.Concat(Enumerable.Range(0, 24).Select(i => $"{(i % 2 == 0 ? "ham" : "spam")}\tmessage number {i}\r\n")));
        var task = Read("sms-spam");
        Assert.Equal([10, 10], task.Train.ClassCounts());
        Assert.Equal([2, 2], task.Test.ClassCounts());
        Assert.Equal(task.Test.Texts, Read("sms-spam").Test.Texts);
        Assert.DoesNotContain(task.Train.Texts, static t => t.EndsWith('\r'));
        Write("text-sms-spam/sms.tsv", "ham\tone\neggs\ttwo\n");
        Assert.Contains("sms.tsv: line 2: ham or spam", Message("sms-spam"));
    }

    [Fact]
    public void Tweets_and_their_numbers_lie_in_two_files()
    {
        Write("text-tweeteval/stance/mapping.txt", "0\tnone\n1\tagainst\n2\tfavor");
        Write("text-tweeteval/stance/climate/train_text.txt", "@user first\nsecond\n");
        Write("text-tweeteval/stance/climate/train_labels.txt", "2\n0\n");
        Write("text-tweeteval/stance/climate/test_text.txt", "third\n");
        Write("text-tweeteval/stance/climate/test_labels.txt", "1\n");
        var task = Read("tweeteval/stance-climate");
        Assert.Equal(["none", "against", "favor"], task.Classes);
        Assert.Equal([2, 0], task.Train.Labels);
        Write("text-tweeteval/stance/climate/test_labels.txt", "3\n");
        Assert.Contains("test_labels.txt: line 1: \"3\" is no class; 0 to 2 are possible", Message("tweeteval/stance-climate"));
        Write("text-tweeteval/stance/climate/test_labels.txt", "1\n1\n");
        Assert.Contains("2 labels for the 1 texts", Message("tweeteval/stance-climate"));
    }

    [Fact]
    public void A_file_that_is_not_utf8_is_latin1()
    {
        _files.Write("text-sentence-classification/TREC.train.all", Encoding.Latin1.GetBytes("0 What is a café ?\n4 Where is it ?\n"));
        Write("text-sentence-classification/TREC.test.all", "5 How many ?\n");
        var task = Read("sentences/questions");
        Assert.Equal(["What is a café ?", "Where is it ?"], task.Train.Texts);
        Assert.Equal(["description", "place", "number"], task.Train.Labels.Concat(task.Test.Labels).Select(l => task.Classes[l]));
        Write("text-sentence-classification/TREC.test.all", "12345\n");
        Assert.Contains("TREC.test.all: line 1: a number, a space and a text", Message("sentences/questions"));
        Assert.Contains("rt-polarity.all: there is no such file", Message("sentences/movie-reviews"));
    }
}
