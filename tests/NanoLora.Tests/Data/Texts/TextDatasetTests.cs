using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Tests.Data.Texts;

/// <summary>What of a sample is learned, what is cut, and what a batch looks like.</summary>
public sealed class TextDatasetTests : EngineTest
{
    private static readonly Tokenizer Llama = Load("llama2"), Qwen = Load("qwen2");
    private static readonly int LlamaEnd = Llama.Id("</s>")!.Value, LlamaBegin = Llama.Id("<s>")!.Value, QwenEnd = Qwen.Id("<|im_end|>")!.Value;

    private static Tokenizer Load(string name) => Tokenizer.Load(Folder(name));

    private static string Folder(string name) => Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers", name);

    private static TextEncoder Encoder(int length = 64) => new(Llama, length, LlamaEnd);

    private static TextSample Asked(string prompt, string completion) => new() { Text = prompt, Answer = completion };

    private static int[] Ids(Tokenizer tokenizer, string text) => [.. tokenizer.Encode(text, addSpecialTokens: false).Ids];

    private (int[] Inputs, int[] Targets, int[]? Lengths) Read(TextDataset data, params int[] indices)
    {
        using var scope = Workspace.Scope();
        var batch = data.Read(Workspace, indices);
        return (batch.Inputs.ToInts(), batch.Targets.ToInts(), batch.Lengths);
    }

    [Fact]
    public void Of_a_text_all_is_learned_but_what_begins_it()
    {
        var data = TextDataset.ToContinue("t", [new() { Text = "The cat sat." }], Encoder());
        int[] whole = [LlamaBegin, .. Ids(Llama, "The cat sat."), LlamaEnd];
        var (inputs, targets, lengths) = Read(data, 0);
        Assert.Equal(whole[..^1], inputs);
        Assert.Equal(whole[1..], targets);
        Assert.Null(lengths);
        Assert.Equal((whole.Length - 1L, whole.Length - 1L), (data.Tokens, data.Targets));
        Assert.Equal((0, 0), (data.Cut, data.LeftOut));
    }

    [Fact]
    public void Of_a_prompt_with_a_completion_the_completion_and_its_end_are()
    {
        var data = TextDataset.ToContinue("t", [Asked("The cat", " sat on the mat.")], Encoder());
        var prompt = Ids(Llama, "The cat");
        var whole = Ids(Llama, "The cat sat on the mat.");
        Assert.Equal(prompt, whole[..prompt.Length]);
        var (inputs, targets, _) = Read(data, 0);
        Assert.Equal([LlamaBegin, .. whole], inputs);
        Assert.Equal([.. Enumerable.Repeat(Batch.Ignored, prompt.Length), .. whole[prompt.Length..], LlamaEnd], targets);
    }

    [Fact]
    public void Where_a_token_would_span_the_border_each_side_has_its_own()
    {
        // "th" + "e": together one token, which generation from the prompt could not give.
        var (prompt, answer) = Encoder().Pair("th", "e");
        Assert.NotEqual(Ids(Llama, "th"), Ids(Llama, "the")[..Math.Min(Ids(Llama, "th").Length, Ids(Llama, "the").Length)]);
        Assert.Equal([LlamaBegin, .. Ids(Llama, "th")], prompt);
        Assert.Equal(Ids(Llama, "e"), answer);
    }

    [Fact]
    public void Of_what_is_too_long_the_beginning_of_the_prompt_goes_first()
    {
        var (prompt, answer) = Encoder().Pair("one two three four five six seven", " eight");
        var room = 1 + 3 + answer.Length + 1;                                       // begin, the end of the prompt, answer, end
        var data = TextDataset.ToContinue("t", [Asked("one two three four five six seven", " eight")], Encoder(room));
        var (inputs, targets, _) = Read(data, 0);
        Assert.Equal([LlamaBegin, .. prompt[^3..], .. answer], inputs);
        Assert.Equal([Batch.Ignored, Batch.Ignored, Batch.Ignored, .. answer, LlamaEnd], targets);
        Assert.Equal(1, data.Cut);

        var text = new TextSample { Text = "one two three four five six seven" };
        (inputs, targets, _) = Read(TextDataset.ToContinue("t", [text], Encoder(5)), 0);
        Assert.Equal([LlamaBegin, .. Ids(Llama, text.Text)[..3]], inputs);
        Assert.Equal(Ids(Llama, text.Text)[..4], targets);
    }

    [Fact]
    public void Rows_are_padded_on_the_right_and_padding_is_not_learned()
    {
        var data = TextDataset.ToContinue("t", [new() { Text = "one two three" }, new() { Text = "one" }], Encoder());
        var (inputs, targets, lengths) = Read(data, 0, 1);
        int width = data.Length(0), other = data.Length(1);
        Assert.True(other < width);
        Assert.Equal([width, other], lengths!);
        Assert.Equal([LlamaBegin, .. Ids(Llama, "one")], inputs[width..(width + other)]);
        Assert.All(targets[(width + other)..], t => Assert.Equal(Batch.Ignored, t));
        Assert.Equal(data.Targets, targets.Count(t => t != Batch.Ignored));
    }

    [Fact]
    public void Packed_rows_have_an_end_between_and_ask_for_no_beginning()
    {
        TextSample[] samples =
            [new() { Text = "one" }, new() { Text = "two" }, new() { Text = "one two three four five six seven eight" }, new() { Text = "two" }];
        int[][] rows = [.. samples.Select(s => (int[])[LlamaBegin, .. Ids(Llama, s.Text), LlamaEnd])];
        var room = rows[2].Length + 1;
        Assert.True(rows[0].Length + rows[1].Length <= room);
        var data = TextDataset.ToContinue("t", samples, Encoder(room), pack: true);
        Assert.Equal(3, data.Count);
        var (inputs, targets, _) = Read(data, 0);
        Assert.Equal([.. rows[0], .. rows[1][..^1]], inputs);
        Assert.Equal([.. rows[0][1..], Batch.Ignored, .. rows[1][1..]], targets);
        var apart = TextDataset.ToContinue("t", samples, Encoder(room));
        Assert.Equal(apart.Targets, data.Targets);
        Assert.Contains("end token", Assert.Throws<ArgumentException>(() => TextDataset.ToContinue("t", samples, new(Llama, 9), pack: true)).Message);
    }

    [Fact]
    public void Of_a_conversation_the_assistants_words_are_learned()
    {
        ChatMessage[] messages = [new("system", "Be brief."), new("user", "Hi 😀"), new("assistant", "Yo é."), new("user", "Bye"), new("assistant", "Ciao")];
        var encoder = new TextEncoder(Qwen, 200, QwenEnd, ChatTemplate.Load(Folder("qwen2")));
        var (inputs, targets, _) = Read(TextDataset.ToContinue("t", [new() { Text = "", Messages = messages }], encoder), 0);
        var text = ChatTemplate.Load(Folder("qwen2")).Render(messages);
        Assert.Equal(Ids(Qwen, text)[..^1], inputs);
        var learned = targets.Where(t => t != Batch.Ignored).ToArray();
        Assert.Equal([.. Ids(Qwen, "Yo é."), QwenEnd, .. Ids(Qwen, "Ciao"), QwenEnd], learned);

        // Marked answers are taken as the template marks them.
        var marked = ChatTemplate.Parse("{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
            + "{% else %}{{ m.content }}{% endif %}\n{% endfor %}");
        encoder = new TextEncoder(Qwen, 200, QwenEnd, marked);
        (_, targets, _) = Read(TextDataset.ToContinue("t", [new() { Text = "", Messages = messages }], encoder), 0);
        Assert.Equal("Yoé.Ciao", Qwen.Decode(targets.Where(t => t != Batch.Ignored)).Replace(" ", "", StringComparison.Ordinal));
    }

    [Fact]
    public void A_conversation_that_cannot_be_written_is_refused_with_its_line()
    {
        TextSample sample = new()
        {
            Text = "", Source = "a.jsonl", Line = 7,
            Messages = [new("user", "a"), new("assistant", "b"), new("user", "c"), new("assistant", "d")],
        };
        Assert.StartsWith("a.jsonl: line 7: the model's folder has no chat template", Refused(null));
        Assert.StartsWith("a.jsonl: line 7: messages: t: line 1: no", Refused("{{ raise_exception('no') }}"));
        // An answer that is written otherwise when it is not the last.
        Assert.StartsWith("a.jsonl: line 7: messages[1]: the template writes this answer otherwise once the conversation goes on",
            Refused("{% for m in messages %}{{ m.role }}: {% if loop.last %}now: {% endif %}{{ m.content }}\n{% endfor %}"));

        string Refused(string? template) => Assert.Throws<InvalidDataException>(() => TextDataset.ToContinue("t", [sample],
            new(Qwen, 100, QwenEnd, template is null ? null : ChatTemplate.Parse(template, "t")))).Message;
    }

    [Fact]
    public void Labelled_texts_are_whole_with_what_the_model_expects_around_them()
    {
        var bert = Load("bert-uncased");
        var encoder = new TextEncoder(bert, 6);
        TextSample[] samples = [new() { Text = "the cat", Label = 1 }, new() { Text = "the cat and the dog and the cat", Label = 0 }];
        var data = TextDataset.ToClassify("t", samples, ["x", "y"], encoder);
        var (inputs, targets, lengths) = Read(data, 1, 0);
        Assert.Equal([0, 1], targets);
        Assert.Equal(bert.Id("[CLS]"), inputs[0]);
        Assert.Equal(bert.Id("[SEP]"), inputs[5]);                                  // cut to six, and ended
        Assert.Equal(bert.Encode("the cat").Ids, inputs[6..(6 + lengths![1])]);
        Assert.Equal((1, 2, 1), (data.Cut, data.Classes.Count, data.Label(0)));
        Assert.Throws<ArgumentException>(() => TextDataset.ToClassify("t", [new() { Text = "a" }], ["x"], encoder));
    }

    [Fact]
    public void A_model_that_writes_another_text_learns_that_text()
    {
        var t5 = Load("t5");
        var end = t5.Id("</s>")!.Value;
        var data = TextDataset.ToWrite("t", [Asked("the cat", "a dog"), Asked("the cat sat on the mat", "a")], new(t5, 32, end));
        var (inputs, targets, lengths) = Read(data, 0, 1);
        var (read, written) = (data.Length(1), Ids(t5, "a dog").Length + 1);
        Assert.Equal([.. Ids(t5, "the cat"), end], inputs[..lengths![0]]);
        Assert.Equal([.. Ids(t5, "a dog"), end], targets[..written]);
        Assert.Equal([.. Ids(t5, "the cat sat on the mat"), end], inputs[read..]);
        Assert.Equal(Batch.Ignored, targets[^1]);
        Assert.Throws<ArgumentException>(() => TextDataset.ToWrite("t", [new() { Text = "a" }], new(t5, 32, end)));
    }

    [Fact]
    public void Prompts_stand_with_each_answer()
    {
        var data = TextDataset.ToRank("t", ["the cat", "a dog"], [" sat", " ran away"], Encoder());
        Assert.Equal(4, data.Count);
        var (inputs, targets, _) = Read(data, 3);
        var whole = Ids(Llama, "a dog ran away");
        Assert.Equal([LlamaBegin, .. whole[..^1]], inputs);
        Assert.Equal(whole[Ids(Llama, "a dog").Length..], targets.Where(t => t != Batch.Ignored));
        Assert.Throws<ArgumentException>(() => TextDataset.ToRank("t", ["a"], [""], Encoder()));
    }

    [Fact]
    public void The_end_token_is_what_the_folder_says()
    {
        Assert.Equal(LlamaEnd, TextEncoder.Load(Folder("llama2"), 16).End);
        Assert.Equal(QwenEnd, TextEncoder.Load(Folder("qwen2"), 16).End);
        var folder = Directory.CreateTempSubdirectory("nanolora-end-").FullName;
        try
        {
            File.Copy(Path.Combine(Folder("llama2"), "tokenizer.json"), Path.Combine(folder, "tokenizer.json"));
            Assert.Null(TextEncoder.Load(folder, 16).End);
            Assert.Equal(7, TextEncoder.Load(folder, 16, end: 7).End);
            File.WriteAllText(Path.Combine(folder, "config.json"), """{"eos_token_id": 5}""");
            Assert.Equal(5, TextEncoder.Load(folder, 16, end: 7).End);
            File.WriteAllText(Path.Combine(folder, "generation_config.json"), """{"eos_token_id": [4, 5]}""");
            Assert.Equal(4, TextEncoder.Load(folder, 16).End);
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"eos_token": {"content": "</s>"}}""");
            Assert.Equal(LlamaEnd, TextEncoder.Load(folder, 16).End);
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"eos_token": "nope"}""");
            var error = Assert.Throws<InvalidDataException>(() => TextEncoder.Load(folder, 16));
            Assert.Contains("eos_token: it is \"nope\"; a token of the tokenizer", error.Message);
        }
        finally { Directory.Delete(folder, recursive: true); }
        Assert.Throws<ArgumentException>(() => new TextEncoder(Llama, 1));
    }
}
