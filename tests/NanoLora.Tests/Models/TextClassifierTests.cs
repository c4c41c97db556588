using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>Classifiers over decoders and over the encoder of a T5.</summary>
public sealed class TextClassifierTests : IDisposable
{
    private static readonly int[] Lengths = [7, 3, 5];

    private readonly CpuBackend _backend = new(2);
    private readonly TemporaryFolder _folder = new();

    /// <summary>Tied and untied, with norms before and after, projected embeddings, windows.</summary>
    public static TheoryData<string> Decoders { get; } = ["gpt2", "llama", "gemma3", "mistral", "opt_post_norm", "gpt_neox"];

    public void Dispose()
    {
        Assert.Equal(0, _backend.LiveBlocks);
        _backend.Dispose();
        _folder.Dispose();
    }

    /// <summary>Features are the decoder's own states, pooled over the text, whatever stands behind it.</summary>
    [Theory]
    [MemberData(nameof(Decoders))]
    public void PoolsTheStatesOfTheDecoder(string name)
    {
        using var decoder = LanguageModel.Load(ModelGoldenTests.Folder(name), _backend);
        foreach (var pooling in (ReadOnlySpan<TextPooling>)[TextPooling.Mean, TextPooling.Last, TextPooling.First])
        {
            using var model = TextClassifier.Load(ModelGoldenTests.Folder(name), _backend, pooling: pooling);
            Assert.Equal(decoder.Linears().Select(static l => l.Key).Where(static path => path != "head"), model.Linears().Select(static l => l.Key));
            var found = Features(model);
            Assert.Equal(found, Features(model, padding: 50));
            Assert.Equal(3 * model.FeatureSize, found.Length);
            for (var row = 0; row < 3; row++)
            {
                var (states, width) = (States(decoder, Text(row)), model.FeatureSize);
                for (var i = 0; i < width; i++)
                {
                    var column = Enumerable.Range(0, Lengths[row]).Select(t => states[t * width + i]).ToArray();
                    var expected = pooling switch { TextPooling.Mean => column.Average(), TextPooling.Last => column[^1], _ => column[0] };
                    Assert.Equal(expected, found[row * width + i], 2e-5f);
                }
            }
        }
    }

    /// <summary>What was trained on a decoder goes onto a classifier over it, as a module and as a folder, and the other way round.</summary>
    [Theory]
    [InlineData("gpt2", "*.attn.qkv")]
    [InlineData("llama", "*.attn.(q|v)")]
    public void TakesAdaptersOfTheDecoder(string name, string pattern)
    {
        using var decoder = LanguageModel.Load(ModelGoldenTests.Folder(name), _backend);
        using var model = TextClassifier.Over(LanguageModel.Load(ModelGoldenTests.Folder(name), _backend), TextPooling.Last);
        var plain = Features(model);
        using var module = Filled(Attach.Lora(decoder, pattern, rank: 2, alpha: 4));
        PeftFolder.Save(Path.Combine(_folder.Path, "adapter"), module, decoder);
        var states = States(decoder, Text(1));
        Attach.Detach(decoder, dispose: false);
        Attach.Module(model, module);
        var adapted = Features(model);
        Assert.NotEqual(plain, adapted);
        for (var i = 0; i < model.FeatureSize; i++) Assert.Equal(states[2 * model.FeatureSize + i], adapted[model.FeatureSize + i], 2e-5f);
        Attach.Detach(model, dispose: false);
        Attach.Load(model, Path.Combine(_folder.Path, "adapter"));
        Assert.Equal(adapted, Features(model));
        Attach.Detach(model);
    }

    /// <summary>An adapter of a classifier brings its head, under the name that transformers gives it.</summary>
    [Fact]
    public void SavesAndTakesAHeadWithAnAdapter()
    {
        using var model = TextClassifier.Load(ModelGoldenTests.Folder("llama"), _backend);
        WithHead(model);
        var module = Filled(Attach.Lora(model, "*.attn.q", rank: 3));
        var (folder, expected) = (Path.Combine(_folder.Path, "adapter"), Logits(model));
        PeftFolder.Save(folder, new LoraModule("m", module.Updates, Mixture.HeadOf(model)), model);
        using (var file = Checkpoint.Open(Path.Combine(folder, "adapter_model.safetensors")))
            Assert.Equal([2, model.FeatureSize], file["base_model.model.score.weight"].Shape.Select(static n => (int)n));
        using var again = TextClassifier.Load(ModelGoldenTests.Folder("llama"), _backend);
        Attach.Load(again, folder);
        Assert.Equal(["no", "yes"], again.Labels);
        Assert.Equal(expected, Logits(again));
        Attach.Detach(again);
        Attach.Detach(model);
    }

    /// <summary>LlamaForSequenceClassification and its relatives: a head "score" without bias over the last token's state, and no head over tokens.</summary>
    [Theory]
    [InlineData("llama", "lm_head.weight")]
    [InlineData("gpt2", null)]
    [InlineData("gpt_neox", "embed_out.weight")]
    public void AClassifiersFileIsTheDecodersWithAnotherHead(string name, string? tokenHead)
    {
        using var decoder = LanguageModel.Load(ModelGoldenTests.Folder(name), _backend);
        var width = decoder.Width;
        float[] score = [.. Enumerable.Range(0, 3 * width).Select(static i => MathF.Sin(i))];
        using (var file = Checkpoint.Open(ModelGoldenTests.Folder(name)))
        {
            Assert.True(tokenHead is null || file.TryGet(tokenHead, out _));
            var sources = file.Entries.Where(e => e.Name != tokenHead)
                .Select(e => new TensorSource(e.Name, e.DType, e.Shape, file.Bytes(e).ToArray())).Append(new TensorSource("score.weight", [3, width], score));
            SafetensorsWriter.Write(Path.Combine(_folder.Path, "model.safetensors"), [.. sources]);
        }
        File.Copy(Path.Combine(ModelGoldenTests.Folder(name), "config.json"), Path.Combine(_folder.Path, "config.json"));
        Assert.Throws<CheckpointException>(() => LanguageModel.Load(_folder.Path, _backend));             // it has no head over tokens, or one too many
        using var model = TextClassifier.Load(_folder.Path, _backend);
        Assert.Equal((TextPooling.Last, 3, false), (model.Pooling, model.Labels.Count, model.HeadIsNew));
        var logits = Logits(model);
        for (var row = 0; row < 3; row++)
        {
            var states = States(decoder, Text(row));
            for (var c = 0; c < 3; c++)
            {
                var sum = 0.0;
                for (var i = 0; i < width; i++) sum += (double)score[c * width + i] * states[(Lengths[row] - 1) * width + i];
                Assert.Equal(sum, logits[row * 3 + c], 1e-4);
            }
        }
        using var mean = TextClassifier.Load(_folder.Path, _backend, pooling: TextPooling.Mean);
        Assert.Null(mean.Head);                                                        // made for another pooling
    }

    [Theory]
    [MemberData(nameof(ModelGoldenTests.Classifiers), MemberType = typeof(ModelGoldenTests))]
    public void SavesWhatItLoaded(string name)
    {
        using var model = TextClassifier.Load(ModelGoldenTests.Folder(name), _backend);
        model.Save(_folder.Path);
        using Checkpoint before = Checkpoint.Open(ModelGoldenTests.Folder(name)), after = Checkpoint.Open(_folder.Path);
        Assert.Equal(before.Entries.Count, after.Entries.Count);
        foreach (var entry in before.Entries) Assert.True(before.Bytes(entry).SequenceEqual(after.Bytes(after[entry.Name])), entry.Name);
        using var again = TextClassifier.Load(_folder.Path, _backend);
        Assert.Equal((model.Pooling, false), (again.Pooling, again.HeadIsNew));
        Assert.Equal(model.Labels, again.Labels);
        Assert.Equal(Logits(model), Logits(again));
    }

    [Theory]
    [MemberData(nameof(Decoders))]
    public void SavesANewHead(string name)
    {
        using var model = TextClassifier.Load(ModelGoldenTests.Folder(name), _backend);
        Assert.Contains("NewHead", Assert.Throws<InvalidOperationException>(() => model.Save(_folder.Path)).Message, StringComparison.Ordinal);
        WithHead(model);
        model.Save(_folder.Path);
        using var again = TextClassifier.Load(_folder.Path, _backend);
        Assert.Equal((TextPooling.Mean, false), (again.Pooling, again.HeadIsNew));
        Assert.Equal(["no", "yes"], again.Labels);
        Assert.Equal(Logits(model), Logits(again));
    }

    /// <summary>LoRA and a new head learn whether a token occurs; what is frozen stays as it was.</summary>
    [Theory]
    [InlineData("llama", "*.attn.(q|v)")]
    [InlineData("roberta", "*.attn.(q|v)")]
    [InlineData("t5", "*.attn.(q|v)")]
    public void LearnsToClassify(string name, string pattern)
    {
        using var model = TextClassifier.Load(ModelGoldenTests.Folder(name), _backend);
        var data = new Occurrences();
        Attach.Lora(model, pattern, rank: 4, alpha: 8);
        var frozen = model.Parameters().Where(static p => !p.Value.Trains && !p.Key.StartsWith("head", StringComparison.Ordinal))
            .ToDictionary(static p => p.Key, static p => p.Value.Value.ToArray());
        var history = Trainer.Fit(model, data, new FitOptions { Steps = 60, BatchSize = 16, HeadRate = 2e-2, FactorRate = 1e-2 });
        Assert.True(history.Steps[^1].Loss < 0.5f * history.Steps[0].Loss, $"{history.Steps[0].Loss} became {history.Steps[^1].Loss}");
        Assert.True(model.Accuracy(data) > 0.9, $"{model.Accuracy(data)}");
        foreach (var (path, parameter) in model.Parameters())
            if (frozen.TryGetValue(path, out var before)) Assert.True(before.AsSpan().SequenceEqual(parameter.Value.ToArray()), path);
        Attach.Detach(model);
    }

    [Fact]
    public void PoolsTheStatesOfT5sEncoder()
    {
        using var t5 = T5.Load(ModelGoldenTests.Folder("t5"), _backend);
        using var model = TextClassifier.Load(ModelGoldenTests.Folder("t5"), _backend);
        Assert.All(model.Linears(), static l => Assert.StartsWith("encoder.", l.Key, StringComparison.Ordinal));
        var found = Features(model);
        Assert.Equal(found, Features(model, padding: 50));
        for (var row = 0; row < 3; row++)
        {
            float[] states = [];
            t5.Trace = (at, x) => { if (at == "encoder.last_hidden") states = x.ToArray(); };
            using (_backend.Scope(grad: false)) t5.Forward(_backend.Main.From(Text(row), new Shape(1, Lengths[row])));
            for (var i = 0; i < model.FeatureSize; i++)
                Assert.Equal(Enumerable.Range(0, Lengths[row]).Average(t => states[t * model.FeatureSize + i]), found[row * model.FeatureSize + i], 2e-5f);
        }
        WithHead(model);
        Assert.Contains("adapter", Assert.Throws<InvalidOperationException>(() => model.Save(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void SaysWhatDoesNotFit()
    {
        using var model = TextClassifier.Load(ModelGoldenTests.Folder("gpt2"), _backend);
        using var scope = _backend.Scope();
        var two = _backend.Main.From([5, 6, 7, 8], new Shape(2, 2));
        Refused("lengths of 3 rows", () => model.Features(two, null, 1, 1, 1));
        Refused("knows no segments", () => model.Features(two, two));
        Refused("has no pooler", () => TextClassifier.Load(ModelGoldenTests.Folder("gpt2"), _backend, pooling: TextPooling.Pooler));
        Refused("has no pooler", () => TextClassifier.Load(ModelGoldenTests.Folder("t5"), _backend, pooling: TextPooling.Pooler));
        Assert.Contains("NewHead", Assert.Throws<InvalidOperationException>(() => model.Forward(two)).Message, StringComparison.Ordinal);

        static void Refused(string why, Action run) => Assert.Contains(why, Assert.ThrowsAny<ArgumentException>(run).Message, StringComparison.Ordinal);
    }

    private static int[] Text(int row) => [.. Enumerable.Range(0, Lengths[row]).Select(t => 3 + (11 * row + 7 * t) % 90)];

    private Batch Padded(int padding)
    {
        var ids = Enumerable.Range(0, 3).SelectMany(row => Text(row).Concat(Enumerable.Repeat(padding, 7 - Lengths[row])));
        return new Batch(_backend.Main.From([.. ids], new Shape(3, 7)), _backend.Main.From([0, 0, 0], new Shape(3))) { Lengths = Lengths };
    }

    private float[] States(LanguageModel model, int[] text)
    {
        using var scope = _backend.Scope(grad: false);
        float[] states = [];
        model.Trace = (at, x) => { if (at == "last_hidden") states = x.ToArray(); };
        model.Forward(_backend.Main.From(text, new Shape(1, text.Length)));
        model.Trace = null;
        return states;
    }

    private float[] Logits(TextClassifier model)
    {
        using var scope = _backend.Scope(grad: false);
        return model.Forward(Padded(0)).ToArray();
    }

    private float[] Features(TextClassifier model, int padding = 0)
    {
        using var scope = _backend.Scope(grad: false);
        return model.Features(Padded(padding)).ToArray();
    }

    private static void WithHead(TextClassifier model) =>
        model.NewHead([.. Enumerable.Range(0, 2 * model.FeatureSize).Select(static i => MathF.Cos(i))], [0.5f, -0.5f], ["no", "yes"]);

    private static LoraModule Filled(LoraModule module)
    {
        foreach (var (_, update) in module.Updates) update.B.Value.Backend.Fill(update.B.Value, 0.1f);
        return module;
    }

    /// <summary>Texts of 4 to 9 tokens; those of the second class have token 42 somewhere.</summary>
    private sealed class Occurrences : IDataset
    {
        private readonly int[][] _texts = [.. Enumerable.Range(0, 32).Select(static i => Make(new Philox(5, (ulong)i), i % 2 == 1))];

        public string Name => "occurrences";

        public int Count => _texts.Length;

        public IReadOnlyList<string> Classes { get; } = ["without", "with"];

        public int Label(int index) => index % 2;

        public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
        {
            var (width, lengths) = (0, new int[indices.Length]);
            for (var i = 0; i < lengths.Length; i++) width = Math.Max(width, lengths[i] = _texts[indices[i]].Length);
            var (ids, labels) = (new int[lengths.Length * width], new int[lengths.Length]);
            for (var i = 0; i < lengths.Length; i++)
            {
                _texts[indices[i]].CopyTo(ids, i * width);
                labels[i] = Label(indices[i]);
            }
            return new Batch(workspace.From(ids, new Shape(lengths.Length, width)), workspace.From(labels, new Shape(lengths.Length))) { Lengths = lengths };
        }

        private static int[] Make(Philox random, bool with)
        {
            var text = new int[4 + (int)(6 * random.Uniform(0))];
            for (var t = 0; t < text.Length; t++) text[t] = 50 + (int)(40 * random.Uniform((ulong)t + 1));
            if (with) text[(int)(text.Length * random.Uniform(99))] = 42;
            return text;
        }
    }
}
