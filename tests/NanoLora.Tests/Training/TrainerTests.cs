using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Training;

/// <summary>
/// What a training keeps to: it learns, stops before a NaN does harm, goes on where it was interrupted, gives the same bits in any number of threads, and asks
/// for no memory after its first steps.
/// </summary>
public class TrainerTests : EngineTest
{
    private static readonly FitOptions Short = new() { Steps = 12, BatchSize = 8, FactorRate = 1e-2, Seed = 9, Warmup = 2 };

    [Fact]
    public void Loss_falls()
    {
        using var model = Tiny.Model(Backend);
        Attach.Lora(model, "blocks.*.attn.(q|v)", 4, alpha: 8, seed: 1);
        model.Head!.Train();
        var history = Trainer.Fit(model, new TinySet(48), Short with { Steps = 40, HeadRate = 1e-2 });
        Assert.True(history.Completed);
        Assert.Equal(40, history.Steps.Count);
        Assert.Null(history.State);
        var (first, last) = (history.Steps.Take(6).Average(static s => s.Loss), history.Steps.TakeLast(6).Average(static s => s.Loss));
        Assert.True(last < 0.5 * first, $"the loss went from {first} to {last}");
        Assert.True(model.Accuracy(new TinySet(48)) > 0.9);
        Assert.Equal(0, Workspace.SavedBytes);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_step_that_is_not_finite_names_the_operation_and_updates_nothing(float poison)
    {
        using var model = Tiny.Model(Backend);
        var lora = Attach.Lora(model, "blocks.*.attn.(q|v)", 4, seed: 1);
        var set = new TinySet(8);
        set.Image(3)[17] = poison;
        float[] Trained() => [.. lora.Updates.Values.SelectMany(Tiny.Values)];
        var before = Trained();
        var error = Assert.Throws<NonFiniteException>(() => Trainer.Fit(model, set, Short));
        Assert.Equal(nameof(Tensor.Patches), error.Op);
        Assert.Contains(nameof(Tensor.Patches), error.Message, StringComparison.Ordinal);
        Assert.Equal(before, Trained());
        Assert.All(model.Trained(), static p => Assert.Null(p.Value.Gradient));
        Assert.False(Workspace.CheckFinite || Workspace.Training);
    }

    // 12 samples in batches of 8: accumulated, a batch of 8 and one of 4 make the mean over twelve samples, as one batch of 12 does.
    [Fact]
    public void Accumulated_batches_count_by_their_samples()
    {
        float[] Train(int batch, int accumulation)
        {
            using var model = Tiny.Model(Backend);
            Attach.Lora(model, "blocks.*.attn.(q|v)", 4, seed: 1);
            model.Head!.Train();
            var history = Trainer.Fit(model, new TinySet(12), Short with { Steps = 1, Warmup = 0, BatchSize = batch, Accumulation = accumulation });
            return [history.Steps[0].Loss, (float)history.Steps[0].GradientNorm];
        }

        Tiny.Close(Train(12, 1), Train(8, 2), 1e-5);
    }

    [Theory]
    [InlineData(ScheduleKind.Cosine)]
    [InlineData(ScheduleKind.CosineRestarts)]
    public void A_cosine_of_its_own_choice_ends_near_zero(ScheduleKind kind)
    {
        using var model = Tiny.Model(Backend);
        model.Head!.Train();
        var rates = Trainer.Fit(model, new TinySet(16), Short with { Steps = 20, Warmup = 0, Schedule = kind }).Steps.Select(static s => s.Rate).ToArray();
        Assert.Equal(1, rates[0]);
        Assert.InRange(rates[^1], 0, 0.01);
    }

    [Fact]
    public void A_model_asked_from_within_its_training_drops_nothing()
    {
        using var model = Tiny.Model(Backend);
        Attach.Lora(model, "blocks.*.attn.(q|v)", 4, dropout: 0.5f, seed: 1);
        model.Head!.Train();
        var asked = new List<double>();
        Trainer.Fit(model, new TinySet(16),
            Short with { Steps = 2, Progress = _ => { asked.Add(model.Accuracy(new TinySet(48))); asked.Add(model.Accuracy(new TinySet(48))); } });
        Assert.Equal(asked[0], asked[1]);
        Assert.Equal(asked[2], asked[3]);
    }

    [Fact]
    public void Resumed_from_a_file_it_ends_with_the_bits_of_an_unbroken_run()
    {
        var path = Path.GetTempFileName();
        try
        {
            var whole = Fit(Backend, Short, out var history);
            Assert.True(history.Completed);
            using var cancellation = new CancellationTokenSource();
            void Stop(FitProgress step)
            {
                if (step.Step == 5) cancellation.Cancel();
            }
            _ = Fit(Backend, Short with { Cancellation = cancellation.Token, Progress = Stop }, out var broken);
            Assert.False(broken.Completed);
            Assert.Equal(5, broken.Steps.Count);
            broken.State!.Save(path);
            var state = TrainingState.Load(path);
            Assert.Equal(5, state.Step);
            var resumed = Fit(Backend, Short with { Resume = state }, out var rest);
            Assert.Equal(7, rest.Steps.Count);
            Assert.Equal(history.Steps.Skip(5), rest.Steps);
            Assert.Equal(whole, resumed);
        }
        finally { File.Delete(path); }
    }

    [Fact]
    public void Same_seed_same_bits_for_any_number_of_threads()
    {
        float[]? want = null;
        foreach (var threads in (int[])[1, 2, 3])
        {
            using var backend = new CpuBackend(threads);
            var got = Fit(backend, Short, out _);
            Assert.Equal(want ??= got, got);
        }
        Assert.NotEqual(want, Fit(Backend, Short with { Seed = 10 }, out _));
    }

    [Fact]
    public void A_step_saves_what_its_gradients_need_and_no_more()
    {
        // LoRA on q and v of the second block alone: the first block, patches and positions leave nothing on the tape. All sizes are powers of two, as the
        // pool's blocks are.
        const int rows = 8 * 16, width = 32, inner = 64, rank = 4, heads = 2, classes = 3;
        using var model = Tiny.Model(Backend);
        Attach.Lora(model, "blocks.1.attn.(q|v)", rank, seed: 1);
        using var scope = Workspace.Scope();
        var loss = model.Forward(Workspace.From(Tiny.Images(8), new Shape(8, 1, 16, 16))).CrossEntropy(Workspace.From([0, 1, 2, 0, 1, 2, 0, 1], new Shape(8)));
        long Bytes(int count) => Math.Max(256, 4L * count);
        var want = Bytes(rows * width)                                      // x of q and v, for dA: one tensor
            + 2 * Bytes(rows * rank)                                        // x Aᵀ of each, for dB
            + 3 * Bytes(rows * width) + Bytes(rows * heads * 2)             // attention: q, k, v, and maximum and sum of each row of scores
            + 2 * (Bytes(rows * width) + Bytes(rows * 2))                   // norm2 and the last norm: x, and mean and deviation of each row
            + Bytes(rows * inner)                                           // x of GELU
            + Bytes(8 * classes) + Bytes(8) + Bytes(8 * 2);                 // cross entropy: logits, targets, maximum and sum of each row
        Assert.Equal(want, Workspace.SavedBytes);
        loss.Backward();
        Assert.Equal(0, Workspace.SavedBytes);
    }

    [Fact]
    public void Steady_steps_take_no_memory()
    {
        using var backend = new CpuBackend(1);
        using var model = Tiny.Model(backend);
        Attach.Lora(model, "blocks.*.attn.(q|v)", 4, seed: 1);
        const int steps = 60;
        var set = new TinySet(128);
        (long Least, long Native) Run(int batch)
        {
            var (managed, native) = (new long[steps], new long[steps]);
            Trainer.Fit(model, set, Short with
            {
                Steps = steps,
                BatchSize = batch,
                Progress = step => (managed[step.Step - 1], native[step.Step - 1]) = (GC.GetAllocatedBytesForCurrentThread(), backend.ReservedBytes),
            });
            return (Enumerable.Range(1, steps - 1).Min(i => managed[i] - managed[i - 1]), native[^1] - native[2]);
        }
        for (var warm = 0; warm < 4; warm++)                                // until the compiler has settled
        {
            Run(8);
            Run(64);
        }
        var (small, large) = (Run(8), Run(64));
        Assert.Equal((0, 0), (small.Native, large.Native));
        // Managed: tensors and steps of the tape, small objects whose number knows nothing of the batch. The smallest array there could be, of logits, would
        // grow by 672 bytes.
        Assert.InRange(large.Least, small.Least - 200, small.Least + 200);
        Assert.InRange(large.Least, 1, 24 * 1024);
    }

    // The factors after a training with dropout from a fixed start.
    private static float[] Fit(CpuBackend backend, FitOptions options, out History history, int rank = 4)
    {
        using var model = Tiny.Model(backend);
        var lora = Attach.Lora(model, "blocks.*", rank, alpha: 6, dropout: 0.2f, seed: 1);
        history = Trainer.Fit(model, new TinySet(40), options);
        return [.. lora.Updates.Values.SelectMany(Tiny.Values)];
    }
}
