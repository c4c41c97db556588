using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NanoLora.Benchmarks;

/// <summary>What the machine is, and the most that it reaches with the threads of a half: the two rooflines.</summary>
internal sealed class QuickMachine
{
    private const int Floats = 1 << 25;                                                         // 128 MiB a thread: beyond any cache

    private static float s_sink;

    /// <summary>The most GFLOP/s that all threads together have reached in fused multiply-adds so far.</summary>
    public double Peak { get; private set; }

    /// <summary>The most GB/s that all threads together have read so far.</summary>
    public double Bandwidth { get; private set; }

    /// <summary>Looks again how many multiply-adds the machine does; called all through the run, so that the peak is of the same minutes as the work.</summary>
    public void MeasurePeak()
    {
        for (var i = 0; i < 10; i++) Peak = Math.Max(Peak, Together(Benchmarks.Peak.Measure));
    }

    /// <summary>Looks again how fast the machine reads.</summary>
    public void MeasureBandwidth()
    {
        var arrays = new float[QuickProtocol.Threads][];
        for (var t = 0; t < arrays.Length; t++) Array.Fill(arrays[t] = new float[Floats], 1f);
        var next = -1;
        for (var i = 0; i < 5; i++)
        {
            next = -1;
            Bandwidth = Math.Max(Bandwidth, Together(() => Read(arrays[Interlocked.Increment(ref next)])));
        }
    }

    /// <summary>Processor, system and runtime.</summary>
    public static string Name() => $"{Processor()}, {RuntimeInformation.OSDescription.Trim()}, {RuntimeInformation.FrameworkDescription}";

    /// <summary>
    /// Seconds that the cores have worked so far, for anybody and for this program and the halves that have ended, and the number of cores; null where
    /// the system does not say. Two looks tell what others did in between.
    /// </summary>
    public static (double All, double Ours, int Cores)? Work()
    {
        const string system = "/proc/stat", own = "/proc/self/stat";
        const double ticks = 100;                                                               // a second, in these files
        if (!File.Exists(system)) return null;
        var lines = File.ReadAllLines(system);
        // cpu user nice system idle iowait irq softirq steal …
        var all = lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)[1..9].Select(double.Parse).ToArray();
        // pid (name) state …, where utime, stime and those of ended children are the 12th to 15th after the name
        var mine = File.ReadAllText(own).Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries)[11..15].Select(double.Parse);
        return ((all.Sum() - all[3] - all[4]) / ticks, mine.Sum() / ticks, lines.Count(l => l.StartsWith("cpu", StringComparison.Ordinal)) - 1);
    }

    /// <summary>Memory that programs can still have, in bytes.</summary>
    public static long FreeMemory()
    {
        GC.Collect();                                                                           // the figures are those of the last collection
        var memory = GC.GetGCMemoryInfo();
        return memory.TotalAvailableMemoryBytes - memory.MemoryLoadBytes;
    }

    // The sum of what all threads measure at the same time.
    private static double Together(Func<double> measure)
    {
        using var barrier = new Barrier(QuickProtocol.Threads);
        var results = new double[QuickProtocol.Threads];
        var threads = new Thread[QuickProtocol.Threads];
        for (var t = 0; t < threads.Length; t++)
        {
            var at = t;
            threads[t] = new Thread(() =>
            {
                barrier.SignalAndWait();
                results[at] = measure();
            });
            threads[t].Start();
        }
        foreach (var thread in threads) thread.Join();
        return results.Sum();
    }

    // GB/s of one thread: eight sums at once, so that the adds do not wait for each other.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static double Read(float[] values)
    {
        var start = Stopwatch.GetTimestamp();
        var x = MemoryMarshal.Cast<float, Vector<float>>(values);
        Vector<float> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
        for (var i = 0; i + 8 <= x.Length; i += 8)
        {
            s0 += x[i]; s1 += x[i + 1]; s2 += x[i + 2]; s3 += x[i + 3];
            s4 += x[i + 4]; s5 += x[i + 5]; s6 += x[i + 6]; s7 += x[i + 7];
        }
        s_sink = Vector.Sum(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7);
        return 4.0 * values.Length / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
    }

    private static string Processor()
    {
        const string linux = "/proc/cpuinfo", key = "model name";
        if (File.Exists(linux) && File.ReadLines(linux).FirstOrDefault(l => l.StartsWith(key, StringComparison.Ordinal)) is { } line)
            return line[(line.IndexOf(':') + 1)..].Trim();
        return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
