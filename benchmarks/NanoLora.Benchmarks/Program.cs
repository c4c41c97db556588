using BenchmarkDotNet.Running;
using NanoLora.Benchmarks;

// quick      NanoLora beside TorchSharp, interleaved, in some minutes; keeps tables and charts in benchmarks/README.md (not with --no-keep, --only)
// llama      NanoLora beside llama.cpp's llama-bench
// scaling    how time and memory of a training step grow with its size; keeps them, too
// peak       products beside the machine's peak of fused multiply-adds, in seconds
// ladder     the same product from the plain loop to the kernel, a rung at a time
//
// Anything else goes to BenchmarkDotNet: --filter '*Gemm*', --filter '*Ops*', --filter '*Step*', --list flat.
switch (args)
{
    case ["quick", .. var options]:
        if (!QuickOptions.Parse(options, out var keep, out var measured, out var only))
            return Refuse("there are --no-keep, which leaves benchmarks/README.md as it is, --json FILE, and --only WORDS, which measures rows of that title");
        return Try(() => Quick.Run(keep, measured, only));
    case ["llama", .. var options]:
        if (!LlamaOptions.Parse(options, out var rounds, out var json)) return Refuse("there are --rounds N (9 if not given) and --json FILE");
        return Try(() => LlamaBench.Run(rounds, json));
    case ["scaling"] or ["scaling", "--no-keep"]:
        return Try(() => Scaling.Run(keep: args.Length == 1));
    case ["scaling", ..]:
        return Refuse("there is --no-keep, which leaves benchmarks/README.md as it is");
    case ["peak"]:
        return PeakShare.Run();
    case ["ladder"]:
        return Ladder.Run();
    case ["peak" or "ladder", ..]:
        return Refuse("there are none");
    case [Quick.HalfCommand]:
        return QuickProtocol.Serve(new QuickNanoLora());
    case [Ladder.RungCommand, var threads]:
        return Ladder.RunRung(int.Parse(threads));
    default:
        BenchmarkSwitcher.FromAssembly(typeof(GemmBenchmarks).Assembly).Run(args);
        return 0;
}

int Refuse(string known)
{
    Console.Error.WriteLine($"{args[0]}: \"{string.Join(' ', args[1..])}\" are no options; {known}.");
    return 2;
}

static int Try(Func<int> run)
{
    try { return run(); }
    catch (Exception error)
        when (error is QuickException or IOException or UnauthorizedAccessException or InvalidDataException or NanoLora.Nn.CheckpointException)
    {
        Console.Error.WriteLine(error.Message);
        return 1;
    }
}
