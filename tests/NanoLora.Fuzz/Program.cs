using NanoLora.Fuzz;
using SharpFuzz;

// fuzz READER            what afl-fuzz starts: inputs come over its pipes
// replay READER PATH...  files, or folders of them, once each; exit code 1 after a finding
// seeds GOLDEN CORPUS    inputs of every reader from the reference vectors
switch (args)
{
    case ["fuzz", var reader]:
        FuzzTarget? target = null;   // made when the pipes are open: the libraries count their branches from then on
        Fuzzer.OutOfProcess.Run(stream =>
        {
            using var memory = new MemoryStream();
            stream.CopyTo(memory);
            (target ??= FuzzTarget.Create(reader, Replay.MostTime)).Run(memory.ToArray());
        });
        target?.Dispose();
        return 0;
    case ["replay", var reader, .. var paths]:
        return Replay.Run(reader, paths);
    case ["seeds", var golden, var corpus]:
        Seeds.Write(golden, corpus);
        return 0;
    default:
        Console.Error.WriteLine($"fuzz READER | replay READER PATH... | seeds GOLDEN CORPUS, with READER one of {string.Join(", ", FuzzTarget.Names)}");
        return 2;
}
