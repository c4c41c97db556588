using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NanoLora.Experiments;
using NanoLora.Experiments.Verification;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.GpuBundle;

/// <summary>
/// What is carried to a machine with a GPU: <c>nanolora-gpu check</c> and <c>nanolora-gpu bench</c>, with everything they need beside them.
/// Exit code 0: all is right. 1: something is wrong, or there is no device. 2: wrong usage.
/// </summary>
internal static class Program
{
    private const int Steps = 50;

    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    private static int Main(string[] args)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        var device = Option(args, "--device") ?? "gpu";
        var output = Option(args, "--out");
        try
        {
            switch (args.FirstOrDefault())
            {
                case "check": return Check(device, output);
                case "bench": return Bench(device, output, quick: args.Contains("--quick"));
                case "traffic": return Traffic(device, Option(args, "--method"));
                default:
                    Console.Error.WriteLine("""
                        nanolora-gpu check [--device NAME] [--out FILE.json]             the op table, reference models and training against the processor
                        nanolora-gpu traffic [--device NAME] [--method NAME]             kernels and bytes that a step of ViT-B/16, batch 64, asks for
                        nanolora-gpu bench [--device NAME] [--out FILE.json] [--quick]   speed; beside PyTorch where python3 has it
                        """);
                    return 2;
            }
        }
        catch (Exception error) when (error is GpuException or DeviceMemoryException or IOException)
        {
            Console.Error.WriteLine($"nanolora-gpu: {error.Message}");
            return 1;
        }
    }

    private static string? Option(string[] args, string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;

    private static string Beside(string name) => Path.Combine(AppContext.BaseDirectory, name);

    private static int Check(string name, string? output)
    {
        using var device = new GpuBackend(name);
        Console.WriteLine(device.Description);
        var findings = new List<DeviceFinding>();
        Add(DeviceCheck.Ops(device));

        var models = Beside("models");
        var modelFolder = Path.Combine(models, "nano-vit");
        var taskFile = Directory.GetFiles(Path.Combine(models, "tasks"), "*.safetensors").Order(StringComparer.Ordinal).First();
        var modules = Directory.GetDirectories(Path.Combine(modelFolder, "modules")).Order(StringComparer.Ordinal).ToList();
        var base_ = StudyBase.Of(modelFolder);
        Add(DeviceCheck.Training(device, new ArmKit(base_, modules), base_.Fit(base_.ReadFile(taskFile)), Steps));
        var log = new StringWriter();
        var verified = Verifier.Run([Beside("golden")], device, log);
        Add([new DeviceFinding("reference vectors", verified.ExitCode == 0,
            $"{verified.Ok} tensors agree, {verified.Failed} do not{(verified.Failed > 0 ? $"; first {verified.FirstDeviation}" : "")}")]);
        if (verified.Failed > 0) Console.WriteLine(log);

        var wrong = findings.Count(static f => !f.Ok);
        Console.WriteLine($"{findings.Count - wrong} of {findings.Count} checks are right");
        if (output is not null) File.WriteAllText(output, JsonSerializer.Serialize(new { device.Description, date = DateTimeOffset.UtcNow, findings }, s_json));
        return wrong == 0 ? 0 : 1;

        void Add(IEnumerable<DeviceFinding> found)
        {
            foreach (var finding in found)
            {
                findings.Add(finding);
                Console.WriteLine($"{(finding.Ok ? "ok   " : "WRONG")} {finding.Name}: {finding.Found}");
            }
        }
    }

    private static int Bench(string name, string? output, bool quick)
    {
        // Before anything else is warm: what a user waits for who trains one step.
        var firstStep = FirstStep(name);
        using var device = new GpuBackend(name);
        Console.WriteLine(device.Description);
        Console.WriteLine($"first step of a LoRA training after start, kernels compiled on the way: {firstStep:0.00} s");
        var torch = TorchBench.Run(quick, device.Device.Kind == GpuKind.Cuda);
        Console.WriteLine(torch.Who);
        Console.WriteLine();
        Console.WriteLine($"{"",-52}{"ms",10}{"",14}{string.Concat(torch.Precisions.Select(static p => $"{"torch " + p,14}"))}"
            + "   ratio, torch / NanoLora: above 1 is ours");
        var rows = new List<object>();
        foreach (var work in Works.All(quick))
        {
            double milliseconds;
            try { milliseconds = work.Measure(device); }
            catch (DeviceMemoryException error) { Console.WriteLine($"{work.Name,-52}{"no memory",10}   {error.Message}"); continue; }
            var speed = work.Speed(milliseconds);
            var theirs = torch.Precisions.Select(p => torch.Find(work.Name, p)).ToList();
            var ratios = theirs.Select(t => t is { } ms ? $"{ms / milliseconds:0.00}" : "-");
            Console.WriteLine($"{work.Name,-52}{milliseconds,10:0.000}{speed,14}"
                + $"{string.Concat(theirs.Select(static t => t is { } ms ? $"{ms,14:0.000}" : $"{"-",14}"))}   {string.Join("  ", ratios)}");
            rows.Add(new { work.Name, milliseconds, speed, torch = torch.Precisions.Zip(theirs, static (p, t) => new { precision = p, milliseconds = t }) });
        }
        if (output is not null)
            File.WriteAllText(output,
                JsonSerializer.Serialize(new { device.Description, date = DateTimeOffset.UtcNow, torch.Who, firstStepSeconds = firstStep, rows }, s_json));
        return 0;
    }

    // What a step asks for does not depend on the device, so any will do: the memory of a GPU has to move at least this much. One or two blocks and images are
    // counted; both numbers go with blocks and with images in straight lines, a + b blocks + c images + d blocks images, which gives the whole.
    private static int Traffic(string name, string? only)
    {
        string[] methods = ["inference", "lora", "learned", "full"];
        if (only is not null && !methods.Contains(only))
        {
            Console.Error.WriteLine($"nanolora-gpu: --method: \"{only}\" is none of {string.Join(", ", methods)}");
            return 2;
        }
        using var device = new GpuBackend(name);
        foreach (var method in only is null ? methods : [only])
        {
            var (one, twoBlocks, twoImages, both) = (Count(1, 1), Count(2, 1), Count(1, 2), Count(2, 2));
            var kernels = Whole(one.Kernels, twoBlocks.Kernels, twoImages.Kernels, both.Kernels);
            var bytes = Whole(one.Bytes, twoBlocks.Bytes, twoImages.Bytes, both.Bytes);
            Console.WriteLine($"{method,-10} {kernels,6:N0} kernels, {bytes / 1e9,6:0.0} GB");

            (double Kernels, double Bytes) Count(int blocks, int batch)
            {
                using var step = new VitStep(device, Works.Base with { Layers = blocks }, batch, method);
                step.Run();
                var (launches, operands) = (device.Launches, device.OperandBytes);
                step.Run();
                return (device.Launches - launches, device.OperandBytes - operands);
            }
        }
        return 0;

        static double Whole(double one, double twoBlocks, double twoImages, double twoOfBoth)
        {
            const int blocks = 12, batch = 64;
            return one + (blocks - 1) * (twoBlocks - one) + (batch - 1) * (twoImages - one)
                + (blocks - 1) * (batch - 1) * (twoOfBoth - twoBlocks - twoImages + one);
        }
    }

    private static double FirstStep(string name)
    {
        var clock = Stopwatch.StartNew();
        using var device = new GpuBackend(name);
        using var step = new VitStep(device, Works.Nano, 32, "lora");
        step.Run();
        device.Synchronize();
        return clock.Elapsed.TotalSeconds;
    }
}
