using System.Collections.Concurrent;

namespace NanoLora.Tests.Cpu;

public class ThreadsTests
{
    private readonly struct CountBlocks(int[] seen) : IBlocks
    {
        public void Run(int block) => Interlocked.Increment(ref seen[block]);
    }

    private readonly struct Nested(Threads threads, int[] seen) : IBlocks
    {
        public void Run(int block)
        {
            var inner = new int[5];
            threads.For(5, new CountBlocks(inner));
            foreach (var count in inner) Interlocked.Add(ref seen[block], count);
        }
    }

    private readonly struct ThrowAt(int first, int second, int[] seen) : IBlocks
    {
        public void Run(int block)
        {
            Interlocked.Increment(ref seen[block]);
            if (block == first || block == second) throw new InvalidOperationException($"block {block}");
        }
    }

    // Nobody ends a block before all of so many threads have begun one.
    private readonly struct NoteFirst(int threads, ConcurrentDictionary<int, int> first) : IBlocks
    {
        public void Run(int block)
        {
            first.TryAdd(Environment.CurrentManagedThreadId, block);
            var (seen, count) = (first, threads);
            SpinWait.SpinUntil(() => seen.Count >= count, TimeSpan.FromSeconds(30));
        }
    }

    [Theory]
    [InlineData(2, 8, new[] { 0, 4 })]
    [InlineData(3, 10, new[] { 0, 3, 6 })]
    [InlineData(3, 3, new[] { 0, 1, 2 })]
    public void EachThreadBeginsWithItsOwnShare(int count, int blocks, int[] begins)
    {
        using var threads = new Threads(count);
        for (var launch = 0; launch < 20; launch++)
        {
            var first = new ConcurrentDictionary<int, int>();
            threads.For(blocks, new NoteFirst(count, first));
            Assert.Equal(begins, first.Values.Order());
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void EveryBlockRunsOnce(int count)
    {
        using var threads = new Threads(count);
        foreach (var blocks in (int[])[0, 1, 2, 3, 7, 64, 1000])
        {
            for (var launch = 0; launch < 200; launch++)
            {
                var seen = new int[blocks];
                threads.For(blocks, new CountBlocks(seen));
                Assert.All(seen, times => Assert.Equal(1, times));
            }
        }
    }

    [Fact]
    public void WorkersThatSleepAreWoken()
    {
        using var threads = new Threads(2);
        for (var i = 0; i < 5; i++)
        {
            Thread.Sleep(20);                                            // far longer than workers spin
            var first = new ConcurrentDictionary<int, int>();
            threads.For(4, new NoteFirst(2, first));
            Assert.Equal(2, first.Count);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void ANestedLaunchRunsOnItsCaller(int count)
    {
        using var threads = new Threads(count);
        var seen = new int[40];
        threads.For(40, new Nested(threads, seen));
        Assert.All(seen, inner => Assert.Equal(5, inner));
    }

    [Fact]
    public void CallersAtOnceDoNotMixTheirBlocks()
    {
        using var threads = new Threads(3);
        var wrong = 0;
        var callers = new Thread[4];
        for (var t = 0; t < callers.Length; t++)
        {
            callers[t] = new(() =>
            {
                for (var launch = 0; launch < 3000; launch++)
                {
                    var seen = new int[9];
                    threads.For(9, new CountBlocks(seen));
                    foreach (var times in seen) if (times != 1) Interlocked.Increment(ref wrong);
                }
            });
            callers[t].Start();
        }
        foreach (var caller in callers) caller.Join();
        Assert.Equal(0, wrong);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void TheLowestBlocksExceptionArrivesAfterAllBlocks(int count)
    {
        using var threads = new Threads(count);
        for (var launch = 0; launch < 50; launch++)
        {
            var seen = new int[30];
            var e = Assert.Throws<InvalidOperationException>(() => threads.For(30, new ThrowAt(11, 23, seen)));
            Assert.Equal("block 11", e.Message);
            Assert.All(seen, times => Assert.Equal(1, times));
        }
        var after = new int[30];
        threads.For(30, new CountBlocks(after));                         // and the team still works
        Assert.All(after, times => Assert.Equal(1, times));
    }

    [Fact]
    public void ALaunchAllocatesNothing()
    {
        using var threads = new Threads(2);
        var job = new CountBlocks(new int[16]);
        threads.For(16, job);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) threads.For(16, job);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void AnIdleTeamSleeps()
    {
        using var threads = new Threads(4);
        threads.For(16, new CountBlocks(new int[16]));
        Assert.True(SpinWait.SpinUntil(() => threads.Asleep == 3, TimeSpan.FromSeconds(10)), $"{threads.Asleep} of 3 workers sleep");
    }

    [Fact]
    public void ADisposedTeamRefusesWork()
    {
        var threads = new Threads(2);
        threads.Dispose();
        threads.Dispose();
        Assert.Throws<ObjectDisposedException>(() => threads.For(4, new CountBlocks(new int[4])));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Threads(0));
    }
}
