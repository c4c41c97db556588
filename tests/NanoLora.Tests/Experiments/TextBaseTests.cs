using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Experiments;

public sealed class TextBaseTests : EngineTest
{
    private static readonly TextPretrainOptions Small = new()
    {
        Steps = 6, Warmup = 1, Vocabulary = 300, Width = 16, Layers = 1, Heads = 2, Intermediate = 24,
        Rows = 3, RowLength = 8, Queries = 4, Pairs = 4, TextLength = 10,
    };

    private readonly MadeUpTexts _texts = new();

    public override void Dispose()
    {
        _texts.Dispose();
        base.Dispose();
    }

    private IReadOnlyList<FreeText> Texts => FreeTexts.Load(_texts.Folder, ClincTasks.AllTexts(_texts.Folder));

    [Fact]
    public void A_batch_holds_rows_queries_and_pairs()
    {
        var tokenizer = TokenizerJson.Read(JsonTree.Parse("learned", BpeTrainer.Train(Texts.SelectMany(t => t.Documents.SelectMany(d => d)), 300)));
        var mixture = new TextMixture(Texts, tokenizer, Small);
        using var scope = Workspace.Scope();
        var (batch, again) = (mixture.Read(Workspace, [0], new Philox(1, 2)), mixture.Read(Workspace, [5, 6], new Philox(1, 2)));
        Assert.Equal(batch.Inputs.ToInts(), again.Inputs.ToInts());
        Assert.Equal(new Shape(3 + 4 + 8, 10), batch.Inputs.Shape);
        int[] ids = batch.Inputs.ToInts(), targets = batch.Targets.ToInts();
        for (var row = 0; row < 15; row++)
        {
            int[] own = ids[(10 * row)..(10 * row + 10)], next = targets[(10 * row)..(10 * row + 10)];
            if (row < 3)
            {
                Assert.Equal(8, batch.Lengths![row]);
                Assert.Equal(own[1..8], next[..7]);                                     // what follows
                Assert.True(next[7] >= 0);
            }
            else if (row < 7)
            {
                var text = tokenizer.Decode(ids[(10 * row)..(10 * row + batch.Lengths![row])]);
                Assert.StartsWith(" wh", text);
                Assert.True(next[0] is 0 or 1);
            }
            if (row >= 3) Assert.All(next[1..], static t => Assert.Equal(Batch.Ignored, t));
            if (row >= 7) Assert.Equal(Batch.Ignored, next[0]);
        }
    }

    [Fact]
    public void Shares_for_other_sets_are_refused() => Assert.Contains("1 shares of rows",
        Assert.Throws<ArgumentException>(() => TextPretraining.Run(Texts, Small with { RowShares = [1] }, Backend)).Message);

    [Fact]
    public void The_loss_of_pairs_is_that_of_its_formula()
    {
        float[] a = Normal(3 * 5, 1), b = Normal(3 * 5, 2);
        using var scope = Workspace.Scope();
        var loss = TextObjective.PairLoss(Workspace.From(a, new Shape(3, 5)), Workspace.From(b, new Shape(3, 5)), 0.2f).Item();

        var expected = 0.0;
        for (var i = 0; i < 3; i++)
        {
            expected += Math.Log(Enumerable.Range(0, 3).Sum(j => Math.Exp(Score(i, j)))) - Score(i, i);
            expected += Math.Log(Enumerable.Range(0, 3).Sum(j => Math.Exp(Score(j, i)))) - Score(i, i);
        }
        Assert.Equal(expected / 6, loss, 1e-5);

        double Score(int i, int j) => Product(a, i, b, j) / Math.Sqrt(Product(a, i, a, i) * Product(b, j, b, j)) / 0.2;
        static double Product(float[] x, int i, float[] y, int j) => Enumerable.Range(0, 5).Sum(d => (double)x[5 * i + d] * y[5 * j + d]);
    }

    [Fact]
    public void Features_are_the_norm_of_the_mean_and_see_no_padding()
    {
        var config = new LlamaConfig { Vocabulary = 30, HiddenSize = 16, Heads = 2, Layers = 1, IntermediateSize = 24, TiedHead = true };
        using var model = TextClassifier.Over(Llama.Create(config, Backend, 3), TextPooling.MeanThenNorm);
        float[] states = [];
        model.Trace = (name, x) => { if (name == "hidden.1") states = x.ToArray(); };
        using var scope = Workspace.Scope(grad: false);
        var both = model.Features(Workspace.From([5, 6, 7, 8, 9, 9, 1, 1], new Shape(2, 4)), null, 4, 2).ToArray();
        var mean = Enumerable.Range(0, 16).Select(d => (states[(4 * 16) + d] + (double)states[(5 * 16) + d]) / 2).ToArray();
        var size = Math.Sqrt(mean.Sum(static x => x * x) / 16 + 1e-6);
        for (var d = 0; d < 16; d++) Assert.Equal(mean[d] / size, both[16 + d], 1e-4);
    }

    [Fact]
    public void The_loss_falls_and_training_goes_on_with_the_same_bits_on_any_threads()
    {
        var losses = new List<float>();
        var longer = Small with { Steps = 30, Rate = 1e-2, Progress = step => losses.Add(step.Loss) };
        var (whole, history) = TextPretraining.Run(Texts, longer, Backend);
        using var unbroken = whole;
        Assert.True(history.Completed);
        Assert.True(losses.TakeLast(5).Average() < losses.Take(5).Average() - 0.2f, string.Join(" ", losses));

        TrainingState? state = null;
        using var other = new CpuBackend(1);
        var stopped = longer with { CheckpointEvery = 1, Checkpoint = s => state = s.Step == 11 ? s : state };
        TextPretraining.Run(Texts, stopped, other).Base.Dispose();
        using var resumed = TextPretraining.Run(Texts, longer with { Resume = state }, other).Base;
        Assert.Equal(Values(unbroken.Model), Values(resumed.Model));
    }

    [Fact]
    public void A_base_comes_back_from_its_folder()
    {
        using var made = TextPretraining.Run(Texts, Small, Backend).Base;
        var folder = Path.Combine(_texts.Folder, "base");
        made.Save(folder);
        using var read = LanguageModel.Load(folder, Backend);
        var tokenizer = Tokenizer.Load(folder);
        Assert.Equal(Values(made.Model), Values(read));
        Assert.Equal(made.Tokenizer.Encode("Where is my card?").Ids, tokenizer.Encode("Where is my card?").Ids);

        made.Save(folder, DType.F16);
        using var half = LanguageModel.Load(folder, Backend);
        Assert.All(half.Parameters(), p => Assert.Equal(p.Value.Shape.Rank > 1 ? DType.F16 : DType.F32, p.Value.Value.DType));
        using var scope = Workspace.Scope(grad: false);
        var tokens = Workspace.From([.. tokenizer.Encode("Where is my card?").Ids], new Shape(1, tokenizer.Encode("Where is my card?").Ids.Count));
        float[] exact = made.Model.Forward(tokens).ToArray(), near = half.Forward(tokens).ToArray();
        for (var i = 0; i < exact.Length; i++) Assert.Equal(exact[i], near[i], 0.02f);
    }

    [Fact]
    public void A_probe_compares_the_base_with_a_bag_of_words()
    {
        using var made = TextPretraining.Run(Texts, Small with { Steps = 1 }, Backend).Base;
        var results = TextProbe.Compare(made, _texts.Folder, Backend);
        Assert.Equal(8, results.Count);
        Assert.All(results, static r => Assert.InRange(r.Accuracy, 0, 1));
        Assert.All(results.Where(static r => r.Features.StartsWith("bag", StringComparison.Ordinal)), static r => Assert.True(r.Accuracy > 0.9, r.ToString()));
    }

    private static float[][] Values(Model model) => [.. model.Parameters().Select(static p => p.Value.Value.ToArray())];
}
