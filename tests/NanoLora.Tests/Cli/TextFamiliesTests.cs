using System.Globalization;
using System.Text.RegularExpressions;

namespace NanoLora.Tests.Cli;

/// <summary>Tasks on texts with an encoder, which classifies, and with an encoder-decoder, which writes: tiny ones, whose tokens are whole words.</summary>
public sealed class TextFamiliesTests : IDisposable
{
    private static readonly string Models = Path.Combine(AppContext.BaseDirectory, "Golden", "models");
    private static readonly string[] Colours = ["red", "green", "blue"], Things = ["ball", "car", "hat", "dog", "cup", "tree", "book", "fish"];

    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-text-families-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(params string[] parts) => Path.Combine([_folder, .. parts]);

    private static IEnumerable<string> Vocabulary(params string[] special) => [.. special, "i", "have", "a", "it", "is", ".", .. Colours, .. Things];

    private string Base(string name)
    {
        Directory.CreateDirectory(At(name));
        foreach (var file in new[] { "config.json", "model.safetensors" }) File.Copy(Path.Combine(Models, name, file), At(name, file));
        return At(name);
    }

    private string Bert()
    {
        var folder = Base("bert");
        File.WriteAllLines(At("bert", "vocab.txt"), Vocabulary("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"));
        return folder;
    }

    private string T5()
    {
        var folder = Base("t5");
        var vocabulary = string.Join(", ", Vocabulary("<pad>", "</s>", "<unk>").Select((word, id) => $"\"{word}\": {id}"));
        const string flags = "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true";
        const string around = "[{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"</s>\", \"type_id\": 0}}]";
        File.WriteAllText(At("t5", "tokenizer.json"), $$"""
            {"version": "1.0", "truncation": null, "padding": null, "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
             "added_tokens": [{"id": 0, "content": "<pad>", {{flags}}}, {"id": 1, "content": "</s>", {{flags}}}],
             "post_processor": {"type": "TemplateProcessing", "single": {{around}}, "pair": {{around}},
                                "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]} } },
             "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
             "model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                       "vocab": { {{vocabulary}} } } }
            """);
        File.WriteAllText(At("t5", "tokenizer_config.json"), """{"eos_token": "</s>", "pad_token": "<pad>"}""");
        return folder;
    }

    private string Topics()
    {
        File.WriteAllLines(At("topics.csv"),
            ["text,label", .. (from thing in Things from colour in Colours select $"I have a {colour} {thing},{colour}")]);
        return At("topics.csv");
    }

    private static CliRun Done(params string[] words)
    {
        var run = CliRun.Of(words);
        Assert.True(run.Code == 0, run.Error);
        return run;
    }

    private string[] Train(string model, string task, string folder) =>
        ["train", model, "--task", task, "--out", At(folder), "--rank", "4", "--steps", "40", "--batch", "6", "--rate", "0.01"];

    private static double Perplexity(string text) =>
        double.Parse(Regex.Match(text, @"Perplexity (\d+\.\d+)").Groups[1].Value, CultureInfo.InvariantCulture);

    [Fact]
    public void An_encoder_classifies_and_writes_nothing()
    {
        var (bert, topics) = (Bert(), Topics());
        Assert.Matches(@"topics, [\d,]+ values; \d+\.\d % of 3 test texts", Done(Train(bert, topics, "out")).Out);
        var measured = Done("eval", bert, "--adapter", At("out"), "--task", topics, "--test-share", "0").Out;
        Assert.Matches(@"topics: ([89]\d\.\d|100\.0) % of 24 test texts", measured);
        Assert.Matches(@"^I have a red hat: (red|green|blue) \d+\.\d %, ", Done("predict", bert, "--adapter", At("out"), "I have a red hat").Out);

        File.WriteAllText(At("answers.jsonl"), "{\"prompt\": \"a\", \"completion\": \"b\"}");
        DemoTests.Fails(CliRun.Of(Train(bert, At("answers.jsonl"), "no")), "is a bert, which classifies texts and writes none; give texts with labels");
        DemoTests.Fails(CliRun.Of("eval", bert, "--task", topics, "--rank-answers"), "is a bert, which classifies texts and writes none");
    }

    [Fact]
    public void An_encoder_decoder_learns_what_to_write()
    {
        var (t5, topics) = (T5(), Topics());
        File.WriteAllLines(At("answers.jsonl"),
            from thing in Things from colour in Colours select $"{{\"prompt\": \"I have a {colour} {thing}\", \"completion\": \"it is {colour}.\"}}");
        var run = Done(Train(t5, At("answers.jsonl"), "out")).Out.Split('\n');
        Assert.Matches(@"Perplexity \d+\.\d+ over 20 tokens of 4 test samples, .* of 4 completions written exactly", run[0]);
        Assert.True(Perplexity(run[0]) < Perplexity(run[1]) / 4, string.Join('\n', run));
        var measured = Done("eval", t5, "--adapter", At("out"), "--task", At("answers.jsonl"), "--test-share", "0").Out;
        Assert.Matches("of 24 completions written exactly", measured);
        Assert.DoesNotMatch(@" 0\.0 % of 24 completions", measured);

        Assert.Matches("topics: .* % of 3 test texts are named rightly", Done("eval", t5, "--task", topics, "--rank-answers").Out);
        Assert.Matches(@"topics, [\d,]+ values; \d+\.\d % of 3 test texts", Done(Train(t5, topics, "classes")).Out);
    }
}
