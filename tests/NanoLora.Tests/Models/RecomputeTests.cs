using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>Blocks that are recomputed in backward give the gradients of blocks that are kept, to the bit, and keep less.</summary>
public sealed class RecomputeTests : EngineTest
{
    public static TheoryData<string> Images => ModelGoldenTests.Images;

    public static TheoryData<string> Texts => ModelGoldenTests.Texts;

    public static TheoryData<string> Classifiers => ModelGoldenTests.Classifiers;

    [Theory]
    [MemberData(nameof(Images))]
    public void Gradients_of_image_models_are_the_same_to_the_bit(string name) => Same(name, static (folder, backend) => Vit.Load(folder, backend));

    [Theory]
    [MemberData(nameof(Texts))]
    [InlineData("t5")]
    public void Gradients_of_text_models_are_the_same_to_the_bit(string name) =>
        Same(name, static (folder, backend) => TextGenerator.LoadModel(folder, backend, keepType: false));

    [Theory]
    [MemberData(nameof(Classifiers))]
    public void Gradients_of_text_classifiers_are_the_same_to_the_bit(string name) =>
        Same(name, static (folder, backend) => TextClassifier.Load(folder, backend, keepType: false));

    private void Same(string name, Func<string, Backend, Model> load)
    {
        foreach (var trained in (string[])["*.(q|qkv|query_key_value)", "*", ""])
        {
            using var model = load(ModelGoldenTests.Folder(name), Backend);
            if (trained.Length == 0) model.Train();
            else Attach.Lora(model, trained, rank: 2, alpha: 4, dropout: 0.25f, seed: 1);
            foreach (var lora in model.Linears().Select(static l => l.Value.Adapter).OfType<Lora>())          // B starts at zero, which hides A
                Backend.Upload<float>(Tiny.Normal(lora.B.Value.Count, 9, 0.1f), lora.B.Value);
            var (kept, keptBytes) = Step(model, recompute: false);
            var (again, againBytes) = Step(model, recompute: true);
            Assert.NotEmpty(kept);
            foreach (var (path, gradient) in kept)
                Assert.True(gradient.AsSpan().SequenceEqual(again[path]), $"{name}, {trained}: {path} has another gradient.");
            Assert.Equal(kept.Count, again.Count);
            Assert.True(againBytes < keptBytes, $"{name}, {trained}: recomputation keeps {againBytes} bytes, without it {keptBytes}.");
        }
    }

    [Fact]
    public void A_frozen_model_leaves_no_tape_and_the_trainer_puts_the_setting_back()
    {
        using var model = Tiny.Model(Backend);
        Workspace.RecomputeBlocks = true;
        using (Workspace.Scope())
        {
            var images = Workspace.From(Tiny.Images(2), new Shape(2, 1, 16, 16));
            Assert.False(model.Features(images).NeedsGrad);
            Assert.Equal(0, Workspace.SavedBytes);
        }
        Workspace.RecomputeBlocks = false;
        Attach.Lora(model, "blocks.*", rank: 2, seed: 1);
        Trainer.Fit(model, new TinySet(8), new FitOptions { Steps = 1, RecomputeBlocks = true });
        Assert.False(Workspace.RecomputeBlocks);
    }

    [Fact]
    public void Trained_so_a_model_ends_with_the_same_bits()
    {
        float[] Train(bool recompute)
        {
            using var model = Tiny.Model(Backend);
            Attach.Lora(model, "blocks.*", rank: 2, dropout: 0.1f, seed: 1);
            Trainer.Fit(model, new TinySet(24), new FitOptions { Steps = 6, BatchSize = 8, Seed = 2, RecomputeBlocks = recompute });
            return Tiny.Values(model);
        }

        Assert.Equal(Train(recompute: false), Train(recompute: true));
    }

    [Theory]
    [InlineData("nothing", 1100, 3)]
    [InlineData("nothing", 512, 1)]
    [InlineData("the block", 1100, 1)]
    [InlineData("the weight", 1100, 1)]
    [InlineData("the bias", 1100, 1)]
    [InlineData("nothing, and the block draws", 1100, 1)]
    public void Rows_go_through_in_slices_only_where_that_changes_no_bit(string trains, int rows, int passes)
    {
        Parameter New(string name, ulong seed, params int[] sizes)
        {
            var shape = new Shape(sizes);
            using var value = Workspace.From(Tiny.Normal(shape.Count, seed, 0.3f), shape);
            return new Parameter(value) { Trains = trains == name };
        }

        using Parameter inner = New("the block", 1, 12, 5), weight = New("the weight", 2, 4, 12), bias = New("the bias", 3, 4), x = New("", 4, rows / 2, 2, 5);
        x.Trains = true;
        List<int> seen = [];
        Tensor Block(Tensor x)
        {
            seen.Add(x.Rows);
            var h = x.Linear(inner).Gelu();
            return trains.EndsWith("draws") ? h.Dropout(0.5f) : h;
        }

        float[][] Step(bool recompute)
        {
            (Workspace.Training, Workspace.Streams) = (true, 0);
            using var scope = Workspace.Scope();
            Tensor input = x;
            var y = recompute ? input.RecomputeRows(Block, weight, bias) : Block(input).Linear(weight, bias);
            Assert.Equal(new Shape(rows / 2, 2, 4), y.Shape);
            y.Square().Sum().Backward();
            float[][] results = [y.ToArray(), .. new[] { x, inner, weight, bias }.Select(static p => p.Gradient?.ToArray() ?? [])];
            foreach (var parameter in new[] { x, inner, weight, bias }) parameter.ClearGradient();
            return results;
        }

        var plain = Step(recompute: false);
        seen.Clear();
        var again = Step(recompute: true);
        for (var i = 0; i < plain.Length; i++) Assert.True(plain[i].AsSpan().SequenceEqual(again[i]), $"result {i} differs");
        List<int> slices = [.. Enumerable.Range(0, passes).Select(i => (i + 1) * rows / passes - i * rows / passes)];
        Assert.Equal([.. slices, .. slices], seen.Where(static n => n > 1));                          // forward and backward; one row is the question
    }

    [Fact]
    public void A_block_of_rows_that_does_not_fit_is_refused_and_one_that_ignores_them_has_a_gradient_of_zero()
    {
        using var scope = Workspace.Scope();
        Tensor New(ulong seed, params int[] sizes) => Workspace.From(Tiny.Normal(new Shape(sizes).Count, seed, 1), new Shape(sizes));
        using var x = new Parameter(New(1, 600, 5)) { Trains = true };
        Tensor input = x, weight = New(2, 4, 5);
        var wide = Assert.Throws<ArgumentException>(() => input.RecomputeRows(static x => x.Gelu(), New(3, 4, 6)));
        Assert.Contains("[4, 6]", wide.Message);
        var fewer = Assert.Throws<ArgumentException>(() => input.RecomputeRows(static x => x.Slice(0, 0, 1).Gelu(), weight));
        Assert.Contains("it must make a row of each", fewer.Message);

        input.RecomputeRows(x => Workspace.Zeros(x.Shape), weight).Sum().Backward();
        Assert.Equal(new float[600 * 5], x.Gradient!.ToArray());
    }

    private (Dictionary<string, float[]> Gradients, long Saved) Step(Model model, bool recompute)
    {
        (Workspace.Training, Workspace.Streams, Workspace.RecomputeBlocks) = (true, 0, recompute);
        using var scope = Workspace.Scope();
        var loss = Loss(model);
        var saved = Workspace.SavedBytes;
        loss.Backward();
        var gradients = new Dictionary<string, float[]> { ["loss"] = [loss.Item()] };
        foreach (var (path, parameter) in model.Trained())
        {
            if (parameter.Gradient is { } gradient) gradients[path] = gradient.ToArray();
            parameter.ClearGradient();
        }
        return (gradients, saved);
    }

    private Tensor Loss(Model model)
    {
        const int rows = 80, tokens = 7;                                    // 560 tokens: more than one slice of rows
        if (model is Vit vit)
        {
            var c = vit.Images;
            var images = Workspace.From(Tiny.Normal(rows * c.Channels * c.Rows * c.Columns, 3, 1), new Shape(rows, c.Channels, c.Rows, c.Columns));
            return vit.Features(images).Square().Mean();
        }
        var ids = Enumerable.Range(0, rows * tokens).Select(static i => 5 + i * i % 11).ToArray();
        var lengths = Enumerable.Range(0, rows).Select(static i => 4 + i % 4).ToArray();
        var batch = new Batch(Workspace.From(ids, new Shape(rows, tokens)), Workspace.From(ids, new Shape(rows, tokens))) { Lengths = lengths };
        return model is Classifier classifier ? classifier.Features(batch).Square().Mean() : model.Loss(batch);
    }
}
