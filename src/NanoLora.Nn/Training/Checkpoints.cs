using System.Diagnostics;

namespace NanoLora.Nn;

/// <summary>
/// When a training hands out its state: every so many steps, or by time, and then so seldom that it costs less than a hundredth of the training.
/// </summary>
internal sealed class Checkpoints(FitOptions options)
{
    private const int CostShare = 100, None = -1;

    private TimeSpan _pause = options.CheckpointInterval;
    private long _last = Stopwatch.GetTimestamp();
    private int _kept = options.Resume?.Step ?? None;                                  // what it goes on from is kept already

    /// <summary>Whether the state before this step is to be kept.</summary>
    public bool IsDue(int step)
    {
        if (options.Checkpoint is null || step == _kept) return false;
        if (_kept == None) return true;
        return options.CheckpointEvery is { } every ? step % every == 0 : Stopwatch.GetElapsedTime(_last) >= _pause;
    }

    /// <summary>Hands a state out, and sees how long that takes.</summary>
    public void Take(TrainingState state)
    {
        var began = Stopwatch.GetTimestamp();
        options.Checkpoint!(state);
        (_kept, _last) = (state.Step, Stopwatch.GetTimestamp());
        var cost = CostShare * Stopwatch.GetElapsedTime(began, _last);
        _pause = cost > options.CheckpointInterval ? cost : options.CheckpointInterval;
    }
}
