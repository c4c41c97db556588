using System.Diagnostics;
using System.Globalization;

namespace NanoLora.Benchmarks;

// `quick` runs each piece of work in two processes, one a half (NanoLora, TorchSharp), that take turns. This file is part of both programs, so that both
// are asked, timed and weighed by the same code. A request is a line to the process, and its answer a line from it:
//
//     (at the start)             hello WHO                  or: unavailable REASON, and the process ends with exit code 3
//     gemm M K N                 ok
//     vit METHOD ROWS FOLDER     ok                         METHOD is infer, lora, learned or stacked
//     run COUNT                  ran SECONDS RESULT         the time of all COUNT, and the number that both halves must agree on
//     peak                       peak BYTES                 the most memory that the process has had
//
// An exception is answered by: error MESSAGE. The end of the input ends the process.

/// <summary>A piece of work, made ready.</summary>
internal interface IQuickWork : IDisposable
{
    /// <summary>Does it once.</summary>
    void Run();

    /// <summary>The number that both halves must agree on: the loss of the last run, or the mean square of what it gave.</summary>
    double Result { get; }
}

/// <summary>One half of the comparison.</summary>
internal interface IQuickHalf
{
    /// <summary>What it is: name and versions.</summary>
    string Who { get; }

    /// <summary>y = x Wᵀ with x [m, k] and W [n, k], filled by <see cref="QuickProtocol.Fill"/> with seeds 1 and 2.</summary>
    IQuickWork Gemm(int m, int k, int n);

    /// <summary>Inference or a training step of the model and modules in a folder, on the first rows of its batch.</summary>
    IQuickWork Vit(string method, int rows, string folder);
}

internal static class QuickProtocol
{
    /// <summary>The exit code where a half cannot run on this machine.</summary>
    public const int Unavailable = 3;

    /// <summary>The threads that each half may use.</summary>
    public const int Threads = 2;

    /// <summary>AdamW's numbers, for every trained parameter of a step.</summary>
    public const double Rate = 1e-3, Beta1 = 0.9, Beta2 = 0.999, Epsilon = 1e-8, Decay = 0.01;

    /// <summary>Answers requests until the input ends.</summary>
    public static int Serve(IQuickHalf half)
    {
        Console.WriteLine($"hello {half.Who}");
        IQuickWork? work = null;
        while (Console.ReadLine() is { } line)
        {
            string answer;
            try { answer = Answer(half, ref work, line); }
            catch (Exception error) { answer = $"error {error.GetType().Name}: {error.Message.ReplaceLineEndings(" ")}"; }
            Console.WriteLine(answer);
        }
        work?.Dispose();
        return 0;
    }

    private static string Answer(IQuickHalf half, ref IQuickWork? work, string line)
    {
        var words = line.Split(' ', 4);
        switch (words[0])
        {
            case "gemm":
                work?.Dispose();
                work = half.Gemm(int.Parse(words[1]), int.Parse(words[2]), int.Parse(words[3]));
                return "ok";
            case "vit":
                work?.Dispose();
                work = half.Vit(words[1], int.Parse(words[2]), words[3]);
                return "ok";
            case "run":
                var (count, start) = (int.Parse(words[1]), Stopwatch.GetTimestamp());
                for (var i = 0; i < count; i++) Opened(work).Run();
                var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                return string.Create(CultureInfo.InvariantCulture, $"ran {seconds:R} {Opened(work).Result:R}");
            case "peak":
                using (var process = Process.GetCurrentProcess()) return $"peak {process.PeakWorkingSet64}";
            default:
                return $"error \"{line}\" is no request";
        }
    }

    private static IQuickWork Opened(IQuickWork? work) => work ?? throw new InvalidOperationException("nothing to run has been asked for yet.");

    /// <summary>Numbers in [-0.5, 0.5) that are the same for both halves: the top 24 bits of a multiplicative hash of the index.</summary>
    public static float[] Fill(int count, uint seed)
    {
        var values = new float[count];
        for (var i = 0; i < count; i++)
        {
            var h = ((uint)i + seed * 0x9E3779B9u) * 0x85EBCA6Bu;
            h = (h ^ (h >> 15)) * 0xC2B2AE35u;
            values[i] = ((h ^ (h >> 13)) >> 8) * (1f / (1 << 24)) - 0.5f;
        }
        return values;
    }

    /// <summary>The mean of the squares.</summary>
    public static double MeanSquare(ReadOnlySpan<float> values)
    {
        var sum = 0.0;
        foreach (var value in values) sum += (double)value * value;
        return sum / values.Length;
    }
}
