using BenchmarkDotNet.Running;
using NanoLora.Benchmarks;

// `peak` compares the GEMM with the machine's FMA peak, interleaved in one run of a few seconds. Anything else goes to BenchmarkDotNet:
// `--filter *Gemm*`, `--filter *Ops*`, `--filter *Step*`, `--list flat`.
if (args is ["peak", ..]) return PeakShare.Run();
BenchmarkSwitcher.FromAssembly(typeof(GemmBenchmarks).Assembly).Run(args);
return 0;
