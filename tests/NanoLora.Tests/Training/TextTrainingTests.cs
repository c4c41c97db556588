using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Training;

/// <summary>
/// Training on tokens: the mean is one over all targets of a step, what is ignored teaches nothing, and a killed training ends with the same bits.
/// </summary>
public class TextTrainingTests : EngineTest
{
    private static readonly FitOptions Short = new() { Steps = 8, BatchSize = 4, FactorRate = 1e-2, Seed = 3, Warmup = 1 };

    private static readonly LlamaConfig Config = new()
    {
        Vocabulary = 24,
        HiddenSize = 16,
        Layers = 2,
        Heads = 2,
        KeyHeads = 1,
        IntermediateSize = 32,
        MaxPositions = 16,
    };

    // 12 texts of unequal numbers of targets: a batch of all of them, or of 8 and of 4. The mean of two means is another number.
    [Fact]
    public void Accumulated_batches_count_by_their_targets()
    {
        float[] Train(int batch, int accumulation)
        {
            using var model = Model();
            var history = Trainer.Fit(model, new Texts(12), Short with { Steps = 1, Warmup = 0, BatchSize = batch, Accumulation = accumulation });
            return [history.Steps[0].Loss, (float)history.Steps[0].GradientNorm];
        }

        var whole = Train(12, 1);
        Tiny.Close(whole, Train(8, 2), 1e-5);
        Tiny.Close(whole, Train(3, 4), 1e-5);
    }

    [Fact]
    public void It_learns_what_its_targets_say_by_lora_and_in_full()
    {
        foreach (var full in (bool[])[false, true])
        {
            using var model = Model();
            if (full) { Attach.Detach(model); model.Train(); }
            var losses = Trainer.Fit(model, new Texts(12), Short with { Steps = 60, FactorRate = 3e-2, BaseRate = 1e-2 }).Steps;
            Assert.True(losses[^1].Loss < 0.6f * losses[0].Loss, $"the loss went from {losses[0].Loss} to {losses[^1].Loss}");
        }
    }

    [Fact]
    public void Padding_and_what_it_holds_change_nothing()
    {
        using var model = Model();
        float Loss(int padding)
        {
            using var scope = Workspace.Scope(grad: false);
            var batch = new Texts(6, padding).Read(Workspace, [0, 1, 2, 3, 4, 5]);
            return model.Forward(batch).CrossEntropy(batch.Targets).Item();
        }

        Assert.Equal(Loss(0), Loss(9), 1e-5);
    }

    // Samples without a target: a batch among others, and a whole step.
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Where_nothing_is_to_be_learned_nothing_moves(int accumulation)
    {
        using var model = Model();
        var module = model.Linears().Select(static l => l.Value.Adapter).OfType<Lora>().ToArray();
        var before = module.SelectMany(Tiny.Values).ToArray();
        var history = Trainer.Fit(model, new Texts(6, silent: 6), Short with { Steps = 2, BatchSize = 2, Accumulation = accumulation });
        Assert.All(history.Steps, static s => Assert.Equal((0f, 0.0), (s.Loss, s.GradientNorm)));
        Assert.Equal(before, module.SelectMany(Tiny.Values));
        Assert.All(Trainer.Fit(model, new Texts(6, silent: 4), Short with { Steps = 3, BatchSize = 2, Accumulation = accumulation }).Steps,
            static s => Assert.True(float.IsFinite(s.Loss)));
    }

    [Fact]
    public void Resumed_it_ends_with_the_bits_of_an_unbroken_run_and_other_texts_are_refused()
    {
        var options = Short with { Accumulation = 2 };
        float[] Fit(FitOptions how, int padding = 0)
        {
            using var model = Model(dropout: 0.1f);
            Trainer.Fit(model, new Texts(12, padding), how);
            return [.. model.Linears().Select(static l => l.Value.Adapter).OfType<Lora>().SelectMany(Tiny.Values)];
        }

        TrainingState? middle = null;
        var whole = Fit(options with { CheckpointEvery = 3, Checkpoint = state => middle = state.Step == 3 ? state : middle });
        Assert.Equal(whole, Fit(options with { Resume = middle }));
        Assert.Equal("data", Assert.Throws<CheckpointException>(() => Fit(options with { Resume = middle }, padding: 5)).Field);
    }

    // The text to write is the target; the decoder sees the start token and what comes before each place.
    [Fact]
    public void A_t5_sees_its_targets_one_place_later()
    {
        using var model = T5.Load(Path.Combine(AppContext.BaseDirectory, "Golden", "training", "bases", "t5"), Backend, keepType: false);
        using (Workspace.Scope(grad: false))
        {
            var inputs = Workspace.From([5, 6, 7, 1, 8, 1, 0, 0], new Shape(2, 4));
            var targets = Workspace.From([9, 10, 1, 11, 1, Batch.Ignored], new Shape(2, 3));
            var batch = new Batch(inputs, targets) { Lengths = [4, 2] };
            var seen = Workspace.From([model.StartToken, 9, 10, model.StartToken, 11, 1], new Shape(2, 3));
            Assert.Equal(model.Forward(inputs, seen, 4, 2).ToArray(), model.Forward(batch).ToArray());
        }
        Attach.Lora(model, "*.(q|v)", 2, seed: 1);
        var losses = Trainer.Fit(model, new Texts(12, ofPairs: true), Short with { Steps = 40, FactorRate = 3e-2 }).Steps;
        Assert.True(losses[^1].Loss < 0.9f * losses[0].Loss, $"the loss went from {losses[0].Loss} to {losses[^1].Loss}");
    }

    private Llama Model(float dropout = 0)
    {
        var model = Llama.Create(Config, Backend, 5);
        Attach.Lora(model, "blocks.*", 4, alpha: 8, dropout: dropout, seed: 2);
        return model;
    }

    // Text i repeats the token 3 + i mod 8; its first tokens are a prompt that is not learned, as long as i mod 3 says. The last `silent` ones teach nothing.
    private sealed class Texts(int count, int padding = 0, int silent = 0, bool ofPairs = false) : IDataset
    {
        public string Name => "repetitions";

        public int Count => count;

        public IReadOnlyList<string> Classes => [];

        public int Label(int index) => -1;

        public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
        {
            var lengths = new int[indices.Length];
            for (var row = 0; row < lengths.Length; row++) lengths[row] = 4 + indices[row] % 4;
            var tokens = lengths.Max() + (padding > 0 ? 2 : 0);
            var (ids, targets) = (new int[lengths.Length * tokens], new int[lengths.Length * tokens]);
            Array.Fill(ids, padding);
            Array.Fill(targets, Batch.Ignored);
            for (var row = 0; row < lengths.Length; row++)
            {
                var (i, at) = (indices[row], row * tokens);
                for (var t = 0; t < lengths[row]; t++) ids[at + t] = t == 0 ? 2 : 3 + i % 8;
                if (i >= count - silent) continue;
                for (var t = ofPairs ? 0 : i % 3; t < lengths[row] - 1; t++) targets[at + t] = ids[at + t + 1];
            }
            var shape = new Shape(lengths.Length, tokens);
            return new Batch(workspace.From(ids, shape), workspace.From(targets, shape)) { Lengths = lengths };
        }
    }
}
