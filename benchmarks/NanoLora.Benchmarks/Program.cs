using BenchmarkDotNet.Running;
using NanoLora.Benchmarks;

// `peak` compares the GEMM with the machine's FMA peak, interleaved in one run of a few seconds. `quick` compares NanoLora with TorchSharp, interleaved, in
// some minutes, and keeps the tables in benchmarks/README.md (not with --no-keep); --json FILE takes all measurements. `llama` compares NanoLora with
// llama.cpp's llama-bench. Anything else goes to BenchmarkDotNet: `--filter *Gemm*`, `--filter *Ops*`, `--filter *Step*`, `--list flat`.
switch (args)
{
    case ["peak", ..]:
        return PeakShare.Run();
    case ["quick", .. var options]:
        if (!QuickOptions.Parse(options, out var keep, out var measured))
        {
            Console.Error.WriteLine($"quick: \"{string.Join(' ', options)}\" are no options; there are --no-keep, which leaves benchmarks/README.md as it is, "
                + "and --json FILE.");
            return 2;
        }
        try { return Quick.Run(keep, measured); }
        catch (Exception error) when (error is QuickException or IOException or UnauthorizedAccessException or NanoLora.Nn.CheckpointException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    case ["scaling"] or ["scaling", "--no-keep"]:
        try { return Scaling.Run(keep: args.Length == 1); }
        catch (Exception error) when (error is QuickException or IOException or UnauthorizedAccessException or NanoLora.Nn.CheckpointException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    case ["llama", .. var others]:
        if (!LlamaOptions.Parse(others, out var rounds, out var json))
        {
            Console.Error.WriteLine($"llama: \"{string.Join(' ', others)}\" are no options; there are --rounds N (9 if not given) and --json FILE.");
            return 2;
        }
        try { return LlamaBench.Run(rounds, json); }
        catch (Exception error) when (error is QuickException or IOException or UnauthorizedAccessException or InvalidDataException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    case [Quick.HalfCommand]:
        return QuickProtocol.Serve(new QuickNanoLora());
    default:
        BenchmarkSwitcher.FromAssembly(typeof(GemmBenchmarks).Assembly).Run(args);
        return 0;
}
