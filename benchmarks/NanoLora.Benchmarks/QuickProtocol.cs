using System.Diagnostics;
using System.Globalization;

namespace NanoLora.Benchmarks;

// `quick` runs each piece of work in processes, one for each that takes part (of NanoLora, of TorchSharp), that take turns. This file is part of both
// programs, so that both are asked, timed and weighed by the same code. A request is a line to the process, and its answer a line from it:
//
//     (at the start)                      hello WHO              or: unavailable REASON, and the process ends with exit code 3
//     threads COUNT                       ok                     so many threads for what is asked for next
//     gemm M K N                          ok                     y = x Wᵀ
//     lora M K N                          ok                     the same linear with a LoRA on it
//     stack M K N MODULES                 ok                     y += the gated stack of MODULES frozen LoRAs
//     op NAME                             ok                     NAME is one of QuickOps
//     vit METHOD ROWS MODULES FOLDER      ok                     METHOD is infer, lora, learned, stacked or recomputed
//     gpt2 METHOD ROWS MODULES FOLDER     ok                     the same of a language model
//     run FIRST COUNT                     ran SECONDS RESULT     FIRST times, then the time of COUNT, and the number that both halves must agree on
//     peak                                peak BYTES             the most memory that the process has had
//     held                                held NATIVE MANAGED    bytes that the work's engine has from the system, and managed ones allocated so far
//
// An exception is answered by: error MESSAGE. The end of the input ends the process.

/// <summary>A piece of work, made ready.</summary>
internal interface IQuickWork : IDisposable
{
    /// <summary>Does it once.</summary>
    void Run();

    /// <summary>The number that both halves must agree on: the loss of the last run, or one made of the mean squares of what it gave.</summary>
    double Result { get; }

    /// <summary>Native bytes taken from the system, in use or waiting in a pool; 0 where nobody counts them.</summary>
    long Held => 0;
}

/// <summary>A model at work.</summary>
/// <param name="Family">vit or gpt2.</param>
/// <param name="Method">
/// infer, lora, learned; stacked, which TorchSharp does by hand; or recomputed, which is lora with the activations of blocks made again, in NanoLora.
/// </param>
/// <param name="Rows">The first rows of the folder's batch that take part.</param>
/// <param name="Modules">The first of its LoRA modules that take part.</param>
/// <param name="Folder">Where the files are.</param>
internal sealed record QuickModel(string Family, string Method, int Rows, int Modules, string Folder);

/// <summary>One half of the comparison.</summary>
internal interface IQuickHalf
{
    /// <summary>What it is: name and versions.</summary>
    string Who { get; }

    /// <summary>The threads of what is made from now on.</summary>
    int Threads { set; }

    /// <summary>y = x Wᵀ with x [m, k] and W [n, k], filled by <see cref="QuickProtocol.Fill"/> with seeds 1 and 2.</summary>
    IQuickWork Gemm(int m, int k, int n);

    /// <summary>The same with y + s (x Aᵀ) Bᵀ, the first module of <see cref="QuickProtocol.Module"/>.</summary>
    IQuickWork Lora(int m, int k, int n);

    /// <summary>y + Σ v̂ s (x Aᵀ) Bᵀ of the first modules as one gated LoRA, v̂ = softmax(1); y [m, n] is filled with seed 3.</summary>
    IQuickWork Stack(int m, int k, int n, int modules);

    /// <summary>One operation, forward and backward where it has one.</summary>
    IQuickWork Op(QuickOp op);

    /// <summary>Inference or a training step.</summary>
    IQuickWork Model(QuickModel model);
}

internal static class QuickProtocol
{
    /// <summary>The exit code where a half cannot run on this machine.</summary>
    public const int Unavailable = 3;

    /// <summary>The threads that each half has unless it is told another number.</summary>
    public const int Threads = 2;

    // Milliseconds before a turn: the other's threads spin for a while after theirs, and each would have to share a core with one of them.
    private const int Settle = 5;

    /// <summary>The rank of every LoRA module; its alpha is twice that, so that the scale is 2.</summary>
    public const int Rank = 8, Scale = 2;

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
        var words = line.Split(' ', 5);
        switch (words[0])
        {
            case "threads":
                half.Threads = int.Parse(words[1]);
                return "ok";
            case "gemm" or "lora" or "stack" or "op" or "vit" or "gpt2":
                work?.Dispose();
                work = null;                                                            // also where the next cannot be made
                work = Open(half, words);
                return "ok";
            case "run":
                Thread.Sleep(Settle);
                for (var i = int.Parse(words[1]); i > 0; i--) Opened(work).Run();
                var start = Stopwatch.GetTimestamp();
                for (var i = int.Parse(words[2]); i > 0; i--) Opened(work).Run();
                var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                return string.Create(CultureInfo.InvariantCulture, $"ran {seconds:R} {Opened(work).Result:R}");
            case "peak":
                using (var process = Process.GetCurrentProcess()) return $"peak {process.PeakWorkingSet64}";
            case "held":
                return $"held {Opened(work).Held} {GC.GetAllocatedBytesForCurrentThread()}";
            default:
                return $"error \"{line}\" is no request";
        }
    }

    private static IQuickWork Open(IQuickHalf half, string[] words)
    {
        return words[0] switch
        {
            "gemm" => half.Gemm(Number(1), Number(2), Number(3)),
            "lora" => half.Lora(Number(1), Number(2), Number(3)),
            "stack" => half.Stack(Number(1), Number(2), Number(3), Number(4)),
            "op" => half.Op(QuickOps.Of(words[1])),
            var family => half.Model(new QuickModel(family, words[1], Number(2), Number(3), words[4])),
        };

        int Number(int at) => int.Parse(words[at]);
    }

    private static IQuickWork Opened(IQuickWork? work) => work ?? throw new InvalidOperationException("nothing to run has been asked for yet.");

    /// <summary>A and B of a module for a linear k to n.</summary>
    public static (float[] A, float[] B) Module(int number, int k, int n) =>
        (Fill(Rank * k, (uint)(10 + 2 * number)), Fill(n * Rank, (uint)(11 + 2 * number)));

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
