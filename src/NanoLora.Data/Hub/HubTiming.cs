namespace NanoLora.Data;

/// <summary>How patient a download is; tests are less so.</summary>
internal sealed record HubTiming
{
    /// <summary>How often something is tried without getting further.</summary>
    public int Attempts { get; init; } = 5;

    /// <summary>The pause before the second attempt; each further one is twice as long.</summary>
    public TimeSpan Pause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The longest pause that a server may ask for.</summary>
    public TimeSpan LongestWait { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long nothing may arrive.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How often a lock is tried that another process holds.</summary>
    public TimeSpan LockPause { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Runs until it succeeds, fails for good, or has failed too often without getting further.</summary>
    /// <param name="attempt">What to do.</param>
    /// <param name="progress">How far it has got: more than before begins the count of failures anew.</param>
    /// <param name="note">Is told of each pause.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task<T> RetryAsync<T>(Func<Task<T>> attempt, Func<long> progress, Action<string>? note, CancellationToken cancellation)
    {
        for (var failures = 0; ;)
        {
            var before = progress();
            try { return await attempt().ConfigureAwait(false); }
            catch (PassingException failure)
            {
                failures = progress() > before ? 1 : failures + 1;
                if (failures >= Attempts || failure.Wait > LongestWait) throw failure.Last;
                var pause = failure.Wait ?? Pause * (1 << (failures - 1));
                note?.Invoke(FormattableString.Invariant($"{failure.What}; trying again in {Math.Ceiling(pause.TotalSeconds)} s"));
                await Task.Delay(pause, cancellation).ConfigureAwait(false);
            }
        }
    }
}
