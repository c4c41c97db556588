using System.Text.RegularExpressions;
using NanoLora.Experiments;

namespace NanoLora.Tests.Experiments;

public class ProgressTests
{
    private sealed class FakeTime : TimeProvider
    {
        private long _now = 1_000;

        public override long TimestampFrequency => 1_000;

        public override long GetTimestamp() => _now;

        public void Pass(double seconds) => _now += (long)(seconds * 1_000);
    }

    private sealed class BrokenWriter : StringWriter
    {
        public override void Write(string? value) => throw new IOException("the pipe is closed");
    }

    [Fact]
    public void Even_work_is_predicted_exactly()
    {
        var time = new FakeTime();
        using var progress = new Progress("train", 100, new StringWriter(), time: time);
        Assert.Null(progress.Remaining);
        for (var i = 0; i < 40; i++)
        {
            time.Pass(2);
            progress.Advance();
            Assert.Equal((99 - i) * 2.0, progress.Remaining!.Value.TotalSeconds, 1e-6);
        }
        time.Pass(1.5); // waiting for a unit counts
        Assert.Equal(118.5, progress.Remaining!.Value.TotalSeconds, 1e-6);
        time.Pass(1_000); // and never goes below zero
        Assert.Equal(TimeSpan.Zero, progress.Remaining);
    }

    [Fact]
    public void The_rate_follows_the_work()
    {
        var time = new FakeTime();
        using var progress = new Progress("train", 1_000, new StringWriter(), time: time);
        for (var i = 0; i < 100; i++) { time.Pass(0.1); progress.Advance(); }
        for (var i = 0; i < 100; i++) { time.Pass(1); progress.Advance(); }
        // 800 units at 1 s are 800 s; a plain average over all time would say 440 s.
        Assert.InRange(progress.Remaining!.Value.TotalSeconds, 650, 800);
    }

    [Fact]
    public void A_log_gets_a_plain_line_every_five_seconds()
    {
        var time = new FakeTime();
        var log = new StringWriter();
        using (var progress = new Progress("train", 60, log, terminal: false, time: time))
        {
            for (var i = 0; i < 60; i++) { time.Pass(0.5); progress.Advance(note: $"loss\n{i}"); }
        }
        var lines = log.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(7, lines.Length); // at 0.5, 5.5, … 25.5 s, and the end at 30 s
        Assert.Equal("train    2 %  1/60  0:00  about 0:29 left  loss 0", lines[0]);
        Assert.Equal("train   18 %  11/60  0:05  about 0:24 left  loss 10", lines[1]);
        Assert.Equal("train  100 %  60/60  0:30  loss 59", lines[^1]);
        Assert.DoesNotContain('\r', log.ToString());
    }

    [Fact]
    public void A_terminal_gets_one_line_rewritten()
    {
        var time = new FakeTime();
        var terminal = new StringWriter();
        using (var progress = new Progress("train", 3, terminal, terminal: true, time: time))
        {
            time.Pass(1);
            progress.Advance(note: "a long note that has to be wiped out");
            time.Pass(0.01);
            progress.Advance(note: "too soon");
            time.Pass(1);
            progress.Advance(note: "short");
        }
        var text = terminal.ToString();
        Assert.Equal(1, Regex.Count(text, "\n"));
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        var lines = text.Split('\r', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3, lines.Length);
        Assert.DoesNotContain("too soon", text, StringComparison.Ordinal);
        Assert.Equal(lines[0].Length, lines[1].Length); // blanks cover the longer line
        Assert.EndsWith("short", lines[1].TrimEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_line_never_wraps()
    {
        var terminal = new StringWriter();
        using (var progress = new Progress(new string('x', 5_000), 2, terminal, terminal: true)) progress.Advance();
        Assert.All(terminal.ToString().Split('\r', '\n'), line => Assert.InRange(line.Length, 0, 4_000));
    }

    [Fact]
    public void Unknown_totals_broken_pipes_and_overruns_do_not_stop_the_work()
    {
        var log = new StringWriter();
        var time = new FakeTime();
        using (var unknown = new Progress("read", 0, log, time: time)) { time.Pass(1); unknown.Advance(5); Assert.Null(unknown.Remaining); }
        Assert.StartsWith("read  5  0:01\n", log.ToString(), StringComparison.Ordinal);
        using (var broken = new Progress("train", 2, new BrokenWriter(), terminal: true)) broken.Advance(3);
        using var over = new Progress("train", 2, new StringWriter(), time: time);
        over.Advance(7);
        Assert.Equal(TimeSpan.Zero, over.Remaining);
    }

    [Fact]
    public async Task Threads_lose_no_units()
    {
        var log = new StringWriter();
        using var progress = new Progress("train", 40_000, log, terminal: true);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => { for (var i = 0; i < 10_000; i++) progress.Advance(); })));
        Assert.Equal(40_000, progress.Done);
    }
}
