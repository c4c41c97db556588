using System.Diagnostics;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace NanoLora;

/// <summary>Work that is cut into numbered blocks, each of which may run on any thread.</summary>
internal interface IBlocks
{
    void Run(int block);
}

/// <summary>
/// A team of threads that shares out numbered blocks of work. The caller takes part; the others spin for some tens of microseconds after a launch
/// and then sleep, so that thousands of small launches a second are cheap and an idle team costs nothing.
/// </summary>
/// <remarks>
/// Each member has a share of neighbouring blocks, the same in every launch of so many, and helps the others once it is done with it: what it wrote in one
/// operation it reads in the next, out of its own core's caches. (Blocks in turn had softmax and layer norm of two threads no faster than of one.)
/// How a launch works: the caller writes down the job, then the number of blocks of each share in <c>Open</c>. Whoever decrements one to t ≥ 0 owns a block
/// of it; a job is not replaced before all its blocks are done, so an owner always reads the job of its own ticket, however late it woke up.
/// A thread that finds the team taken, or is itself running a block, does its blocks alone: results depend on block boundaries, never on who ran them.
/// </remarks>
public sealed class Threads : IDisposable
{
    private const double SpinSeconds = 50e-6;

    [ThreadStatic] private static bool t_inside;      // this thread is running blocks of some team

    private readonly Thread[] _workers;
    private readonly Lock _errorLock = new();
    private readonly object _bed = new();              // workers sleep here
    private Work? _work;                               // the job; stable while _left > 0
    private int _blocks;
    private readonly Share[] _shares;                  // of each member, the caller first
    private int _left;                                 // blocks not finished yet
    private int _taken;                                // 1 while a caller owns the team
    private int _asleep;
    private volatile bool _stop;
    private int _errorBlock;
    private ExceptionDispatchInfo? _error;

    /// <summary>Starts a team of <paramref name="count"/> threads, the caller of a launch included.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is below one.</exception>
    public Threads(int count)
    {
        if (count < 1) throw new ArgumentOutOfRangeException(nameof(count), count, "Threads: a team needs at least one thread; pass 1 or more.");
        Count = count;
        _shares = new Share[count];
        _workers = new Thread[count - 1];
        for (var i = 0; i < _workers.Length; i++)
        {
            var member = i + 1;
            _workers[i] = new Thread(() => Serve(member)) { IsBackground = true, Name = $"NanoLora {i + 1}" };
            _workers[i].Start();
        }
    }

    /// <summary>Threads that can work at once, the caller included.</summary>
    public int Count { get; }

    /// <summary>Workers that sleep until the next launch.</summary>
    internal int Asleep => Volatile.Read(ref _asleep);

    /// <summary>
    /// Runs blocks 0 .. <paramref name="blocks"/> - 1, each once, and returns when all are done. If blocks throw, the exception of the lowest block
    /// is thrown again here, after all others have finished.
    /// </summary>
    internal void For<TJob>(int blocks, TJob job) where TJob : struct, IBlocks
    {
        ObjectDisposedException.ThrowIf(_stop, this);
        if (blocks <= 1 || Count == 1 || t_inside || Interlocked.CompareExchange(ref _taken, 1, 0) != 0)
        {
            Alone(blocks, job);
            return;
        }
        var work = Work<TJob>.Mine;
        work.Job = job;
        ExceptionDispatchInfo? error;
        try
        {
            _work = work;
            _blocks = blocks;
            _left = blocks;
            for (var member = 0; member < Count; member++)           // published: everything above is visible to whoever gets a ticket
                Interlocked.Exchange(ref _shares[member].Open, Start(member + 1) - Start(member));
            if (Volatile.Read(ref _asleep) > 0) Wake();
            Take(0);
            for (var spin = default(SpinWait); Volatile.Read(ref _left) > 0;) spin.SpinOnce(sleep1Threshold: -1);
            error = _error;
            _error = null;
        }
        finally
        {
            work.Job = default;
            Volatile.Write(ref _taken, 0);
        }
        error?.Throw();
    }

    private static void Alone<TJob>(int blocks, TJob job) where TJob : struct, IBlocks
    {
        ExceptionDispatchInfo? error = null;
        for (var block = 0; block < blocks; block++)
        {
            try { job.Run(block); }
            catch (Exception e) { error ??= ExceptionDispatchInfo.Capture(e); }
        }
        error?.Throw();
    }

    /// <summary>Runs blocks as long as there are any to own: a member's own share first, then what is left of the others'.</summary>
    private void Take(int member)
    {
        t_inside = true;
        for (var i = 0; i < Count; i++)
        {
            var of = (member + i) % Count;
            for (int ticket; (ticket = Interlocked.Decrement(ref _shares[of].Open)) >= 0; Interlocked.Decrement(ref _left))
            {
                var block = Start(of + 1) - 1 - ticket;
                try { _work!.Run(block); }
                catch (Exception e) { Note(block, e); }
            }
        }
        t_inside = false;
    }

    private bool HasBlocks(int member) => Volatile.Read(ref _shares[member].Open) > 0;

    // The first block of a member's share.
    private int Start(int member) => (int)((long)member * _blocks / Count);

    private void Note(int block, Exception e)
    {
        lock (_errorLock)
        {
            if (_error is not null && _errorBlock < block) return;
            _errorBlock = block;
            _error = ExceptionDispatchInfo.Capture(e);
        }
    }

    private void Serve(int member)
    {
        var patience = (long)(SpinSeconds * Stopwatch.Frequency);
        while (!_stop)
        {
            for (var until = Stopwatch.GetTimestamp() + patience; !HasBlocks(member) && Stopwatch.GetTimestamp() < until;) Thread.SpinWait(8);
            if (!HasBlocks(member)) Sleep(member);
            Take(member);
        }
    }

    // A launch writes Open and then reads _asleep; a worker writes _asleep and then reads Open. With a full fence between the two on either side,
    // one of them sees the other: no launch is slept through.
    private void Sleep(int member)
    {
        lock (_bed)
        {
            Interlocked.Increment(ref _asleep);
            while (!HasBlocks(member) && !_stop) Monitor.Wait(_bed);
            Interlocked.Decrement(ref _asleep);
        }
    }

    private void Wake()
    {
        lock (_bed) Monitor.PulseAll(_bed);
    }

    /// <summary>Ends the workers and waits for them. Launches that are under way finish first.</summary>
    public void Dispose()
    {
        if (_stop) return;
        for (var spin = default(SpinWait); Interlocked.CompareExchange(ref _taken, 1, 0) != 0;) spin.SpinOnce();
        _stop = true;
        Wake();
        foreach (var worker in _workers) worker.Join();
    }

    // On a line of its own, as every member counts in its share.
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Share
    {
        [FieldOffset(0)] public int Open;              // blocks nobody owns yet (below zero: none)
    }

    private abstract class Work
    {
        public abstract void Run(int block);
    }

    // The job of one type that a calling thread hands out. Launches from one thread never overlap (a nested one runs alone), so one holder is enough.
    private sealed class Work<TJob> : Work where TJob : struct, IBlocks
    {
        [ThreadStatic] private static Work<TJob>? t_mine;

        public static Work<TJob> Mine => t_mine ??= new();

        public TJob Job;

        public override void Run(int block) => Job.Run(block);
    }
}
