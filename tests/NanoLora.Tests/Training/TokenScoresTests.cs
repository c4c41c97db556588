using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Training;

/// <summary>Rows of tokens of several lengths, with targets at their ends.</summary>
internal sealed class TokenRows(int count, int vocabulary, ulong seed) : IDataset
{
    public string Name => "rows";

    public int Count => count;

    public IReadOnlyList<string> Classes => [];

    public int Label(int index) => -1;

    public int Length(int index) => 2 + index * 5 % 9;

    public int Token(int index, int place) => new Philox(seed, (ulong)index).Below((ulong)place, vocabulary);

    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        var width = 0;
        foreach (var i in indices) width = Math.Max(width, Length(i));
        var (ids, targets) = (new int[indices.Length * width], new int[indices.Length * width]);
        targets.AsSpan().Fill(Batch.Ignored);
        for (var r = 0; r < indices.Length; r++)
        {
            for (var t = 0; t < Length(indices[r]); t++)
            {
                ids[r * width + t] = Token(indices[r], t);
                if (t > 0) targets[r * width + t] = Token(indices[r], t + 1);
            }
        }
        var shape = new Shape(indices.Length, width);
        return new(workspace.From(ids, shape), workspace.From(targets, shape)) { Lengths = [.. indices.ToArray().Select(Length)] };
    }
}

/// <summary>Log probabilities of tokens, against softmax in double precision, row by row.</summary>
public sealed class TokenScoresTests : EngineTest
{
    private static readonly LlamaConfig Config = new()
    {
        Vocabulary = 40, HiddenSize = 16, Layers = 1, Heads = 2, KeyHeads = 1, HeadSize = 8, IntermediateSize = 24, MaxPositions = 32,
    };

    [Fact]
    public void Scores_are_those_of_each_row_alone()
    {
        using var model = Llama.Create(Config, Backend, seed: 3);
        var rows = new TokenRows(7, Config.Vocabulary, 5);
        var scores = model.ScoreEach(rows, batchSize: 3);
        for (var i = 0; i < rows.Count; i++)
        {
            var (sum, right, length) = (0.0, 0, rows.Length(i));
            using var scope = Workspace.Scope(grad: false);
            int[] ids = [.. Enumerable.Range(0, length).Select(t => rows.Token(i, t))];
            var logits = model.Forward(Workspace.From(ids, new Shape(1, length))).ToArray();
            for (var t = 1; t < length; t++)
            {
                var row = logits.AsSpan(t * Config.Vocabulary, Config.Vocabulary).ToArray();
                var target = rows.Token(i, t + 1);
                sum += row[target] - Math.Log(row.Sum(x => Math.Exp(x)));
                if (row.Max() == row[target]) right++;
            }
            Assert.Equal(sum, scores[i].LogLikelihood, 1e-4);
            Assert.Equal((length - 1L, (long)right), (scores[i].Targets, scores[i].Right));
        }
        var all = model.Score(rows, batchSize: 2);
        Assert.Equal(scores.Sum(s => s.LogLikelihood), all.LogLikelihood, 1e-4);
        Assert.Equal(Math.Exp(-all.LogLikelihood / all.Targets), all.Perplexity, 1e-12);
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => model.Score(rows, cancellation: source.Token));
    }

    [Fact]
    public void The_best_answer_is_by_token_or_by_sum()
    {
        TokenScore[] scores = [new(-4, 4, 0), new(-2, 1, 0), new(-3, 1, 0), new(-3, 1, 0)];
        Assert.Equal([0, 0], TokenScores.BestAnswers(scores, 2));                       // -1 a token before -2; the first of equals
        Assert.Equal([1, 0], TokenScores.BestAnswers(scores, 2, bySum: true));
        Assert.Throws<ArgumentException>(() => TokenScores.BestAnswers(scores, 3));
    }

    [Fact]
    public void Batches_have_rows_of_about_one_length_and_each_pass_has_all_rows_once()
    {
        var rows = new TokenRows(101, 40, 1);
        var (sampler, again) = (new Nn.Sampler(rows, 8, seed: 4), new Nn.Sampler(rows, 8, seed: 4));
        var (spread, orders) = (0, new List<string>());
        for (var pass = 0; pass < 2; pass++)
        {
            var seen = new List<int>();
            for (var b = 0; b < 13; b++)
            {
                var batch = sampler.Batch(pass * 13 + b).ToArray();
                Assert.Equal(b < 12 ? 8 : 5, batch.Length);
                seen.AddRange(batch);
                spread += batch.Max(rows.Length) - batch.Min(rows.Length);
            }
            Assert.Equal(Enumerable.Range(0, 101), seen.Order());
            orders.Add(string.Join(',', seen));
        }
        Assert.NotEqual(orders[0], orders[1]);
        Assert.True(spread <= 2 * 13, $"{spread}");                                     // of lengths from 2 to 10, 8 a batch without it
        for (var b = 25; b >= 0; b--) Assert.Equal(sampler.Batch(b).ToArray(), again.Batch(b).ToArray());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_training_on_tokens_goes_on_with_the_same_bits(int accumulation)
    {
        var rows = new TokenRows(20, Config.Vocabulary, 9);
        var options = new FitOptions { Steps = 6, BatchSize = 4, Accumulation = accumulation, FactorRate = 1e-2, Seed = 2, CheckpointEvery = 2 };
        var kept = new List<TrainingState>();
        var whole = Fit(options with { Checkpoint = kept.Add });
        Assert.Equal([0, 2, 4], kept.Select(s => s.Step));
        foreach (var state in kept) Assert.Equal(whole, Fit(options with { Resume = state }));

        float[] Fit(FitOptions with)
        {
            using var model = Llama.Create(Config, Backend, seed: 3);
            var lora = Attach.Lora(model, "blocks.*", 2, alpha: 3, dropout: 0.1f, seed: 1);
            Trainer.Fit(model, rows, with);
            return [.. lora.Updates.Values.SelectMany(Tiny.Values)];
        }
    }
}
