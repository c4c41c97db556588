using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using NanoLora.Experiments;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora doctor</c>: what this machine has, and whether it computes rightly.</summary>
internal static class DoctorCommand
{
    private const int Steps = 8;

    // What is written as the check goes on; JSON is written at its end.
    private enum Shown { Nothing, Wrong, Everything }

    /// <summary>What was found; the JSON of the command.</summary>
    private sealed record Diagnosis(string Version, IReadOnlyList<Fact> Machine, string Cpu, double CpuGemmGflops, double CpuBandwidth,
        IReadOnlyList<GpuDevice> Devices, string Use, IReadOnlyList<Checked> Checked)
    {
        public bool Healthy => Checked.All(static c => c.Findings.All(static f => f.Ok));
    }

    /// <summary>A device that was checked.</summary>
    private sealed record Checked(string Device, string Description, double GemmGflops, double Bandwidth, IReadOnlyList<DeviceFinding> Findings);

    public static Command Create(Session session)
    {
        var device = Inputs.Text("--device", "NAME", "Check this one: gpu, cuda, opencl or a name; every device that is found if not given.");
        var json = Inputs.Switch("--json", "Write JSON.");
        var list = Inputs.Switch("--list", "Show every check, not only those that went wrong.");
        var kernels = Inputs.Text("--kernels", "DIR", "Only write every GPU kernel there, as PTX and as OpenCL C, to read or to assemble; needs no device.");
        var models = Inputs.Text("--models", "DIR",
            "The folder of bundled models, for the check of training; looked for upwards from here and from the tool if not given.");
        var command = new ToolCommand("doctor", "Shows what this machine has, and checks that it computes rightly.", """
            Processor, memory and every device of CUDA and OpenCL, with what is used and why others are not. Then a check of a minute: each operation against
            double precision, some steps of training against the processor, and how fast products and memory are. Exit code 1: the device that --device names is
            not there, or something is wrong.
            """, "nanolora doctor", "nanolora doctor --device cuda --json", "nanolora doctor --kernels kernels")
        { device, json, list, kernels, models };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(kernels) is { } folder) return WriteKernels(session, folder);
            var found = Examine(session, parsed.GetValue(device), parsed.GetValue(models),
                parsed.GetValue(json) ? Shown.Nothing : parsed.GetValue(list) ? Shown.Everything : Shown.Wrong);
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonSerializer.Serialize(found, JsonOptions));
            return found.Healthy ? 0 : 1;
        });
        return command;
    }

    private static readonly JsonSerializerOptions JsonOptions = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    private static Diagnosis Examine(Session session, string? device, string? models, Shown shown)
    {
        void Say(FormattableString line) { if (shown != Shown.Nothing) session.Say(line); }

        var machine = Machine.Facts();
        foreach (var fact in machine) Say($"{fact.Name,-12} {fact.Value}");
        Say($"{"memory",-12} {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1 << 30):0.0} GiB");
        using var cpu = new CpuBackend();
        var (gemm, bandwidth) = (DeviceCheck.GemmSpeed(cpu), DeviceCheck.Bandwidth(cpu));
        Say($"{"cpu",-12} {cpu.Description}; product of 1024 x 1024 at {gemm:0} GFLOP/s, memory at {bandwidth:0.0} GB/s");

        var devices = GpuDevice.All();
        foreach (var found in devices) Say($"{found.Id,-12} {found.Name}, {found.MemoryBytes / (double)(1 << 30):0.0} GiB, {found.Details}");
        if (devices.Count == 0) Say($"{"gpu",-12} none. {GpuDevice.HowToInstall}");
        var use = Use(devices);
        Say($"{"--device gpu",-12} {use}");

        IReadOnlyList<GpuDevice> chosen = device is null ? devices : device == Devices.Cpu ? [] : [Devices.Find(device)];
        var results = new List<Checked>();
        if (device == Devices.Cpu) results.Add(Check(session, cpu, Devices.Cpu, models, shown));
        foreach (var one in chosen)
        {
            using var backend = Devices.Open(one.Id);
            results.Add(Check(session, backend, one.Id, models, shown));
        }
        return new(Tool.Version, machine, cpu.Description, gemm, bandwidth, devices, use, results);
    }

    private static string Use(IReadOnlyList<GpuDevice> devices) => devices switch
    {
        [] => "nothing to use; --device cpu, the default, needs none",
        [{ Kind: GpuKind.OpenClCpu } only] => $"would use {only.Id}: a processor by OpenCL, which serves to check kernels; --device cpu is faster",
        [var only] => $"would use {only.Id}, the only one",
        [var best, ..] => $"would use {best.Id}: CUDA comes before OpenCL, GPUs before processors; name another to use it",
    };

    private static Checked Check(Session session, Backend backend, string id, string? modelsFolder, Shown shown)
    {
        var quiet = shown == Shown.Nothing;
        if (!quiet) session.Out.WriteLine();
        if (!quiet) session.Say($"checking {id}");
        var clock = Stopwatch.StartNew();
        var findings = new List<DeviceFinding>();
        foreach (var finding in DeviceCheck.Ops(backend).Concat(Training(backend, modelsFolder)))
        {
            session.Cancellation.ThrowIfCancellationRequested();
            findings.Add(finding);
            if (shown == Shown.Everything || (!finding.Ok && !quiet)) session.Say($"  {(finding.Ok ? "ok   " : "WRONG")} {finding.Name}: {finding.Found}");
        }
        var (gemm, bandwidth) = (DeviceCheck.GemmSpeed(backend), DeviceCheck.Bandwidth(backend));
        if (!quiet)
        {
            session.Say($"  {findings.Count(static f => f.Ok)} of {findings.Count} checks are right ({clock.Elapsed.TotalSeconds:0} s)");
            session.Say($"  product of 1024 x 1024 at {gemm:0} GFLOP/s, memory at {bandwidth:0.0} GB/s");
        }
        return new(id, backend.Description, gemm, bandwidth, findings);
    }

    private static IEnumerable<DeviceFinding> Training(Backend backend, string? modelsFolder)
    {
        var models = BundledModels.Find(modelsFolder);
        var base_ = StudyBase.Of(models.Model);
        var task = base_.Fit(base_.ReadFile(models.Task(null)));
        var modules = Directory.GetDirectories(models.Modules).Order(StringComparer.Ordinal).ToList();
        return DeviceCheck.Training(backend, new ArmKit(base_, modules), task, Steps);
    }

    private static int WriteKernels(Session session, string folder)
    {
        OutputFolder.Prepare(folder);
        foreach (var kernel in GpuKernels.All)
        {
            session.Cancellation.ThrowIfCancellationRequested();
            File.WriteAllText(Path.Combine(folder, GpuKernels.NameOf(kernel) + ".ptx"), GpuKernels.ToPtx(kernel));
            File.WriteAllText(Path.Combine(folder, GpuKernels.NameOf(kernel) + ".cl"), GpuKernels.ToOpenCl(kernel));
        }
        session.Say($"{folder}: {GpuKernels.All.Count} kernels, each as PTX and as OpenCL C");
        return 0;
    }
}
