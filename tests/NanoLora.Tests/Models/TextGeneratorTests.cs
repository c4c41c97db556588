using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>Texts from texts: streams, batches, ends, what is refused. The model is the bundled one.</summary>
public sealed class TextGeneratorTests : IDisposable
{
    private const string Story = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
        + "One day, she saw a big, red ball. ";

    private static readonly string Stories = Path.Combine(RepositoryRoot.Folder, "models", "stories260K");
    private static readonly string[] Prompts = ["Once upon a time", "The dog", "Lily saw a big red"];
    private static readonly GenerationOptions Drawn = new() { MaxTokens = 60, Temperature = 0.9, TopP = 0.95, Seed = 11 };

    private readonly CpuBackend _backend = new(2);
    private readonly Model _model;
    private readonly TextGenerator _generator;

    public TextGeneratorTests()
    {
        _model = TextGenerator.LoadModel(Stories, _backend);
        _generator = new TextGenerator(_model, Tokenizer.Load(Stories));
    }

    public void Dispose()
    {
        _model.Dispose();
        Assert.Equal(0, _backend.LiveBlocks);
        _backend.Dispose();
    }

    [Fact]
    public void TellsTheStoryThatItsSourceTells()
    {
        Assert.StartsWith(Story, _generator.Generate("").Text, StringComparison.Ordinal);
        var continued = _generator.Generate("Once upon a time", new() { MaxTokens = 40 });
        Assert.StartsWith(", there was a little girl named Lily.", continued.Text, StringComparison.Ordinal);
        Assert.Equal((40, Finish.Length), (continued.Tokens.Count, continued.Finish));
        Assert.Equal([1, 2], ((LanguageModel)_model).EndTokens);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1.5)]
    public async Task AStreamShowsWhatIsGenerated(double temperature)
    {
        var options = new GenerationOptions { MaxTokens = 120, Temperature = temperature, Seed = 3 };
        var pieces = new List<string>();
        await foreach (var piece in _generator.StreamAsync("Once upon a time", options)) pieces.Add(piece);
        Assert.True(pieces.Count > 50);
        Assert.DoesNotContain("", pieces);
        Assert.Equal(_generator.Generate("Once upon a time", options).Text, string.Concat(pieces));
    }

    [Fact]
    public async Task AStreamEndsBetweenTwoTokensWhenCancelled()
    {
        using var source = new CancellationTokenSource();
        var pieces = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in _generator.StreamAsync("Once", cancellation: source.Token)) if (++pieces == 3) source.Cancel();
        });
        Assert.Equal(3, pieces);
        Assert.Throws<OperationCanceledException>(() => _generator.Generate("Once", cancellation: source.Token));
    }

    /// <summary>The same seed gives the same text in any batch and on any number of threads.</summary>
    [Fact]
    public void ATextIsTheSameInEveryBatch()
    {
        foreach (var options in (ReadOnlySpan<GenerationOptions>)[Drawn, Drawn with { Temperature = 0, RepetitionPenalty = 1.2 }])
        {
            var together = _generator.Generate(Prompts, options);
            for (var row = 0; row < Prompts.Length; row++)
                Assert.Equal(together[row].Text, _generator.Generate(Prompts[row], options with { FirstRow = (ulong)row }).Text);
        }
        using var one = new CpuBackend(1);
        using var model = LanguageModel.Load(Stories, one);
        Assert.Equal(_generator.Generate(Prompts[1], Drawn).Tokens, new TextGenerator(model, _generator.Tokenizer).Generate(Prompts[1], Drawn).Tokens);
        Assert.NotEqual(_generator.Generate(Prompts[1], Drawn).Tokens, _generator.Generate(Prompts[1], Drawn with { Seed = 12 }).Tokens);
    }

    [Fact]
    public void EndsWhereItShould()
    {
        var stopped = _generator.Generate("", new() { StopStrings = ["red ball", "One day"] });
        Assert.Equal((Story[..Story.IndexOf("One day", StringComparison.Ordinal)], Finish.StopString), (stopped.Text, stopped.Finish));
        var comma = _generator.Tokenizer.Encode("a,", addSpecialTokens: false)[^1];
        var token = _generator.Generate("", new() { Stop = [comma] });
        Assert.Equal(("Once upon a time", Finish.EndToken, comma), (token.Text, token.Finish, token.Tokens[token.Tokens.Count - 1]));
        var full = _generator.Generate("", new() { MaxTokens = 1000, IgnoreEnd = true });
        Assert.Equal((511, Finish.Context), (full.Tokens.Count, full.Finish));
        var cut = _generator.Generate("", new() { Context = 30 });
        Assert.Equal((29, Finish.Context), (cut.Tokens.Count, cut.Finish));
        // A row that ends early does not end the others.
        var rows = _generator.Generate(["Once upon a time", "The dog"], new() { MaxTokens = 30, StopStrings = [", there"] });
        Assert.Equal(("", Finish.StopString, 30), (rows[0].Text, rows[0].Finish, rows[1].Tokens.Count));
    }

    [Fact]
    public void SaysWhatDoesNotFit()
    {
        var words = string.Concat(Enumerable.Repeat("and then ", 400));
        var length = _generator.Tokenizer.Encode(words).Length;
        Refused($"the prompt has {length} tokens and the context 512", () => _generator.Generate(words));
        Refused("there are no prompts", () => _generator.Generate(Array.Empty<string>()));
        Refused("prompt 0 is empty", () => _generator.Start(Array.Empty<int>()));
        using var other = T5.Load(ModelGoldenTests.Folder("t5"), _backend);
        Refused($"has {other.Vocabulary} tokens and the tokenizer 512", () => _ = new TextGenerator(other, _generator.Tokenizer));
        Refused("has 512 tokens and the tokenizer 300", () => _ = new TextGenerator(_model, new WordsTokenizer(300)));
        var near = new TextGenerator(_model, new WordsTokenizer(520));
        Refused("the token 515", () => near.Generate("5 515"));
        Refused("has 512 tokens and the tokenizer 520", () => near.Generate("5 515"));
        using var vit = Vit.Create(Cli.MadeUpModels.Config, _backend, 1);
        Refused("Vit writes no text", () => _ = new TextGenerator(vit, _generator.Tokenizer));
        using var cache = new PromptCache();
        Refused("leave the prompt cache out", () => new TextGenerator(other, new WordsTokenizer(other.Vocabulary)).Start([5], cache: cache));

        static void Refused(string why, Action run) => Assert.Contains(why, Assert.ThrowsAny<ArgumentException>(run).Message, StringComparison.Ordinal);
    }

    /// <summary>A text that begins as the one before is read from where it differs, and becomes what it would have become.</summary>
    [Fact]
    public void WhatWasReadIsNotReadAgain()
    {
        var read = new List<int>();
        _model.Trace = (name, x) => { if (name == "hidden.0") read.Add(x.Shape[1]); };
        using var cache = new PromptCache();
        var first = _generator.Encode("Once upon a time, there was a dog.");
        var (added, _) = Run(first);
        Assert.Equal(first.Length, read[0]);
        Assert.Equal(first.Length + 19, cache.Length);
        int[] longer = [.. first, .. added, 5, 6, 7];
        read.Clear();
        var (text, fresh) = (Run(longer).Text, _generator.Start(longer, Drawn with { MaxTokens = 20 }));
        Assert.Equal(4, read[0]);                                                      // the last that was written, and the new ones
        using (fresh) Assert.Equal(string.Concat(All(fresh)), text);
        read.Clear();
        int[] other = [.. first[..5], 9, 10];
        Run(other);
        Assert.Equal(2, read[0]);
        Run(other);                                                                    // the very same: its last token is read for its logits
        cache.Clear();
        read.Clear();
        Run(other);
        Assert.Equal(other.Length, read[0]);

        (IReadOnlyList<int> Tokens, string Text) Run(int[] prompt)
        {
            using var generation = _generator.Start(prompt, Drawn with { MaxTokens = 20 }, cache);
            var text = string.Concat(All(generation));
            return (generation.Tokens, text);
        }

        static List<string> All(TextGeneration generation)
        {
            var pieces = new List<string>();
            while (generation.Next() is { } piece) pieces.Add(piece);
            return pieces;
        }
    }

    /// <summary>Rows of one batch may each have a mixture of their own; without adapters the base has the bits that it had.</summary>
    [Fact]
    public void EachRowHasItsOwnMixture()
    {
        var before = Logits();
        LoraModule[] modules = [Module(1), Module(2)];
        Assert.Equal(before, Logits());                                                // detached again
        var mixer = new GivenMixer();
        var mixture = Compose.Given(_model, modules, mixer);
        float[][] weights = [[1, 0], [0, 1], [0.5f, 0.5f], [0, 0]];
        string[] prompts = ["Once upon a time", "Once upon a time", "Once upon a time there was", "Once"];
        var options = new GenerationOptions { MaxTokens = 40 };
        var together = new Workspace(_backend);
        using var all = together.From(weights.SelectMany(static w => w).ToArray(), new Shape(4, 2));
        mixer.Set(together, all);
        var texts = _generator.Generate(prompts, options, together);
        Assert.NotEqual(texts[0].Text, texts[1].Text);
        for (var row = 0; row < prompts.Length; row++)
        {
            var workspace = new Workspace(_backend);
            using var own = workspace.From(weights[row], new Shape(2));
            mixer.Set(workspace, own);
            Assert.Equal(_generator.Generate(prompts[row], options, workspace).Text, texts[row].Text);
        }
        mixture.Detach();
        Assert.Equal(before, Logits());
        Assert.Equal(_generator.Generate("Once", options).Text, texts[3].Text);        // no weights at all: the base
        Attach.Module(_model, modules[0]);
        Assert.Equal(texts[0].Text, _generator.Generate(prompts[0], options).Text);
        Attach.Detach(_model, dispose: false);
        Compose.Uniform(_model, modules);
        Assert.Equal(texts[2].Text, _generator.Generate(prompts[2], options).Text);
        Attach.Detach(_model);
        Assert.Equal(before, Logits());
        foreach (var module in modules) module.Dispose();
    }

    [Fact]
    public void AT5AnswersEachOfSeveralTexts()
    {
        using var model = (T5)TextGenerator.LoadModel(ModelGoldenTests.Folder("t5"), _backend);
        var generator = new TextGenerator(model, new WordsTokenizer(model.Vocabulary));
        string[] prompts = ["5 17 60 33 8 1", "42 1", "7 7 91 1"];
        GenerationOptions likeliest = new() { MaxTokens = 150, IgnoreEnd = true }, drawn = new() { MaxTokens = 20, Temperature = 2, TopK = 50 };
        foreach (var options in (GenerationOptions[])[likeliest, drawn])
        {
            var together = generator.Generate(prompts, options);
            for (var row = 0; row < prompts.Length; row++)
                Assert.Equal(generator.Generate(prompts[row], options with { FirstRow = (ulong)row }).Text, together[row].Text);
        }
        var greedy = Generator.Greedy(model, _backend.Main, [generator.Encode(prompts[0])], 12)[0];
        Assert.Equal(greedy, generator.Generate(prompts[0], new() { MaxTokens = 12, IgnoreEnd = true }).Tokens);
        Assert.Equal([1], model.EndTokens);
    }

    /// <summary>What ends a text is in generation_config.json, or in config.json where there is none.</summary>
    [Theory]
    [InlineData("{}", "2")]
    [InlineData("{\"eos_token_id\": [5, 500, 7, -1]}", "5 7")]
    [InlineData("{\"eos_token_id\": 9}", "9")]
    [InlineData("{\"eos_token_id\": \"</s>\"}", null)]
    public void TheFilesSayWhatEndsAText(string config, string? expected)
    {
        using var folder = new TemporaryFolder();
        foreach (var file in (ReadOnlySpan<string>)["config.json", "model.safetensors"])
            File.Copy(Path.Combine(ModelGoldenTests.Folder("llama"), file), Path.Combine(folder.Path, file));
        File.WriteAllText(Path.Combine(folder.Path, "generation_config.json"), config);
        if (expected is null)
        {
            Assert.Equal("eos_token_id", Assert.Throws<CheckpointException>(() => LanguageModel.Load(folder.Path, _backend)).Field);
            return;
        }
        using var model = LanguageModel.Load(folder.Path, _backend);
        Assert.Equal(expected, string.Join(' ', model.EndTokens));
    }

    private float[] Logits()
    {
        using var scope = _backend.Scope(grad: false);
        return _model.Forward(_backend.Main.From([1, 403, 407, 261, 378, 432], new Shape(1, 6))).ToArray();
    }

    // B is not zero, and large enough to tell another story.
    private LoraModule Module(ulong seed)
    {
        var module = Attach.Lora(_model, "*.attn.(q|v)", rank: (int)seed + 1, alpha: 4, seed: seed, name: $"module {seed}");
        foreach (var update in module.Updates.Values)
        {
            var (random, values) = (new Philox(seed, 99), update.B.Value.ToArray());
            for (var i = 0; i < values.Length; i++) values[i] = 0.4f * random.Normal((ulong)i);
            _backend.Upload<float>(values, update.B);
            update.Train(false);
        }
        Attach.Detach(_model, dispose: false);
        return module;
    }
}
