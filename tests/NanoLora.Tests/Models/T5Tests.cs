using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>T5 beyond what the reference's numbers show.</summary>
public sealed class T5Tests : EngineFileTest
{
    [Fact]
    public void SavesWhatItLoaded()
    {
        using var model = T5.Load(ModelGoldenTests.Folder("t5"), Backend);
        model.Save(Temporary.Path);
        Assert.Contains("\"initializer_factor\": 1.0,", File.ReadAllText(Path.Combine(Temporary.Path, "config.json")));     // transformers takes no 1
        using var again = T5.Load(Temporary.Path, Backend);
        Assert.Equal(Logits(model), Logits(again));
        using var before = Checkpoint.Open(ModelGoldenTests.Folder("t5"));
        using var after = Checkpoint.Open(Temporary.Path);
        Assert.Equal(before.Entries.Count, after.Entries.Count);
        foreach (var entry in before.Entries) Assert.True(before.Bytes(entry).SequenceEqual(after.Bytes(after[entry.Name])), entry.Name);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void ANewOneComesFromItsSeedAndBackFromItsFolder(bool gated, bool tied)
    {
        var config = New with { Gated = gated, TiedHead = tied, ScaledHead = tied, Activation = gated ? Activation.GeluTanh : Activation.Relu };
        using T5 model = T5.Create(config, Backend, 5), same = T5.Create(config, Backend, 5), other = T5.Create(config, Backend, 6);
        Assert.Equal(Logits(model), Logits(same));
        Assert.NotEqual(Logits(model), Logits(other));
        Assert.Empty(model.Trained());
        Assert.Equal([1], model.EndTokens);
        model.Save(Temporary.Path);
        using var again = T5.Load(Temporary.Path, Backend);
        Assert.Equal(Logits(model), Logits(again));
        Assert.Equal((model.Vocabulary, model.StartToken, model.EndTokens[0]), (again.Vocabulary, again.StartToken, again.EndTokens[0]));
        again.Save(Path.Combine(Temporary.Path, "once more"));
        Assert.Equal(File.ReadAllBytes(Path.Combine(Temporary.Path, "config.json")),
            File.ReadAllBytes(Path.Combine(Temporary.Path, "once more", "config.json")));
    }

    [Fact]
    public void ANewOneHasTheDeviationsOfMeshTensorFlow()
    {
        using var model = T5.Create(New with { HiddenSize = 64, HeadSize = 16, Heads = 6, IntermediateSize = 256, InitialFactor = 0.5f }, Backend, 5);
        foreach (var (path, deviation) in (ReadOnlySpan<(string, double)>)[
            ("embed.weight", 1), ("head.weight", 1), ("encoder.blocks.0.attn.q.weight", 1 / Math.Sqrt(64 * 16)),
            ("decoder.blocks.1.cross.k.weight", 0.125),
            ("decoder.blocks.1.cross.o.weight", 1 / Math.Sqrt(96)), ("encoder.blocks.1.mlp.gate.weight", 0.125),
            ("encoder.blocks.1.mlp.down.weight", 1.0 / 16)])
        {
            var values = model.Parameters().Single(p => p.Key == path).Value.Value.ToArray();
            Assert.Equal(0.5 * deviation, Math.Sqrt(values.Average(static v => (double)v * v)), 0.04 * deviation);
        }
        Assert.All(model.Parameters().Single(static p => p.Key == "decoder.norm.weight").Value.Value.ToArray(), static v => Assert.Equal(0.5f, v));
    }

    [Fact]
    public void NoneIsMadeOfAConfigThatDoesNotFit()
    {
        Refused("Heads is 0", New with { Heads = 0 });
        Refused("MaxDistance is 16", New with { MaxDistance = 16 });
        Refused("EndToken 40", New with { EndToken = 40 });
        Refused("gated-gelu", New with { Activation = Activation.Gelu });

        void Refused(string why, T5Config config) =>
            Assert.Contains(why, Assert.Throws<ArgumentException>(() => T5.Create(config, Backend, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnswersHaveTheScoresThatTheyHaveAlone()
    {
        using var model = T5.Create(New with { InitialFactor = 0.5f }, Backend, 5);
        int[][] texts = [[5, 17, 30, 33, 8, 1], [39, 1], [7, 7, 21, 1], [12, 13, 14, 15, 16, 17, 1]], answers = [[9], [10, 11, 12], [20, 3]];
        var pairs = new Rows([.. texts.SelectMany(text => answers.Select(answer => (text, answer)))]);
        var (plain, once) = (model.ScoreEach(pairs, 5), model.ScoreAnswers(new Rows([.. texts.Select(static text => (text, Answer: (int[])[1]))]), answers, 3));
        Assert.Equal(plain.Length, once.Length);
        for (var i = 0; i < plain.Length; i++)
        {
            Assert.Equal(plain[i].LogLikelihood, once[i].LogLikelihood, 1e-5 * Math.Abs(plain[i].LogLikelihood));
            Assert.Equal((plain[i].Targets, plain[i].Right), (once[i].Targets, once[i].Right));
        }
        Assert.Equal(TokenScores.BestAnswers(plain, 3), TokenScores.BestAnswers(once, 3));
        Assert.Contains("each has a token", Assert.Throws<ArgumentException>(() => model.ScoreAnswers(pairs, [[9], []])).Message);
    }

    private static T5Config New { get; } = new()
    {
        Vocabulary = 40, HiddenSize = 16, Heads = 3, HeadSize = 4, IntermediateSize = 24, EncoderLayers = 2, DecoderLayers = 2, Buckets = 32, MaxDistance = 64,
    };

    // Texts to read and what is to be written, padded.
    private sealed class Rows(IReadOnlyList<(int[] Text, int[] Answer)> rows) : IDataset
    {
        public string Name => "rows";

        public int Count => rows.Count;

        public IReadOnlyList<string> Classes => [];

        public int Label(int index) => -1;

        public int Length(int index) => rows[index].Text.Length;

        public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
        {
            int[] chosen = [.. indices], lengths = [.. chosen.Select(i => rows[i].Text.Length)];
            return new(Padded(i => rows[i].Text, 0), Padded(i => rows[i].Answer, Batch.Ignored)) { Lengths = lengths };

            Tensor Padded(Func<int, int[]> part, int padding)
            {
                var width = chosen.Max(i => part(i).Length);
                return workspace.From([.. chosen.SelectMany(i => part(i).Concat(Enumerable.Repeat(padding, width - part(i).Length)))],
                    new Shape(chosen.Length, width));
            }
        }
    }

    /// <summary>With gates and a head of its own, and a mix of lengths: a cache, and company, change nothing about what is written.</summary>
    [Theory]
    [InlineData("relu")]
    [InlineData("gated-gelu")]
    [InlineData("gated-silu")]
    public void WritesWhatTheWholePassSays(string function)
    {
        Gated(function);
        using var model = T5.Load(Temporary.Path, Backend);
        int[][] texts = [[5, 17, 60, 33, 8, 1], [42, 1], [7, 7, 91, 1]];
        var together = Generator.Greedy(model, Backend.Main, texts, 9);
        for (var row = 0; row < texts.Length; row++)
        {
            var w = new Workspace(Backend);
            Assert.Equal(Generator.Greedy(model, w, [texts[row]], 9)[0], together[row]);
            using var scope = w.Scope(grad: false);
            int[] written = [model.StartToken, .. together[row][..^1]];
            var logits = model.Forward(w.From(texts[row], new Shape(1, texts[row].Length)), w.From(written, new Shape(1, written.Length)));
            Assert.Equal(together[row], logits.ArgMax(-1).ToInts());
            Assert.Equal(together[row][0], model.Forward(w.From(texts[row], new Shape(1, texts[row].Length))).ArgMax(-1).ToInts()[0]);
        }
        var stop = together[0][3];
        Assert.Equal(together[0][..(Array.IndexOf(together[0], stop) + 1)], Generator.Greedy(model, Backend.Main, texts, 9, stop)[0]);
    }

    [Fact]
    public void TakesAdaptersInBothStacks()
    {
        using var model = T5.Load(ModelGoldenTests.Folder("t5"), Backend);
        Attach.Lora(model, "*.(attn|cross).(q|v)", rank: 2, alpha: 4);
        Assert.Equal(2 * 2 * (3 + 2 + 2), model.Trained().Count);                      // A and B, of q and v, in three blocks, two, and two once more
        using (Backend.Scope())
        {
            var w = Backend.Main;
            using var loss = model.Forward(w.From([5, 6, 7, 8], new Shape(2, 2)), w.From([0, 9, 0, 4], new Shape(2, 2)), 2, 1)
                .CrossEntropy(w.From([9, 1, 4, 1], new Shape(2, 2)));
            loss.Backward();
        }
        Assert.All(model.Trained(), p => Assert.NotNull(p.Value.Gradient));
        Attach.Detach(model);
    }

    [Fact]
    public void SaysWhatDoesNotFit()
    {
        using var model = T5.Load(ModelGoldenTests.Folder("t5"), Backend);
        using var scope = Backend.Scope();
        var w = Backend.Main;
        Tensor two = w.From([5, 6, 7, 8], new Shape(2, 2)), one = w.From([0], new Shape(1, 1));
        Refused("for inputs [2, 2]", () => model.Forward(two, one));
        Refused("I32 [B, T]", () => model.Forward(two, w.Zeros(new Shape(2, 2))));
        Refused("lengths of 1 rows", () => model.Forward(two, two, 1));
        Refused("between 1 and 2", () => model.Forward(two, two, 0, 2));
        Refused("id 100", () => model.Forward(one, w.From([100], new Shape(1, 1))));
        Refused("1 at least", () => Generator.Greedy(model, w, [], 3));

        static void Refused(string why, Action run) => Assert.Contains(why, Assert.ThrowsAny<ArgumentException>(run).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"model_type\": \"t5\"", "\"model_type\": \"umt5\"", "model_type", "no t5")]
    [InlineData("\"feed_forward_proj\": \"relu\"", "\"feed_forward_proj\": \"gated-gelu-new\"", "feed_forward_proj", "expected")]
    [InlineData("\"feed_forward_proj\": \"relu\"", "\"feed_forward_proj\": \"mish\"", "feed_forward_proj", "mish")]
    [InlineData("\"feed_forward_proj\": \"relu\"", "\"feed_forward_proj\": \"gated-gelu\"", "wi_0", "missing")]
    [InlineData("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "tie_word_embeddings", "lm_head.weight")]
    [InlineData("\"relative_attention_max_distance\": 24", "\"relative_attention_max_distance\": 8", "relative_attention_max_distance", "half")]
    [InlineData("\"decoder_start_token_id\": 0", "\"decoder_start_token_id\": 100", "decoder_start_token_id", "none of the 100")]
    [InlineData("\"num_decoder_layers\": 2", "\"num_decoder_layers\": 1", "decoder.block.1.", "no place")]
    public void SaysWhatIsWrong(string old, string other, string field, string why)
    {
        File.Copy(Path.Combine(ModelGoldenTests.Folder("t5"), "model.safetensors"), Path.Combine(Temporary.Path, "model.safetensors"));
        var config = File.ReadAllText(Path.Combine(ModelGoldenTests.Folder("t5"), "config.json"));
        Assert.Contains(old, config, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(Temporary.Path, "config.json"), config.Replace(old, other, StringComparison.Ordinal));
        var error = Assert.Throws<CheckpointException>(() => T5.Load(Temporary.Path, Backend));
        Assert.Contains(field, error.Field, StringComparison.Ordinal);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    // The reference's small T5 with another function; a gated one has a second matrix in each MLP, and here a head of its own.
    private void Gated(string function)
    {
        var gated = function.StartsWith("gated", StringComparison.Ordinal);
        var config = File.ReadAllText(Path.Combine(ModelGoldenTests.Folder("t5"), "config.json"));
        config = config.Replace("\"feed_forward_proj\": \"relu\"", $"\"feed_forward_proj\": \"{function}\"", StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(Temporary.Path, "config.json"), config);
        using var file = Checkpoint.Open(ModelGoldenTests.Folder("t5"));
        var sources = new List<TensorSource>();
        foreach (var entry in file.Entries)
        {
            var name = gated ? entry.Name.Replace(".wi.", ".wi_1.", StringComparison.Ordinal) : entry.Name;
            sources.Add(Source(name, entry));
            if (name != entry.Name) sources.Add(Source(entry.Name.Replace(".wi.", ".wi_0.", StringComparison.Ordinal), entry));
        }
        if (gated) sources.Add(Source("lm_head.weight", file["shared.weight"]));
        SafetensorsWriter.Write(Path.Combine(Temporary.Path, "model.safetensors"), sources);

        TensorSource Source(string name, TensorEntry entry) => new(name, entry.DType, entry.Shape, file.Bytes(entry).ToArray());
    }

    private float[] Logits(T5 model)
    {
        using var scope = Backend.Scope(grad: false);
        var w = Backend.Main;
        return model.Forward(w.From([5, 6, 7, 8, 9, 10], new Shape(2, 3)), w.From([0, 9, 0, 4], new Shape(2, 2)), 3, 2).ToArray();
    }
}
