using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Experiments;

/// <summary>The base that reads a text and writes another: what it learns from, how it starts, and that its training can be killed.</summary>
public sealed class TextToTextTests : EngineTest
{
    private static readonly TextToTextOptions Small = new()
    {
        Steps = 6, Warmup = 1, Vocabulary = 300, Width = 16, Layers = 1, Heads = 2, Intermediate = 24,
        Rows = 3, RowLength = 12, Queries = 4, Pairs = 4, TextLength = 10, Sentinels = 3,
    };

    private readonly MadeUpTexts _texts = new();

    public override void Dispose()
    {
        _texts.Dispose();
        base.Dispose();
    }

    private IReadOnlyList<FreeText> Texts => FreeTexts.Load(_texts.Folder, ClincTasks.AllTexts(_texts.Folder));

    [Fact]
    public void Spans_are_replaced_by_sentinels_and_written()
    {
        int[] text = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21];
        var (read, written) = SpanCorruption.Without(text, stay: [2, 4, 1], go: [2, 1, 1], sentinels: [91, 92, 93], end: 1);
        Assert.Equal([11, 12, 91, 15, 16, 17, 18, 92, 20, 93], read);
        Assert.Equal([91, 13, 14, 92, 19, 93, 21, 1], written);
    }

    [Theory]
    [InlineData(2, 1, 1)]
    [InlineData(12, 2, 1)]
    [InlineData(40, 6, 2)]
    [InlineData(100, 15, 4)]                                                           // five without the limit of four sentinels
    public void Nothing_is_lost_and_sentinels_are_in_order(int count, int gone, int spans)
    {
        int[] text = [.. Enumerable.Range(100, count)], sentinels = [9, 8, 7, 6];
        var different = new HashSet<string>();
        for (var seed = 0ul; seed < 20; seed++)
        {
            var (read, written) = SpanCorruption.Of(text, sentinels, end: 1, 0.15, 3, new TextDraws(new Philox(seed, 1)));
            Assert.Equal(sentinels[..spans], read.Where(id => id < 10));
            Assert.Equal([.. sentinels[..spans], 1], written.Where(id => id < 10));
            Assert.Equal(1, written[^1]);
            Assert.Equal(100, read[0]);
            Assert.Equal(gone, written.Length - spans - 1);
            var whole = new List<int>();
            foreach (var id in read)
            {
                if (id >= 10) whole.Add(id);
                else
                {
                    int[] span = [.. written.Skip(Array.IndexOf(written, id) + 1).TakeWhile(static t => t >= 10)];
                    Assert.NotEmpty(span);
                    whole.AddRange(span);
                }
            }
            Assert.Equal(text, whole);
            different.Add(string.Join(' ', read));
        }
        Assert.True(spans == 1 ? different.Count == 1 : different.Count > 3);               // the last span ends the text
    }

    [Fact]
    public void A_text_of_one_token_is_refused() => Assert.Contains("needs two", Assert.Throws<ArgumentException>(
        () => SpanCorruption.Of([5], [9], 1, 0.15, 3, new TextDraws(new Philox(1, 1)))).Message);

    [Fact]
    public void A_batch_holds_spans_intents_and_rare_tokens()
    {
        var (tokenizer, _) = TextPretraining.Tokens(Texts, Small, "<extra_id_0>", "<extra_id_1>", "<extra_id_2>");
        Assert.Equal("<extra_id_1>", tokenizer.Decode([tokenizer.Id("<extra_id_1>")!.Value], skipSpecialTokens: false));
        var mixture = new TextToTextMixture(Texts, tokenizer, Small);
        using var scope = Workspace.Scope();
        var (batch, again) = (mixture.Read(Workspace, [0], new Philox(1, 2)), mixture.Read(Workspace, [5, 6], new Philox(1, 2)));
        Assert.Equal(batch.Inputs.ToInts(), again.Inputs.ToInts());
        Assert.Equal(batch.Targets.ToInts(), again.Targets.ToInts());
        Assert.Equal(3 + 4 + 4, batch.Inputs.Shape[0]);
        for (var row = 0; row < 11; row++)
        {
            var read = batch.Inputs.ToInts().AsSpan(row * batch.Inputs.Shape[1], batch.Lengths![row]).ToArray();
            int[] written = [.. batch.Targets.ToInts().Skip(row * batch.Targets.Shape[1]).Take(batch.Targets.Shape[1]).Where(static t => t != Batch.Ignored)];
            Assert.Equal(0, written[^1]);                                              // the end token
            if (row < 3) Assert.Equal((Small.RowLength, tokenizer.Id("<extra_id_0>")!.Value), (read.Length - 1 + written.Length - 2, written[0]));
            else Assert.InRange(read.Length, 1, Small.TextLength);
            if (row is >= 3 and < 7) Assert.Contains(tokenizer.Decode(written[..^1]).Trim(), (string[])["card lost", "bill due"]);
            if (row >= 7) Assert.InRange(written.Length, 2, Small.KeyTokens + 1);
        }
    }

    [Fact]
    public void The_rarest_tokens_in_a_row_are_found()
    {
        var (tokenizer, _) = TextPretraining.Tokens(Texts, Small, "<extra_id_0>", "<extra_id_1>", "<extra_id_2>");
        var mixture = new TextToTextMixture(Texts, tokenizer, Small);
        var counts = mixture.Documents.SelectMany(static row => row).CountBy(static id => id).OrderBy(static c => c.Value).ToList();
        var (rare, common) = (counts[0].Key, counts[^1].Key);
        Assert.Equal([rare], mixture.Rarest([common, rare, common], 1).ToArray());
        Assert.Equal([common, rare], mixture.Rarest([common, common, rare, common], 2).ToArray());
        Assert.Equal([common, rare], mixture.Rarest([common, rare], 5).ToArray());
    }

    [Fact]
    public void The_loss_falls_and_training_goes_on_with_the_same_bits_on_any_threads()
    {
        var losses = new List<float>();
        var longer = Small with { Steps = 24, Rate = 1e-2, Progress = step => losses.Add(step.Loss) };
        var (whole, history) = TextToTextPretraining.Run(Texts, longer, Backend);
        using var unbroken = whole;
        Assert.True(history.Completed);
        Assert.True(losses.TakeLast(5).Average() < losses.Take(5).Average() - 0.5f, string.Join(" ", losses));

        TrainingState? state = null;
        using var other = new CpuBackend(1);
        var stopped = longer with { CheckpointEvery = 1, Checkpoint = s => state = s.Step == 11 ? s : state };
        TextToTextPretraining.Run(Texts, stopped, other).Base.Dispose();
        using var resumed = TextToTextPretraining.Run(Texts, longer with { Resume = state }, other).Base;
        Assert.Equal(Values(unbroken.Model), Values(resumed.Model));
    }

    [Fact]
    public void A_base_comes_back_from_its_folder_and_ranks_without_training()
    {
        using var made = TextToTextPretraining.Run(Texts, Small, Backend).Base;
        var folder = Path.Combine(_texts.Folder, "t5");
        made.Save(folder);
        using var read = T5.Load(folder, Backend);
        Assert.Equal(Values(made.Model), Values(read));
        Assert.Equal([0], read.EndTokens);
        var encoder = TextEncoder.Load(folder, 32);
        Assert.Equal(0, encoder.End);
        Assert.Equal(made.Tokenizer.Encode("Where is my card?").Ids, encoder.Tokenizer.Encode("Where is my card?").Ids);
        Assert.IsType<TextToTextBase>(StudyBase.Of(folder));
        var results = TextProbe.ZeroShot(made, _texts.Folder, Backend);
        Assert.Equal(4, results.Count);
        Assert.All(results, static r => Assert.InRange(r.Accuracy, 0, 1));
    }

    [Fact]
    public void Classes_that_are_one_answer_are_refused()
    {
        var (tokenizer, _) = TextPretraining.Tokens(Texts, Small);
        var encoder = new TextEncoder(tokenizer, 16, 0);
        Assert.Equal(["card lost", "bill due"], ((string[])["card_lost", "bill_due"]).Select(Answers.Words));
        Assert.Contains("\"card_lost\" and \"card lost\" are one answer",
            Assert.Throws<InvalidDataException>(() => new Answers(["card_lost", "bill", "card lost"], encoder)).Message);
        Assert.Contains("\"_\" has no word", Assert.Throws<InvalidDataException>(() => new Answers(["a", "_"], encoder)).Message);
    }

    private static float[][] Values(Model model) => [.. model.Parameters().Select(static p => p.Value.Value.ToArray())];
}
