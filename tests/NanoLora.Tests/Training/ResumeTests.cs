using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Training;

/// <summary>A training hands out its state as it goes, and from each it ends with the bits of an unbroken run; another training refuses it.</summary>
public sealed class ResumeTests : EngineTest
{
    private static readonly FitOptions Short = new() { Steps = 12, BatchSize = 8, FactorRate = 1e-2, Seed = 9, Warmup = 2 };

    private readonly string _path = Path.GetTempFileName();

    public override void Dispose()
    {
        File.Delete(_path);
        base.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void From_every_checkpoint_it_ends_with_the_bits_of_an_unbroken_run(int accumulation)
    {
        var options = Short with { Accumulation = accumulation };
        var kept = new List<TrainingState>();
        var whole = Fit(options with { CheckpointEvery = 5, Checkpoint = kept.Add });
        Assert.Equal([0, 5, 10], kept.Select(state => state.Step));
        Assert.Equal(whole, Fit(options));
        foreach (var state in kept)
        {
            state.Save(_path);
            var later = new List<TrainingState>();
            Assert.Equal(whole, Fit(options with { Resume = TrainingState.Load(_path), CheckpointEvery = 5, Checkpoint = later.Add }));
            Assert.Equal(kept.Select(k => k.Step).Where(step => step > state.Step), later.Select(k => k.Step));     // nor is that one kept again
        }
    }

    public static TheoryData<string, FitOptions> Others => new()
    {
        { "seed", Short with { Seed = 10 } }, { "steps", Short with { Steps = 13 } },
        { "batch size", Short with { BatchSize = 7 } }, { "accumulation", Short with { Accumulation = 2 } },
        { "schedule", Short with { Schedule = ScheduleKind.Linear } }, { "schedule", Short with { Warmup = 3 } }, { "schedule", Short with { Cycles = 0.4 } },
        { "factor rate", Short with { FactorRate = 2e-2 } }, { "head rate", Short with { HeadRate = 1 } }, { "mixing rate", Short with { MixingRate = 1 } },
        { "base rate", Short with { BaseRate = 1 } }, { "weight decay", Short with { WeightDecay = 0.1 } },
        { "weight decay", Short with { DecayVectors = true } },
        { "betas", Short with { Beta2 = 0.98 } }, { "clip", Short with { Clip = null } }, { "label smoothing", Short with { LabelSmoothing = 0.1f } },
        { "augmentation", Short with { Augment = false } },
    };

    [Theory]
    [MemberData(nameof(Others))]
    public void A_training_that_would_end_elsewhere_is_refused(string field, FitOptions other)
    {
        var error = Assert.Throws<CheckpointException>(() => Fit(other with { Resume = Middle() }));
        Assert.Equal((_path, field), (error.Path, error.Field));
        Assert.Contains("go on with the same", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Other_data_another_base_and_another_adapter_are_refused()
    {
        Assert.Equal("data", Refused(() => Fit(Short with { Resume = Middle() }, set: new TinySet(41))));
        Assert.Equal("data", Refused(() => Fit(Short with { Resume = Middle() }, set: new TinySet(40, seed: 4))));
        Assert.Equal("frozen weights", Refused(() => Fit(Short with { Resume = Middle() }, model: 2)));
        Assert.Equal("blocks.0.attn.q.adapter.lora_A", Refused(() => Fit(Short with { Resume = Middle() }, rank: 2)));
        Assert.Equal("format", Refused(() =>
        {
            SafetensorsWriter.Write(_path, [], new Dictionary<string, string> { ["format"] = "nanolora-training-state-1", ["step"] = "1", ["seed"] = "1" });
            return TrainingState.Load(_path);
        }));

        static string Refused(Func<object> go) => Assert.Throws<CheckpointException>(() => { go(); }).Field;
    }

    [Fact]
    public void Notes_come_back()
    {
        var state = Middle();
        state.Save(_path, [new("task", "a \"b\"\n"), new("run.seed", "x")]);
        var again = TrainingState.Load(_path);
        Assert.Equal((5, 9ul), (again.Step, again.Seed));
        Assert.Equal([new("run.seed", "x"), new("task", "a \"b\"\n")], again.Notes.OrderBy(n => n.Key, StringComparer.Ordinal));
    }

    [Fact]
    public void A_checkpoint_that_fails_ends_the_training_and_leaves_the_workspace_as_it_was()
    {
        var seed = Workspace.Seed;
        void Full(TrainingState state)
        {
            if (state.Step == 3) throw new CheckpointException("x", "file", "the disk is full.");
        }
        Assert.Throws<CheckpointException>(() => Fit(Short with { CheckpointEvery = 1, Checkpoint = Full }));
        Assert.Equal((seed, false), (Workspace.Seed, Workspace.Training));
    }

    [Fact]
    public void By_time_a_checkpoint_that_takes_long_comes_seldom()
    {
        var options = Short with { CheckpointInterval = TimeSpan.Zero, Checkpoint = _ => Thread.Sleep(50) };
        var checkpoints = new Checkpoints(options);
        Assert.True(checkpoints.IsDue(0));
        checkpoints.Take(Middle());
        Assert.False(checkpoints.IsDue(1));                                 // not for 5 seconds
        var free = new Checkpoints(options with { Checkpoint = _ => { } });
        var state = Middle();
        var clock = System.Diagnostics.Stopwatch.StartNew();
        free.Take(state);
        Thread.Sleep(100 * clock.Elapsed + TimeSpan.FromMilliseconds(50));  // a hundred times as long as it took, however busy the machine
        Assert.True(free.IsDue(1));
        Assert.False(new Checkpoints(options with { Resume = Middle(), CheckpointInterval = TimeSpan.FromHours(1) }).IsDue(0));
        Assert.False(new Checkpoints(Short).IsDue(0));
    }

    // The state after step 5, by way of a file.
    private TrainingState Middle()
    {
        Fit(Short with { CheckpointEvery = 5, Checkpoint = state => { if (state.Step == 5) state.Save(_path); } });
        return TrainingState.Load(_path);
    }

    // The factors after a training with dropout from a fixed start.
    private float[] Fit(FitOptions options, TinySet? set = null, ulong model = 1, int rank = 4)
    {
        using var vit = Tiny.Model(Backend, model);
        var lora = Attach.Lora(vit, "blocks.*", rank, alpha: 6, dropout: 0.2f, seed: 1);
        Trainer.Fit(vit, set ?? new TinySet(40), options);
        return [.. lora.Updates.Values.SelectMany(Tiny.Values)];
    }
}
