using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>Language models beyond what the reference's numbers show: caches, batches, files.</summary>
public sealed class LanguageModelTests : EngineFileTest
{
    /// <summary>Reading a text in parts, or token by token, gives what reading it at once does.</summary>
    [Theory]
    [InlineData("gpt2")]
    [InlineData("gemma3")]
    [InlineData("mistral")]
    [InlineData("phi3")]
    [InlineData("opt_post_norm")]
    [InlineData("gpt_neox")]
    public void ACacheChangesNothing(string name)
    {
        using var model = LanguageModel.Load(ModelGoldenTests.Folder(name), Backend);
        const int batch = 3, length = 15;
        int[] padding = [0, 4, 1];
        var ids = Ids(batch, length);
        using var scope = Backend.Scope(grad: false);
        var whole = model.Forward(Tokens(ids, batch, 0, length), padding).ToArray();
        using var cache = model.NewCache(batch, length, padding);
        foreach (var (from, to) in (ReadOnlySpan<(int, int)>)[(0, 6), (6, 7), (7, 8), (8, 14), (14, 15)])
        {
            var part = model.Forward(Tokens(ids, batch, from, to), cache).ToArray();
            for (var row = 0; row < batch; row++)
                for (var t = Math.Max(from, padding[row]); t < to; t++)
                    for (var v = 0; v < model.Vocabulary; v++)
                        Assert.Equal(whole[(row * length + t) * model.Vocabulary + v], part[(row * (to - from) + t - from) * model.Vocabulary + v], 2e-5f);
        }
        Assert.Equal(length, cache.Length);
        cache.Clear();
        var last = model.Next(Tokens(ids, batch, 0, length), cache).ToArray();
        for (var v = 0; v < model.Vocabulary; v++) Assert.Equal(whole[(length - 1) * model.Vocabulary + v], last[v], 2e-5f);
    }

    /// <summary>Where the frequencies change at a length, generation past it gives what reading the text anew at every step does.</summary>
    [Fact]
    public void GeneratesAcrossTheLengthAtWhichFrequenciesChange()
    {
        using var model = LanguageModel.Load(ModelGoldenTests.Folder("phi3_longrope"), Backend);
        var text = Ids(1, 20).ToList();
        var tokens = Generator.Greedy(model, [[.. text]], 10)[0];
        foreach (var token in tokens)
        {
            using var scope = Backend.Scope(grad: false);
            var logits = model.Forward(Backend.Main.From([.. text], new Shape(1, text.Count)));
            Assert.Equal(token, logits.Slice(1, text.Count - 1, text.Count).ArgMax(-1).ToInts()[0]);
            text.Add(token);
        }
        Assert.Equal(30, text.Count);
    }

    [Fact]
    public void PromptsOfUnequalLengthBecomeWhatEachBecomesAlone()
    {
        using var model = LanguageModel.Load(ModelGoldenTests.Folder("qwen2"), Backend);
        int[][] prompts = [[5, 17, 60, 33, 8], [42], [7, 7, 91]];
        var together = Generator.Greedy(model, prompts, 12);
        for (var row = 0; row < prompts.Length; row++) Assert.Equal(Generator.Greedy(model, [prompts[row]], 12)[0], together[row]);
        var stop = together[1][4];
        var stopped = Generator.Greedy(model, new Workspace(Backend), prompts, 12, stop);
        for (var row = 0; row < prompts.Length; row++)
        {
            var end = Array.IndexOf(together[row], stop);
            Assert.Equal(end < 0 ? together[row] : together[row][..(end + 1)], stopped[row]);
        }
    }

    [Fact]
    public void GenerationTakesNoMemoryAfterTheFirst()
    {
        using var model = LanguageModel.Load(ModelGoldenTests.Folder("gpt2"), Backend);
        var (live, first) = (Backend.LiveBlocks, Generator.Greedy(model, [[5, 6, 7], [8]], 20));
        var reserved = Backend.ReservedBytes;
        Assert.Equal(first, Generator.Greedy(model, [[5, 6, 7], [8]], 20));
        Assert.Equal(reserved, Backend.ReservedBytes);
        Assert.Equal(live, Backend.LiveBlocks);
    }

    [Theory]
    [MemberData(nameof(ModelGoldenTests.Texts), MemberType = typeof(ModelGoldenTests))]
    public void SavesWhatItLoaded(string name)
    {
        using var model = LanguageModel.Load(ModelGoldenTests.Folder(name), Backend);
        model.Save(Temporary.Path);
        using var before = Checkpoint.Open(ModelGoldenTests.Folder(name));
        using var after = Checkpoint.Open(Temporary.Path);
        Assert.Equal(Names(before), Names(after));
        foreach (var entry in before.Entries) Assert.True(before.Bytes(entry).SequenceEqual(after.Bytes(after[entry.Name])), entry.Name);
        using var again = LanguageModel.Load(Temporary.Path, Backend);
        Assert.Equal(Logits(model), Logits(again));

        static string[] Names(Checkpoint file) => [.. file.Entries.Select(static e => e.ToString()).Order(StringComparer.Ordinal)];
    }

    /// <summary>One loaded model serves several threads, each with a workspace of its own.</summary>
    [Fact]
    public void SeveralThreadsGenerateAtOnce()
    {
        using var model = LanguageModel.Load(ModelGoldenTests.Folder("gemma3"), Backend);
        var expected = Enumerable.Range(0, 4).Select(i => Generator.Greedy(model, [[5 + i, 40, 9 * i + 3]], 10)[0]).ToArray();
        var found = new int[4][];
        Parallel.For(0, 4, i => found[i] = Generator.Greedy(model, new Workspace(Backend), [[5 + i, 40, 9 * i + 3]], 10)[0]);
        Assert.Equal(expected, found);
    }

    [Theory]
    [InlineData("llama", FileDType.BF16)]
    [InlineData("llama", FileDType.F16)]
    [InlineData("gpt2", FileDType.BF16)]
    [InlineData("gpt2", FileDType.F16)]
    [InlineData("opt", FileDType.F16)]
    [InlineData("gemma3", FileDType.BF16)]
    public void MatricesStayIn16BitsAndLogitsNearThoseOfF32(string name, FileDType type)
    {
        Copy(name);
        Rewrite(file => file.Entries.Select(entry => Narrow(file, entry, type)));
        using var kept = LanguageModel.Load(Temporary.Path, Backend);
        using var widened = LanguageModel.Load(Temporary.Path, Backend, keepType: false);
        using var single = LanguageModel.Load(ModelGoldenTests.Folder(name), Backend);
        foreach (var (path, parameter) in kept.Parameters())
            Assert.Equal(parameter.Shape.Rank < 2 ? DType.F32 : type == FileDType.BF16 ? DType.BF16 : DType.F16, parameter.Value.DType);
        Assert.All(widened.Parameters(), p => Assert.Equal(DType.F32, p.Value.Value.DType));
        float[] a = Logits(kept), b = Logits(widened), c = Logits(single);
        var largest = c.Max(MathF.Abs);
        for (var i = 0; i < a.Length; i++) Assert.Equal(b[i], a[i], 1e-5f * largest);
        var near = type == FileDType.BF16 ? 0.08f : 0.01f;                             // 2^-9 and 2^-12 of each weight, through every layer
        for (var i = 0; i < a.Length; i++) Assert.Equal(c[i], a[i], near * largest);
        Assert.NotEqual(c, a);
        kept.Save(Temporary.Path);
        using var again = LanguageModel.Load(Temporary.Path, Backend);
        Assert.Equal(a, Logits(again));
    }

    [Fact]
    public void ReadsWeightsInSeveralFiles()
    {
        Copy("llama");
        using var whole = LanguageModel.Load(Temporary.Path, Backend);
        using (var file = Checkpoint.Open(Temporary.Path))
        {
            var index = new List<string>();
            foreach (var entries in file.Entries.GroupBy(static e => e.Name.Contains("layers.1", StringComparison.Ordinal) ? "b" : "a"))
            {
                var shard = $"model-{entries.Key}.safetensors";
                SafetensorsWriter.Write(Path.Combine(Temporary.Path, shard), [.. entries.Select(e => Source(file, e))]);
                index.AddRange(entries.Select(e => $"\"{e.Name}\": \"{shard}\""));
            }
            File.WriteAllText(Path.Combine(Temporary.Path, "model.safetensors.index.json"), $"{{\"weight_map\": {{{string.Join(", ", index)}}}}}");
        }
        File.Delete(Path.Combine(Temporary.Path, "model.safetensors"));
        using var parts = LanguageModel.Load(Temporary.Path, Backend);
        Assert.Equal(Logits(whole), Logits(parts));
    }

    /// <summary>Adapters find a language model's linears by path, fused ones as well, and gradients reach them.</summary>
    [Theory]
    [InlineData("llama", "*.attn.(q|v)", 4)]
    [InlineData("phi3", "*.attn.qkv", 2)]
    [InlineData("gpt2", "*.attn.qkv", 2)]
    [InlineData("gpt_neox", "*.(attn.o|mlp.fc2)", 4)]
    public void TakesAdapters(string name, string pattern, int count)
    {
        using var model = LanguageModel.Load(ModelGoldenTests.Folder(name), Backend);
        var before = Logits(model);
        Attach.Lora(model, pattern, rank: 2, alpha: 4);
        Assert.Equal(before, Logits(model));                                           // B is zero at first
        Assert.Equal(2 * count, model.Trained().Count);
        using (Backend.Scope())
        {
            var ids = Ids(2, 9);
            using var loss = model.Forward(Backend.Main.From(ids, new Shape(2, 9))).CrossEntropy(Backend.Main.From(ids, new Shape(2, 9)));
            loss.Backward();
        }
        Assert.All(model.Trained(), p => Assert.NotNull(p.Value.Gradient));
        Assert.Contains(model.Trained(), p => p.Value.Gradient!.ToArray().Any(static g => g != 0));
        Attach.Detach(model);
    }

    [Fact]
    public void SaysWhatDoesNotFit()
    {
        using var model = LanguageModel.Load(ModelGoldenTests.Folder("gpt2"), Backend);
        using var other = LanguageModel.Load(ModelGoldenTests.Folder("llama"), Backend);
        using var scope = Backend.Scope();
        using var cache = model.NewCache(2, 4);
        var w = Backend.Main;
        var two = w.From(Ids(2, 3), new Shape(2, 3));
        Refused("I32 [B, T]", () => model.Forward(w.From([1], new Shape(1))));
        Refused("not F32", () => model.Forward(w.Zeros(new Shape(1, 2))));
        Refused("one at least", () => model.Forward(w.From(ReadOnlySpan<int>.Empty, new Shape(1, 0))));
        Refused("positions for 64", () => model.Forward(w.From(Ids(1, 65), new Shape(1, 65))));
        Refused("id 100", () => model.Forward(w.From([100], new Shape(1, 1))));
        Refused("padding of 1 rows", () => model.Forward(two, 1));
        Refused("every row needs one", () => model.Forward(two, 0, 3));
        Refused("another model's sizes", () => other.Forward(two, cache));
        Refused("a cache of 2 texts", () => model.Forward(w.From(Ids(1, 3), new Shape(1, 3)), cache));
        model.Forward(two, cache);
        Refused("do not fit a cache of 4", () => model.Forward(two, cache));
        Refused("prompt 1 is empty", () => Generator.Greedy(model, [[1], []], 3));
        Refused("1 at least", () => Generator.Greedy(model, [[1]], 0));
        Refused("1 at least", () => model.NewCache(0, 4));
        Assert.Equal(3, cache.Length);

        static void Refused(string why, Action run) => Assert.Contains(why, Assert.ThrowsAny<ArgumentException>(run).Message, StringComparison.Ordinal);
    }

    /// <summary>A tied head may lie in the file once more, if it is the same.</summary>
    [Fact]
    public void ATiedHeadThatIsAnotherIsRefused()
    {
        Copy("gpt2");
        Rewrite(file => [.. file.Entries.Select(e => Source(file, e)), Source(file, file["transformer.wte.weight"], "lm_head.weight")]);
        using (LanguageModel.Load(Temporary.Path, Backend)) { }
        Rewrite(file => file.Entries.Select(e => e.Name == "lm_head.weight" ? new TensorSource(e.Name, [100, 32], new float[3200]) : Source(file, e)));
        var error = Assert.Throws<CheckpointException>(() => LanguageModel.Load(Temporary.Path, Backend));
        Assert.Equal("lm_head.weight", error.Field);
        Assert.Contains("tie_word_embeddings", error.Message, StringComparison.Ordinal);
    }

    private static TensorSource Source(Checkpoint file, TensorEntry entry, string? name = null) =>
        new(name ?? entry.Name, entry.DType, entry.Shape, file.Bytes(entry).ToArray());

    private static TensorSource Narrow(Checkpoint file, TensorEntry entry, FileDType type)
    {
        var values = new float[entry.Count];
        file.CopyTo(entry, values);
        var bytes = new byte[2 * values.Length];
        for (var i = 0; i < values.Length; i++)
        {
            var bits = type == FileDType.F16 ? BitConverter.HalfToUInt16Bits((Half)values[i])
                : (ushort)((BitConverter.SingleToUInt32Bits(values[i]) + 0x8000) >> 16);
            BitConverter.TryWriteBytes(bytes.AsSpan(2 * i), bits);
        }
        return new TensorSource(entry.Name, type, entry.Shape, bytes);
    }

    private void Rewrite(Func<Checkpoint, IEnumerable<TensorSource>> change)
    {
        var path = Path.Combine(Temporary.Path, "model.safetensors");
        List<TensorSource> sources;
        using (var file = Checkpoint.Open(path)) sources = [.. change(file)];
        SafetensorsWriter.Write(path, sources);
    }

    private void Copy(string name)
    {
        foreach (var file in (ReadOnlySpan<string>)["config.json", "model.safetensors"])
            File.Copy(Path.Combine(ModelGoldenTests.Folder(name), file), Path.Combine(Temporary.Path, file));
    }

    private static int[] Ids(int batch, int length) => [.. Enumerable.Range(0, batch * length).Select(i => 3 + i * 37 % 97)];

    private Tensor Tokens(int[] ids, int batch, int from, int to)
    {
        var length = ids.Length / batch;
        var part = Enumerable.Range(0, batch).SelectMany(row => ids[(row * length + from)..(row * length + to)]);
        return Backend.Main.From([.. part], new Shape(batch, to - from));
    }

    private float[] Logits(LanguageModel model)
    {
        using var scope = Backend.Scope(grad: false);
        return model.Forward(Backend.Main.From(Ids(2, 11), new Shape(2, 11))).ToArray();
    }
}
