using System.Runtime.InteropServices;
using System.Runtime.Loader;
using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace NanoLora;

/// <summary>Through what a device is reached.</summary>
public enum GpuKind
{
    /// <summary>A GPU of NVIDIA's, by its driver.</summary>
    Cuda,
    /// <summary>A GPU by OpenCL.</summary>
    OpenCl,
    /// <summary>A processor by OpenCL.</summary>
    OpenClCpu,
    /// <summary>The interpreter of ILGPU, for tests alone.</summary>
    Interpreter,
}

/// <summary>A device that kernels can run on.</summary>
/// <param name="Name">As its driver calls it.</param>
/// <param name="Kind">How it is reached.</param>
/// <param name="Index">Its place among the devices of its kind, from 0.</param>
/// <param name="MemoryBytes">The memory it has.</param>
/// <param name="Details">Driver or platform, for people.</param>
public sealed record GpuDevice(string Name, GpuKind Kind, int Index, long MemoryBytes, string Details)
{
    /// <summary>As in "cuda:0" or "opencl:1": what selects this device and no other.</summary>
    public string Id => $"{Prefix}:{Index}";

    private string Prefix => Kind switch { GpuKind.Cuda => "cuda", GpuKind.OpenCl => "opencl", GpuKind.OpenClCpu => "opencl-cpu", _ => "interpreter" };

    /// <summary>What a machine without a device lacks.</summary>
    public static string HowToInstall => GpuContext.HowToInstall;

    /// <summary>All devices of this machine, the best first: CUDA, GPUs by OpenCL, processors by OpenCL.</summary>
    public static IReadOnlyList<GpuDevice> All()
    {
        using var context = GpuContext.Create(interpreter: false);
        return [.. Of(context).Select(static d => d.Device).Where(static d => d.Kind != GpuKind.Interpreter)];   // which ILGPU adds where there is nothing else
    }

    /// <summary>The interpreter of ILGPU, with two threads a group: slow, for tests of small shapes.</summary>
    public static GpuDevice Interpreter { get; } = new("ILGPU's interpreter", GpuKind.Interpreter, 0, 0, "two threads a group");

    /// <summary>The device that a name selects.</summary>
    /// <param name="name">"gpu" for the best there is, "cuda", "opencl", an <see cref="Id"/>, or a part of a device's name.</param>
    /// <exception cref="GpuException">There is none; the message says what was looked for and what is there.</exception>
    public static GpuDevice Find(string name)
    {
        var all = All();
        var index = name.Contains(':', StringComparison.Ordinal);
        var found = name switch
        {
            "gpu" => all.Count > 0 ? all[0] : null,
            "cuda" => all.FirstOrDefault(static d => d.Kind == GpuKind.Cuda),
            "opencl" => all.FirstOrDefault(static d => d.Kind is GpuKind.OpenCl or GpuKind.OpenClCpu),
            _ => all.FirstOrDefault(d => d.Id == name)
                ?? (index || name.Length == 0 ? null : all.FirstOrDefault(d => d.Name.Contains(name, StringComparison.OrdinalIgnoreCase))),
        };
        return found ?? throw new GpuException($"no device '{name}'. "
            + (all.Count == 0
                ? "No device was found"
                : $"There {(all.Count == 1 ? "is" : "are")} {string.Join(", ", all.Select(static d => $"{d.Id} ({d.Name})"))}")
            + $". {GpuContext.HowToInstall}");
    }

    internal static IEnumerable<(GpuDevice Device, Device Of)> Of(Context context)
    {
        var counts = new Dictionary<GpuKind, int>();
        return context.Devices.Select(d => (Kind: KindOf(d), Of: d)).OrderBy(static d => d.Kind).Select(d =>
        {
            var index = counts[d.Kind] = counts.GetValueOrDefault(d.Kind, -1) + 1;
            return (d.Kind == GpuKind.Interpreter ? Interpreter : new GpuDevice(d.Of.Name.Trim(), d.Kind, index, d.Of.MemorySize, DetailsOf(d.Of)), d.Of);
        });
    }

    private static GpuKind KindOf(Device device) => device switch
    {
        CudaDevice => GpuKind.Cuda,
        CLDevice { DeviceType: CLDeviceType.CL_DEVICE_TYPE_GPU } => GpuKind.OpenCl,
        CLDevice => GpuKind.OpenClCpu,
        _ => GpuKind.Interpreter,
    };

    private static string DetailsOf(Device device) => device switch
    {
        CudaDevice cuda => $"compute capability {cuda.Architecture?.Major}.{cuda.Architecture?.Minor}, "
            + $"CUDA driver {cuda.DriverVersion.Major}.{cuda.DriverVersion.Minor}, {cuda.NumMultiprocessors} multiprocessors",
        CLDevice cl => $"{cl.PlatformName}, {cl.VendorName}, OpenCL C {cl.CVersion.Major}.{cl.CVersion.Minor}, {cl.NumMultiprocessors} compute units",
        _ => "",
    };
}

/// <summary>No device, or a device that failed.</summary>
public sealed class GpuException : Exception
{
    /// <summary>What went wrong, and what to do.</summary>
    public GpuException(string message, Exception? inner = null) : base(message, inner) { }
}

/// <summary>Contexts of ILGPU, and the libraries it looks for.</summary>
internal static class GpuContext
{
    internal const string HowToInstall =
        "CUDA wants NVIDIA's driver (libcuda.so.1 or nvcuda.dll); OpenCL wants a loader (libOpenCL.so.1 or OpenCL.dll) "
        + "and a driver that lists itself, such as the packages ocl-icd-libopencl1 and pocl-opencl-icd.";

    // ILGPU asks for libcuda.so and libOpenCL.so; distributions have them with the version behind.
    static GpuContext() => AssemblyLoadContext.Default.ResolvingUnmanagedDll += static (_, name) =>
    {
        var versioned = name switch
        {
            "cuda" or "libcuda" or "libcuda.so" => "libcuda.so.1",
            "OpenCL" or "libOpenCL" or "libOpenCL.so" => "libOpenCL.so.1",
            _ => null
        };
        return versioned is not null && NativeLibrary.TryLoad(versioned, out var library) ? library : 0;
    };

    internal static Context Create(bool interpreter)
    {
        // Whichever library is not there gives no devices, not an error.
        return Context.Create(builder =>
        {
            if (interpreter) builder.CPU(new CPUDevice(2, 1, 1));
            else builder.Cuda().OpenCL();
            Settings(builder);
        });
    }

    /// <summary>A context without devices, for compiling alone.</summary>
    internal static Context CreateForCompiling() => Context.Create(static builder => Settings(builder));

    private static void Settings(Context.Builder builder) => builder.Optimize(OptimizationLevel.O2).Inlining(InliningMode.Aggressive).EnableAlgorithms();
}
