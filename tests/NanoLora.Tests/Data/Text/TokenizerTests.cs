using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Tests.Data.Text;

/// <summary>What the vectors do not show: files that are damaged or ask for what is not there, long texts, and the edges of the interface.</summary>
public sealed class TokenizerTests
{
    private static string Folder(string name) => Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers", name);

    private static Tokenizer Load(string name) => Tokenizer.Load(Folder(name));

    private static Tokenizer Edited(string name, Action<JsonObject> edit)
    {
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder(name), "tokenizer.json")))!.AsObject();
        edit(json);
        return TokenizerJson.Read(JsonTree.Parse("t.json", Encoding.UTF8.GetBytes(json.ToJsonString())));
    }

    [Fact]
    public void Tokens_are_found_by_id_and_by_name()
    {
        var tokenizer = Load("llama3");
        var begin = tokenizer.Id("<|begin_of_text|>");
        Assert.Equal("<|begin_of_text|>", tokenizer.Token(begin!.Value));
        Assert.Contains((begin.Value, "<|begin_of_text|>"), tokenizer.SpecialTokens);
        Assert.Null(tokenizer.Id("no such token"));
        Assert.Null(tokenizer.Token(-1));
        Assert.Null(tokenizer.Token(int.MaxValue));
        Assert.Equal("", tokenizer.Decode([-5, int.MaxValue]));
        ITokenizer plain = tokenizer;
        Assert.Equal(tokenizer.Encode("Hi").Ids, plain.Encode("Hi"));
        Assert.Equal(begin.Value, plain.Encode("Hi")[0]);
    }

    [Theory]
    [InlineData("gemma"), InlineData("llama3"), InlineData("bert-uncased"), InlineData("t5"), InlineData("unigram"), InlineData("clip")]
    public void Half_a_surrogate_pair_is_read_as_U_FFFD(string name)
    {
        var tokenizer = Load(name);
        Assert.Equal(tokenizer.Encode("a\uFFFDb").Ids, tokenizer.Encode("a\uD83Db").Ids);
        Assert.Equal(tokenizer.Encode("\uFFFD").Ids, tokenizer.Encode("\uDE00").Ids);
        Assert.Empty(tokenizer.Encode("", addSpecialTokens: false).Ids);
    }

    [Fact]
    public void A_stream_shows_at_the_end_what_it_held_back()
    {
        var tokenizer = Load("gemma");
        int[] smile = [.. tokenizer.Encode("😀", addSpecialTokens: false).Ids];
        Assert.Equal(4, smile.Length);
        var stream = tokenizer.Stream();
        Assert.All(smile[..3], id => Assert.Null(stream.Next(id)));
        Assert.Equal("\uFFFD\uFFFD\uFFFD", stream.Finish());
        Assert.Null(stream.Finish());
        List<string?> shown = [.. smile.Select(stream.Next)], expected = [null, null, null, "😀"];
        Assert.Equal(expected, shown);
    }

    [Fact]
    public void A_stream_of_bytes_that_never_become_a_character_does_not_wait_for_ever()
    {
        var tokenizer = Load("llama3");
        var half = tokenizer.Id("ð")!.Value;
        var stream = tokenizer.Stream();
        var shown = Enumerable.Range(0, 5000).Select(_ => stream.Next(half)).Where(static s => s is not null).ToList();
        Assert.NotEmpty(shown);
        Assert.All(shown, static s => Assert.All(s!, static c => Assert.Equal('\uFFFD', c)));
    }

    // A text that nothing cuts is one word of 200,000 characters: quadratic merging would take minutes.
    [Theory]
    [InlineData("llama2"), InlineData("gemma"), InlineData("llama3"), InlineData("unigram"), InlineData("bert-uncased"), InlineData("sentencepiece")]
    public void Long_words_are_not_quadratic(string name)
    {
        var tokenizer = name == "sentencepiece" ? Tokenizer.Load(Path.Combine(Folder("llama2"), "tokenizer.model")) : Load(name);
        var clock = Stopwatch.StartNew();
        var text = string.Concat(Enumerable.Repeat("the1andthat", 18000));
        Assert.NotEmpty(tokenizer.Encode(text).Ids);
        Assert.NotEmpty(tokenizer.Encode(new string('a', 200_000)).Ids);
        Assert.NotEmpty(tokenizer.Encode("a" + new string('\u0301', 100_000)).Ids);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 20);
    }

    [Fact]
    public void Several_threads_share_one_tokenizer()
    {
        var tokenizer = Load("qwen2");
        string[] texts = [.. Enumerable.Range(0, 40).Select(static i => $"word{i} and {i * 7919} more — wörter {i}")];
        var one = Load("qwen2");
        var alone = Array.ConvertAll(texts, t => one.Encode(t).Ids);
        Parallel.For(0, 4000, i => Assert.Equal(alone[i % texts.Length], tokenizer.Encode(texts[i % texts.Length]).Ids));
    }

    [Theory]
    [InlineData("normalizer", "normalizer.type", "Sorcery"), InlineData("pre_tokenizer", "pre_tokenizer.type", "Sorcery")]
    [InlineData("post_processor", "post_processor.type", "Sorcery"), InlineData("decoder", "decoder.type", "Sorcery")]
    [InlineData("model", "model.type", "Sorcery")]
    public void What_is_not_supported_is_refused_by_name(string part, string field, string value)
    {
        var message = Assert.Throws<InvalidDataException>(() => Edited("llama3", json => json[part] = new JsonObject { ["type"] = value })).Message;
        Assert.StartsWith($"t.json: {field}", message);
        Assert.Contains(value, message);
    }

    [Theory]
    [InlineData(@"(a+)+(?=b)"), InlineData(@"(\w)\1"), InlineData(@"(?>a+)"), InlineData(@"a(?<!b)"), InlineData("(")]
    public void A_pattern_that_could_run_away_is_refused(string pattern)
    {
        var message = Assert.Throws<InvalidDataException>(() => WordPattern.Of(pattern, "t.json: pre_tokenizer.pattern")).Message;
        Assert.StartsWith("t.json: pre_tokenizer.pattern", message);
        Assert.Contains(pattern, message);
    }

    [Fact]
    public void Nested_repetition_takes_time_that_grows_with_the_text_alone()
    {
        var clock = Stopwatch.StartNew();
        WordPattern.Of("(a*)*(a|b)*c", "t").Find(CodePoints.Of(new string('a', 20_000)), []);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 10);
    }

    // The patterns that are matched by hand, worded so that they are not recognised, and matched by .NET.
    [Theory]
    [InlineData(WordPattern.Gpt2Wording, "gpt2")]
    [InlineData(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", "llama3")]
    [InlineData(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", "qwen2")]
    public void Words_cut_by_hand_are_those_of_the_pattern(string pattern, string name)
    {
        var byHand = WordPattern.Of(pattern, name);
        var byPattern = new RegexPattern("(?:!{1000})|" + pattern, name);
        Assert.IsNotType<RegexPattern>(byHand);
        var random = new Philox(5, 1);
        ulong draw = 0;
        string[] parts = [" ", "  ", "\n", "\r\n", "\t", "a", "Ab", "é", "e\u0301", "1", "234", "٣", "Ⅷ", "'s", "'LL", "'re", "'", "!", "...", "😀", "𝔸",
            "𝟙", "你", "\u200B", "\u0085", "\u00A0", "-"];
        for (var round = 0; round < 3000; round++)
        {
            var text = CodePoints.Of(string.Concat(Enumerable.Range(0, 1 + random.Below(draw++, 9)).Select(_ => parts[random.Below(draw++, parts.Length)])));
            List<(int, int)> hand = [], regex = [];
            byHand.Find(text, hand);
            byPattern.Find(text, regex);
            Assert.True(hand.SequenceEqual(regex), $"\"{CodePoints.Text(text)}\": {string.Join(' ', hand)} | {string.Join(' ', regex)}");
        }
    }

    [Theory]
    [InlineData("llama2", "tokenizer.model"), InlineData("t5", "spiece.model"), InlineData("starcoder", "tokenizer.json"), InlineData("bert-cased",
        "tokenizer.json")]
    public void A_damaged_file_is_read_or_refused_by_name(string name, string file)
    {
        var whole = File.ReadAllBytes(Path.Combine(Folder(name), file));
        var random = new Philox(7, 2);
        ulong draw = 0;
        for (var round = 0; round < 60; round++)
        {
            byte[] damaged = round % 3 == 0 ? whole[..random.Below(draw++, whole.Length)] : [.. whole];
            for (var i = 0; i < round % 5 && damaged.Length > 0; i++) damaged[random.Below(draw++, damaged.Length)] = (byte)random.Bits(draw++);
            try
            {
                var tokenizer = file.EndsWith(".model", StringComparison.Ordinal)
                    ? SentencePiece.Build(SentencePieceFile.Parse("d", damaged), "d") : TokenizerJson.Read(JsonTree.Parse("d", damaged));
                tokenizer.Decode(tokenizer.Encode("Ab é 😀\n1").Ids);
            }
            catch (InvalidDataException e) { Assert.StartsWith("d: ", e.Message); }
        }
    }

    // <bos> takes the line ends behind it, which are tokens themselves and are found once more: ids of the tokenizers library.
    [Fact]
    public void White_space_that_a_token_takes_may_be_tokens()
    {
        var tokenizer = Edited("gemma", static json =>
            json["added_tokens"]!.AsArray().Single(static t => t!["content"]!.GetValue<string>() == "<bos>")!["rstrip"] = true);
        Assert.Equal([2, 8, 6, 490], tokenizer.Encode("<bos>\n\n\n\na", addSpecialTokens: false).Ids);
        Assert.Equal([490, 2, 6, 488, 6, 1], tokenizer.Encode("a<bos> \n \n<eos>", addSpecialTokens: false).Ids);
    }

    [Fact]
    public void A_folder_without_a_tokenizer_is_refused()
    {
        Assert.Contains("there is no tokenizer in this folder", Assert.Throws<InvalidDataException>(() => Tokenizer.Load(AppContext.BaseDirectory)).Message);
        Assert.Contains("no such file", Assert.Throws<InvalidDataException>(() => Tokenizer.Load("nowhere.json")).Message);
    }

    [Fact]
    public void A_text_is_cut_to_what_is_asked_for_or_the_request_refused()
    {
        var tokenizer = Load("bert-uncased");
        Assert.Equal(6, tokenizer.Encode("one two three four five six", null, new EncodeOptions { Truncation = new(6) }).Ids.Count);
        Assert.Empty(tokenizer.Encode("one two three four five six", null, new EncodeOptions { Truncation = new(6) }).Overflowing);
        Assert.Throws<ArgumentException>(() => tokenizer.Encode("one", null, new EncodeOptions { Truncation = new(1) }));
        Assert.Throws<ArgumentException>(() => tokenizer.Encode("a b c d e", null, new EncodeOptions { Truncation = new(4) { Stride = 2 } }));
        Assert.Throws<ArgumentException>(() =>
            tokenizer.Encode("a b c d e", null, new EncodeOptions { Truncation = new(4) { Strategy = TruncationStrategy.OnlySecond } }));
    }
}
