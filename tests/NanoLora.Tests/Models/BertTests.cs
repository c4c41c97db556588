using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>BERT and RoBERTa beyond what the reference's numbers show: files, generations of names, heads, padding, adapters.</summary>
public sealed class BertTests : IDisposable
{
    private readonly CpuBackend _backend = new(2);
    private readonly TemporaryFolder _folder = new();

    public void Dispose()
    {
        Assert.Equal(0, _backend.LiveBlocks);
        _backend.Dispose();
        _folder.Dispose();
    }

    /// <summary>A wider batch, and other texts in it, change a text's scores by rounding alone; what stands at padding changes not a bit.</summary>
    [Theory]
    [InlineData("bert", TextPooling.Pooler)]
    [InlineData("roberta", TextPooling.Pooler)]
    [InlineData("bert", TextPooling.Mean)]
    [InlineData("roberta", TextPooling.Last)]
    public void NoTextSeesPadding(string name, TextPooling pooling)
    {
        using var model = Bert.Load(ModelGoldenTests.Folder(name), _backend, pooling: pooling);
        using var scope = _backend.Scope(grad: false);
        int[] text = [5, 17, 60, 33], other = [8, 9, 10, 11, 12, 13, 14];
        var alone = Features(text);
        var together = Batched(0);
        for (var i = 0; i < alone.Length; i++) Assert.Equal(alone[i], together[i], 1e-5f);
        Assert.Equal(together, Batched(77));

        float[] Features(int[] ids) => model.Features(_backend.Main.From(ids, new Shape(1, ids.Length))).ToArray();

        float[] Batched(int padding)
        {
            int[] ids = [.. text, .. Enumerable.Repeat(padding, other.Length - text.Length), .. other];
            var targets = _backend.Main.From([0, 0], new Shape(2));
            return model.Features(new Batch(_backend.Main.From(ids, new Shape(2, other.Length)), targets) { Lengths = [text.Length, other.Length] }).ToArray();
        }
    }

    /// <summary>Bare models, heads of other tasks, LayerNorms with gamma and beta: all lead to the same states.</summary>
    [Theory]
    [InlineData("bert", "bert.", false)]
    [InlineData("bert", "", false)]
    [InlineData("bert", "bert.", true)]
    [InlineData("roberta", "roberta.", false)]
    [InlineData("roberta", "", true)]
    public void ReadsBareModelsOfAllGenerations(string name, string prefix, bool gamma)
    {
        using var whole = Bert.Load(ModelGoldenTests.Folder(name), _backend, pooling: TextPooling.Mean);
        Assert.Null(whole.Head);                                                       // made for another pooling
        using (var file = Checkpoint.Open(ModelGoldenTests.Folder(name)))
        {
            var sources = new List<TensorSource>();
            foreach (var entry in file.Entries)
            {
                if (entry.Name.StartsWith("classifier", StringComparison.Ordinal) || entry.Name.Contains("pooler", StringComparison.Ordinal)) continue;
                var called = prefix + entry.Name[(name.Length + 1)..];
                if (gamma && called.Contains("LayerNorm", StringComparison.Ordinal))
                    called = called.Replace(".weight", ".gamma", StringComparison.Ordinal).Replace(".bias", ".beta", StringComparison.Ordinal);
                sources.Add(new TensorSource(called, entry.DType, entry.Shape, file.Bytes(entry).ToArray()));
            }
            sources.Add(new TensorSource(name == "bert" ? "cls.predictions.bias" : "lm_head.bias", [100], new float[100]));
            sources.Add(new TensorSource($"{prefix}embeddings.position_ids", [1, 4], new float[4]));
            SafetensorsWriter.Write(Path.Combine(_folder.Path, "model.safetensors"), sources);
        }
        File.Copy(Path.Combine(ModelGoldenTests.Folder(name), "config.json"), Path.Combine(_folder.Path, "config.json"));
        using var bare = Bert.Load(_folder.Path, _backend);
        Assert.Equal((TextPooling.Mean, null, null), (bare.Pooling, bare.Head, bare.Pooler));
        Assert.Equal(Features(whole), Features(bare));
        Assert.Contains("pooler", Assert.Throws<ArgumentException>(() => Bert.Load(_folder.Path, _backend, pooling: TextPooling.Pooler)).Message,
            StringComparison.Ordinal);
        bare.Save(_folder.Path);
        using var again = Bert.Load(_folder.Path, _backend);
        Assert.Equal(Features(whole), Features(again));
    }

    /// <summary>A new head is saved with its classes, and how states become what it sees.</summary>
    [Theory]
    [InlineData("bert", TextPooling.Pooler, "BertForSequenceClassification")]
    [InlineData("roberta", TextPooling.Pooler, "RobertaForSequenceClassification")]
    [InlineData("bert", TextPooling.Mean, "NanoTextClassifier")]
    [InlineData("roberta", TextPooling.First, "NanoTextClassifier")]
    public void SavesANewHead(string name, TextPooling pooling, string architecture)
    {
        using var model = Bert.Load(ModelGoldenTests.Folder(name), _backend, pooling: pooling);
        model.NewHead([.. Enumerable.Range(0, 64).Select(static i => 0.1f * i - 3)], [0.5f, -0.5f], ["good", "bad"]);
        model.Save(_folder.Path);
        Assert.Contains(architecture, File.ReadAllText(Path.Combine(_folder.Path, "config.json")), StringComparison.Ordinal);
        using var again = TextClassifier.Load(_folder.Path, _backend);
        Assert.Equal((pooling, false), (again.Pooling, again.HeadIsNew));
        Assert.Equal(["good", "bad"], again.Labels);
        Assert.Equal(Logits(model), Logits(again));
    }

    [Theory]
    [InlineData("xlm-roberta")]
    [InlineData("camembert")]
    public void ReadsWhatIsBuiltAlike(string type)
    {
        using var roberta = Bert.Load(ModelGoldenTests.Folder("roberta"), _backend);
        Copy("roberta", "\"model_type\": \"roberta\"", $"\"model_type\": \"{type}\"");
        using var model = TextClassifier.Load(_folder.Path, _backend);
        Assert.Equal(Logits(roberta), Logits(model));
    }

    [Theory]
    [InlineData("bert", "*.attn.(q|v)", 4)]
    [InlineData("roberta", "*.(attn.o|mlp.fc1|mlp.fc2)", 6)]
    public void TakesAdapters(string name, string pattern, int count)
    {
        using var model = Bert.Load(ModelGoldenTests.Folder(name), _backend);
        var before = Logits(model);
        var module = Attach.Lora(model, pattern, rank: 2, alpha: 4);
        Assert.Equal(before, Logits(model));                                           // B is zero at first
        Assert.Equal(2 * count, model.Trained().Count);
        using (_backend.Scope())
        {
            using var loss = model.Forward(Batch()).CrossEntropy(_backend.Main.From([0, 1], new Shape(2)));
            loss.Backward();
        }
        Assert.All(model.Trained(), p => Assert.NotNull(p.Value.Gradient));
        foreach (var (_, update) in module.Updates) update.B.Value.Backend.Fill(update.B.Value, 0.1f);
        var adapted = Logits(model);
        Assert.NotEqual(before, adapted);
        PeftFolder.Save(Path.Combine(_folder.Path, "adapter"), module, model);
        Attach.Detach(model);
        Attach.Load(model, Path.Combine(_folder.Path, "adapter"));
        Assert.Equal(adapted, Logits(model));
        Attach.Detach(model);
    }

    [Fact]
    public void MatricesStayIn16BitsButNotThoseOfTheHead()
    {
        Copy("roberta");
        var path = Path.Combine(_folder.Path, "model.safetensors");
        List<TensorSource> sources = [];
        using (var file = Checkpoint.Open(path))
        {
            foreach (var entry in file.Entries)
            {
                var values = new float[entry.Count];
                file.CopyTo(entry, values);
                var bytes = new byte[2 * values.Length];
                for (var i = 0; i < values.Length; i++) BitConverter.TryWriteBytes(bytes.AsSpan(2 * i), (Half)values[i]);
                sources.Add(new TensorSource(entry.Name, FileDType.F16, entry.Shape, bytes));
            }
        }
        SafetensorsWriter.Write(path, sources);
        using var kept = Bert.Load(_folder.Path, _backend);
        using var wide = Bert.Load(_folder.Path, _backend, keepType: false);
        foreach (var (at, parameter) in kept.Parameters())
        {
            var narrow = parameter.Shape.Rank == 2 && !at.StartsWith("head", StringComparison.Ordinal) && !at.StartsWith("pooler", StringComparison.Ordinal);
            Assert.True(parameter.Value.DType == (narrow ? DType.F16 : DType.F32), at);
        }
        float[] a = Logits(kept), b = Logits(wide);
        for (var i = 0; i < a.Length; i++) Assert.Equal(b[i], a[i], 1e-5f);
    }

    [Fact]
    public void SaysWhatDoesNotFit()
    {
        using var model = Bert.Load(ModelGoldenTests.Folder("roberta"), _backend);
        using var scope = _backend.Scope();
        var w = _backend.Main;
        var two = w.From([5, 6, 7, 8], new Shape(2, 2));
        Refused("I32 [B, T]", () => model.Forward(w.Zeros(new Shape(1, 2))));
        Refused("lengths of 1 rows", () => model.Forward(two, null, 2));
        Refused("between 1 and 2", () => model.Forward(two, null, 0, 2));
        Refused("segments I32 [1, 1]", () => model.Forward(two, w.From([0], new Shape(1, 1))));
        Refused("id 1", () => model.Forward(two, w.From([0, 0, 0, 1], new Shape(2, 2))));                 // one segment only
        Refused("positions for 40", () => model.Forward(w.From(new int[41], new Shape(1, 41))));
        Refused("id 100", () => model.Forward(w.From([100], new Shape(1, 1))));
        Assert.Equal(40, model.MaxPositions);
        Assert.Equal(4, model.Forward(w.From(new int[50], new Shape(1, 50)), null, 40).Count);            // padding beyond the table

        static void Refused(string why, Action run) => Assert.Contains(why, Assert.ThrowsAny<ArgumentException>(run).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("bert", "\"is_decoder\": false", "\"is_decoder\": true", "is_decoder", "only encoders")]
    [InlineData("bert", "\"add_cross_attention\": false", "\"add_cross_attention\": true", "add_cross_attention", "only encoders")]
    [InlineData("bert", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"mish\"", "hidden_act", "mish")]
    [InlineData("bert", "\"use_cache\": true", "\"position_embedding_type\": \"relative_key\"", "position_embedding_type", "relative_key")]
    [InlineData("bert", "\"use_cache\": true", "\"classifier_pooling\": \"max\"", "classifier_pooling", "max")]
    [InlineData("bert", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "num_attention_heads", "5 heads")]
    [InlineData("bert", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "bert.encoder.layer.1.", "no place")]
    [InlineData("bert", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "bert.encoder.layer.2.", "missing")]
    [InlineData("bert", "BertForSequenceClassification", "BertForTokenClassification", "architectures", "BertForTokenClassification")]
    [InlineData("bert", "\"model_type\": \"bert\"", "\"model_type\": \"electra\"", "model_type", "electra")]
    [InlineData("roberta", "\"pad_token_id\": 1", "\"pad_token_id\": 41", "max_position_embeddings", "first position is 42")]
    [InlineData("roberta", "\"3\": \"LABEL_3\"", "\"4\": \"LABEL_3\"", "id2label", "from 0 to 3")]
    public void SaysWhatIsWrong(string name, string old, string other, string field, string why)
    {
        Copy(name, old, other);
        var error = Assert.Throws<CheckpointException>(() => Bert.Load(_folder.Path, _backend));
        Assert.Contains(field, error.Field, StringComparison.Ordinal);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    private void Copy(string name, string old = "", string other = "")
    {
        File.Copy(Path.Combine(ModelGoldenTests.Folder(name), "model.safetensors"), Path.Combine(_folder.Path, "model.safetensors"));
        var config = File.ReadAllText(Path.Combine(ModelGoldenTests.Folder(name), "config.json"));
        Assert.Contains(old, config, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(_folder.Path, "config.json"), old.Length == 0 ? config : config.Replace(old, other, StringComparison.Ordinal));
    }

    private Batch Batch()
    {
        var ids = _backend.Main.From([5, 6, 7, 8, 9, 10, 11, 12], new Shape(2, 4));
        return new Batch(ids, ids) { Lengths = [4, 2] };
    }

    private float[] Logits(TextClassifier model)
    {
        using var scope = _backend.Scope(grad: false);
        return model.Forward(Batch()).ToArray();
    }

    private float[] Features(TextClassifier model)
    {
        using var scope = _backend.Scope(grad: false);
        return model.Features(Batch()).ToArray();
    }
}
