using System.CommandLine;
using NanoLora.Experiments;

namespace NanoLora.Cli;

/// <summary>Where commands compute: <c>--device</c>.</summary>
internal static class Devices
{
    /// <summary>The processor, by the engine's own kernels.</summary>
    public const string Cpu = "cpu";

    /// <summary>The option.</summary>
    public static Option<string> Option() => Inputs.Text("--device", "NAME",
        "Where to compute: cpu, gpu for the best there is, cuda, opencl, or a device as nanolora doctor names it.", Cpu);

    /// <summary>The backend of a name; weights that are only read stay where their file is mapped.</summary>
    /// <exception cref="CommandException">There is no such device, or it cannot be opened.</exception>
    public static Backend Open(string name, bool reads = false)
    {
        if (name == Cpu) return new CpuBackend { BorrowsWeights = reads };
        try { return new GpuBackend(Find(name)); }
        catch (GpuException error) { throw new CommandException($"--device: {error.Message}", error); }
    }

    /// <summary>Who runs the cells of a study: a thread a core, or one for a device, which is busy with one cell.</summary>
    /// <exception cref="CommandException">There is no such device.</exception>
    public static Workers Workers(string name, int threads = 0)
    {
        if (name == Cpu) return Experiments.Workers.Cores(threads);
        var device = Find(name);
        return new(1, () => Open(device.Id));
    }

    /// <summary>The device of a name.</summary>
    /// <exception cref="CommandException">There is no such device.</exception>
    public static GpuDevice Find(string name)
    {
        try { return GpuDevice.Find(name); }
        catch (GpuException error) { throw new CommandException($"--device: {error.Message}", error); }
    }

    /// <summary>What goes into settings and cards: a device that is not the processor, since it has other bits.</summary>
    public static IReadOnlyList<Fact> Facts(string name) => name == Cpu ? [] : [new("device", name)];
}
