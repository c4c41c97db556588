namespace NanoLora;

/// <summary>A counted block of one backend's memory. Tensors and tape nodes hold it; the last to let go gives it back to the backend's pool.</summary>
/// <param name="backend">Whose memory it is.</param>
/// <param name="bytes">How many bytes can be used.</param>
public abstract class Storage(Backend backend, long bytes)
{
    private int _count;

    /// <summary>Whose memory it is.</summary>
    public Backend Backend { get; } = backend;

    /// <summary>How many bytes can be used.</summary>
    public long Bytes { get; } = bytes;

    /// <summary>Weights stay in memory whether the tape saves them or not, so they do not count as saved bytes.</summary>
    internal bool IsWeight { get; set; }

    /// <summary>How many nodes of the tape have saved it; weights are not counted.</summary>
    internal int Saves { get; set; }

    /// <summary>Whether exactly one tensor or node holds it, so that it may be overwritten in place.</summary>
    internal bool IsSole => Volatile.Read(ref _count) == 1;

    /// <summary>One more holder.</summary>
    protected internal void Retain() => Interlocked.Increment(ref _count);

    /// <summary>One holder less; the last one frees.</summary>
    protected internal void Release()
    {
        if (Interlocked.Decrement(ref _count) == 0) Free();
    }

    /// <summary>Gives the block back to where it came from.</summary>
    protected abstract void Free();
}
