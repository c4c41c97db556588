using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public sealed class ClaimsTests : IDisposable
{
    private static readonly TimeSpan Never = Timeout.InfiniteTimeSpan, Expiry = TimeSpan.FromSeconds(60);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nanolora-claims-");

    public void Dispose() => _folder.Delete(recursive: true);

    private Claims Machine(string host) => new(_folder.FullName, Never, Expiry, host);

    private string FileOf(string name) => Path.Combine(_folder.FullName, name + ".claim");

    [Fact]
    public void What_one_has_no_other_gets_until_it_is_let_go()
    {
        using var a = Machine("a");
        using var b = Machine("b");
        var claim = a.Take("work");
        Assert.NotNull(claim);
        Assert.Null(b.Take("work"));
        Assert.Null(a.Take("work"));
        Assert.NotNull(b.Take("other work"));
        claim.Dispose();
        Assert.NotNull(b.Take("work"));
        Assert.Null(a.Take("work"));
    }

    [Fact]
    public void Many_threads_never_have_the_same_work()
    {
        const int pieces = 20, workers = 8;
        var (held, done) = (new int[pieces], new int[pieces]);
        var clashes = 0;
        Parallel.For(0, workers, new ParallelOptions { MaxDegreeOfParallelism = workers }, worker =>
        {
            using var claims = Machine($"machine {worker}");
            for (var round = 0; round < 20; round++)
            {
                for (var piece = 0; piece < pieces; piece++)
                {
                    using var claim = claims.Take($"piece-{piece}");
                    if (claim is null) continue;
                    if (Interlocked.Increment(ref held[piece]) > 1) Interlocked.Increment(ref clashes);
                    Thread.SpinWait(2000);
                    Interlocked.Increment(ref done[piece]);
                    Interlocked.Decrement(ref held[piece]);
                }
            }
        });
        Assert.Equal(0, clashes);
        Assert.All(done, times => Assert.True(times > 0));
    }

    // A file that nobody locks is what a machine leaves behind whose locks do not reach this one.
    [Fact]
    public void A_claim_of_another_machine_is_taken_over_when_it_is_old()
    {
        using var b = Machine("b");
        File.WriteAllText(FileOf("work"), "a 17 0123\n2026-01-01T00:00:00Z\n");
        Assert.Null(b.Take("work"));
        File.SetLastWriteTimeUtc(FileOf("work"), DateTime.UtcNow - Expiry + TimeSpan.FromSeconds(20));
        Assert.Null(b.Take("work"));
        File.SetLastWriteTimeUtc(FileOf("work"), DateTime.UtcNow - Expiry - TimeSpan.FromSeconds(5));
        Assert.NotNull(b.Take("work"));
    }

    [Fact]
    public void A_claim_left_by_a_dead_process_of_this_machine_is_free_at_once()
    {
        using var a = Machine("a");
        File.WriteAllText(FileOf("work"), "a 17 0123\n2026-01-01T00:00:00Z\n");
        Assert.NotNull(a.Take("work"));
    }

    [Fact]
    public void An_owner_that_slept_learns_at_its_renewal_that_its_work_is_anothers()
    {
        using var a = Machine("a");
        var claim = a.Take("work")!;
        a.Renew();
        Assert.False(claim.IsLost);
        claim.File.SetLength(0);
        claim.File.Write("b 4 4567\n"u8);
        claim.File.Flush();
        a.Renew();
        Assert.True(claim.IsLost);
        claim.Dispose();
        Assert.StartsWith("b 4", File.ReadAllText(FileOf("work")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_renewed_claim_stays_young()
    {
        using var a = Machine("a");
        var claim = a.Take("work")!;
        File.SetLastWriteTimeUtc(FileOf("work"), DateTime.UtcNow - Expiry - Expiry);
        a.Renew();
        Assert.True(DateTime.UtcNow - File.GetLastWriteTimeUtc(FileOf("work")) < Expiry);
        claim.Dispose();
    }
}
