using System.Text;
using NanoLora.Data;

namespace NanoLora.Tests.Data.Texts;

/// <summary>Files of texts become tasks, and what is wrong in one is refused with its line.</summary>
public sealed class TextTaskTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-texts-").FullName;
    private readonly List<string> _notes = [];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(string name) => Path.Combine(_folder, name);

    private string File(string name, string text)
    {
        System.IO.File.WriteAllText(At(name), text);
        return At(name);
    }

    private TextTask Read(string name, string text, TextTaskOptions? options = null) =>
        TextTask.Read(File(name, text), (options ?? new TextTaskOptions { TestShare = 0 }) with { Note = _notes.Add });

    private string Refused(string name, string text, TextTaskOptions? options = null)
    {
        var message = Assert.Throws<InvalidDataException>(() => Read(name, text, options)).Message;
        Assert.StartsWith(At(name) + ": ", message);
        return message[(At(name).Length + 2)..];
    }

    [Fact]
    public void Each_kind_of_line_is_known_by_its_fields()
    {
        var texts = Read("a.jsonl", "\uFEFF{\"text\": \"one\"}\r\n\n  \t\n{\"text\": \"two \\ud83d\\ude00\"}");
        Assert.Equal(("a", TextKind.Text), (texts.Name, texts.Kind));
        Assert.Equal(["one", "two 😀"], texts.Train.Select(s => s.Text));
        Assert.Equal([1, 4], texts.Train.Select(s => s.Line));

        var asked = Read("b.jsonl", "{\"prompt\": \"\", \"completion\": \"x\"}\n{\"completion\": \"y\", \"prompt\": \"p\", \"id\": 3}\n");
        Assert.Equal(TextKind.Completion, asked.Kind);
        Assert.Equal([("", "x"), ("p", "y")], asked.Train.Select(s => (s.Text, s.Answer)));

        var chat = Read("c.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Yo\"}]}\n");
        Assert.Equal(TextKind.Chat, chat.Kind);
        Assert.Equal(2, Assert.Single(chat.Train).Messages.Count);
    }

    [Fact]
    public void Classes_are_sorted_and_numbers_by_their_size()
    {
        var task = Read("a.csv", "label,text\nb,one\n\"A, a\",\"two\nlines\"\nb,three\n");
        Assert.Equal(["A, a", "b"], task.Classes);
        Assert.Equal([1, 0, 1], task.Train.Select(s => s.Label));
        Assert.Equal(["one", "two\nlines", "three"], task.Train.Select(s => s.Text));
        Assert.Equal([2, 3, 5], task.Train.Select(s => s.Line));
        Assert.Equal(["2", "10"], Read("b.jsonl", "{\"text\": \"a\", \"label\": 10}\n{\"text\": \"b\", \"label\": 2}\n").Classes);
        Assert.Equal(["10", "2", "x"], Read("c.csv", "text,label\na,10\nb,2\nc,x\n").Classes);
    }

    [Fact]
    public void Fields_may_have_other_names()
    {
        var fields = new Dictionary<string, string> { ["prompt"] = "question", ["completion"] = "answer" };
        var task = Read("a.jsonl", "{\"question\": \"q\", \"answer\": \"a\", \"prompt\": \"no\"}", new() { Fields = fields, TestShare = 0 });
        Assert.Equal(("q", "a"), (task.Train[0].Text, task.Train[0].Answer));
        Assert.Contains("these fields are not looked at: prompt", Assert.Single(_notes));
        var unknown = new Dictionary<string, string> { ["promt"] = "question" };
        Assert.Contains("\"promt\" is no field", Assert.Throws<ArgumentException>(() => Read("a.jsonl", "{}", new() { Fields = unknown })).Message);
        Assert.Equal("line 1: there is none of text, text with label, prompt with completion, messages, but question, answer; say which field is meant, "
            + "as in prompt=question,completion=answer.", Refused("b.jsonl", "{\"question\": \"q\", \"answer\": \"a\"}"));
    }

    [Theory]
    [InlineData("a.jsonl", "{\"text\": \"a\"}\nno json\n", "line 2: it is no JSON; each line is an object such as")]
    [InlineData("a.jsonl", "{\"text\": \"a\"}\n[\"text\"]\n", "line 2: it is [\"text\"]; an object such as {\"text\": \"…\"} is expected.")]
    [InlineData("a.jsonl", "{\"text\": \"a\"}\n\n{\"texts\": \"a\"}\n",
        "line 3: text is missing; the fields are texts. All lines of a file have the same fields.")]
    [InlineData("a.jsonl", "{\"text\": \"a\"}\n{\"text\": 3}\n", "line 2: text: it is 3; a text is expected.")]
    [InlineData("a.jsonl", "{\"text\": \" \"}", "line 1: text: it is empty.")]
    [InlineData("a.jsonl", "{\"text\": \"\\ud800\"}", "line 1: text: it has half a surrogate pair; copy the file again.")]
    [InlineData("a.jsonl", "{\"text\": \"a\", \"label\": null, \"x\": 1}\n{\"text\": \"a\", \"label\": []}\n{\"text\": 1}", "line 3: text: it is 1")]
    [InlineData("a.jsonl", "{\"text\": \"a\", \"label\": 1.5}", "line 1: label: it is 1.5; a text is expected.")]
    [InlineData("a.jsonl", "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\"}", "line 2: label is missing")]
    [InlineData("a.jsonl", "{\"prompt\": \"a\", \"completion\": \"\"}", "line 1: completion: it is empty.")]
    [InlineData("a.jsonl", "{\"messages\": {}}", "line 1: messages: it is {}; a list is expected.")]
    [InlineData("a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}", "line 1: messages: no message has the role \"assistant\"")]
    [InlineData("a.jsonl", "{\"messages\": [{\"content\": \"x\"}]}", "line 1: messages[0]: a message has a text \"role\"")]
    [InlineData("a.jsonl", "{\"messages\": [{\"role\": \"assistant\"}]}", "line 1: messages[0]: it is {\"role\": \"assistant\"}; a message has")]
    [InlineData("a.jsonl", "{\"text\": \"a\", \"split\": \"dev\"}", "line 1: split: \"dev\" is none of train, val, test.")]
    [InlineData("a.jsonl", "{\"text\": \"a\", \"split\": \"train\"}\n{\"text\": \"b\"}", "line 2: split is missing, and other lines have it")]
    [InlineData("a.jsonl", "{\"text\": \"a\", \"split\": \"test\"}", "all its samples are for tests; there is nothing to learn from.")]
    [InlineData("a.jsonl", "\n \n", "there is no sample in it")]
    [InlineData("a.csv", "", "there is no sample in it")]
    [InlineData("a.csv", "text,label\n", "there is no sample in it")]
    [InlineData("a.csv", "text,text\na,b\n", "line 1: there are two columns text.")]
    [InlineData("a.csv", "text,label\na,b,c\n", "line 2: 3 fields, but the header has 2.")]
    [InlineData("a.csv", "text,label\na, \n", "line 2: label: it is empty.")]
    [InlineData("a.csv", "question,label\na,b\n", "line 2: there is none of text, text with label")]
    [InlineData("a.csv", "messages\na\n", "line 2: messages: conversations are read from .jsonl files")]
    [InlineData("a.csv", "text,label\n\"a,b\n", "line 2: a quote opens a field and none closes it.")]
    public void What_is_wrong_is_refused_with_its_line(string name, string text, string message) => Assert.StartsWith(message, Refused(name, text));

    [Fact]
    public void Bytes_that_are_no_text_and_lines_without_end_are_refused()
    {
        System.IO.File.WriteAllBytes(At("a.csv"), [.. "text\na"u8, 0xFF, .. "\n"u8]);
        Assert.Contains("not UTF-8", Assert.Throws<InvalidDataException>(() => TextTask.Read(At("a.csv"))).Message);
        System.IO.File.WriteAllBytes(At("a.jsonl"), [.. "{\"text\": \"a\"}\n{\"text\": \""u8, 0xFF, .. "\"}\n"u8]);
        Assert.Contains("line 2: it is not UTF-8", Assert.Throws<InvalidDataException>(() => TextTask.Read(At("a.jsonl"))).Message);
        var long_ = new byte[TextLines.MaxBytes + 10];
        long_.AsSpan().Fill((byte)' ');
        "{\"text\": \"a\"}\n"u8.CopyTo(long_);
        System.IO.File.WriteAllBytes(At("a.jsonl"), [.. long_, .. long_]);
        Assert.Contains("line 2: it has more than 16777216 bytes", Assert.Throws<InvalidDataException>(() => TextTask.Read(At("a.jsonl"))).Message);
        Assert.Contains("there is no such file", Assert.Throws<InvalidDataException>(() => TextTask.Read(At("none.jsonl"))).Message);
        Assert.Contains("there is no such file", Assert.Throws<InvalidDataException>(() => TextTask.Read(At("none.csv"))).Message);
    }

    [Fact]
    public void Lines_that_lie_across_the_buffer_are_whole()
    {
        var words = Enumerable.Range(0, 3000).Select(i => new string((char)('a' + i % 26), i * 7 % 200)).Append(new string('x', 200_000)).ToArray();
        System.IO.File.WriteAllText(At("a.txt"), string.Join('\n', words), new UTF8Encoding(false));
        using var lines = new TextLines(At("a.txt"));
        var read = new List<string>();
        while (lines.TryRead(out var line)) read.Add(Encoding.UTF8.GetString(line.Span));
        Assert.Equal(words, read);
        Assert.Equal(words.Length, lines.Line);
    }

    [Fact]
    public void A_share_of_each_class_is_for_tests_the_same_each_time()
    {
        var text = string.Join('\n', Enumerable.Range(0, 60).Select(i => $"{{\"text\": \"text {i}\", \"label\": \"{"ab"[i % 3 == 0 ? 1 : 0]}\"}}"));
        var task = Read("a.jsonl", text, new());
        Assert.Equal((51, 9), (task.Train.Count, task.Test.Count));                 // 6 of 40, 3 of 20, rounded down
        task = Read("a.jsonl", text, new() { TestShare = 0.5 });
        Assert.Equal((20, 10), (task.Test.Count(s => s.Label == 0), task.Test.Count(s => s.Label == 1)));
        Assert.Equal(task.Test.Select(s => s.Text), Read("a.jsonl", text, new() { TestShare = 0.5 }).Test.Select(s => s.Text));
        Assert.NotEqual(task.Test.Select(s => s.Text), Read("a.jsonl", text, new() { TestShare = 0.5, SplitSeed = 2 }).Test.Select(s => s.Text));
        Assert.Empty(task.Train.Select(s => s.Text).Intersect(task.Test.Select(s => s.Text)));
    }

    [Fact]
    public void Parts_that_the_file_names_are_kept()
    {
        const string rows = "a,train\nb,test\nc,train\nd,val\n";
        var task = Read("a.csv", "text,split\n" + rows, new());
        Assert.Equal(["a", "c"], task.Train.Select(s => s.Text));
        Assert.Equal(["b"], task.Test.Select(s => s.Text));
        Assert.Contains("1 samples of the validation part are left out", Assert.Single(_notes));
        Assert.Equal(["d"], Read("b.csv", "text,split\na,train\nd,val\n", new()).Test.Select(s => s.Text));
    }

    [Fact]
    public void Tests_come_from_a_file_of_their_own_without_copies_and_without_unknown_classes()
    {
        var test = File("test.jsonl", "{\"text\": \"x\", \"label\": \"b\"}\n{\"text\": \"one\", \"label\": \"b\"}\n");
        const string train = "{\"text\": \"one\", \"label\": \"a\"}\n{\"text\": \"two\", \"label\": \"b\"}\n";
        var task = Read("a.jsonl", train, new() { TestFile = test });
        Assert.Equal((2, 1), (task.Train.Count, Assert.Single(task.Test).Label));
        Assert.EndsWith("1 test samples are left out as copies of training samples; the first: line 2 of test.jsonl is the same as line 1 of a.jsonl",
            Assert.Single(_notes));
        File("test.jsonl", "{\"text\": \"x\", \"label\": \"b\"}\n{\"text\": \"y\", \"label\": \"c\"}\n");
        Assert.Equal($"{test}: line 2: label: \"c\" is no class of the training part; known are a, b.",
            Assert.Throws<InvalidDataException>(() => Read("a.jsonl", train, new() { TestFile = test })).Message);
        Assert.Contains("\"a\" is no class of the model's head; known are b, z.", Refused("a.jsonl", train, new() { Classes = ["b", "z"], TestShare = 0 }));
        File("test.jsonl", "{\"text\": \"x\"}\n");
        Assert.Contains("its samples are of the kind Text, those to learn from Labelled",
            Assert.Throws<InvalidDataException>(() => Read("a.jsonl", train, new() { TestFile = test })).Message);
    }

    [Fact]
    public void Classes_become_completions_by_a_template()
    {
        var task = Read("a.csv", "text,label\ngood,pos\nbad,neg\n");
        var asked = task.AsCompletions("Review: {text}\nMood: {label}");
        Assert.Equal(TextKind.Completion, asked.Kind);
        Assert.Equal([("Review: good\nMood: ", "pos"), ("Review: bad\nMood: ", "neg")], asked.Train.Select(s => (s.Text, s.Answer)));
        Assert.Equal("good\n", task.AsCompletions().Train[0].Text);
        foreach (var template in new[] { "{label}: {text}", "{text}", "{text} {label}.", "{text} {text} {label}", "" })
            Assert.Throws<ArgumentException>(() => task.AsCompletions(template));
    }

    [Fact]
    public void A_draw_lies_inside_the_larger_one()
    {
        var text = "text,label\n" + string.Concat(Enumerable.Range(0, 40).Select(i => $"text {i},{"abcd"[i % 4]}\n"));
        var task = Read("a.csv", text, new() { TestShare = 0.2 });
        var (few, more) = (TextFewShot.Draw(task, 2, 1, 0), TextFewShot.Draw(task, 5, 1, 0));
        Assert.Equal([0, 0, 1, 1, 2, 2, 3, 3], few.Train.Select(s => s.Label));
        Assert.Empty(few.Train.Except(more.Train));
        Assert.Equal(task.Test, few.Test);
        Assert.NotEqual(few.Train, TextFewShot.Draw(task, 2, 1, 1).Train);
        Assert.Equal("30 14 39 7 28 4 17 37", string.Join(" ", few.Train.Select(s => s.Line)));                  // which texts a draw takes must not change
        Assert.Contains("class a has 8 texts to learn from; 9 shots need 9", Assert.Throws<ArgumentException>(() => TextFewShot.Draw(task, 9, 1, 0)).Message);
        Assert.Contains("have no labels", Assert.Throws<ArgumentException>(() => TextFewShot.Draw(Read("b.jsonl", "{\"text\": \"a\"}"), 1, 1, 0)).Message);
    }
}
